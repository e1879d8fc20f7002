"""What was measured between two checkpoints, as a labelled dataset in one file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from lowroad.paths import FoundPath
from lowroad.study.files import write_atomically

Numbers = dict[str, float | str]


@dataclass(frozen=True)
class Curve:
    """A path between two checkpoints and its heights.

    Attributes:
        key: the prefix of its names in a record; "" for the path found.
        label: its name for display.
        path: the measurements.
        interpolated: whether batch norm's statistics are the two checkpoints' own, interpolated,
            on the path that was found with re-estimated ones; not refined between grid points.
        along: other quantities on the grid, such as "test_loss" or "train_error", [T] each.
    """

    key: str
    label: str
    path: FoundPath
    interpolated: bool = False
    along: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def numbers(self) -> Numbers:
        """The curve's numbers, their names beginning with its key."""
        found = self.path
        own: Numbers = {
            "height": found.height,
            "start_height": float(found.profile[0]),
            "end_height": float(found.profile[-1]),
            "barrier": found.barrier,
            "barrier_above_mean": found.barrier_above_mean,
            "barrier_above_line": found.barrier_above_line,
            "peak_t": found.peak_t,
        }
        if not self.interpolated:
            own |= {
                "refined_height": found.refined_height,
                "length": found.length,
                "values_evaluated": found.evaluations.values,
                "gradients_evaluated": found.evaluations.gradients,
                "outcome": found.outcome.value,
            }
        if self.key == "" and found.symmetry is not None:
            own |= {
                "ends_are_the_same_state": int(found.symmetry.same),
                "distance_by_symmetry": found.symmetry.distance,
                "symmetry": found.symmetry.method,
                "note": str(found.symmetry),
            }
        for name, values in self.along.items():
            own[f"{name}_height"] = float(values.max())
            is_accuracy = name.endswith("_accuracy")  # the higher, the better
            own[f"{name}_barrier_above_mean"] = above_mean(-values if is_accuracy else values)
        return {f"{self.key}{name}": value for name, value in own.items()}


def above_mean(values: NDArray[np.float64]) -> float:
    """Return the maximum above the mean of the two ends.

    Of a loss or an error on the straight line that is the barrier of linear mode connectivity:
    Frankle et al. 2020, Ainsworth et al. 2023.

    >>> above_mean(np.array([1.0, 5.0, 2.0]))
    3.5
    """
    return float(values.max() - (values[0] + values[-1]) / 2)


class Shown(Mapping[str, NDArray[np.float64]]):
    """A curve of a record: its label, and its profile and other quantities by name."""

    def __init__(self, record: xr.Dataset, key: str) -> None:
        self.key, self.label = key, str(record[f"{key}profile"].attrs["label"])
        self.interpolated = bool(record[f"{key}profile"].attrs["interpolated"])
        self._values = {
            str(name).removeprefix(key): variable.values
            for name, variable in record.data_vars.items()
            if variable.attrs["curve"] == f"{key}profile"
        }
        self.numbers = {
            name.removeprefix(key): value
            for name, value in record.attrs.items()
            if name.startswith(key)
        }

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def is_straight(self) -> bool:
        """Whether it is the straight line."""
        return self.key.endswith("straight_")

    @property
    def is_aligned(self) -> bool:
        """Whether the second checkpoint was aligned to the first."""
        return self.key.startswith("aligned_")


def record_of(curves: Sequence[Curve], about: Mapping[str, str] | None = None) -> xr.Dataset:
    """Return the record of a pair: profiles over t, and all curves' numbers as attributes."""
    record = xr.Dataset(coords={"t": curves[0].path.t}, attrs=dict(about or {}))
    for curve in curves:
        record.attrs |= curve.numbers
        for name, values in {"profile": curve.path.profile, **curve.along}.items():
            attributes = {"label": curve.label, "interpolated": int(curve.interpolated)}
            about_it = {"curve": f"{curve.key}profile", **attributes}
            record[f"{curve.key}{name}"] = ("t", values, about_it)
    return record


def curves_of(record: xr.Dataset) -> list[Shown]:
    """Return a record's curves in their order."""
    names = dict.fromkeys(str(variable.attrs["curve"]) for variable in record.data_vars.values())
    return [Shown(record, name.removesuffix("profile")) for name in names]


def write_record(path: Path, record: xr.Dataset) -> None:
    """Write a record as netCDF.

    Raises:
        OSError: when it cannot be written.
    """
    write_atomically(path, bytes(record.to_netcdf(engine="h5netcdf")))


def read_record(path: Path) -> xr.Dataset | None:
    """Return a record, or None where there is none.

    Raises:
        ValueError: when it is damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        with xr.open_dataset(io.BytesIO(content), engine="h5netcdf") as stored:
            return stored.load()
    except Exception as error:
        raise ValueError(f"{path}: damaged; remove it, and its paths are found again") from error
