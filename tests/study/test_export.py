"""What other programs read: tables by pandas, a zarr store by xarray."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lowroad.study import export as export_module
from lowroad.study.export import export_csv, export_zarr
from lowroad.study.results import StudyResults, load_results
from lowroad.study.study_file import to_toml

from .conftest import Finished


@pytest.fixture(scope="module")
def results(measured: Finished) -> StudyResults:
    return load_results(measured.directory)


def test_tables_have_every_number_of_every_record(results: StudyResults, tmp_path: Path) -> None:
    written = {path.name: pd.read_csv(path) for path in export_csv(results, tmp_path / "tables")}
    assert written.keys() == {"runs.csv", "paths.csv", "planes.csv", "metrics.csv", "sharpness.csv"}
    for name, measurement in (("runs.csv", "training"), ("paths.csv", "path")):
        table, frame = results.table(measurement, "net"), written[name]
        row = next(iter(table["seconds"].dims))
        assert len(frame) == table.sizes[row]
        for column in ("outcome", "seconds", "values_evaluated", "gradients_evaluated"):
            assert frame[column].tolist() == table[column].values.tolist()
    runs = written["runs.csv"]
    assert set(runs.groupby("source")["kept"].sum()) == {2}
    eigenvalues = results.table("sharpness", "net")["eigenvalues"].values
    found = written["sharpness.csv"][["eigenvalue_1", "eigenvalue_2"]].values
    np.testing.assert_array_equal(found, eigenvalues)


def test_a_zarr_store_holds_everything(results: StudyResults, tmp_path: Path) -> None:
    path = tmp_path / "out" / "tiny.zarr"
    export_zarr(results, path)
    tree = xr.open_datatree(path, engine="zarr").load()
    assert tree.attrs["study"] == to_toml(results.config)
    assert tree.attrs["versions"] == results.provenance["versions"]
    runs = tree["net/training"].dataset
    for weights in results.sets("net"):
        points, seeds = results.points("net", weights)
        for point, seed in zip(points, seeds, strict=True):
            row = (runs["source"] == weights.source) & (runs["seed"] == seed)
            stored = runs[f"{weights.selection}_point"].values[row.values]
            np.testing.assert_array_equal(stored[0].astype(point.dtype), point)
    paths, table = tree["net/path"].dataset, results.table("path", "net")
    assert sorted(paths["height"].values) == sorted(table["height"].values)
    assert tree["net/sharpness"].dataset["eigenvalues"].shape[1] == 2
    assert [each.name for each in path.parent.iterdir()] == ["tiny.zarr"]


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

    monkeypatch.setattr(export_module, "stacked", fail)
    with pytest.raises(OSError, match="No space"):
        export_zarr(results, path)
    assert list(tmp_path.iterdir()) == []


def test_without_zarr_the_error_says_what_to_install(
    results: StudyResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lowroad\[zarr\]'"):
        export_zarr(results, tmp_path / "tiny.zarr")
