"""The L-BFGS iteration itself, shared by `lbfgs` and the torch optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lowroad.optimizers.curvature import CurvatureMemory
from lowroad.optimizers.line_search import LineFunction, LineSearch, Step
from lowroad.outcome import Outcome

SHRINKS = (1.0, 1e-3, 1e-6, 1e-9)  # how much shorter −g is made when no trial along it is lower
TINY = 1e-300  # keeps a division by a vanishing length finite


class Objective(Protocol):
    """The function that is minimized: a landscape, or the loss of a torch closure.

    Attributes:
        point: the current point [d].
    """

    point: Tensor

    def line_function(self, direction: Tensor, value: float) -> LineFunction:
        """Return φ(α) from the current point, whose value is `value`, along `direction` [d]."""
        ...


class MovableObjective(Objective, Protocol):
    """An objective that evaluates the gradient at the point it moves to."""

    def accept(self, function: LineFunction, alpha: float) -> tuple[float, Tensor]:
        """Move to α on the line; return the value and gradient [d] there."""
        ...


@dataclass
class Iterate:
    """The state of the iteration.

    Attributes:
        value: L(x).
        gradient: ∇L(x) [d].
        memory: the curvature pairs.
    """

    value: float
    gradient: Tensor
    memory: CurvatureMemory

    def move(self, moved: Tensor, value: float, gradient: Tensor) -> None:
        """Move to x + `moved` and add the curvature pair of the step."""
        self.memory.add(moved, gradient - self.gradient)
        self.value, self.gradient = value, gradient


@dataclass(frozen=True)
class Iteration:
    """What one iteration did.

    Attributes:
        outcome: why the search ends here, or None when it goes on.
        length: max_j |α p_j|, how far the point moved.
        decrease: by how much the value fell.
        lowest: a trial lower than the accepted point, with its line function, if there was one;
            else None.
    """

    outcome: Outcome | None
    length: float = 0.0
    decrease: float = 0.0
    lowest: tuple[LineFunction, Step] | None = None


def iterate(objective: MovableObjective, at: Iterate, line_search: LineSearch) -> Iteration:
    """Do one L-BFGS iteration in place (Algorithm 1 of Yu & Morozov 2026).

    `descend`, then the gradient at the accepted point. The value never rises.
    """
    function, step = descend(objective, at, line_search)
    if step.alpha == 0.0:
        return Iteration(Outcome.LINE_SEARCH_FAILED)
    lowest = (function, function.best) if function.best.value < step.value else None
    value, gradient = objective.accept(function, step.alpha)
    if not (math.isfinite(value) and bool(torch.isfinite(gradient).all())):
        return Iteration(Outcome.DIVERGED, lowest=(function, function.best))
    moved = step.alpha * function.direction
    decrease = at.value - step.value
    at.move(moved, step.value, gradient)
    return Iteration(None, float(moved.abs().max()), decrease, lowest)


def descend(
    objective: Objective, at: Iterate, line_search: LineSearch
) -> tuple[LineFunction, Step]:
    """Return a lower step along −H g, else −g, with its line function; α = 0 if there is none.

    Direction by the two-loop recursion, step by the line search. Where no trial is lower, the
    memory is dropped and the search goes along −g, then along shorter and shorter −g.
    """
    direction = at.memory.direction(at.gradient)
    if len(at.memory) > 0:
        function, step = _search(objective, at, line_search, direction, first=1.0)
        if step.alpha > 0.0:
            return function, step
        at.memory.clear()
    steepest = _steepest_descent(objective, at)
    first = min(1.0, 1.0 / max(float(steepest.abs().sum(dtype=torch.float64)), TINY))
    for shrink in SHRINKS:
        function, step = _search(objective, at, line_search, shrink * steepest, first)
        if step.alpha > 0.0:
            break
    return function, step


def _steepest_descent(objective: Objective, at: Iterate) -> Tensor:
    """Return −g, no longer than max(1, |x|): on a steep landscape −g would lead far away."""
    length, reach = (
        float(torch.linalg.vector_norm(v, dtype=torch.float64))
        for v in (at.gradient, objective.point)
    )
    longest = max(1.0, reach)
    return -at.gradient if length <= longest else -(longest / length) * at.gradient


def _search(
    objective: Objective, at: Iterate, line_search: LineSearch, direction: Tensor, first: float
) -> tuple[LineFunction, Step]:
    function = objective.line_function(direction, at.value)
    slope = float(direction @ at.gradient)
    if not slope < 0.0:  # the gradient is zero, or too small for its square to be represented
        return function, Step(0.0, at.value)
    return function, line_search.search(function, at.value, slope, first)
