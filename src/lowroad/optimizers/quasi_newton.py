"""The L-BFGS iteration itself, shared by `lbfgs` and the torch optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lowroad.optimizers.curvature import CurvatureMemory, dot
from lowroad.optimizers.line_search import ROUNDING, TINY, LineFunction, LineSearch, Step
from lowroad.optimizers.numerical import NUMERICAL_ERRORS, diverged
from lowroad.optimizers.rounding import Rounding
from lowroad.outcome import Outcome

TRIES = 4  # lengths of −g that are tried
STRAIGHT = 1e-3  # the share of the gradient whose change is no curvature
STRIDES = 4.0  # the next step's length over the last one's where there is no curvature
IDLE = 2  # memories of steps without a lower value or a smaller gradient after which it ends
FEW_PAIRS = 1e-3  # decrease along −g over noise at which a memory that is not whole will do


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
        ties: how many steps in a row, up to this point, left the value as it was.
        smallest: the least |∇L| among the points of this value.
        idle: how many of those steps did not reach a smaller one.
    """

    value: float
    gradient: Tensor
    memory: CurvatureMemory
    ties: int = 0
    smallest: float = math.inf
    idle: int = 0

    def move(self, moved: Tensor, value: float, gradient: Tensor) -> None:
        """Move to x + `moved` and add the curvature pair of the step."""
        change = gradient - self.gradient
        self.memory.add(moved, change)
        length, straight = _norm(gradient), _norm(change) / max(_norm(gradient), TINY)
        if straight <= ROUNDING * torch.finfo(gradient.dtype).eps:
            self.memory.clear()
        flat = straight <= STRAIGHT or float(moved @ change) < 0.0
        self.memory.stride = _norm(moved) if flat else 0.0
        if value < self.value:
            self.ties, self.smallest, self.idle = 0, length, 0
        else:
            self.ties += 1
            self.idle = 0 if length < self.smallest else self.idle + 1
            self.smallest = min(length, self.smallest)
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


class Descent(NamedTuple):
    """A step that does not raise the value.

    Attributes:
        function: φ along the direction.
        step: the step; α = 0 if none was found.
        outcome: why none was found, else None.
    """

    function: LineFunction
    step: Step
    outcome: Outcome | None


def iterate(objective: MovableObjective, at: Iterate, line_search: LineSearch) -> Iteration:
    """Do one L-BFGS iteration in place (Algorithm 1 of Yu & Morozov 2026).

    `descend`, then the gradient at the accepted point. The value never rises.
    """
    function, step, outcome = descend(objective, at, line_search)
    if outcome is not None:
        return Iteration(outcome)
    lowest = (function, function.best) if function.best.value < step.value else None
    value, gradient = objective.accept(function, step.alpha)
    if diverged(value) or diverged(step.value) or not bool(torch.isfinite(gradient).all()):
        return Iteration(Outcome.DIVERGED, lowest=(function, function.best))
    moved = step.alpha * function.direction
    decrease = at.value - step.value
    at.move(moved, step.value, gradient)
    return Iteration(None, float(moved.abs().max()), decrease, lowest)


def descend(objective: Objective, at: Iterate, line_search: LineSearch) -> Descent:
    """Return a step along −H g, else −g, that does not raise the value.

    Direction by the two-loop recursion, step by the line search. A search that fails is followed by
    trials judged by their gradients (`Rounding`). Where they fail too, the memory is dropped and
    the search goes along −g, then along shorter −g, or longer where the trials were too close for
    their values to differ. It has converged where the decreases predicted along −H g and then
    along −g are below the noise of the values (far below, where the memory is not whole).
    """
    if at.idle >= IDLE * at.memory.size:
        function = objective.line_function(-at.gradient, at.value)
        return Descent(function, Step(0.0, at.value), Outcome.CONVERGED_ROUNDING)
    direction = at.memory.direction(at.gradient)
    pairs, hidden = len(at.memory), False
    spare: LineFunction | None = None  # with a trial below all others, by a failed search
    if pairs > 0:
        function, step, rounding = _search(objective, at, line_search, direction, first=1.0)
        if step.alpha != 0.0:
            return Descent(function, step, None)
        hidden = rounding.share <= 1.0 or rounding.scale > 1.0  # or the step is too short to show
        spare = function if function.best.alpha != 0.0 else None
        at.memory.clear()
    direction, first = _steepest_descent(objective, at)
    for _ in range(TRIES):
        function, step, rounding = _search(objective, at, line_search, direction, first)
        if spare is not None and not function.best.value < spare.best.value:
            return Descent(objective.line_function(spare.direction, at.value), spare.best, None)
        if step.alpha != 0.0:
            return Descent(function, step, None)
        if function.best.alpha != 0.0:
            return Descent(function, function.best, None)
        if hidden and rounding.share <= 1.0:
            break
        direction = direction * rounding.scale
    whole = pairs >= min(at.memory.size, len(direction))
    converged = hidden and rounding.share <= (1.0 if whole else FEW_PAIRS)
    outcome = Outcome.CONVERGED_ROUNDING if converged else Outcome.LINE_SEARCH_FAILED
    return Descent(function, step, outcome)


def _steepest_descent(objective: Objective, at: Iterate) -> tuple[Tensor, float]:
    """Return −g and its natural first step.

    It is no longer than max(1, |x|): on a steep landscape −g would lead far away. Where the last
    step met no curvature, or negative curvature, it is four times that step instead.
    """
    length = max(_norm(at.gradient), TINY)
    if at.memory.stride > 0.0:
        return -(STRIDES * at.memory.stride / length) * at.gradient, 1.0
    longest = max(1.0, _norm(objective.point))
    steepest = -at.gradient if length <= longest else -(longest / length) * at.gradient
    return steepest, min(1.0, 1.0 / max(float(steepest.abs().sum(dtype=torch.float64)), TINY))


def _norm(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector, dtype=torch.float64))


def _search(
    objective: Objective, at: Iterate, line_search: LineSearch, direction: Tensor, first: float
) -> tuple[LineFunction, Step, Rounding]:
    function = objective.line_function(direction, at.value)
    slope = dot(direction, at.gradient)
    rounding = Rounding(function, slope)
    if not slope < 0.0:  # the gradient is zero, or too small for its square to be represented
        return function, Step(0.0, at.value), rounding
    if at.ties:  # the last search failed by ties
        step = rounding.step(first)
        if step.alpha != 0.0 or rounding.share <= 1.0:
            return function, step, rounding
    try:
        step = function.checked(line_search.search(function, at.value, slope, first))
    except NUMERICAL_ERRORS:
        step = function.best
    if step.alpha == 0.0 and function.trials:
        step = rounding.step(first)
    return function, step, rounding
