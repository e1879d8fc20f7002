"""Brent's method on heights alone: parabolas where they help, golden section where not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lowroad.optimizers.golden_section import SECTION, Bracket, bracket_minimum
from lowroad.optimizers.line_search import Ray, Step, check_budget


@dataclass(frozen=True)
class Brent:
    """Bracket a minimum as `GoldenSection` does, then close in by Brent's method.

    Source: R. P. Brent, *Algorithms for Minimization without Derivatives* (1973), chapter 5. No
    gradient is evaluated. A parabola is never drawn through a wall.

    Attributes:
        budget: evaluations of the height a search may make.
        first_step: the first trial, as a share of the natural one (1 for a quasi-Newton step).
        tolerance: stop when α is known to this share of itself.

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

    def search(self, ray: Ray, height: float, slope: float, first: float) -> Step:
        """Return the lowest trial; the slope is not used."""
        bracket, left = bracket_minimum(ray, height, self.first_step * first, self.budget)
        if bracket is not None:
            self._close_in(ray, bracket, left)
        return ray.best

    def _close_in(self, ray: Ray, bracket: Bracket, budget: int) -> None:
        """Evaluate at most `budget` trials inside the bracket."""
        low, high = bracket.low, bracket.high
        best = second = third = bracket.middle  # x, w, v: the lowest abscissae seen inside
        best_height = second_height = third_height = bracket.height
        step = before = 0.0  # the last step and the one before it
        for _ in range(budget):
            middle = (low + high) / 2
            close = self.tolerance * best
            if abs(best - middle) <= 2 * close - (high - low) / 2:
                break
            before, previous = step, before
            step = _parabola((best, best_height), (second, second_height), (third, third_height))
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
            value = ray.height(trial)
            if value <= best_height:
                low, high = (best, high) if trial >= best else (low, best)
                third, third_height = second, second_height
                second, second_height = best, best_height
                best, best_height = trial, value
            else:
                low, high = (trial, high) if trial < best else (low, trial)
                if value <= second_height or second == best:
                    third, third_height = second, second_height
                    second, second_height = trial, value
                elif value <= third_height or third in (best, second):
                    third, third_height = trial, value


def _parabola(x: tuple[float, float], w: tuple[float, float], v: tuple[float, float]) -> float:
    """Return the step from x to the vertex of the parabola through three points.

    Infinity for a straight line; NaN, which fails every comparison, for one through a wall.
    """
    r = (x[0] - w[0]) * (x[1] - v[1])
    q = (x[0] - v[0]) * (x[1] - w[1])
    bottom = 2.0 * (q - r)
    return ((x[0] - w[0]) * r - (x[0] - v[0]) * q) / bottom if bottom != 0.0 else math.inf
