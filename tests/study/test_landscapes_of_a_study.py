"""Which landscapes a problem has, how points are chosen on them, and workers that differ."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lowroad
from lowroad.execution.clusters import ClusterError
from lowroad.seeds import derived_seed
from lowroad.study import references, worker
from lowroad.study.results import StudyResults, load_results
from lowroad.study.run import PreparedRun, prepare_run
from lowroad.study.store import Store
from lowroad.study.study_file import StudyFileError, parse_study

MODULE = """
import torch
import lowroad
from torch import nn

generator = torch.Generator().manual_seed(5)
X = torch.randn(60, 3, generator=generator)
Y = (X[:, 0] * X[:, 1] > 0).long()
TRAIN, TEST, VALIDATION = (X[:30], Y[:30]), (X[30:45], Y[30:45]), (X[45:], Y[45:])


def make():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def whole(metric="one"):
    metrics = {
        "one": lambda landscape, point: 1,
        "text": lambda landscape, point: "low",
        "none": lambda landscape, point: None,
        "list": lambda landscape, point: [1.0, 2.0],
        "vector": lambda landscape, point: point,
    }
    return lowroad.network_problem(make, TRAIN, TEST, VALIDATION, metrics={"m": metrics[metric]})


def without_test():
    return lowroad.network_problem(make, TRAIN, validation=VALIDATION)


def bare():
    return lowroad.network_problem(make, TRAIN)
"""
STUDY: dict[str, Any] = {
    "name": "small",
    "optimizers": {"sgd": {"method": "sgd", "epochs": 4, "batch_size": 10, "learning_rate": 1.0}},
    "train": {"seeds": 2, "keep": 2},
    "paths": {"pairs": 1, "points": 5, "terms": 2, "steps": 2},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(references, "_IMPORTED", {})
    monkeypatch.setattr(worker, "_checked", set())
    (tmp_path / "own_landscapes.py").write_text(MODULE)
    yield tmp_path
    references._PROBLEMS.clear()
    sys.modules.pop("own_landscapes", None)
    sys.path[:] = [each for each in sys.path if each != str(tmp_path)]


def prepared(folder: Path, function: str, **changes: Any) -> PreparedRun:
    problem = {"from": f"own_landscapes:{function}", **changes.pop("options", {})}
    study = {**STUDY, "problems": {"net": problem}, **changes}
    return prepare_run(parse_study(study), folder / "out", folder)


def carry_out(folder: Path, function: str, **changes: Any) -> StudyResults:
    summary = prepared(folder, function, **changes).execute(1, lambda progress, event: None)
    assert (summary.failed, summary.waiting) == ([], 0)
    return load_results(folder / "out")


def trained(problem: Any, seed: int) -> Any:
    """The same run by the library's own function."""

    def generator(use: str) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(0, "net", use, seed))

    (found,) = lowroad.sgd(
        problem.train, problem.start(generator("initial weights"))[None],
        generators=[generator("shuffling")], epochs=4, batch_size=10, learning_rate=1.0,
        validation=problem.validation or problem.test,
    )  # fmt: skip
    return found


@pytest.mark.parametrize("function", ["whole", "without_test", "bare"])
def test_points_are_chosen_on_the_landscapes_that_there_are(folder: Path, function: str) -> None:
    train = {**STUDY["train"], "selections": ["train", "test", "last"]}
    results = carry_out(folder, function, train=train)
    problem = references.make_problem(results.study.problems["net"], folder)
    held_out = [] if function == "bare" else ["validation"]
    assert [str(each) for each in results.sets("net")] == [
        f"sgd/{selection}" for selection in ("train", *held_out, "last")
    ]
    splits = {"train", "test"} if function == "whole" else {"train"}
    assert set(results.table("path", "net")["split"].values) == splits
    numbers = results.table("training", "net")
    for weights in results.sets("net"):
        points, seeds = results.points("net", weights)
        for point, seed in zip(points, seeds, strict=True):
            run = trained(problem, int(seed))
            expected = {
                "train": run.point, "validation": run.validation_point, "last": run.last_point,
            }[weights.selection]  # fmt: skip
            assert np.array_equal(point, expected.numpy())
            if weights.selection == "validation":
                row = numbers["seed"].values == seed
                value = problem.validation.value(expected)
                assert numbers["validation_value"].values[row].item() == value
                if function == "whole":
                    assert numbers["test_value"].values[row].item() == problem.test.value(expected)
    assert ("test_value" in numbers) == (function == "whole")


@pytest.mark.parametrize("metric", ["text", "none", "list", "vector"])
def test_a_metric_that_is_no_number_is_refused_before_the_first_task(
    folder: Path, metric: str
) -> None:
    with pytest.raises(StudyFileError, match=r"problems\.net: expected the metric m to return"):
        prepared(folder, "whole", options={"metric": metric})
    assert not (folder / "out" / "records").exists()


def as_in_another_process(folder: Path) -> None:
    references._PROBLEMS.clear()
    references._IMPORTED.clear()
    worker._checked.clear()
    sys.modules.pop("own_landscapes", None)
    sys.path[:] = [each for each in sys.path if each != str(folder)]


def test_a_worker_that_cannot_import_the_module_says_what_to_do(folder: Path) -> None:
    run = prepared(folder, "bare")
    (folder / "own_landscapes.py").unlink()  # as on a machine that does not have it
    as_in_another_process(folder)
    with pytest.raises(ClusterError, match="own_landscapes:bare cannot be imported here") as caught:
        run.execute(1, lambda progress, event: None)
    assert "every worker needs the study's folder and the packages" in str(caught.value)
    assert Store(folder / "out").failures() == set()


def test_another_run_in_the_directory_does_not_make_a_problem_another_one(folder: Path) -> None:
    run = prepared(folder, "bare")
    prepared(folder, "whole")  # with a landscape more
    as_in_another_process(folder)
    assert not run.execute(1, lambda progress, event: None).failed


def test_another_seed_does_not_make_a_problem_another_one(folder: Path) -> None:
    carry_out(folder, "bare")
    as_in_another_process(folder)
    assert carry_out(folder, "bare", seed=5).missing == 0


@pytest.mark.parametrize("fact", ["samples", "start_value", "dimension"])
def test_a_worker_whose_problem_is_another_one_is_refused(folder: Path, fact: str) -> None:
    run = prepared(folder, "bare")
    facts = run.study.facts["net"]
    other = {"train": 31} if fact == "samples" else 1.001 * getattr(facts, fact)
    run.study.facts["net"] = dataclasses.replace(facts, **{fact: other})
    as_in_another_process(folder)
    with pytest.raises(ClusterError, match="the problem net is another one than where") as caught:
        run.execute(1, lambda progress, event: None)
    assert f"{fact}: expected " in str(caught.value)
    assert Store(folder / "out").hashes() == Store(folder / "out").failures() == set()
