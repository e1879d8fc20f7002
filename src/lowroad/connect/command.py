"""From two checkpoints to a path, its numbers and its picture."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import xarray as xr
from torch import Tensor

from lowroad.connect.checkpoints import read_point
from lowroad.landscapes import Landscape
from lowroad.paths import (
    BezierPathFinder,
    ElasticBandFinder,
    FoundPath,
    FourierPathFinder,
    PathFinder,
    PolygonalChainFinder,
    StraightLine,
    StringFinder,
)
from lowroad.paths.finder import Callback
from lowroad.study.store import write_atomically

FINDERS: dict[str, type[PathFinder]] = {
    "fourier": FourierPathFinder,
    "bezier": BezierPathFinder,
    "chain": PolygonalChainFinder,
    "band": ElasticBandFinder,
    "string": StringFinder,
    "line": StraightLine,
}


def load_landscape(name: str) -> Landscape:
    """Return what `package.module:function` returns; the present folder is searched too.

    Raises:
        ValueError: when it cannot be imported, is no function of no arguments, fails, or returns
            no landscape.
    """
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise ValueError(f"expected a landscape as package.module:function, got {name!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(f"cannot import {module_name}: {error!r}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"{module_name} has no function {function_name}")
    try:
        landscape = function()
    except Exception as error:
        raise ValueError(f"{name}() failed: {error!r}") from error
    if not isinstance(landscape, Landscape):
        raise ValueError(
            f"{name}() must return a lowroad landscape, it returned {type(landscape).__name__}"
        )
    return landscape


def make_finder(name: str, settings: Sequence[str] = ()) -> PathFinder:
    """Return a finder by its short name, with settings `key=value`.

    Raises:
        ValueError: for an unknown name or setting (the nearest known one is named) or a bad value.

    >>> make_finder("fourier", ["steps=300", "objective=max_flux"]).steps
    300
    """
    if name not in FINDERS:
        raise ValueError(f"expected a finder among {', '.join(FINDERS)}, got {name!r}")
    known = [field.name for field in dataclasses.fields(FINDERS[name])]
    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"expected a setting as key=value, got {setting!r}")
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
            raise ValueError(f"the finder {name} has no setting {key!r}{hint}")
        try:
            values[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[key] = text
    try:
        return FINDERS[name](**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the finder {name} cannot take {', '.join(settings)}: {error}") from error


def connect(
    first: Path,
    second: Path,
    landscape: Landscape,
    finder: PathFinder,
    directory: Path,
    seed: int = 0,
    callback: Callback | None = None,
) -> tuple[FoundPath, FoundPath]:
    """Find the path between two checkpoints and write it.

    `path.nc` holds the profile, the straight line's, and the points [T, d]; `profile.png` the
    picture; `summary.json` the numbers.

    Args:
        first: a file for `read_point`.
        second: another.
        landscape: what the path lies on.
        finder: what finds it.
        directory: where the results go.
        seed: of mini-batches and noise.
        callback: see `PathFinder.find`.

    Returns:
        The path found, and the straight line.

    Raises:
        ValueError: when a file does not fit the landscape, or the ends are bad.
    """
    start, end = read_point(first, landscape), read_point(second, landscape)
    line = StraightLine(points=finder.points).find(landscape, start, end)
    generator = torch.Generator().manual_seed(seed)
    found = finder.find(landscape, start, end, generator=generator, callback=callback)
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / "path.nc", _netcdf(found, line))
    write_atomically(directory / "profile.png", _picture(found, line))
    numbers = {**summary(found, line), "finder": repr(finder), "seed": seed}
    text = json.dumps(numbers, indent=2, ensure_ascii=False) + "\n"
    write_atomically(directory / "summary.json", text.encode())
    return found, line


def summary(found: FoundPath, line: FoundPath) -> dict[str, float | str]:
    """Return the numbers that belong to a found path."""
    return {
        "height": found.height,
        "refined_height": found.refined_height,
        "straight_height": line.height,
        "start_height": float(found.profile[0]),
        "end_height": float(found.profile[-1]),
        "barrier": found.barrier,
        "barrier_above_mean": found.barrier_above_mean,
        "barrier_above_line": found.barrier_above_line,
        "straight_barrier_above_line": line.barrier_above_line,
        "peak_t": found.peak_t,
        "length": found.length,
        "straight_length": line.length,
        "heights_evaluated": found.evaluations.heights,
        "gradients_evaluated": found.evaluations.gradients,
        "outcome": found.outcome.value,
    }


def _netcdf(found: FoundPath, line: FoundPath) -> bytes:
    points: Tensor = found.path(torch.from_numpy(found.t))
    dataset = xr.Dataset(
        {
            "profile": ("t", found.profile),
            "straight_profile": ("t", line.profile),
            "points": (("t", "component"), points.cpu().numpy()),
        },
        coords={"t": found.t},
        attrs=summary(found, line),
    )
    return bytes(dataset.to_netcdf(engine="h5netcdf"))


def _picture(found: FoundPath, line: FoundPath) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(line.t, line.profile, "--", color="#D55E00", label="straight line")
    axes.plot(found.t, found.profile, "-", color="#0072B2", label="path found")
    axes.plot(found.refined_t, found.refined_height, "o", color="#0072B2", ms=5)
    axes.set(xlabel="t", ylabel="height", title=f"highest point {found.refined_height:.4g}")
    axes.legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
