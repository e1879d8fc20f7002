"""L-BFGS on any landscape, with an exchangeable line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowroad.landscapes import AffineSubspace, CountingLandscape, Evaluations, Landscape
from lowroad.landscapes.landscape import RestrictedLandscape
from lowroad.optimizers.curvature import CurvatureMemory
from lowroad.optimizers.line_search import LineFunction, LineSearch, described
from lowroad.optimizers.line_searches import default_line_search, made_line_search
from lowroad.optimizers.numerical import value_and_gradient_or_nan
from lowroad.optimizers.quasi_newton import Iterate, iterate
from lowroad.optimizers.result import (
    Callback,
    OptimizationResult,
    Progress,
    Record,
    check_budget_and_patience,
    check_snapshot,
    check_validation,
    checked_start,
)
from lowroad.optimizers.words import refuse_words
from lowroad.outcome import Outcome

SNAPSHOT = (
    *("line_search", "iteration", "value", "gradient", "memory", "ties", "record"),
    "evaluations",
)
REFRESH = 20  # iterations between exact recomputations of the cached products of the line
_OWN_WORDS = {
    "iterations": "iterations",
    "history": "history",
    "gradient": "tolerance=Tolerance(gradient=...)",
    "change": "write tolerance=Tolerance(step=...) or tolerance=Tolerance(value=...)",
}


@dataclass(frozen=True)
class Tolerance:
    """When the iteration counts as converged; zero never stops it early.

    The tolerance of the gradient is absolute, in the landscape's units: the gradient at the start
    says how far away the start is, not which gradient is small. Multiply it when values or lengths
    are measured in other units. Without it the iteration ends at the rounding of the values.

    Attributes:
        gradient: max_j |∂L/∂x_j| at or below this.
        step: max_j |Δx_j| at or below this.
        value: the decrease of one iteration at or below this times the larger of |L| now and at
            the start.
    """

    gradient: float = 1e-9
    step: float = 0.0
    value: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0.0 <= value < math.inf:
                raise ValueError(f"expected a tolerance {name} of at least 0, got {value}")


def lbfgs(
    landscape: Landscape,
    start: Tensor,
    *,
    line_search: LineSearch | str | None = None,
    history: int = 10,
    iterations: int = 1000,
    tolerance: Tolerance | None = None,
    patience: int | None = None,
    validation: Landscape | None = None,
    callback: Callback | None = None,
    resume: dict[str, Any] | None = None,
    **unknown: Any,
) -> OptimizationResult:
    """Minimize a landscape by limited-memory BFGS (Algorithm 1 of Yu & Morozov 2026).

    p = −H g by the two-loop recursion over the last `history` pairs, x ← x + α p with α from the
    line search. The value never rises. A trial whose value is not finite, or where the landscape
    raises an error of arithmetic or of linear algebra, counts as infinitely high. Where values
    differ only by rounding, a step that leaves the value as it is is taken if the gradient confirms
    progress. Where curvature or the line search fails, the memory is dropped and the search
    continues along −g. (Unlike the paper: if curvature fails, it continues from the lowest point
    evaluated, which may be lower than the accepted one.) On a network landscape each iteration
    costs one gradient and the line search's values, which reuse the products of the first layer
    along the line where that layer is linear.

    Args:
        landscape: the landscape to minimize.
        start: [d].
        line_search: one of the line searches, or its name, such as "strong_wolfe";
            when not given, `GoldenSection()`, the paper's, or `StrongWolfe()` where a gradient
            comes with a value at no cost (`landscape.free_gradients`: energies of atoms).
        history: how many pairs are kept.
        iterations: the most iterations.
        tolerance: `Tolerance(gradient=landscape.gradient_tolerance)` when not given: 1e-9, and
            0.01 eV/Å for an ASE calculator.
        patience: stop when the validation value (the landscape's own without a validation
            landscape) has not reached a new minimum for this many iterations.
        validation: a second landscape whose value is recorded after every iteration, and whose
            lowest point is kept (early stopping).
        callback: called with a `Progress` after every iteration; returning True stops the run.
        resume: a result of `Progress.snapshot()`, to continue from.
        unknown: other arguments are refused, with what to write instead.

    Returns:
        The lowest point evaluated, with its curve and outcome.

    Raises:
        ValueError: when the start has the wrong length, is not finite, or the landscape is not
            finite there; when a setting is out of range, or `resume` is a snapshot of another
            optimizer, of other points, or of a run with another line search or history.
        TypeError: when the start is not a tensor, its type or device is not the landscape's, or
            `line_search` is not a line search, `tolerance` no `Tolerance`, `landscape` or
            `validation` not a landscape, or for an argument that it does not take.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> valley = FunctionLandscape(
    ...     lambda x: (1 - x[:, 0]) ** 2 + 100 * (x[:, 1] - x[:, 0] ** 2) ** 2, dimension=2
    ... )
    >>> found = lbfgs(valley, torch.tensor([-1.2, 1.0], dtype=torch.float64))
    >>> found.point.round(decimals=6)
    tensor([1., 1.], dtype=torch.float64)
    >>> found.outcome.converged
    True
    """
    refuse_words(lbfgs, unknown, _OWN_WORDS)
    check_budget_and_patience("iterations", iterations, patience)
    start = checked_start(landscape, start)
    check_validation(validation)
    if line_search is None:
        line_search = default_line_search(landscape.free_gradients)
    line_search = made_line_search(line_search)
    tolerance = Tolerance(landscape.gradient_tolerance) if tolerance is None else tolerance
    if not isinstance(tolerance, Tolerance):
        raise TypeError(
            f"expected a Tolerance, got {tolerance!r:.60}; write tolerance=Tolerance(gradient=...)"
        )
    run = _Run(landscape, start, line_search, history, validation, resume)
    outcome = None
    while outcome is None:
        if float(run.at.gradient.abs().max()) <= tolerance.gradient:
            outcome = Outcome.CONVERGED_GRADIENT
        elif run.iteration >= iterations:
            outcome = Outcome.BUDGET_SPENT
        else:
            before = run.iteration
            outcome = run.advance(tolerance)
            stop = callback is not None and run.iteration > before and callback(run.progress())
            if stop and outcome is None:
                outcome = Outcome.STOPPED
            idle = run.record.idle(validation is not None)
            if outcome is None and patience is not None and idle >= patience:
                outcome = Outcome.CONVERGED_VALUE
    return run.record.result(
        start, run.counted.evaluations, outcome, validation is not None, run.gradient_norm
    )


class _LandscapeObjective:
    """A landscape and the current point, which moves along one line after another."""

    def __init__(self, landscape: Landscape, point: Tensor) -> None:
        self.landscape, self.point = landscape, point
        self._line: RestrictedLandscape | None = None  # the line that `point` lies on, at α
        self._alpha = point.new_zeros(1)
        self._lines: dict[LineFunction, RestrictedLandscape] = {}

    def refresh(self) -> None:
        """Drop the cached products of the line: the next line starts from only the point."""
        self._line = None

    def line_function(self, direction: Tensor, value: float) -> LineFunction:
        directions = direction[None]
        if self._line is None:
            line = self.landscape.restrict(AffineSubspace(self.point, directions))
        else:
            line = self._line.rebased(self._alpha, directions)
        zero = self.point.new_zeros(1, 1)

        def value_and_slope(alpha: float) -> tuple[float, float, Callable[[], Tensor]]:
            value, slope, gradient = line.value_and_slope(zero[0] + alpha)
            return value, float(slope[0]), gradient

        function = LineFunction(
            direction, lambda alpha: float(line.values(zero + alpha)[0]), value_and_slope, value
        )
        self._lines = {function: line}
        return function

    def accept(self, function: LineFunction, alpha: float) -> tuple[float, Tensor]:
        value, gradient = function.value_and_gradient(alpha)
        self._line, self._alpha = self._lines[function], self.point.new_full((1,), alpha)
        self.point = self._line.subspace.points(self._alpha[None])[0]
        return value, gradient


class _Run:
    """The state of one run, and its snapshots."""

    def __init__(
        self,
        landscape: Landscape,
        start: Tensor,
        line_search: LineSearch,
        history: int,
        validation: Landscape | None,
        resume: dict[str, Any] | None,
    ) -> None:
        self.line_search, self.validation = line_search, validation
        if resume is None:
            self.counted = CountingLandscape(landscape)
            value, gradient = self.counted.value_and_gradient(start)
            if not (math.isfinite(value) and bool(torch.isfinite(gradient).all())):
                raise ValueError(
                    f"expected a landscape that is finite at the start, got the value {value} "
                    f"and a gradient with {int((~torch.isfinite(gradient)).sum())} components "
                    "that are not"
                ) from landscape.failure
            self.iteration = 0
            self.at = Iterate(value, gradient, CurvatureMemory(history))
            self.record = Record()
            self.objective = _LandscapeObjective(self.counted, start.clone())
            self._last_validation = self.record.add(
                0, start, value, validation, self.counted.evaluations
            )
        else:
            check_snapshot(resume, "lbfgs", "point", start, SNAPSHOT)
            self._check_settings(resume, history)
            self.counted = CountingLandscape(landscape, Evaluations(**resume["evaluations"]))
            self.iteration = resume["iteration"]
            self.at = Iterate(
                resume["value"],
                resume["gradient"],
                CurvatureMemory.from_state(resume["memory"]),
                *resume["ties"],
            )
            self.record = Record.from_state(resume["record"])
            self.objective = _LandscapeObjective(self.counted, resume["point"])
            self._last_validation = None
        self._snapshot = self._state()

    def _check_settings(self, resume: dict[str, Any], history: int) -> None:
        saved = resume.get("line_search"), resume["memory"]["size"]
        if saved != (described(self.line_search), history):
            raise ValueError(
                f"expected a snapshot of a run with {described(self.line_search)} and history "
                f"{history}, got one with {saved[0]} and history {saved[1]}: use those"
            )

    def advance(self, tolerance: Tolerance) -> Outcome | None:
        """Do one iteration, record it, and return why the run ends with it, if it does."""
        if self.iteration % REFRESH == 0:
            self.objective.refresh()
            self._snapshot = self._state()
        origin = self.objective.point
        done = iterate(self.objective, self.at, self.line_search)
        if done.outcome in (Outcome.LINE_SEARCH_FAILED, Outcome.CONVERGED_ROUNDING):
            return done.outcome
        self.iteration += 1
        if done.lowest is not None:
            function, step = done.lowest
            line = AffineSubspace(origin, function.direction[None])
            point = line.points(origin.new_full((1, 1), step.alpha))[0]
            self.record.best.see(step.value, point, self.iteration)
        if done.outcome is not None:
            return done.outcome
        if self.at.ties and not self.at.idle and self.at.value == self.record.best.value:
            self.record.best.see_equal(self.objective.point, self.iteration)
        returned = len(self.at.memory) == 0 and self._return_to_the_best()
        self._last_validation = self.record.add(
            self.iteration,
            self.objective.point,
            self.at.value,
            self.validation,
            self.counted.evaluations,
        )
        if returned:  # the step taken does not measure convergence here
            return None
        if done.length <= tolerance.step > 0.0:
            return Outcome.CONVERGED_STEP
        size = max(abs(self.at.value), abs(self.record.values[0]))
        if done.decrease <= tolerance.value * size > 0.0:
            return Outcome.CONVERGED_VALUE
        return None

    def _return_to_the_best(self) -> bool:
        """Go on from the lowest point evaluated; return whether that is another one."""
        best = self.record.best
        if best.point is None or best.value >= self.at.value:
            return False
        value, gradient = value_and_gradient_or_nan(self.counted, best.point)
        if not (value < self.at.value and bool(torch.isfinite(gradient).all())):
            return False
        self.at = Iterate(value, gradient, self.at.memory)
        self.objective = _LandscapeObjective(self.counted, best.point)
        return True

    @property
    def gradient_norm(self) -> float | None:
        """The Euclidean norm of the gradient at the lowest point, where the run stands there."""
        best = self.record.best.point
        if best is None or not torch.equal(best, self.objective.point):
            return None
        return float(torch.linalg.vector_norm(self.at.gradient, dtype=torch.float64))

    def progress(self) -> Progress:
        """Return the argument of the callback."""
        state = self._snapshot
        points = self.record.last_points
        return Progress(self.iteration, points, self.at.value, self._last_validation, lambda: state)

    def _state(self) -> dict[str, Any]:
        return {
            "optimizer": "lbfgs",
            "line_search": described(self.line_search),
            "iteration": self.iteration,
            "point": self.objective.point,
            "value": self.at.value,
            "gradient": self.at.gradient,
            "memory": self.at.memory.state(),
            "ties": (self.at.ties, self.at.smallest, self.at.idle),
            "record": self.record.state(),
            "evaluations": vars(self.counted.evaluations).copy(),
        }
