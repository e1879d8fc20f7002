"""A study's results for other programs: tables as CSV, or everything in one zarr store."""

from __future__ import annotations

import csv
import io
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import lowroad
from lowroad.study.plan import stages
from lowroad.study.results import PathResult, SharpnessResult, StudyResults, TrainingResult
from lowroad.study.store import write_atomically
from lowroad.study.study_file import to_toml

COMMON = ("outcome", "heights_evaluated", "gradients_evaluated", "seconds")
RUN_COLUMNS = (
    *("network", "optimizer", "seed", "kept", "train_height", "test_height", "train_step"),
    *("test_step", "steps", "train_point_accuracy", "test_point_accuracy", *COMMON),
)
PATH_COLUMNS = (
    *("network", "weights", "landscape", "seed_1", "seed_2", "height", "barrier"),
    *("straight_height", "length", "straight_length", "steps", *COMMON),
)
SHARPNESS_COLUMNS = ("network", "weights", "seed", "trace", "trace_error", "products", "seconds")
PLANE_DIMENSIONS = {
    "images": (),
    "u": ("column",),
    "v": ("row",),
    "heights": ("row", "column"),
    "corners": ("corner", "axis"),
    "corner_heights": ("corner",),
    "places": ("t", "axis"),
    "distances": ("t",),
    "below": ("t",),
}


def export_csv(results: StudyResults, folder: Path) -> list[Path]:
    """Write ``runs.csv``, ``paths.csv`` and ``sharpness.csv``, a row for each of them.

    The columns are ``RUN_COLUMNS``, ``PATH_COLUMNS`` and ``SHARPNESS_COLUMNS`` with a column for
    each eigenvalue, the numbers and words of :class:`~lowroad.study.results.TrainingResult`,
    :class:`~lowroad.study.results.PathResult` and :class:`~lowroad.study.results.SharpnessResult`;
    ``steps`` is how many were done, ``kept`` whether paths connect the run.

    Raises:
        OSError: a file cannot be written.
    """
    kept = _kept(results)
    runs = [_run_row(run, id(run) in kept) for run in results.trainings]
    paths = [_path_row(path) for path in results.paths]
    points = [_sharpness_row(point) for point in results.sharpness]
    most = max((len(point.eigenvalues) for point in results.sharpness), default=0)
    sharpness_columns = (*SHARPNESS_COLUMNS, *(f"eigenvalue_{i + 1}" for i in range(most)))
    written = []
    for name, columns, rows in (
        ("runs.csv", RUN_COLUMNS, runs),
        ("paths.csv", PATH_COLUMNS, paths),
        ("sharpness.csv", sharpness_columns, points),
    ):
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_atomically(folder / name, text.getvalue().encode())
        written.append(folder / name)
    return written


def export_zarr(results: StudyResults, path: Path) -> None:
    """Write everything, weights too, into one zarr store; it is there as a whole or not at all.

    ``xarray.open_datatree(path, engine="zarr")`` opens it. Groups ``NETWORK/OPTIMIZER/KIND``:
    ``runs`` has the curves [seed, step], the points [seed, parameter] and the numbers [seed] of the
    training runs; ``paths`` the profiles [path, t], the finder's course [path, step], the highest
    points [path, parameter] and the numbers [path] of the paths; ``planes``, for those paths that
    have one, the grids [path, row, column]; ``sharpness`` the eigenvalues [point, eigenvalue] and
    traces [point]. Curves that ended earlier than others are filled up with NaN.

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
        for group, dataset in _groups(results):
            dataset.to_zarr(temporary, group=group, mode="a", zarr_format=2, consolidated=False)
        zarr.consolidate_metadata(temporary, zarr_format=2)
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _kept(results: StudyResults) -> set[int]:
    """Identities of the kept runs."""
    return {id(run) for stage in stages(results.config) for run in results.kept(*stage)}


def _run_row(run: TrainingResult, kept: bool) -> dict[str, Any]:
    derived = {"kept": kept, "steps": int(run.steps[-1])}
    return {name: derived.get(name, getattr(run, name, None)) for name in RUN_COLUMNS}


def _path_row(path: PathResult) -> dict[str, Any]:
    first, second = path.seeds
    derived = {"seed_1": first, "seed_2": second, "steps": int(path.history_steps[-1])}
    return {name: derived.get(name, getattr(path, name, None)) for name in PATH_COLUMNS}


def _sharpness_row(point: SharpnessResult) -> dict[str, Any]:
    eigenvalues = {f"eigenvalue_{i + 1}": value for i, value in enumerate(point.eigenvalues)}
    return {name: getattr(point, name) for name in SHARPNESS_COLUMNS} | eigenvalues


def _groups(results: StudyResults) -> Iterator[tuple[str, xr.Dataset]]:
    kept = _kept(results)
    for network, optimizer in stages(results.config):
        runs = [
            run for run in results.trainings if (run.network, run.optimizer) == (network, optimizer)
        ]
        if runs:
            yield f"{network}/{optimizer}/runs", _runs(runs, kept)
        paths = [
            path
            for path in results.paths
            if path.network == network and path.weights.startswith(optimizer)
        ]
        if paths:
            yield f"{network}/{optimizer}/paths", _paths(paths)
        if planes := [path for path in paths if path.plane is not None]:
            yield f"{network}/{optimizer}/planes", _planes(planes)
        points = [
            point
            for point in results.sharpness
            if point.network == network and point.weights.startswith(optimizer)
        ]
        if points:
            yield f"{network}/{optimizer}/sharpness", _sharpness(points)


def _runs(runs: Sequence[TrainingResult], kept: set[int]) -> xr.Dataset:
    rows = [_run_row(run, id(run) in kept) for run in runs]
    steps = [run.steps for run in runs]
    step, train = _aligned(steps, [run.train_heights for run in runs])
    _, test = _aligned(steps, [run.test_heights for run in runs])
    return xr.Dataset(
        {
            "train_heights": (("seed", "step"), train, {"long_name": "training loss"}),
            "test_heights": (("seed", "step"), test, {"long_name": "test loss"}),
            "train_point": (("seed", "parameter"), np.stack([run.train_point for run in runs])),
            "test_point": (("seed", "parameter"), np.stack([run.test_point for run in runs])),
            **_as_variables("seed", rows, RUN_COLUMNS[3:]),
        },
        coords={"seed": [run.seed for run in runs], "step": step},
        attrs={"network": runs[0].network, "optimizer": runs[0].optimizer},
    )


def _paths(paths: Sequence[PathResult]) -> xr.Dataset:
    rows = [_path_row(path) for path in paths]
    steps = [path.history_steps for path in paths]
    step, totals = _aligned(steps, [path.history_totals for path in paths])
    _, heights = _aligned(steps, [path.history_heights for path in paths])
    points = np.stack([path.peak_point for path in paths])
    ends = _as_variables("path", rows, PATH_COLUMNS[1:5])
    return xr.Dataset(
        {
            "profile": (("path", "t"), np.stack([path.profile for path in paths])),
            "totals": (("path", "step"), totals, {"long_name": "cumulative loss"}),
            "heights": (("path", "step"), heights, {"long_name": "highest loss on the path"}),
            "peak_point": (("path", "parameter"), points),
            **_as_variables("path", rows, PATH_COLUMNS[5:]),
        },
        coords={**ends, "t": paths[0].t, "step": step},
        attrs={"network": paths[0].network},
    )


def _planes(paths: Sequence[PathResult]) -> xr.Dataset:
    ends = _as_variables("path", [_path_row(path) for path in paths], PATH_COLUMNS[1:5])
    variables = {
        name: (("path", *dimensions), np.stack([getattr(path.plane, name) for path in paths]))
        for name, dimensions in PLANE_DIMENSIONS.items()
    }
    return xr.Dataset(variables, coords=ends, attrs={"network": paths[0].network})


def _sharpness(points: Sequence[SharpnessResult]) -> xr.Dataset:
    rows = [_sharpness_row(point) for point in points]
    eigenvalues = np.stack([point.eigenvalues for point in points])
    return xr.Dataset(
        {
            "eigenvalues": (("point", "eigenvalue"), eigenvalues),
            **_as_variables("point", rows, SHARPNESS_COLUMNS[3:]),
        },
        coords=_as_variables("point", rows, SHARPNESS_COLUMNS[1:3]),
        attrs={"network": points[0].network},
    )


def _as_variables(
    dimension: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]
) -> dict[str, tuple[str, NDArray[Any]]]:
    return {name: (dimension, np.array([row[name] for row in rows])) for name in columns}


def _aligned(
    steps: Sequence[NDArray[np.int64]], curves: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All steps that occur, and the curves there, NaN where one has no value."""
    union = np.unique(np.concatenate(steps))
    table = np.full((len(curves), len(union)), np.nan)
    for row, own, curve in zip(table, steps, curves, strict=True):
        row[np.searchsorted(union, own)] = curve
    return union, table
