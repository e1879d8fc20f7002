"""Backtracking by interpolation until the Armijo condition holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lowroad.optimizers.line_search import LineFunction, Step, check_budget, check_fraction

SHORTEST, LONGEST = 0.1, 0.5  # the new step as a fraction of the last, at least and at most


@dataclass(frozen=True)
class Backtracking:
    """Shorten the step until φ(α) ≤ φ(0) + c1 α φ'(0) (Nocedal & Wright, Algorithm 3.1).

    The next trial is the minimum of the parabola through φ(0), φ'(0) and the first trial, later of
    the cubic through φ(0), φ'(0) and the last two, kept within a tenth and a half of the last trial
    (section 3.5). Where the value is not finite, the step is halved. No gradient is evaluated.

    Attributes:
        c1: how much of the decrease that the slope promises must be achieved.
        budget: evaluations of the value per search, at most.

    Raises:
        ValueError: when c1 is not in (0, 1) or the budget is below 1.
    """

    c1: float = 1e-4
    budget: int = 25

    def __post_init__(self) -> None:
        check_budget(self.budget)
        check_fraction("c1", self.c1)

    def search(self, function: LineFunction, value: float, slope: float, first: float) -> Step:
        """Return the first trial that meets the condition, else the lowest one."""
        alpha, last = first, None
        for _ in range(self.budget):
            trial_value = function.value(alpha)
            if trial_value <= value + self.c1 * alpha * slope and trial_value < value:
                return Step(alpha, trial_value)
            guess = _interpolated(value, slope, (alpha, trial_value), last)
            last = (alpha, trial_value)
            shortest, longest = SHORTEST * alpha, LONGEST * alpha
            alpha = min(max(guess, shortest), longest) if math.isfinite(guess) else longest
        return function.best


def _interpolated(
    value: float, slope: float, now: tuple[float, float], last: tuple[float, float] | None
) -> float:
    """Return the minimum of the parabola or cubic through the trials; NaN where it has none."""
    alpha, trial_value = now
    bend = (trial_value - value - slope * alpha) / alpha / alpha
    if last is None or not math.isfinite(last[1]):
        return -slope / (2 * bend) if 0.0 < bend < math.inf else math.nan
    bend_before = (last[1] - value - slope * last[0]) / last[0] / last[0]
    third = (bend - bend_before) / (alpha - last[0])
    second = bend - third * alpha
    if third == 0.0:
        return -slope / (2 * second) if second > 0.0 else math.nan
    inside = second * second - 3 * third * slope
    return (math.sqrt(inside) - second) / (3 * third) if 0.0 <= inside < math.inf else math.nan
