"""Brent's method, which uses values only: parabolas where they help, golden section elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lowroad.optimizers.golden_section import SECTION, Bracket, bracket_minimum
from lowroad.optimizers.line_search import LineFunction, Step, check_budget


@dataclass(frozen=True)
class Brent:
    """Bracket a minimum as `GoldenSection` does, then close in by Brent's method.

    Source: R. P. Brent, *Algorithms for Minimization without Derivatives* (1973), chapter 5. No
    gradient is evaluated. No parabola is fitted through a value that is not finite.

    Attributes:
        budget: evaluations of the value per search, at most.
        first_step: the first trial, as a fraction of the natural one (1 for a quasi-Newton step).
        tolerance: the relative accuracy of α at which to stop.

    Raises:
        ValueError: when the budget is below 1 or the first step or the tolerance is not positive.
    """

    budget: int = 10
    first_step: float = 1.0
    tolerance: float = 1e-2

    def __post_init__(self) -> None:
        check_budget(self.budget)
        for name in ("first_step", "tolerance"):
            value = getattr(self, name)
            if not 0.0 < value < math.inf:
                raise ValueError(f"expected a positive {name}, got {value}")

    def search(self, function: LineFunction, value: float, slope: float, first: float) -> Step:
        """Return the lowest trial; the slope is not used."""
        bracket, left = bracket_minimum(function, value, self.first_step * first, self.budget)
        if bracket is not None:
            self._close_in(function, bracket, left)
        return function.best

    def _close_in(self, function: LineFunction, bracket: Bracket, budget: int) -> None:
        """Evaluate at most `budget` trials inside the bracket."""
        low, high = bracket.low, bracket.high
        best = second = third = bracket.middle  # x, w, v: the lowest abscissae seen inside
        best_value = second_value = third_value = bracket.value
        step = before = 0.0  # the last step and the one before it
        for _ in range(budget):
            middle = (low + high) / 2
            close = self.tolerance * best
            if abs(best - middle) <= 2 * close - (high - low) / 2:
                break
            before, previous = step, before
            step = _parabola((best, best_value), (second, second_value), (third, third_value))
            trial = best + step
            inside = low + 2 * close <= trial <= high - 2 * close
            if not (abs(step) < abs(previous) / 2 and low < trial < high):
                before = (low if best >= middle else high) - best
                step = SECTION * before
            elif not inside:
                step = math.copysign(close, middle - best)
            if abs(step) < close:
                step = math.copysign(close, step)
            trial = best + step
            if trial == best:  # as close as floating point allows
                break
            trial_value = function.value(trial)
            if trial_value <= best_value:
                low, high = (best, high) if trial >= best else (low, best)
                third, third_value = second, second_value
                second, second_value = best, best_value
                best, best_value = trial, trial_value
            else:
                low, high = (trial, high) if trial < best else (low, trial)
                if trial_value <= second_value or second == best:
                    third, third_value = second, second_value
                    second, second_value = trial, trial_value
                elif trial_value <= third_value or third in (best, second):
                    third, third_value = trial, trial_value


def _parabola(x: tuple[float, float], w: tuple[float, float], v: tuple[float, float]) -> float:
    """Return the step from x to the vertex of the parabola through three points.

    Infinity for a straight line; NaN, which fails every comparison, if a value is not finite.
    """
    r = (x[0] - w[0]) * (x[1] - v[1])
    q = (x[0] - v[0]) * (x[1] - w[1])
    bottom = 2.0 * (q - r)
    return ((x[0] - w[0]) * r - (x[0] - v[0]) * q) / bottom if bottom != 0.0 else math.inf
