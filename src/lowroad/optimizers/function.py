"""A user's own training function as an optimizer."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Evaluations, Landscape
from lowroad.optimizers.result import (
    Callback,
    OptimizationResult,
    Progress,
    Record,
    check_snapshot,
    check_start,
)
from lowroad.outcome import Outcome


class Stopped(Exception):
    """Raised by `report` when the caller wants the run to end."""


class _Report:
    """What a user's function calls as `report(step, point, state=None)`."""

    def __init__(
        self,
        landscape: Landscape,
        start: Tensor,
        validation: Landscape | None,
        callback: Callback | None,
        resume: dict[str, Any] | None,
    ) -> None:
        self._landscape, self._start = landscape, start
        self._validation, self._callback = validation, callback
        self.evaluations = Evaluations()
        self.counted = CountingLandscape(landscape, self.evaluations)
        if resume is None:
            self.record = Record()
            self.step, self.state = 0, None
            self._note(0, start)
        else:
            check_snapshot(resume, "function", "point", start)
            self.record = Record.from_state(resume["record"])
            self.evaluations.values = resume["evaluations"]["values"]
            self.evaluations.gradients = resume["evaluations"]["gradients"]
            self.step, self.state = resume["epoch"], resume["state"]

    def __call__(self, step: int, point: Tensor, state: Any = None) -> None:
        point = _checked_point(point, self._start)
        if not isinstance(step, int) or step <= self.step:
            raise ValueError(
                f"expected report(step, point) with a growing whole number of steps, got {step!r} "
                f"after {self.step}"
            )
        self.step, self.state = step, state
        validation = self._note(step, point)
        if self._callback is None:
            return
        progress = Progress(step, self.record.values[-1], validation, self._snapshot)
        if self._callback(progress):
            raise Stopped

    def _note(self, step: int, point: Tensor) -> float | None:
        value = self.counted.value(point)
        return self.record.add(step, point, value, self._validation, self.evaluations)

    def _snapshot(self) -> dict[str, Any] | None:
        if self.state is None:
            return None
        return {
            "optimizer": "function",
            "epoch": self.step,
            "point": self.record.last_point,
            "state": self.state,
            "record": self.record.state(),
            "evaluations": vars(self.evaluations).copy(),
        }


def minimize_by_function(
    function: Callable[..., Any],
    problem: Any,
    start: Tensor,
    generator: torch.Generator,
    options: Mapping[str, Any],
    *,
    validation: Landscape | None = None,
    callback: Callback | None = None,
    resume: dict[str, Any] | None = None,
) -> OptimizationResult:
    """Run a user's function `function(problem, start, generator, report, **options)`.

    The function returns the point [d] where it ends, or an `OptimizationResult` of its own. It may
    call `report(step, point)` as it goes, from which the curves and the points of lowest values are
    made; with `report(step, point, state=...)`, a state that `torch.save` takes, a function with a
    parameter `resume` is given the last state after an interruption.

    Raises:
        TypeError: when it returns something else.
        ValueError: when the point that it returns or reports does not fit the start.
    """
    check_start(problem.train, start)
    report = _Report(problem.train, start, validation, callback, resume)
    more = dict(options)
    if "resume" in inspect.signature(function).parameters:
        more["resume"] = report.state
    counting = _Counting(problem, report.counted)
    outcome = Outcome.BUDGET_SPENT
    try:
        returned = function(counting, start.clone(), generator, report, **more)
    except Stopped:
        returned, outcome = report.record.last_point, Outcome.STOPPED
    if isinstance(returned, OptimizationResult):
        return returned
    if not isinstance(returned, Tensor):
        raise TypeError(
            "expected the function to return the point where it ends, a torch tensor "
            f"[{len(start)}], or an OptimizationResult, got {type(returned).__name__}"
        )
    point = _checked_point(returned, start)
    last = report.record.last_point
    if last is None or not torch.equal(last, point):
        value = report.counted.value(point)
        report.record.add(report.step + 1, point, value, validation, report.evaluations)
    if not math.isfinite(report.record.values[-1]):
        outcome = Outcome.DIVERGED
    return report.record.result(start, report.evaluations, outcome, validation is not None)


class _Counting:
    """A problem whose training landscape counts its evaluations."""

    def __init__(self, problem: Any, train: Landscape) -> None:
        self._problem, self.train = problem, train

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)


def _checked_point(point: Any, start: Tensor) -> Tensor:
    if not isinstance(point, Tensor) or point.shape != start.shape:
        got = list(point.shape) if isinstance(point, Tensor) else type(point).__name__
        raise ValueError(f"expected a point of shape {list(start.shape)}, got {got}")
    return point.detach().to(start)
