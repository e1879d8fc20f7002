"""What the command line names: landscapes, metrics and path finders."""

from __future__ import annotations

import ast
import importlib
import math
import reprlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from lowroad.landscapes import Landscape, NetworkLandscape
from lowroad.paths import PathFinder
from lowroad.paths.registry import make_finder
from lowroad.problems.networks import accuracy, error_rate
from lowroad.problems.problem import Metric

METRICS: dict[str, Metric] = {"error": error_rate, "accuracy": accuracy}


def load_landscape(name: str) -> Landscape:
    """Return what `package.module:function` returns; the current folder is searched too.

    Raises:
        ValueError: when it cannot be imported, is not a function without arguments, fails, or does
            not return a landscape. Where the user's code failed, the message has its traceback.
    """
    function = _function(name, "a landscape")
    try:
        landscape = function()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{name}() failed: {error!r}{_own_traceback(error)}") from None
    if not isinstance(landscape, Landscape):
        raise ValueError(
            f"{name}() must return a lowroad landscape, it returned {type(landscape).__name__}"
        )
    return landscape


def load_metrics(names: Sequence[str]) -> dict[str, Metric]:
    """Return metrics by name: "error", "accuracy", or `package.module:function`.

    A function takes (landscape, point [d]) and returns a number.

    Raises:
        ValueError: when there is none of such a name.
    """
    metrics = {}
    for name in names:
        if name not in METRICS and ":" not in name:
            raise ValueError(
                f"expected a metric among {', '.join(METRICS)}, or package.module:function, "
                f"got {name[:100]!r}"
            )
        own = METRICS[name] if name in METRICS else _function(name, "a metric")
        metrics[name.rpartition(":")[2]] = own
    return metrics


def check_metrics(
    metrics: Mapping[str, Metric], landscapes: Mapping[str, Landscape], point: Tensor
) -> None:
    """Refuse metrics that give no number at a point, on any of the landscapes.

    Raises:
        ValueError: naming the metric and what it gave.
    """
    for name, metric in metrics.items():
        for split, landscape in landscapes.items():
            known = metric in METRICS.values()
            if known and not isinstance(landscape, NetworkLandscape):
                raise ValueError(
                    f"the metric {name} needs a NetworkLandscape, got {type(landscape).__name__}"
                )
            try:
                value: Any = metric(landscape, point)
            except Exception as error:
                advice = "; give package.module:function, a function of (landscape, point)"
                said = f"{error}{advice}" if known else f"{error!r}{_own_traceback(error)}"
                raise ValueError(f"the metric {name} failed on the {split} data: {said}") from None
            if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
                value = value.item()
            try:
                finite = math.isfinite(value)
            except (TypeError, ValueError, OverflowError):
                finite = False
            if not finite:
                shown = reprlib.repr(value) if not isinstance(value, Tensor) else list(value.shape)
                raise ValueError(
                    f"expected the metric {name} to return a number, it returned "
                    f"{type(value).__name__} {shown} on the {split} data"
                )


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
            raise ValueError(f"expected a setting as key=value, got {assignment[:100]!r}")
        if len(text) > 100:
            raise ValueError(f"{key[:100]}: expected a setting, got {len(text)} characters")
        try:
            settings[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            settings[key] = text
    try:
        return make_finder(name, settings)
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from error


def _function(name: str, what: str) -> Callable[..., Any]:
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise ValueError(f"expected {what} as package.module:function, got {name[:100]!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(f"cannot import {module_name}: {error!r}") from None
    except (Exception, SystemExit) as error:
        raise ValueError(f"cannot import {module_name}: {error!r}{_own_traceback(error)}") from None
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"{module_name} has no function {function_name}")
    return function


def _own_traceback(error: BaseException) -> str:
    """Return the part of a traceback that lies in the user's code, on lines of its own."""
    frames = error.__traceback__.tb_next if error.__traceback__ else None
    while frames is not None and "importlib" in frames.tb_frame.f_code.co_filename:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    return f"\n{text.rstrip()}" if frames is not None else ""
