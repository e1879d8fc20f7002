"""The strong Wolfe conditions, met by expanding and then zooming in."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lowroad.optimizers.line_search import LineFunction, Step, Trial, check_budget, check_fraction

EDGE = 0.1  # a trial keeps this fraction of the bracket between itself and the ends
SLOW = 2 / 3  # the bracket is halved when two trials left more than this fraction of it
GROWTH = (2.0, 10.0)  # the next step over the last one while expanding, at least and at most


@dataclass(frozen=True)
class StrongWolfe:
    """φ(α) ≤ φ(0) + c1 α φ'(0) and |φ'(α)| ≤ c2 |φ'(0)| (Nocedal & Wright, Algorithms 3.5, 3.6).

    Trials are minima of the cubic through two values and slopes, kept away from the bracket's
    ends; where a value is not finite, the bracket is halved. Every trial is a
    gradient.

    Attributes:
        c1: how much of the decrease that the slope promises must be reached.
        c2: how much of the slope may remain.
        budget: evaluations of value and gradient per search, at most.

    Raises:
        ValueError: when not 0 < c1 < c2 < 1, or the budget is below 1.
    """

    c1: float = 1e-4
    c2: float = 0.9
    budget: int = 25

    def __post_init__(self) -> None:
        check_budget(self.budget)
        check_fraction("c1", self.c1)
        check_fraction("c2", self.c2)
        if self.c1 >= self.c2:
            raise ValueError(f"expected c1 below c2, got {self.c1} and {self.c2}")

    def search(self, function: LineFunction, value: float, slope: float, first: float) -> Step:
        """Return a trial that meets both conditions, else the lowest one."""
        start = last = Trial(0.0, value, slope)
        alpha = first
        for spent in range(1, self.budget + 1):
            trial = function.value_and_slope(alpha)
            if self._is_high(trial, start) or (spent > 1 and trial.value >= last.value):
                return self._zoom(function, start, last, trial, self.budget - spent)
            if abs(trial.slope) <= -self.c2 * slope:
                return _lower(trial, value, function)
            if trial.slope >= 0.0:
                return self._zoom(function, start, trial, last, self.budget - spent)
            shortest, longest = GROWTH[0] * alpha, GROWTH[1] * alpha
            guess = cubic_minimum(last, trial)
            last = trial
            alpha = min(max(guess, shortest), longest) if guess > alpha else longest
        return function.best

    def _is_high(self, trial: Trial, start: Trial) -> bool:
        return not trial.value <= start.value + self.c1 * trial.alpha * start.slope

    def _zoom(
        self, function: LineFunction, start: Trial, low: Trial, high: Trial, budget: int
    ) -> Step:
        """Return a trial between `low`, the lowest that is not too high, and `high`."""
        widths = [math.inf, math.inf]
        for _ in range(budget):
            width = abs(high.alpha - low.alpha)
            alpha = (low.alpha + high.alpha) / 2
            if width <= SLOW * widths[-2]:
                guess = cubic_minimum(low, high)
                left, right = sorted((low.alpha, high.alpha))
                if math.isfinite(guess):
                    alpha = min(max(guess, left + EDGE * width), right - EDGE * width)
            if alpha in (low.alpha, high.alpha):  # as narrow as floating point allows
                break
            widths.append(width)
            trial = function.value_and_slope(alpha)
            if self._is_high(trial, start) or trial.value >= low.value:
                high = trial
                continue
            if abs(trial.slope) <= -self.c2 * start.slope:
                return _lower(trial, start.value, function)
            if trial.slope * (high.alpha - low.alpha) >= 0.0:
                high = low
            low = trial
        return function.best


def _lower(trial: Trial, value: float, function: LineFunction) -> Step:
    """Return the trial, or the lowest one where rounding hides its decrease."""
    return Step(trial.alpha, trial.value) if trial.value < value else function.best


def cubic_minimum(a: Trial, b: Trial) -> float:
    """Return the minimum of the cubic through two values and slopes, NaN where there is none.

    Nocedal & Wright, Eq. (3.59). NaN too where a value is not finite.

    >>> cubic_minimum(Trial(0.0, 1.0, -2.0), Trial(3.0, 4.0, 4.0))  # (α − 1)²
    1.0
    """
    if a.alpha > b.alpha:
        a, b = b, a
    width = b.alpha - a.alpha
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.alpha - b.alpha)
    inside = d1 * d1 - a.slope * b.slope
    if not 0.0 <= inside < math.inf:
        return math.nan
    d2 = math.sqrt(inside)
    bottom = b.slope - a.slope + 2 * d2
    if bottom == 0.0:
        return math.nan
    return b.alpha - width * (b.slope + d2 - d1) / bottom
