"""The results for two checkpoints: numbers, a table, netCDF and a picture."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import xarray as xr

from lowroad.paths import FoundPath
from lowroad.study.files import write_atomically

FOUND = ("", "aligned_")  # the keys of the paths that a finder found


class Curve(NamedTuple):
    """A path between the two checkpoints and its heights.

    Attributes:
        key: the prefix of its names in the files; "" for the path found.
        label: its name for display.
        path: the measurements.
        interpolated: whether batch norm's statistics are the two checkpoints' own, interpolated,
            on the path that was found with re-estimated ones; not refined between grid points.
    """

    key: str
    label: str
    path: FoundPath
    interpolated: bool = False


def write_results(directory: Path, curves: Sequence[Curve], settings: dict[str, str | int]) -> None:
    """Write `path.nc`, `profile.png` and `summary.json`."""
    numbers = summary(curves)
    write_atomically(directory / "path.nc", _netcdf(curves, numbers))
    write_atomically(directory / "profile.png", _picture(curves))
    content = {name: _jsonable(value) for name, value in {**numbers, **settings}.items()}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(directory / "summary.json", text.encode())


def _jsonable(value: float | str) -> float | str | None:
    """Return the value, or None for a number that JSON does not have (infinite, or not one)."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summary(curves: Sequence[Curve]) -> dict[str, float | str]:
    """Return every curve's numbers, their names beginning with its key."""
    numbers: dict[str, float | str] = {}
    for key, _, found, interpolated in curves:
        own: dict[str, float | str] = {
            "height": found.height,
            "start_height": float(found.profile[0]),
            "end_height": float(found.profile[-1]),
            "barrier": found.barrier,
            "barrier_above_mean": found.barrier_above_mean,
            "barrier_above_line": found.barrier_above_line,
            "peak_t": found.peak_t,
        }
        if not interpolated:
            own |= {
                "refined_height": found.refined_height,
                "length": found.length,
                "values_evaluated": found.evaluations.values,
                "gradients_evaluated": found.evaluations.gradients,
                "outcome": found.outcome.value,
            }
        if key == "" and found.symmetry is not None:
            own |= {
                "ends_are_the_same_state": int(found.symmetry.same),
                "distance_by_symmetry": found.symmetry.distance,
                "symmetry": found.symmetry.method,
            }
        numbers |= {f"{key}{name}": value for name, value in own.items()}
    return numbers


def table(curves: Sequence[Curve]) -> str:
    """Return the curves' heights as lines, how the searches ended, and symmetries of the ends."""
    width = max(len(curve.label) for curve in curves)
    lines = [f"{'':{width}}  {'height':>11}  {'refined':>11}  {'barrier':>11}  {'length':>8}"]
    for _, label, found, interpolated in curves:
        refined = "" if interpolated else f"{found.refined_height:.6g}"
        lines.append(
            f"{label:{width}}  {found.height:11.6g}  {refined:>11}  {found.barrier:11.6g}  "
            f"{found.length:8.4g}"
        )
    for key, label, found, _ in curves:
        if key in FOUND:
            lines.append(f"{label}: {found.outcome.value}")
            if found.symmetry is not None:
                lines.append(f"note: {found.symmetry}")
    return "\n".join(lines)


def _netcdf(curves: Sequence[Curve], numbers: dict[str, float | str]) -> bytes:
    dataset = xr.Dataset(coords={"t": curves[0].path.t}, attrs=numbers)
    for key, _, found, _ in curves:
        dataset[f"{key}profile"] = ("t", found.profile)
        if key in FOUND:
            points = found.path(torch.from_numpy(found.t)).cpu().numpy()
            dataset[f"{key}points"] = (("t", "component"), points)
    return bytes(dataset.to_netcdf(engine="h5netcdf"))


def _picture(curves: Sequence[Curve]) -> bytes:
    from matplotlib.figure import Figure

    sides = {
        "as they are": [c for c in curves if not c.key.startswith("aligned_")],
        "aligned": [c for c in curves if c.key.startswith("aligned_")],
    }
    panels = {name: panel for name, panel in sides.items() if panel}
    figure = Figure(figsize=(1.5 + 4 * len(panels), 4.0), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, panel) in zip(row, panels.items(), strict=True):
        for key, _, found, interpolated in panel:
            straight = key.endswith("straight_")
            dash = ":" if interpolated else "--" if straight else "-"
            axes.plot(found.t, found.profile, dash, color="#D55E00" if straight else "#0072B2")
        best = next(curve.path for curve in panel if curve.key in FOUND)
        axes.plot(best.refined_t, best.refined_height, "o", color="#0072B2", ms=5)
        axes.set(xlabel="t", title=f"{name}: highest point {best.refined_height:.4g}")
    row[0].set_ylabel("height")
    labels = [curve.label for curve in sides["as they are"]]
    figure.legend(
        row[0].lines[: len(labels)], labels, loc="outside lower center", ncols=2, frameon=False
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
