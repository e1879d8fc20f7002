"""Whole studies of small problems of one's own: from the file to the tables."""

from __future__ import annotations

import dataclasses
import glob
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import lowroad
from lowroad.report.tables import kept_table
from lowroad.report.view import View
from lowroad.seeds import derived_seed
from lowroad.study import references, resolve, worker
from lowroad.study.results import StudyResults, load_results
from lowroad.study.run import PreparedRun, prepare_run
from lowroad.study.snapshot import SnapshotFile
from lowroad.study.store import DamagedRecordError, Store
from lowroad.study.study_file import StudyFileError, read_study
from lowroad.study.user_errors import UserCodeError
from lowroad.study.verify import verify

MODULE = """
import torch
import lowroad
from helper import SCALE
from torch import nn


def net(hidden=4):
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(60, 3, generator=generator)
    y = (x[:, 0] * x[:, 1] > 0).long()
    return lowroad.network_problem(
        lambda: nn.Sequential(nn.Linear(3, hidden), nn.Tanh(), nn.Linear(hidden, 2)),
        (SCALE * x[:40], y[:40]), (SCALE * x[40:], y[40:]), metrics=["error"],
    )


def descent(problem, start, generator, report, rate=0.3, steps=5):
    x = start
    for step in range(1, steps + 1):
        x = x - rate * problem.train.value_and_gradient(x)[1]
        report(step, x)
    return x


def broken():
    raise RuntimeError("a mistake of my own")


def nothing():
    return None


def other_test():
    import dataclasses
    return dataclasses.replace(net(), test=net(9).test)


def ends():
    raise SystemExit(0)


def late():
    import dataclasses
    made, drawn = net(), []

    def start(generator):
        drawn.append(1)
        return made.start(generator) * (float("nan") if len(drawn) == 3 else 1.0)

    return dataclasses.replace(made, start=start)


def needs(size):
    return net(size)
"""
STUDY = """
name = "small"
seed = 4
[problems.net]
from = "{module}:net"
[optimizers.sgd]
method = "sgd"
epochs = 4
batch_size = 20
[optimizers.lbfgs]
method = "lbfgs"
iterations = 25
[train]
seeds = 3
keep = 2
[paths]
pairs = 1
points = 5
terms = 2
steps = 3
between = [["sgd", "lbfgs"]]
"""


def write_study(folder: Path, name: str) -> None:
    (folder / f"{name}.py").write_text(MODULE.replace("helper", f"{name}_helper"))
    (folder / f"{name}_helper.py").write_text("SCALE = 1.0\n")
    (folder / "study.toml").write_text(STUDY.format(module=name))


@pytest.fixture
def folder(tmp_path, request, monkeypatch):
    """A study's folder with a module of its own, under a name that no other test uses."""
    write_study(tmp_path, "work_" + "".join(c for c in request.node.name if c.isalnum())[:40])
    monkeypatch.setattr(references, "_IMPORTED", {})
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a study that is done, not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder, "work_finished")
    assert carry_out(folder).missing == 0
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of that folder, free to damage."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def prepared(folder: Path, *assignments: str, out: str = "run") -> PreparedRun:
    config = read_study(folder / "study.toml", assignments)
    return prepare_run(config, folder / out, folder)


def carry_out(folder: Path, *assignments: str, out: str = "run") -> StudyResults:
    summary = prepared(folder, *assignments, out=out).execute(1, lambda progress, event: None)
    assert not summary.failed
    return load_results(folder / out)


SHORT = ("paths.within=false", "paths.between=[]", "metrics.solutions=false")
"""Training runs alone."""


def module_of(folder: Path) -> str:
    return next(p.stem for p in folder.glob("work_*.py") if not p.stem.endswith("_helper"))


def test_a_run_is_the_optimizer_s_own(finished):
    results = load_results(finished / "run")
    assert results.missing == 0
    problem = references.make_problem(results.study.problems["net"], finished)

    def generator(use: str) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(4, "net", use, 1))

    start = problem.start(generator("initial weights"))
    (expected,) = lowroad.sgd(
        problem.train, start[None], generators=[generator("shuffling")],
        epochs=4, batch_size=20, validation=problem.test,
    )  # fmt: skip
    table = results.table("training", "net")
    row = (table["source"].values == "sgd") & (table["seed"].values == 1)
    found = table["train_values"].values[row][0]
    assert found[np.isfinite(found)].tolist() == expected.history.values.tolist()
    assert table["evaluations"].values[row][0][:5].tolist() == expected.history.evaluations.tolist()


def test_tables_have_the_landscapes_values_at_the_stored_points(finished):
    results = load_results(finished / "run")
    problem = references.make_problem(results.study.problems["net"], finished)
    assert [str(each) for each in results.sets("net")] == [
        "sgd/train", "sgd/test", "lbfgs/train", "lbfgs/test",
    ]  # fmt: skip
    metrics = results.table("metric", "net")
    for weights in results.sets("net"):
        points, seeds = results.points("net", weights)
        assert len(seeds) == 2
        for point, seed in zip(torch.from_numpy(points), seeds, strict=True):
            row = (
                (metrics["set"].values == str(weights))
                & (metrics["seed"].values == seed)
                & (metrics["split"].values == "test")
            )
            assert metrics["value"].values[row].item() == problem.test.value(point)
            wrong = problem.test.outputs(point).argmax(1) != problem.test.targets
            assert metrics["error"].values[row].item() == pytest.approx(
                float(wrong.double().mean())
            )
    paths = results.table("path", "net")
    between = paths["first"].values != paths["second"].values
    pairs = zip(paths["first"].values[between], paths["second"].values[between], strict=True)
    assert set(pairs) == {
        ("sgd/train", "lbfgs/train"), ("sgd/test", "lbfgs/test"),
    }  # fmt: skip
    shared = paths["seed_1"].values == paths["seed_2"].values
    assert paths["same_start"].values.tolist() == (between & shared).tolist()


def test_a_longer_budget_goes_on_from_the_shorter_run_in_the_same_bits(copy):
    more = ("optimizers.sgd.epochs=9", "optimizers.lbfgs.iterations=45")
    extended, fresh = carry_out(copy, *more), carry_out(copy, *more, out="fresh")
    digests = [
        sorted(str(each.attributes["content_sha256"]) for each in results.records.values())
        for results in (extended, fresh)
    ]
    assert digests[0] == digests[1]


def test_a_snapshot_of_another_version_begins_the_run_anew(copy):
    for path in (copy / "run" / "snapshots").iterdir():
        file = SnapshotFile(path)
        state = file.load()
        state.pop("ties", None)
        state.pop("velocities", None)
        file._latest = lambda state=state: state
        file.write()
    changes = "optimizers.sgd.epochs=9", "optimizers.lbfgs.iterations=45"
    found, fresh = (carry_out(copy, *changes, *SHORT, out=out) for out in ("run", "fresh"))
    for name in ("train_values", "evaluations"):
        tables = (results.table("training", "net")[name].values for results in (found, fresh))
        assert np.array_equal(*tables, equal_nan=True)


def test_a_change_of_an_imported_module_is_another_problem_unless_pinned(folder):
    before = prepared(folder)
    first = before.study.problems["net"]
    helper = folder / f"{module_of(folder)}_helper.py"
    helper.write_text("SCALE = 1.0  # a comment\n")
    changed = references.code_of(first.path, folder)
    assert changed != first.code
    (folder / "unrelated.py").write_text("x = 1\n")
    assert references.code_of(first.path, folder) == changed
    pinned = prepared(folder, f'problems.net.version="{first.code}"')
    assert pinned.study.problems["net"].code == first.code
    assert pinned.tasks == before.tasks  # by their hashes, under which records are found
    references._IMPORTED.clear()  # as in a new process
    assert set(prepared(folder).tasks).isdisjoint(before.tasks)


def test_a_worker_with_stale_source_is_refused(folder):
    reference = prepared(folder).study.problems["net"]
    references._PROBLEMS.clear()
    (folder / f"{module_of(folder)}_helper.py").write_text("SCALE = 2.0\n")
    with pytest.raises(references.ClusterError, match=r"has changed .*restart the workers"):
        references.make_problem(reference, folder)


@pytest.mark.parametrize("edited", ["method", "problem"])
def test_a_worker_that_imports_a_later_source_than_the_run_s_is_refused(folder, edited):
    run = prepared(folder, f'optimizers.mine.method="{module_of(folder)}:descent"', *SHORT)
    task = next(each for each in run.tasks if ":descent" in each.settings["method"])
    path = task.settings["method"] if edited == "method" else task.problem.path
    source = folder / f"{module_of(folder)}.py"
    source.write_text(source.read_text() + "\n# an edit while the run goes on\n")
    references._IMPORTED.clear()  # as in a new process
    references._PROBLEMS.clear()
    options = {"folder": folder, "sources": {path: run.study.sources[path]}}
    with pytest.raises(references.ClusterError, match=f"source of {path} is another one"):
        worker.run_task(folder / "run", task, lambda step, value: None, **options)
    pinned = prepared(folder, f'problems.net.version="{task.problem.code}"', *SHORT)
    assert task.problem.path not in pinned.study.sources


def test_another_function_of_a_stale_module_is_refused(folder):
    reference = prepared(folder).study.problems["net"]
    (folder / f"{module_of(folder)}_helper.py").write_text("SCALE = 2.0\n")
    other = dataclasses.replace(reference, path=reference.path.replace(":net", ":other_test"))
    with pytest.raises(references.ClusterError, match=r"has changed .*restart the workers"):
        references.make_problem(other, folder)


def test_a_grid_s_candidates_are_compared_on_the_first_seeds(folder):
    rates = [0.003, 0.3]
    results = carry_out(
        folder, f"optimizers.sgd.learning_rate={{grid={rates}}}", "train.grid_seeds=2", *SHORT
    )
    found = results.candidates["net", "sgd"]
    problem = references.make_problem(results.study.problems["net"], folder)
    for candidate in found:
        settings = candidate.settings
        runs = lowroad.train(problem, "sgd", seeds=2, seed=4, name="net", **settings)
        assert candidate.score == np.mean([run.value for run in runs])
    assert (
        found[0].settings["learning_rate"] == results.chosen["net", "sgd"]["learning_rate"] == 0.3
    )
    table = results.table("training", "net")
    assert (table["source"].values == "sgd").sum() == 3


@pytest.mark.parametrize("pattern", ["weights/*.pt", "{folder}/weights/*.pt", "../*/weights/*.pt"])
def test_checkpoints_are_found_in_a_folder_of_any_name(tmp_path, pattern):
    folder = tmp_path / "a [new] folder*?"
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "1.pt").touch()
    pattern = pattern.format(folder=glob.escape(str(folder)))
    (found,) = resolve._files(pattern, folder)
    assert Path(found.path).samefile(folder / "weights" / "1.pt")


def test_checkpoints_are_points_by_content(folder):
    problem = references.make_problem(prepared(folder).study.problems["net"], folder)
    for seed in range(2):
        point = problem.start(torch.Generator().manual_seed(seed))
        state = problem.train.parameters_at(point)
        torch.save({"model": {k: v.clone() for k, v in state.items()}}, folder / f"{seed}.pt")
    shutil.copy(folder / "0.pt", folder / "copy.pt")  # the same solution counts once
    results = carry_out(
        folder, 'checkpoints.mine.files="*.pt"', 'checkpoints.mine.problem="net"', *SHORT[:2]
    )
    points, _ = results.points("net", "mine")
    expected = [problem.start(torch.Generator().manual_seed(seed)).numpy() for seed in range(2)]
    assert {p.tobytes() for p in points} == {p.tobytes() for p in expected}
    table = results.table("training", "net")
    own = table["source"].values == "mine"
    values = [problem.train.value(torch.from_numpy(p)) for p in expected]
    assert sorted(table["train_value"].values[own]) == sorted(values)
    titles = [results.study.title(task) for task in results.tasks]
    assert any(title.endswith(", mine 1.pt") for title in titles)
    assert not any(str(seed) in " ".join(titles) for seed in table["seed"].values[own])
    rows = {row[0]: row[1:] for row in kept_table(View(results)).groups[0].rows}
    assert set(rows["mine"][0].split(", ")) <= {"0.pt", "1.pt", "copy.pt"}


def test_a_record_under_another_name_is_never_used(copy):
    store = Store(copy / "run")
    runs = [
        name for name in sorted(store.hashes())
        if '"measurement":"training"' in str(store.read_attributes(name)["task"])
    ]  # fmt: skip
    one, two = (store.path(name) for name in runs[:2])
    content = one.read_bytes(), two.read_bytes()
    one.write_bytes(content[1])
    two.write_bytes(content[0])
    with pytest.raises(DamagedRecordError, match="the record of another task"):
        store.read(runs[0])
    assert len(verify(copy / "run").damaged) == 2
    assert load_results(copy / "run").missing > 2
    assert carry_out(copy).missing == 0
    assert not verify(copy / "run").damaged


def test_verify_finds_what_was_computed_from_another_content(copy):
    store = Store(copy / "run")
    path = next(n for n in store.hashes() if json.loads(
        str(store.read_attributes(n)["computed_from"])
    ))  # fmt: skip
    record = store.read(path)
    inputs = dict.fromkeys(json.loads(record.attributes["computed_from"]), "0" * 64)
    import xarray as xr

    dataset = xr.Dataset(
        {name: (record.dimensions[name], array) for name, array in record.arrays.items()},
        attrs={**record.attributes, "computed_from": json.dumps(inputs)},
    )
    store.write(path, dataset)
    assert any("computed from another content" in line for line in verify(copy / "run").damaged)


def test_minima_of_a_cluster_that_are_the_same_are_kept_once(tmp_path):
    (tmp_path / "study.toml").write_text(
        """
name = "lj"
[problems.lj4]
from = "lowroad.problems:lennard_jones"
atoms = 4
[optimizers.lbfgs]
method = "lbfgs"
line_search = "strong_wolfe"
iterations = 300
[train]
seeds = 5
keep = 5
"""
    )
    results = carry_out(tmp_path)
    points, _ = results.points("lj4", "lbfgs")
    assert len(points) == 1  # the tetrahedron: six bonds of energy −1 (Hoare & Pal 1971)
    table = results.table("training", "lj4")
    np.testing.assert_allclose(table["train_value"].values, -6.0, atol=1e-8)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ('problems.net.from="nowhere:f"', 'problems.net: .*no module "nowhere"'),
        ('problems.net.from="{module}:nett"', "problems.net: .*has no .nett."),
        ("problems.net.hiden=3", 'problems.net.hiden: .*did you mean "hidden"'),
        ('problems.net.from="{module}:nothing"', "problems.net: .*Problem, got NoneType"),
        (
            'problems.net.from="{module}:other_test"',
            "problems.net: test: expected a landscape over",
        ),
        ('problems.net.from="{module}:late"', "problems.net: start of seed 2: expected a finite"),
        ('problems.net.from="{module}:needs"', "problems.net.size: missing"),
        ('optimizers.sgd.method="sdg"', 'optimizers.sgd.method: .*did you mean "sgd"'),
        ('optimizers.sgd.method="torch.nn.Linear"', "optimizers.sgd.method: expected a class with"),
        ('optimizers.sgd.method="os.path.join"', "optimizers.sgd.method: .* function of a library"),
        (
            'optimizers.sparse={{method="torch.optim.SparseAdam"}}',
            "optimizers.sparse.method: SparseAdam failed in its first step",
        ),
        ("optimizers.sgd.epoch=3", 'optimizers.sgd.epoch: .*did you mean "epochs"'),
        ("optimizers.lbfgs.line_search=3", "optimizers.lbfgs.line_search: expected a line search"),
        (
            'optimizers.my own.method="sgd"',
            'optimizers."my own": expected a name of letters, digits',
        ),
        ('paths.finder="furier"', 'paths.finder: .*did you mean "fourier"'),
        ("paths.steps=0", "paths.steps: expected steps >= 1"),
        ('train.optimizers=["adam"]', 'train.optimizers: no optimizer .*"adam"; .* sgd, lbfgs'),
        (
            'problems.other={{from="{module}:net",train={{optimizers=["adam"]}}}}',
            'problems.other.train.optimizers: no optimizer is called "adam"',
        ),
        ('paths.between=[["sgd","adam"]]', 'paths.between: no weight set is called "adam"'),
        ('optimizers.sgd.label="lbfgs"', 'two sets are called "lbfgs"'),
        ("train.keep=4", "train.keep: expected at most train.seeds = 3"),
        ('checkpoints.a={{files="*.none",problem="net"}}', "checkpoints.a.files: no file matches"),
        (
            'checkpoints.a={{files="x",problem="nett"}}',
            "checkpoints.a.problem: expected one of net",
        ),
        ("sharpness.runs=3", "sharpness.runs: expected at most train.keep = 2"),
        ("train.sed=1", 'train.sed: no such setting; did you mean "seeds"'),
    ],
)
def test_refuses_before_the_first_task(folder, assignment, message):
    with pytest.raises(StudyFileError, match=message):
        carry_out(folder, assignment.format(module=module_of(folder)))
    assert not (folder / "run" / "records").exists()


def test_a_mistake_in_the_user_s_own_code_shows_the_user_s_own_error(folder):
    with pytest.raises(UserCodeError, match=r"in broken\n.*\nRuntimeError: a mistake of my own"):
        carry_out(folder, f'problems.net.from="{module_of(folder)}:broken"')
    with pytest.raises(UserCodeError, match=r"in ends\n.*\nSystemExit: 0"):
        carry_out(folder, f'problems.net.from="{module_of(folder)}:ends"')


@pytest.mark.parametrize("line", ["1 / 0", "raise KeyError", "def f(:"])
@pytest.mark.parametrize(
    "setting", ["optimizers.mine.method", "report.claims", "problems.net.from"]
)
def test_a_module_that_cannot_be_imported_shows_the_user_s_own_error(folder, setting, line):
    module = f"broken_{module_of(folder)}"
    (folder / f"{module}.py").write_text(f"{line}\n")
    with pytest.raises(UserCodeError, match=rf"{setting.rpartition('.')[0]}.*\n.*{module}"):
        prepared(folder, f'{setting}="{module}:anything"')


@pytest.mark.parametrize(
    "setting", ["optimizers.mine.method", "report.claims", "problems.net.from"]
)
def test_a_module_that_ends_the_program_is_refused(folder, setting):
    module = f"program_{module_of(folder)}"
    (folder / f"{module}.py").write_text("raise SystemExit(0)\n")
    with pytest.raises(StudyFileError, match="ends the program when it is imported"):
        prepared(folder, f'{setting}="{module}:anything"')


@pytest.mark.parametrize(
    ("claims", "message"),
    [("nosuchmodule:claims", "no module"), ("math:pi", "to be a lowroad.analysis.Claims")],
)
def test_claims_are_found_before_the_first_task(folder, claims, message):
    with pytest.raises(StudyFileError, match=rf"report\.claims: .*{message}"):
        prepared(folder, f'report.claims="{claims}"')


def test_other_data_gives_another_fingerprint(folder):
    facts = prepared(folder).study.facts["net"]
    (folder / f"{module_of(folder)}_helper.py").write_text("SCALE = 1.5\n")
    import importlib
    import sys

    for name in (f"{module_of(folder)}_helper", module_of(folder)):
        importlib.reload(sys.modules[name])
    references._PROBLEMS.clear()
    references._IMPORTED.clear()
    other = prepared(folder, out="other").study.facts["net"]
    assert facts.differences(facts) == []
    assert any(line.startswith("start_value") for line in facts.differences(other))


def test_a_user_s_function_and_several_finders(folder):
    results = carry_out(
        folder,
        f'optimizers.mine.method="{module_of(folder)}:descent"',
        "optimizers.mine.rate=0.1",
        'paths.finders.bezier={finder="bezier",steps=2,points=5}',
        "paths.between=[]",
        "metrics.solutions=false",
    )
    runs = results.table("training", "net")
    mine = runs.isel(run=runs["source"].values == "mine")
    curves = mine["train_values"].values[:, :6]
    assert (np.diff(curves) < 0).all()  # gradient descent with a small rate
    paths = results.table("path", "net")
    finders = paths["finder"].values
    assert (finders == "bezier").sum() == (finders == "fourier").sum()


def test_compare_measures_the_given_points():
    surface = lowroad.problems.mueller_brown()
    minima = torch.stack([minimum.point for minimum in surface.train.minima])
    found = lowroad.compare(
        {"all": minima, "two": minima[:2]}, surface, paths={"points": 11, "steps": 5, "pairs": 2}
    )
    table = found.table("training", "problem")
    expected = sorted(surface.train.values(minima).tolist())
    assert sorted(table["train_value"].values[table["source"].values == "all"]) == expected
    assert {str(each) for each in found.sets("problem")} == {"all", "two"}
    with pytest.raises(ValueError, match=r"bad: .*\[n, 2\]"):
        lowroad.compare({"bad": torch.zeros(2, 3)}, surface)
    with pytest.raises(ValueError, match="bad: expected at least one point, all finite"):
        lowroad.compare({"bad": torch.full((1, 2), float("nan"))}, surface)


def test_compare_takes_arrays_of_any_layout():
    surface = lowroad.problems.mueller_brown()
    minima = np.stack([minimum.point.numpy() for minimum in surface.train.minima])
    sets = {
        "turned": minima[::-1],
        "foreign": minima.astype(">f8"),
        "transposed": np.asfortranarray(minima),
        "rows": list(minima[:, ::-1][:, ::-1]),
    }
    found = lowroad.compare(sets, surface, paths={"pairs": 0, "between": []})
    table = found.table("training", "problem")
    for name in sets:
        values = table["train_value"].values[table["source"].values == name]
        # published, to 3 decimals
        assert sorted(values) == pytest.approx([-146.700, -108.167, -80.768], abs=1e-3)
    with pytest.raises(ValueError, match="bad: expected points as real numbers"):
        lowroad.compare({"bad": minima + 1j}, surface)
    with pytest.raises(ValueError, match="bad: expected points as real numbers, got generator"):
        lowroad.compare({"bad": (each for each in minima)}, surface)
    with pytest.raises(TypeError, match="by name, a dict, got list"):
        lowroad.compare([minima], surface)
    with pytest.raises(TypeError, match="paths: expected a dict of settings, got NoneType"):
        lowroad.compare({"all": minima}, surface, paths=None)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"sharpness": {"runs": 1}}, "sharpness.runs: problem is not a network on data"),
        ({"paths": {"align": True}}, "paths.align: the problem problem has no alignment"),
        ({"paths": {"steps": "x"}}, "paths.steps: expected steps to be a whole number, got 'x'"),
        ({"paths": {"learning_rate": "x"}}, "expected learning_rate to be a number, got 'x'"),
        ({"paths": {"steps": True}}, "expected steps to be a whole number, got True"),
    ],
)
def test_compare_refuses_what_a_study_file_may_not_say(sections, message):
    surface = lowroad.problems.mueller_brown()
    minima = torch.stack([minimum.point for minimum in surface.train.minima])
    with pytest.raises(StudyFileError, match=message):
        lowroad.compare({"all": minima}, surface, **sections)


def test_more_eigenvalues_than_parameters_are_refused():
    inputs = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    problem = lowroad.network_problem(
        lambda: torch.nn.Linear(2, 1), (inputs, inputs[:, :1]), loss="mean_squared_error"
    )
    with pytest.raises(StudyFileError, match="eigenvalues: expected at most 3, the parameters of"):
        lowroad.compare({"a": torch.zeros(1, 3)}, problem, sharpness={"runs": 1})


def test_a_straight_line_is_a_path_finder_too():
    surface = lowroad.problems.mueller_brown()
    minima = torch.stack([minimum.point for minimum in surface.train.minima])
    found = lowroad.compare(
        {"all": minima}, surface, paths={"finder": "straight", "points": 11, "refinements": 0}
    )
    paths = found.table("path", "problem")
    assert paths["height"].values.tolist() == paths["straight_height"].values.tolist()
    assert (paths["barrier"].values > 0).all()


def test_a_ninth_source_is_refused(folder):
    tables = [f'optimizers.o{number}={{method="sgd"}}' for number in range(7)]
    with pytest.raises(StudyFileError, match=r"at most 8 optimizers .* got 9"):
        carry_out(folder, *tables)
