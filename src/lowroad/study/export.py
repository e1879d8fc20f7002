"""A study's results for other programs: tables as CSV, or everything in one zarr store."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import xarray as xr

import lowroad
from lowroad.study.files import write_atomically
from lowroad.study.measurements import MEASUREMENTS
from lowroad.study.results import StudyResults, stacked
from lowroad.study.study_file import to_toml

FILES = {"training": "runs.csv", "path": "paths.csv", "sharpness": "sharpness.csv"}
"""Names of tables that are not simply the measurement's own."""


def export_csv(results: StudyResults, folder: Path) -> list[Path]:
    """Write a table for each measurement, a row for each record, all problems together.

    The columns are the labels, then all numbers and texts of the records; curves and points are in
    the zarr store.

    Raises:
        OSError: a file cannot be written.
    """
    import pandas as pd

    written = []
    for name in MEASUREMENTS:
        frames = []
        for problem in results.problems:
            table = results.table(name, problem) if name != "checkpoint" else xr.Dataset()
            row = MEASUREMENTS[name].row
            if not table.sizes.get(row):
                continue
            flat = [
                each for each, values in table.variables.items()
                if values.dims == (row,) and each != row
            ]  # fmt: skip
            frame = pd.DataFrame({str(each): table[each].values for each in flat})
            if "eigenvalues" in table:
                for rank, values in enumerate(table["eigenvalues"].values.T, start=1):
                    frame[f"eigenvalue_{rank}"] = values
            labels = [str(each) for each in flat if each in table.coords]
            rest = [each for each in frame.columns if each not in labels]
            frame = frame[labels + rest]
            frame.insert(0, "problem", problem)
            frames.append(frame)
        if frames:
            path = folder / FILES.get(name, f"{name}s.csv")
            text = pd.concat(frames).to_csv(index=False, lineterminator="\n")
            write_atomically(path, text.encode())
            written.append(path)
    return written


def export_zarr(results: StudyResults, path: Path) -> None:
    """Write everything, points too, into one zarr store; it is there as a whole or not at all.

    ``xarray.open_datatree(path, engine="zarr")`` opens it. The group ``PROBLEM/MEASUREMENT`` holds
    the measurement's table, a row for each record.

    Raises:
        ModuleNotFoundError: the package zarr is not installed.
        FileExistsError: there is something at ``path``.
        OSError: it cannot be written.
    """
    try:
        import zarr
    except ImportError:
        raise ModuleNotFoundError("zarr stores need zarr: pip install 'lowroad[zarr]'") from None
    if path.exists():
        raise FileExistsError(f"{path} exists: remove it, or give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    about = {
        "study": to_toml(results.config),
        "lowroad": lowroad.__version__,
        "missing": results.missing,
        **results.provenance,
    }
    # Format 3 has no settled texts and no settled consolidated metadata yet.
    try:
        xr.Dataset(attrs=about).to_zarr(temporary, zarr_format=2, consolidated=False)
        for problem in results.problems:
            for name, measurement in MEASUREMENTS.items():
                tasks = [
                    task for task in results.tasks
                    if (task.measurement, task.problem.label) == (name, problem)
                ]  # fmt: skip
                if not tasks:
                    continue
                records = [results.store.read(task.hash) for task in tasks]
                table = stacked(measurement, tasks, records)
                table.to_zarr(
                    temporary,
                    group=f"{problem}/{name}",
                    mode="a",
                    zarr_format=2,
                    consolidated=False,
                )
        zarr.consolidate_metadata(temporary, zarr_format=2)
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
