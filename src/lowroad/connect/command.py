"""From two checkpoints to a path, its numbers and its picture."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from lowroad.connect.ends import network, read_ends, reestimated
from lowroad.connect.results import Curve, write_results
from lowroad.connect.variants import aligned, with_interpolated_statistics
from lowroad.landscapes import BatchNormLandscape, Landscape
from lowroad.paths import PathFinder, StraightLine
from lowroad.paths.finder import Callback, check_ends
from lowroad.paths.registry import make_finder


def load_landscape(name: str) -> Landscape:
    """Return what `package.module:function` returns; the current folder is searched too.

    Raises:
        ValueError: when it cannot be imported, is not a function without arguments, fails, or does
            not return a landscape.
    """
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise ValueError(f"expected a landscape as package.module:function, got {name!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise ValueError(f"cannot import {module_name}: {error!r}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"{module_name} has no function {function_name}")
    try:
        landscape = function()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{name}() failed: {error!r}") from error
    if not isinstance(landscape, Landscape):
        raise ValueError(
            f"{name}() must return a lowroad landscape, it returned {type(landscape).__name__}"
        )
    return landscape


def parse_finder(name: str, assignments: Sequence[str] = ()) -> PathFinder:
    """Return a path finder by its name, with settings `key=value`.

    Raises:
        ValueError: for an unknown name or setting (the nearest known one is named) or a bad value.

    >>> parse_finder("fourier", ["steps=300", "objective=max_flux"]).steps
    300
    """
    settings = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"expected a setting as key=value, got {assignment!r}")
        try:
            settings[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            settings[key] = text
    try:
        return make_finder(name, settings)
    except TypeError as error:
        raise ValueError(str(error)) from error


def connect(
    first: Path,
    second: Path,
    landscape: Landscape,
    finder: PathFinder,
    directory: Path,
    seed: int = 0,
    callback: Callback | None = None,
    *,
    align: bool = False,
    reestimate_batch_norm: bool = False,
) -> list[Curve]:
    """Find the path between two checkpoints and write it.

    `path.nc` holds the profiles of the path and of the straight line, and the path's points [T, d];
    `profile.png` the picture; `summary.json` the numbers.

    Args:
        first: a file for `read_point`.
        second: another.
        landscape: the landscape that the path lies on.
        finder: the path finder.
        directory: the directory for the results.
        seed: of mini-batches and noise.
        callback: see `PathFinder.find`.
        align: whether to connect the first checkpoint also with the second one aligned to it by
            `weight_matching`.
        reestimate_batch_norm: whether values are those of a `BatchNormLandscape`. The profiles
            with the two checkpoints' own statistics, interpolated in t, are shown too.

    Returns:
        The curves: straight line and path found, raw and aligned, with statistics of each kind.

    Raises:
        ValueError: when a file does not fit the landscape, the ends are bad, or an option does not
            fit the model; before any search.
        OSError: when a file cannot be read or the directory cannot be made; before any search.
    """
    surface = BatchNormLandscape(network(landscape)) if reestimate_batch_norm else landscape
    landscape, (start, end) = read_ends([first, second], landscape, free=reestimated(surface))
    surface = BatchNormLandscape(network(landscape)) if reestimate_batch_norm else landscape
    check_ends(surface, start.point, end.point)
    symmetry = surface.symmetric_image(start.point, end.point)
    ends = {"": end} | ({"aligned_": aligned(network(surface), start, end)} if align else {})
    directory.mkdir(parents=True, exist_ok=True)  # before the search, since it may fail
    curves = []
    for kind, seeker in {"straight_": StraightLine(points=finder.points), "": finder}.items():
        for side, other in ends.items():
            generator = torch.Generator().manual_seed(seed)
            found = seeker.find(surface, start.point, other.point, generator, callback)
            if not side:
                found = dataclasses.replace(found, symmetry=symmetry)
            label = ("straight line" if kind else "path found") + (", aligned" if side else "")
            curves.append(Curve(f"{side}{kind}", label, found))
            if reestimate_batch_norm:
                fixed = with_interpolated_statistics(network(landscape), found, start, other)
                key, label = f"{side}interpolated_{kind}", f"{label}, statistics interpolated"
                curves.append(Curve(key, label, fixed, interpolated=True))
    write_results(directory, curves, {"finder": repr(finder), "seed": seed})
    return curves
