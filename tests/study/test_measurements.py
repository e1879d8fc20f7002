"""Planes and sharpness as parts of a study: planned, computed, stored and read back."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from lowroad.analysis import plane_axes, sharpness
from lowroad.landscapes import NetworkLandscape
from lowroad.models import FCP
from lowroad.study.config import StudyConfig
from lowroad.study.plan import number_of_tasks, path_tasks, sharpness_tasks
from lowroad.study.results import StudyResults, load_results
from lowroad.study.run import prepare_run
from lowroad.study.status import status
from lowroad.study.study_file import StudyFileError, parse_study, to_toml
from lowroad.study.tasks import SharpnessTask
from lowroad.study.work import load_data

from .conftest import MEASURED, TINY, Finished, digests


@pytest.fixture(scope="module")
def config(measured_config: StudyConfig) -> StudyConfig:
    return measured_config


@pytest.fixture(scope="module")
def directory(measured: Finished) -> Path:
    return measured.directory


@pytest.fixture(scope="module")
def results(directory: Path) -> StudyResults:
    return load_results(directory)


def part_of_training(images: int) -> NetworkLandscape:
    data = load_data(60, 40, 0).train
    return NetworkLandscape(FCP(), data.images[:images], data.labels[:images], "cross_entropy")


def test_only_what_is_asked_for_is_planned(config: StudyConfig) -> None:
    heights = {0: 0.3, 1: 0.1, 2: 0.2}
    assert number_of_tasks(config) == (6, 8, 4)
    tasks = sharpness_tasks(config, ("FCP", "lbfgs"), heights)
    assert [(task.seed, task.weights) for task in tasks] == [(1, "lbfgs_train"), (1, "lbfgs_test")]
    with_plane = [t for t in path_tasks(config, ("FCP", "sgd"), heights) if t.plane is not None]
    assert [task.landscape for task in with_plane] == ["train", "train"]
    plain = parse_study(copy.deepcopy(TINY))
    assert sharpness_tasks(plain, ("FCP", "sgd"), heights) == []
    # without a plane a path is the same as before planes were known
    hashes = [task.hash for task in path_tasks(plain, ("FCP", "sgd"), heights)]
    assert [
        task.model_copy(update={"plane": None}).hash
        for task in path_tasks(config, ("FCP", "sgd"), heights)
    ] == hashes
    assert hashes[0] != path_tasks(config, ("FCP", "sgd"), heights)[0].hash


def test_what_does_not_change_the_measurement_is_not_in_its_name(config: StudyConfig) -> None:
    task = sharpness_tasks(config, ("FCP", "sgd"), {0: 0.1, 1: 0.2, 2: 0.3})[0]
    more = task.settings.model_copy(update={"runs": 3})
    assert task.model_copy(update={"settings": more}).hash == task.hash
    for change in ({"images": 21}, {"eigenvalues": 3}, {"samples": 4}):
        other = task.settings.model_copy(update=change)
        assert SharpnessTask(**{**task.model_dump(), "settings": other}).hash != task.hash


def test_paths_with_a_plane_are_the_same_paths(results: StudyResults, finished: Finished) -> None:
    plain = {(p.weights, p.landscape): p for p in load_results(finished.directory).paths}
    for path in results.paths:
        assert path.height == plain[path.weights, path.landscape].height
        # a path that is highest at one of its ends spans no plane with them
        inside = 0 < path.profile.argmax() < len(path.t) - 1
        assert (path.plane is not None) == (path.landscape == "train" and inside)
    assert sum(path.plane is not None for path in results.paths) >= 2


def test_planes_hold_the_heights_of_their_points(results: StudyResults) -> None:
    landscape = part_of_training(30)
    runs = {(run.optimizer, run.seed): run for run in results.trainings}
    for path in results.paths:
        if path.plane is None:
            continue
        plane, (optimizer, side) = path.plane, path.weights.split("_")
        corners = torch.stack(
            [
                *(
                    torch.from_numpy(getattr(runs[optimizer, s], f"{side}_point"))
                    for s in path.seeds
                ),
                torch.from_numpy(path.peak_point),
            ]
        )
        np.testing.assert_allclose(plane.corner_heights, landscape.values(corners), rtol=1e-5)
        axes = plane_axes(*corners)
        point = corners[0].double() + plane.u[3] * axes[0] + plane.v[1] * axes[1]
        assert plane.heights[1, 3] == pytest.approx(landscape.value(point.float()), rel=1e-4)
        assert plane.heights.shape == (5, 5)
        assert plane.images == 30
        # the path begins and ends in the corners and touches the plane at its peak
        np.testing.assert_allclose(plane.places[[0, -1]], plane.corners[:2], atol=1e-5)
        peak = int(path.profile.argmax())
        np.testing.assert_allclose(plane.places[peak], plane.corners[2], atol=1e-5)
        np.testing.assert_allclose(plane.distances[[0, peak, -1]], 0, atol=1e-5)
        assert plane.below[peak] == pytest.approx(plane.corner_heights[2], rel=1e-4)


def test_sharpness_is_that_of_the_stored_weights(results: StudyResults) -> None:
    assert {each.weights for each in results.sharpness} == {
        "sgd_train", "sgd_test", "lbfgs_train", "lbfgs_test"
    }  # fmt: skip
    landscape = part_of_training(20)
    for each in results.sharpness:
        optimizer, side = each.weights.split("_")
        run = results.kept("FCP", optimizer)[0]
        assert run.seed == each.seed
        point = torch.from_numpy(getattr(run, f"{side}_point"))
        again = sharpness(
            landscape, point, eigenvalues=1, samples=20, generator=torch.Generator().manual_seed(1)
        )
        assert each.eigenvalues[0] == pytest.approx(again.eigenvalues[0], rel=1e-3)
        error = np.hypot(each.trace_error, again.trace_error)
        assert abs(each.trace - again.trace) < 6 * error
        assert each.eigenvalues[0] > each.eigenvalues[1] > 0


def test_status_and_a_second_run_know_what_is_measured(
    config: StudyConfig, directory: Path
) -> None:
    rows = status(config, directory).stages
    assert [(row.points_done, row.points, row.missing) for row in rows] == [(2, 2, 0)] * 2
    before = digests(directory)
    assert prepare_run(config, directory).tasks == []
    assert digests(directory) == before
    assert load_results(directory).missing == 0


def test_a_stored_study_gets_its_sharpness_later(finished: Finished, config: StudyConfig) -> None:
    sharper = parse_study(copy.deepcopy(TINY) | {"sharpness": MEASURED["sharpness"]})
    rows = status(sharper, finished.directory).stages
    assert [(row.trainings_done, row.paths_done, row.missing) for row in rows] == [(3, 4, 2)] * 2


def test_settings_that_do_not_fit_are_refused() -> None:
    wrong = copy.deepcopy(TINY) | {
        "planes": {"pairs": 2, "images": 61},
        "sharpness": {"runs": 3, "images": 61},
    }
    with pytest.raises(StudyFileError) as caught:
        parse_study(wrong)
    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "planes.pairs", "sharpness.runs", "planes.images", "sharpness.images"
    ]  # fmt: skip
    parse_study(copy.deepcopy(TINY))  # the defaults' images do not matter while nothing is measured


def test_a_network_has_its_own_measurements() -> None:
    raw = copy.deepcopy(MEASURED)
    raw["networks"] = ["FCP", "LSTM"]
    raw["network"] = {"LSTM": {"sharpness": {"images": 10}}}
    config = parse_study(raw)
    assert config.settings("LSTM").sharpness.images == 10
    assert config.settings("LSTM").sharpness.runs == config.settings("FCP").sharpness.runs == 1
    assert config.settings("LSTM").planes == config.settings("FCP").planes
    assert parse_study(tomllib.loads(to_toml(config))) == config
