"""What other programs read: tables by pandas, a zarr store by xarray."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lowroad.study import export as export_module
from lowroad.study.export import export_csv, export_zarr
from lowroad.study.results import (
    PathResult,
    PlaneResult,
    SharpnessResult,
    StudyResults,
    TrainingResult,
    load_results,
)
from lowroad.study.study_file import to_toml

from .conftest import Finished


@pytest.fixture(scope="module")
def results(finished: Finished) -> StudyResults:
    return load_results(finished.directory)


@pytest.fixture(scope="module")
def ragged(results: StudyResults) -> StudyResults:
    """As if the second run had ended after one step."""
    second = results.trainings[1]
    short = dataclasses.replace(
        second,
        steps=second.steps[:2],
        train_heights=second.train_heights[:2],
        test_heights=second.test_heights[:2],
    )
    return dataclasses.replace(
        results, trainings=[results.trainings[0], short, *results.trainings[2:]]
    )


def test_tables_have_every_number_of_every_run_and_path(
    results: StudyResults, tmp_path: Path
) -> None:
    written = export_csv(results, tmp_path / "tables")
    assert [path.name for path in written] == ["runs.csv", "paths.csv", "sharpness.csv"]
    runs, paths, _ = map(pd.read_csv, written)
    assert (len(runs), len(paths)) == (6, 8)
    assert set(runs.groupby("optimizer")["kept"].sum()) == {2}
    for row, run in zip(runs.itertuples(), results.trainings, strict=True):
        assert row.kept == any(run is kept for kept in results.kept("FCP", run.optimizer))
        assert row.steps == len(run.train_heights) - 1
        compare(row, run)
    for row, path in zip(paths.itertuples(), results.paths, strict=True):
        assert ((row.seed_1, row.seed_2), row.steps) == (path.seeds, 3)
        compare(row, path)


def compare(row: object, result: TrainingResult | PathResult | SharpnessResult) -> None:
    """Every field of a result that is one number or word stands in its row, to the last bit."""
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, str | int | float):
            assert getattr(row, field.name) == value, field.name


def test_an_empty_study_gives_tables_with_headings(results: StudyResults, tmp_path: Path) -> None:
    nothing = dataclasses.replace(results, trainings=[], paths=[])
    tables = [pd.read_csv(path) for path in export_csv(nothing, tmp_path)]
    assert [len(table) for table in tables] == [0, 0, 0]
    assert "train_height" in tables[0]
    assert "straight_height" in tables[1]
    export_zarr(nothing, tmp_path / "empty.zarr")
    assert xr.open_datatree(tmp_path / "empty.zarr", engine="zarr").attrs["missing"] == 0


def test_a_zarr_store_holds_everything(ragged: StudyResults, tmp_path: Path) -> None:
    path = tmp_path / "out" / "tiny.zarr"
    export_zarr(ragged, path)
    tree = xr.open_datatree(path, engine="zarr").load()
    assert tree.attrs["study"] == to_toml(ragged.config)
    assert tree.attrs["versions"] == ragged.provenance["versions"]
    for run in ragged.trainings:
        stored = tree[f"FCP/{run.optimizer}/runs"].dataset.sel(seed=run.seed)
        for name in ("train_point", "test_point"):
            assert stored[name].dtype == np.float32
            np.testing.assert_array_equal(stored[name], getattr(run, name))
        curve = stored["train_heights"].dropna("step")
        np.testing.assert_array_equal(curve, run.train_heights)
        np.testing.assert_array_equal(curve["step"], run.steps)
        assert stored["outcome"] == run.outcome
        assert stored["train_height"] == run.train_height
    for path_result in ragged.paths:
        optimizer = path_result.weights.split("_")[0]
        paths = tree[f"FCP/{optimizer}/paths"].dataset
        chosen = (
            (paths["weights"] == path_result.weights)
            & (paths["landscape"] == path_result.landscape)
            & (paths["seed_1"] == path_result.seeds[0])
        )
        (stored,) = (paths.isel(path=i) for i in np.flatnonzero(chosen))
        assert stored["height"] == path_result.height == stored["profile"].max()
        np.testing.assert_array_equal(stored["heights"], path_result.history_heights)
        np.testing.assert_array_equal(stored["peak_point"], path_result.peak_point)
        np.testing.assert_array_equal(stored["t"], path_result.t)
    assert [each.name for each in path.parent.iterdir()] == ["tiny.zarr"]


@pytest.fixture
def measured(results: StudyResults) -> StudyResults:
    """As if planes and sharpness had been measured, with made-up numbers."""
    rng = np.random.default_rng(0)
    plane = PlaneResult(
        images=30,
        u=rng.random(5),
        v=rng.random(5),
        heights=rng.random((5, 5)),
        corners=rng.random((3, 2)),
        corner_heights=rng.random(3),
        places=rng.random((7, 2)),
        distances=rng.random(7),
        below=rng.random(7),
    )
    paths = [dataclasses.replace(results.paths[0], plane=plane), *results.paths[1:]]
    points = tuple(
        SharpnessResult("FCP", weights, 1, rng.random(2), 3.0, 0.5, 45, 1.5)
        for weights in ("sgd_train", "sgd_test", "lbfgs_train")
    )
    return dataclasses.replace(results, paths=paths, sharpness=points)


def test_planes_and_sharpness_are_there_where_they_were_measured(
    measured: StudyResults, tmp_path: Path
) -> None:
    table = pd.read_csv(export_csv(measured, tmp_path)[2])
    assert list(table["weights"]) == ["sgd_train", "sgd_test", "lbfgs_train"]
    for row, point in zip(table.itertuples(), measured.sharpness, strict=True):
        compare(row, point)
        assert [row.eigenvalue_1, row.eigenvalue_2] == list(point.eigenvalues)
    export_zarr(measured, tmp_path / "tiny.zarr")
    tree = xr.open_datatree(tmp_path / "tiny.zarr", engine="zarr").load()
    path = measured.paths[0]
    group = tree[f"FCP/{path.weights.split('_')[0]}/planes"].dataset
    assert (group["weights"][0], group.sizes["path"]) == (path.weights, 1)
    for field in dataclasses.fields(PlaneResult):
        np.testing.assert_array_equal(group[field.name][0], getattr(path.plane, field.name))
    sharpness = tree["FCP/sgd/sharpness"].dataset
    assert list(sharpness["weights"].values) == ["sgd_train", "sgd_test"]
    np.testing.assert_array_equal(sharpness["eigenvalues"][1], measured.sharpness[1].eigenvalues)
    assert list(sharpness["trace"].values) == [3.0, 3.0]


def test_nothing_is_replaced_and_nothing_half_written_is_left(
    results: StudyResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.zarr"
    path.mkdir()
    with pytest.raises(FileExistsError, match=r"tiny\.zarr exists"):
        export_zarr(results, path)
    path.rmdir()

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module, "_paths", fail)
    with pytest.raises(OSError, match="No space"):
        export_zarr(results, path)
    assert list(tmp_path.iterdir()) == []


def test_without_zarr_the_error_says_what_to_install(
    results: StudyResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lowroad\[zarr\]'"):
        export_zarr(results, tmp_path / "tiny.zarr")
