"""Golden section search, for line searches and for anything else unimodal in one variable."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lowroad.optimizers.line_search import LineFunction, Step, check_budget

SECTION = (3.0 - math.sqrt(5.0)) / 2.0  # 0.382 = 2 − golden ratio


@dataclass(frozen=True)
class Bracket:
    """Three abscissae low < middle < high with a minimum between the outer two.

    Attributes:
        value: the function at the middle, not above its values at both ends.
    """

    low: float
    middle: float
    high: float
    value: float

    def __post_init__(self) -> None:
        if not self.low < self.middle < self.high:
            raise ValueError(
                "expected a bracket with low < middle < high, got "
                f"{self.low}, {self.middle}, {self.high}"
            )


def golden_section(
    function: Callable[[float], float],
    bracket: Bracket,
    evaluations: int,
    width: float = 0.0,
    difference: float = 0.0,
) -> Step:
    """Return the lowest abscissa found by shrinking a bracket by the golden section.

    Each evaluation takes the point at the fraction 0.382 of the wider part, measured from the
    middle (Numerical Recipes, 3rd edition, section 10.2).

    Args:
        function: the function to minimize.
        bracket: the first bracket; it need not start at 0.
        evaluations: the most evaluations that may be made.
        width: stop when high − low is at most this.
        difference: stop when the two lowest values differ by at most this.

    >>> found = golden_section(lambda x: (x - 2.0) ** 2, Bracket(1.0, 1.5, 4.0, 0.25), 60)
    >>> round(found.alpha, 9)
    2.0
    """
    low, middle, high, value = bracket.low, bracket.middle, bracket.high, bracket.value
    for _ in range(evaluations):
        if high - low <= width:
            break
        right = high - middle > middle - low
        trial = middle + SECTION * ((high - middle) if right else (low - middle))
        if trial in (low, middle, high):  # the bracket is as narrow as floating point allows
            break
        trial_value = function(trial)
        gap = abs(trial_value - value)
        if trial_value < value:
            low, high = (middle, high) if right else (low, middle)
            middle, value = trial, trial_value
        elif right:
            high = trial
        else:
            low = trial
        if gap <= difference:
            break
    return Step(middle, value)


def bracket_minimum(
    function: LineFunction, value: float, first: float, budget: int
) -> tuple[Bracket | None, int]:
    """Return a bracket [low, middle, high] of φ with φ(middle) < φ(0), and the budget left.

    The first trial is `first`. Lower: expand to 4, 8, 16, … times it until φ rises. Not lower:
    contract to the fraction 0.382 of the bracket [0, α] until it is. None when the budget is spent
    before there is a bracket: the best trial is then `function.best`.
    """
    low, middle = 0.0, first
    middle_value = function.value(middle)
    budget -= 1
    if middle_value < value:
        trial = 4.0 * first
        while budget > 0:
            next_value = function.value(trial)
            budget -= 1
            if next_value >= middle_value:
                return Bracket(low, middle, trial, middle_value), budget
            low, middle, middle_value, trial = middle, trial, next_value, 2.0 * trial
        return None, 0
    high = middle
    while budget > 0:
        middle = SECTION * high
        middle_value = function.value(middle)
        budget -= 1
        if middle_value < value:
            return Bracket(0.0, middle, high, middle_value), budget
        high = middle
    return None, 0


@dataclass(frozen=True)
class GoldenSection:
    """The paper's line search: golden section on loss values only (Algorithm 1).

    Brackets a minimum from the first step and shrinks the bracket until the budget is spent; the
    lowest trial wins. No gradient is evaluated.

    Attributes:
        budget: evaluations of the value per search, at most.
        first_step: the first trial α.
        tolerance: stop when the bracket is narrower than this fraction of α, or two trials differ
            by less than this fraction of the decrease so far.

    Raises:
        ValueError: when the budget is below 1, the first step is not positive, or the tolerance is
            negative.
    """

    budget: int = 6
    first_step: float = 0.2
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        check_budget(self.budget)
        if not 0.0 < self.first_step < math.inf:
            raise ValueError(f"expected a positive first step, got {self.first_step}")
        if not 0.0 <= self.tolerance < math.inf:
            raise ValueError(f"expected a tolerance of at least 0, got {self.tolerance}")

    def search(self, function: LineFunction, value: float, slope: float, first: float) -> Step:
        """Return the lowest trial; `slope` and `first` are not used."""
        bracket, left = bracket_minimum(function, value, self.first_step, self.budget)
        if bracket is not None:
            golden_section(
                function.value,
                bracket,
                left,
                width=self.tolerance * bracket.middle,
                difference=self.tolerance * (value - bracket.value),
            )
        return function.best
