"""Line searches: what they are given, what they return."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Protocol

import torch
from torch import Tensor

from lowroad.optimizers.numerical import NUMERICAL_ERRORS

ROUNDING = 8  # values that differ by this many units of the type's precision differ by rounding
TINY = 1e-300  # keeps a division by a vanishing length finite
TIES = 3  # trials that differ from φ(0) only by rounding after which a search is given up


@dataclass(frozen=True)
class Step:
    """A step length and the value that it leads to; α = 0 means that no lower point was found."""

    alpha: float
    value: float


@dataclass(frozen=True)
class Trial:
    """φ and φ' at one step length; infinity and NaN where they are not finite."""

    alpha: float
    value: float
    slope: float


class LineFunction:
    """φ(α) = L(x + α p), infinite where L or x + α p is not finite; it remembers its trials.

    After three trials in a row that differ from φ(0) only by rounding, none of any trial being
    lower, φ counts as infinite and is not evaluated any more: there is nothing to be found.

    Args:
        direction: p [d].
        value: returns φ(α).
        value_and_slope: returns φ(α), φ'(α) = ∇L(x + α p) · p, and a function that returns
            ∇L(x + α p) [d]: the slope can cost much less, and most trials need only that.
        start: φ(0).

    Attributes:
        best: the lowest trial so far; α = 0 at first.
        trials: φ(α) of every trial.
        rounding: how much of φ(0) may be rounding.
    """

    def __init__(
        self,
        direction: Tensor,
        value: Callable[[float], float],
        value_and_slope: Callable[[float], tuple[float, float, Callable[[], Tensor]]],
        start: float,
    ) -> None:
        self.direction = direction
        self._value, self._value_and_slope = value, value_and_slope
        self._last: tuple[Trial, Callable[[], Tensor]] | None = None
        self.start, self.best = start, Step(0.0, start)
        self.trials: dict[float, float] = {}
        self.rounding = ROUNDING * torch.finfo(direction.dtype).eps * abs(start)
        self._ties = 0
        longest, most = float(direction.abs().max()), torch.finfo(direction.dtype).max
        self._farthest = min(most / 4 / max(longest, TINY), sys.float_info.max)

    def value(self, alpha: float) -> float:
        """Return φ(α), or infinity where it is not a number."""
        alpha = float(alpha)
        if self._ties >= TIES or not abs(alpha) <= self._farthest:
            return math.inf
        try:
            value = self._value(alpha)
        except NUMERICAL_ERRORS:
            value = math.inf
        return self._see(alpha, value)

    def value_and_slope(self, alpha: float) -> Trial:
        """Return φ(α) and φ'(α), or infinity and NaN where either is not finite."""
        alpha = float(alpha)
        if self._ties >= TIES or not abs(alpha) <= self._farthest:
            return Trial(alpha, math.inf, math.nan)
        trial, _ = self._tried(alpha)
        if not (math.isfinite(trial.value) and math.isfinite(trial.slope)):
            return Trial(alpha, math.inf, math.nan)
        return trial

    def value_and_gradient(self, alpha: float) -> tuple[float, Tensor]:
        """Return φ(α) and ∇L(x + α p) [d]; at the last trial's α only the rest is computed."""
        trial, gradient = self._tried(alpha)
        try:
            return trial.value, gradient()
        except NUMERICAL_ERRORS:
            return trial.value, torch.full_like(self.direction, math.nan)

    def checked(self, step: Step) -> Step:
        """Return `step` with its true value where that is below φ(0), else the best trial."""
        alpha = float(step.alpha)
        if alpha == 0.0 or not math.isfinite(alpha):
            return self.best
        value = self.trials[alpha] if alpha in self.trials else self.value(alpha)
        return Step(alpha, value) if value < self.start else self.best

    def go_on(self) -> None:
        """Evaluate φ again after ties."""
        self._ties = 0

    def _tried(self, alpha: float) -> tuple[Trial, Callable[[], Tensor]]:
        if self._last is None or self._last[0].alpha != alpha:
            try:
                value, slope, gradient = self._value_and_slope(alpha)
            except NUMERICAL_ERRORS:
                value, slope = math.inf, math.nan
                gradient = partial(torch.full_like, self.direction, math.nan)
            self._last = Trial(alpha, self._see(alpha, value), slope), gradient
        return self._last

    def _see(self, alpha: float, value: float) -> float:
        value = float(value) if math.isfinite(value) else math.inf
        self.trials[alpha] = value
        if value < self.best.value:
            self.best = Step(alpha, value)
        tied = self.best.alpha == 0.0 and abs(value - self.start) <= self.rounding
        self._ties = self._ties + 1 if tied else 0
        return value


class LineSearch(Protocol):
    """Finds a step along a descent direction.

    Implementations are frozen dataclasses of their settings and hold no state.
    """

    def search(self, function: LineFunction, value: float, slope: float, first: float) -> Step:
        """Return a step with φ(α) < φ(0), or α = 0 when none was found.

        Args:
            function: φ; it is infinite outside the landscape's domain.
            value: φ(0), finite.
            slope: φ'(0) < 0.
            first: the natural first step: 1 for a quasi-Newton direction, min(1, 1 / |g|₁) along
                the gradient.
        """
        ...


def check_line_search(line_search: object) -> None:
    """Refuse anything that is not a line search.

    Raises:
        TypeError: when it has no method `search`, or is a class.
    """
    if isinstance(line_search, type) and hasattr(line_search, "search"):
        raise TypeError(
            "line_search: expected a line search, got the class "
            f"{line_search.__name__}: write {line_search.__name__}()"
        )
    if not callable(getattr(line_search, "search", None)):
        raise TypeError(
            'line_search: expected a line search such as GoldenSection() or "strong_wolfe", got '
            f"{line_search!r:.60}"
        )


def described(line_search: LineSearch) -> str:
    """Return a line search as text that is the same in another process."""
    is_ours = dataclasses.is_dataclass(line_search)
    return repr(line_search) if is_ours else type(line_search).__qualname__


def check_budget(budget: int) -> None:
    """Refuse a line search without a budget of evaluations.

    Raises:
        ValueError: when the budget is not a whole number of at least 1.
    """
    if not isinstance(budget, Integral) or budget < 1:
        raise ValueError(f"expected a budget of at least one evaluation per search, got {budget}")


def check_fraction(name: str, value: float) -> None:
    """Refuse a setting outside (0, 1).

    Raises:
        ValueError: when it is.
    """
    if not 0.0 < value < 1.0:
        raise ValueError(f"expected {name} between 0 and 1, got {value}")
