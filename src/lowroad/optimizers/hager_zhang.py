"""The line search of CG_DESCENT: secant steps to the approximate Wolfe conditions."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

from lowroad.optimizers.line_search import LineFunction, Step, Trial, check_budget, check_fraction


@dataclass(frozen=True)
class HagerZhang:
    """Secant² steps until the Wolfe or the approximate Wolfe conditions hold.

    Wolfe: φ(α) ≤ φ(0) + δ α φ'(0) and φ'(α) ≥ σ φ'(0). Approximate: (2δ − 1) φ'(0) ≥ φ'(α) ≥
    σ φ'(0) while φ(α) ≤ φ(0) + ε |φ(0)|, which can be met where values differ only by rounding.
    Every trial is a gradient. Source: Hager & Zhang, SIAM J. Optim. 16 (2005) 170–192, section 4,
    with the parameters of CG_DESCENT.

    Attributes:
        delta: δ, how much of the decrease that the slope promises must be reached.
        sigma: σ, how much of the slope may remain.
        epsilon: ε, how far above φ(0) the lower end of the bracket may lie; an accepted point never
            does.
        budget: evaluations of value and gradient per search, at most.

    Raises:
        ValueError: when not 0 < δ < min(1/2, σ), σ < 1, ε ≥ 0 and the budget at least 1.
    """

    delta: float = 0.1
    sigma: float = 0.9
    epsilon: float = 1e-6
    budget: int = 25

    def __post_init__(self) -> None:
        check_budget(self.budget)
        check_fraction("delta", self.delta)
        check_fraction("sigma", self.sigma)
        if not self.delta < min(0.5, self.sigma):
            raise ValueError(
                f"expected delta below 1/2 and below sigma, got {self.delta} and {self.sigma}"
            )
        if not 0.0 <= self.epsilon < math.inf:
            raise ValueError(f"expected an epsilon of at least 0, got {self.epsilon}")

    def search(self, function: LineFunction, value: float, slope: float, first: float) -> Step:
        """Return a trial that meets the conditions, else the lowest one."""
        search = _Search(self, function, Trial(0.0, value, slope))
        with contextlib.suppress(_Finished):
            search.run(first)
        return function.best if search.accepted is None else search.accepted


class _Finished(Exception):
    """A trial was accepted, or the budget is spent."""


EXPANSION = 5.0  # ρ
BISECTION = 0.5  # θ
SHRINKAGE = 0.66  # γ


class _Search:
    """One search; a bracket [a, b] has φ(a) ≤ φ(0) + ε|φ(0)|, φ'(a) < 0 and φ'(b) ≥ 0."""

    def __init__(self, settings: HagerZhang, function: LineFunction, start: Trial) -> None:
        self.settings, self.function, self.start = settings, function, start
        self.limit = start.value + settings.epsilon * abs(start.value)
        self.left = settings.budget
        self.accepted: Step | None = None

    def run(self, first: float) -> None:
        a, b = self.bracket(self.trial(first))
        while a.alpha < (a.alpha + b.alpha) / 2 < b.alpha:  # not yet as narrow as floats allow
            width = b.alpha - a.alpha
            a, b = self.secant_squared(a, b)
            if b.alpha - a.alpha > SHRINKAGE * width:
                a, b = self.update(a, b, (a.alpha + b.alpha) / 2)

    def trial(self, alpha: float) -> Trial:
        if self.left == 0:
            raise _Finished
        self.left -= 1
        trial = self.function.value_and_slope(alpha)
        if self.is_good(trial):
            self.accepted = Step(trial.alpha, trial.value)
            raise _Finished
        return trial

    def is_good(self, trial: Trial) -> bool:
        """T1 or T2, and lower than the start: an accepted step never raises the value."""
        slope, delta = self.start.slope, self.settings.delta
        if not (trial.value < self.start.value and trial.slope >= self.settings.sigma * slope):
            return False
        wolfe = trial.value <= self.start.value + delta * trial.alpha * slope
        return wolfe or (2 * delta - 1) * slope >= trial.slope

    def bracket(self, trial: Trial) -> tuple[Trial, Trial]:
        """B1 to B3: expand until the slope or the value rises."""
        low = self.start
        while True:
            if trial.slope >= 0.0:
                return low, trial
            if trial.value > self.limit:
                return self.bisected(self.start, trial)
            low = trial
            trial = self.trial(EXPANSION * trial.alpha)

    def bisected(self, a: Trial, b: Trial) -> tuple[Trial, Trial]:
        """U3: shrink [a, b], b too high and still descending (or not finite), to a bracket."""
        while True:
            trial = self.between(a, b, (1 - BISECTION) * a.alpha + BISECTION * b.alpha)
            if trial.slope >= 0.0:
                return a, trial
            if trial.value <= self.limit:
                a = trial
            else:
                b = trial

    def between(self, a: Trial, b: Trial, alpha: float) -> Trial:
        if not a.alpha < alpha < b.alpha:  # as narrow as floating point allows
            raise _Finished
        return self.trial(alpha)

    def update(self, a: Trial, b: Trial, alpha: float) -> tuple[Trial, Trial]:
        """U0 to U3: the bracket after one more trial."""
        if not a.alpha < alpha < b.alpha:
            return a, b
        trial = self.trial(alpha)
        if trial.slope >= 0.0:
            return a, trial
        if trial.value <= self.limit:
            return trial, b
        return self.bisected(a, trial)

    def secant_squared(self, a: Trial, b: Trial) -> tuple[Trial, Trial]:
        """S1 to S4: one secant step, and a second one from the end that it replaced."""
        c = _secant(a, b)
        new_a, new_b = self.update(a, b, c)
        if c == new_b.alpha:
            return self.update(new_a, new_b, _secant(b, new_b))
        if c == new_a.alpha:
            return self.update(new_a, new_b, _secant(a, new_a))
        return new_a, new_b


def _secant(a: Trial, b: Trial) -> float:
    change = b.slope - a.slope
    return (a.alpha * b.slope - b.alpha * a.slope) / change if change != 0.0 else math.nan
