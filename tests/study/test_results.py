from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lowroad.landscapes import NetworkLandscape
from lowroad.models import FCP
from lowroad.study.config import StudyConfig
from lowroad.study.results import WEIGHT_SET_LABELS, WEIGHT_SETS, load_results
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study
from lowroad.study.work import load_data

from .conftest import Finished


def test_everything_stored_is_there(finished: Finished, tiny: StudyConfig) -> None:
    results = load_results(finished.directory)
    assert (results.config, results.missing, results.damaged) == (tiny, 0, ())
    assert results.networks == ("FCP",)
    assert {(run.optimizer, run.seed) for run in results.trainings} == {
        (optimizer, seed) for optimizer in ("sgd", "lbfgs") for seed in range(3)
    }
    assert len(results.paths) == 8
    assert tuple(WEIGHT_SET_LABELS) == WEIGHT_SETS
    for name in ("versions", "machine", "computed", "read"):
        assert results.provenance[name]


def test_curves_and_best_points_belong_together(finished: Finished) -> None:
    for run in load_results(finished.directory).trainings:
        steps = 3 if run.optimizer == "sgd" else 4
        np.testing.assert_array_equal(run.steps, np.arange(steps))
        for curve, step, height in (
            (run.train_heights, run.train_step, run.train_height),
            (run.test_heights, run.test_step, run.test_height),
        ):
            assert curve.shape == (steps,)
            assert step == curve.argmin()
            assert height == curve.min()
        assert run.train_point.dtype == run.test_point.dtype == np.float32
        assert run.train_point.shape == run.test_point.shape == (42_200,)
        assert run.gradients_evaluated == pytest.approx(2 if run.optimizer == "sgd" else 4)
        assert run.seconds > 0
        assert run.outcome


def oracle(vector: np.ndarray[Any, Any], data: Any) -> tuple[float, float]:
    """Loss and accuracy of an FCP, in float64 and step by step."""
    sizes, weights, start = [(50, 784), (50, 50), (10, 50)], [], 0
    for rows, columns in sizes:
        part = vector[start : start + rows * columns].astype(np.float64)
        weights.append(part.reshape(rows, columns))
        start += rows * columns
    values = data.images.numpy().astype(np.float64)
    for number, weight in enumerate(weights):
        values = values @ weight.T
        if number < 2:
            values = np.logaddexp(0.0, values)
    labels = data.labels.numpy()
    logs = values - np.log(np.exp(values).sum(1, keepdims=True))
    return float(-logs[np.arange(len(labels)), labels].mean()), float(
        (values.argmax(1) == labels).mean()
    )


def test_stored_numbers_are_those_of_the_stored_weights(finished: Finished) -> None:
    """Against the formula in float64: losses, accuracies, heights along paths and lengths."""
    data = load_data(60, 40, 0)
    results = load_results(finished.directory)
    for run in results.trainings:
        assert run.train_height == pytest.approx(oracle(run.train_point, data.train)[0], rel=2e-6)
        height, accuracy = oracle(run.test_point, data.test)
        assert run.test_height == pytest.approx(height, rel=2e-6)
        assert run.test_point_accuracy == pytest.approx(accuracy, abs=1e-12)
        assert run.train_point_accuracy == oracle(run.train_point, data.test)[1]
    runs = {(run.optimizer, run.seed): run for run in results.trainings}
    for path in results.paths:
        optimizer, side = path.weights.split("_")
        images = data.train if path.landscape == "train" else data.test
        ends = [getattr(runs[optimizer, seed], f"{side}_point") for seed in path.seeds]
        for end, height in zip(ends, path.profile[[0, -1]], strict=True):
            assert height == pytest.approx(oracle(end, images)[0], rel=2e-6)
        assert path.height == path.profile.max()
        assert path.height == pytest.approx(oracle(path.peak_point, images)[0], rel=2e-6)
        line = [(1 - t) * ends[0].astype(float) + t * ends[1].astype(float) for t in path.t]
        highest = max(oracle(point, images)[0] for point in line)
        assert path.straight_height == pytest.approx(highest, rel=2e-6)
        distance = np.linalg.norm(ends[1].astype(float) - ends[0].astype(float))
        assert path.straight_length == pytest.approx(distance, rel=1e-12)
        assert path.length >= path.straight_length * (1 - 1e-6)
        np.testing.assert_allclose(path.t, np.linspace(0, 1, 7))
        assert path.profile.sum() <= path.history_totals[0] * (1 + 1e-12)


def test_kept_runs_and_their_vectors(finished: Finished) -> None:
    results = load_results(finished.directory)
    for optimizer in ("sgd", "lbfgs"):
        kept = results.kept("FCP", optimizer)
        all_heights = sorted(
            run.train_height for run in results.trainings if run.optimizer == optimizer
        )
        assert [run.train_height for run in kept] == all_heights[:2]
        vectors = results.vectors("FCP", f"{optimizer}_test")
        np.testing.assert_array_equal(vectors, np.stack([run.test_point for run in kept]))
        for weights in (f"{optimizer}_train", f"{optimizer}_test"):
            for landscape in ("train", "test"):
                (path,) = results.path_results("FCP", weights, landscape)
                assert set(path.seeds) <= {run.seed for run in kept}
    assert results.kept("LSTM", "sgd") == []
    assert results.vectors("LSTM", "sgd_test").shape == (0, 0)


def test_vectors_are_points_of_the_networks_landscape(finished: Finished) -> None:
    data = load_data(60, 40, 0)
    landscape = NetworkLandscape(FCP(), data.train.images, data.train.labels, "cross_entropy")
    results = load_results(finished.directory)
    heights = landscape.values(torch.from_numpy(results.vectors("FCP", "sgd_train")))
    kept = [run.train_height for run in results.kept("FCP", "sgd")]
    np.testing.assert_allclose(heights.numpy(), kept, rtol=1e-6)


def test_an_unfinished_study_gives_what_there_is(
    finished: Finished, tmp_path: Path, raw: dict[str, Any]
) -> None:
    directory = Path(shutil.copytree(finished.directory, tmp_path / "copy"))
    store = Store(directory)
    lost = load_results(directory).trainings[0]
    names = {store.read_attributes(name)["title"]: name for name in store.hashes()}
    store.path(names[f"training FCP {lost.optimizer} seed {lost.seed}"]).unlink()
    results = load_results(directory)
    assert len(results.trainings) == 5
    # whose training is not complete has no pairs yet
    assert {path.weights.split("_")[0] for path in results.paths} == {"sgd", "lbfgs"} - {
        lost.optimizer
    }
    assert results.missing == 1 + 4
    assert parse_study(raw) == results.config


def test_a_damaged_record_is_named_and_never_read(finished: Finished, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(finished.directory, tmp_path / "copy"))
    store = Store(directory)
    name = next(n for n in store.hashes() if store.read_attributes(n)["title"].startswith("path"))
    content = bytearray(store.path(name).read_bytes())
    content[-200] ^= 1
    store.path(name).write_bytes(content)
    results = load_results(directory)
    assert (len(results.paths), results.missing) == (7, 1)
    assert [name in line for line in results.damaged] == [True]


def test_a_directory_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no study here"):
        load_results(tmp_path)
