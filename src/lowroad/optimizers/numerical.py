"""Errors of arithmetic in a landscape, which make its value there not finite."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lowroad.landscapes import Landscape

_OF_TORCH = torch.linalg.LinAlgError  # type: ignore[attr-defined]
NUMERICAL_ERRORS = (ArithmeticError, np.linalg.LinAlgError, _OF_TORCH)
LOWEST = -1e30  # a value below it counts as falling without end


def diverged(value: float) -> bool:
    """Return whether a value is not finite, or lies below -1e30."""
    return not LOWEST <= value < math.inf


def value_or_nan(landscape: Landscape, point: Tensor) -> float:
    """Return the value at a point [d], NaN where the landscape raises an error of arithmetic."""
    try:
        return landscape.value(point)
    except NUMERICAL_ERRORS:
        return math.nan


def value_and_gradient_or_nan(landscape: Landscape, point: Tensor) -> tuple[float, Tensor]:
    """Return the value and gradient [d] at a point [d], NaN as in `value_or_nan`."""
    try:
        return landscape.value_and_gradient(point)
    except NUMERICAL_ERRORS:
        return math.nan, torch.full_like(point, math.nan)


def rows_or_nan(evaluate: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Return evaluate(points), one row per point, NaN for each point at which it raises.

    After an error every point is evaluated by itself, in the place of all.
    """
    try:
        return evaluate(points)
    except NUMERICAL_ERRORS:
        if len(points) == 1:
            return torch.full_like(points, math.nan)
    rows: list[Tensor | None] = []
    for i, point in enumerate(points):
        try:
            rows.append(evaluate(point.expand_as(points))[i])
        except NUMERICAL_ERRORS:
            rows.append(None)
    like = next((row for row in rows if row is not None), points[0])
    nan = torch.full_like(like, math.nan)
    return torch.stack([nan if row is None else row for row in rows])
