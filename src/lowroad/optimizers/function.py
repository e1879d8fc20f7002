"""A user's own training function as an optimizer."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import io
import math
import sys
import sysconfig
from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Evaluations, Landscape
from lowroad.optimizers.numerical import diverged, value_or_nan
from lowroad.optimizers.result import (
    Callback,
    OptimizationResult,
    Progress,
    Record,
    check_snapshot,
    check_validation,
    checked_start,
)
from lowroad.optimizers.torch_parameters import GlobalRandom
from lowroad.outcome import Outcome

SNAPSHOT = ("state", "record", "evaluations", "generator", "global_random")
GIVEN = ("problem", "start", "generator", "report")
NOT_RESUMABLE = "the function reports no state to go on from: an interrupted run begins anew"


class Stopped(Exception):
    """Raised by `report` when the caller wants the run to end."""


def check_function(function: Any, name: str) -> None:
    """Refuse a training function that cannot be called as one.

    One of an installed package shows that it is one by the names of its parameters.

    Raises:
        ValueError: when it does not take (problem, start, generator, report).
    """
    expected = "method: expected a function (problem, start, generator, report, **options), got"
    try:
        signature = inspect.signature(function)
        signature.bind_partial(None, None, None, None)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{expected} {name}: {error}") from error
    named = zip(signature.parameters, GIVEN, strict=False)
    if not any(own == given for own, given in named) and _is_installed(function):
        shown = ", ".join(str(each) for each in signature.parameters.values())[:80]
        raise ValueError(
            f"{expected} {name}({shown}): a function of a library that is no optimizer; write one "
            "of your own that calls it"
        )


def _is_installed(function: Any) -> bool:
    """Whether a function belongs to Python or to an installed package."""
    while isinstance(function, functools.partial):
        function = function.func
    module = getattr(function, "__module__", None) or ""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module in sys.builtin_module_names
    places = (sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    return any(Path(file).is_relative_to(place) for place in places)


def minimize_by_function(
    function: Callable[..., Any],
    problem: Any,
    start: Tensor,
    generator: torch.Generator,
    options: Mapping[str, Any] | None = None,
    *,
    validation: Landscape | None = None,
    callback: Callback | None = None,
    resume: dict[str, Any] | None = None,
) -> OptimizationResult:
    """Run a user's function `function(problem, start, generator, report, **options)`.

    The function returns the point [d] where it ends, or an `OptimizationResult` of its own. It may
    call `report(step, point)` as it goes, with steps from 1; the curves and the points of lowest
    values are made of that. What it evaluates by `problem.train` is counted. With
    `report(step, point, state=...)`, and a parameter `resume`, it can be resumed: it is called with
    `resume=` the last state (None in a new run), and with the generators as they were then.
    PyTorch's global generator is seeded from `generator` while it runs, and put back.

    Args:
        function: the function.
        problem: a `lowroad.Problem`, or anything else with a landscape `train`.
        start: [d].
        generator: for everything random.
        options: the function's own.
        validation: a second landscape whose value is recorded and whose lowest point is kept.
        callback: called with a `Progress` after every report; returning True ends the run: the
            report then raises an exception that passes through the function.
        resume: what `Progress.snapshot()` gave.

    Raises:
        TypeError: when the function returns something else, or reports a state that cannot be
            saved.
        ValueError: when a point that it returns or reports does not fit the start, when steps do
            not grow, when the value of its own result is not that of its point, or when `resume` is
            a snapshot of another function.

    >>> from types import SimpleNamespace
    >>> from lowroad.landscapes import FunctionLandscape
    >>> def half_way(problem, start, generator, report, steps=3):
    ...     for step in range(1, steps + 1):
    ...         start = start / 2
    ...         report(step, start)
    ...     return start
    >>> bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=1)
    >>> start = torch.ones(1, dtype=torch.float64)
    >>> found = minimize_by_function(
    ...     half_way, SimpleNamespace(train=bowl), start, torch.Generator()
    ... )
    >>> found.history.values.tolist()
    [1.0, 0.25, 0.0625, 0.015625]
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    check_function(function, name)
    start = checked_start(problem.train, start)
    check_validation(validation)
    takes_resume = "resume" in inspect.signature(function).parameters
    run = _Run(name, problem.train, start, generator, validation, callback, takes_resume, resume)
    more = {**(options or {}), **({"resume": run.state} if takes_resume else {})}
    outcome = Outcome.BUDGET_SPENT
    with run.random:
        try:
            seen = _Seen(problem, run.counted)
            returned = function(seen, start.clone(), generator, run.report, **more)
        except Stopped:
            returned, outcome = run.record.last_point, Outcome.STOPPED
    if isinstance(returned, OptimizationResult):
        return _checked_result(returned, problem.train, start, validation)
    run.end_at(_checked_return(returned, start))
    if diverged(run.record.values[-1]):
        outcome = Outcome.DIVERGED
    note = "" if run.state is not None or not run.reported else NOT_RESUMABLE
    return run.record.result(start, run.evaluations, outcome, validation is not None, note=note)


class _Run:
    """The record of one call of a function."""

    def __init__(
        self,
        name: str,
        landscape: Landscape,
        start: Tensor,
        generator: torch.Generator,
        validation: Landscape | None,
        callback: Callback | None,
        takes_resume: bool,
        resume: dict[str, Any] | None,
    ) -> None:
        self._name, self._start, self._generator = f"the function {name}", start, generator
        self._validation, self._callback = validation, callback
        self._takes_resume = takes_resume
        self.reported, self.state = False, None
        if resume is None:
            self.evaluations, self.record = Evaluations(), Record()
            self.random = GlobalRandom.seeded(landscape.device, generator)
        else:
            check_snapshot(resume, self._name, "point", start, SNAPSHOT)
            self.evaluations = Evaluations(**resume["evaluations"])
            self.record = Record.from_state(resume["record"])
            self.random = GlobalRandom(landscape.device, resume["global_random"])
            self.state = copy.deepcopy(resume["state"])
            generator.set_state(resume["generator"])
        self.counted = _CountedTrain(landscape, self.evaluations)
        if resume is None:
            self._note(0, start)

    def report(self, step: int, point: Tensor, state: Any = None) -> None:
        """Record a point [d] reached after `step`, and tell the caller of the run."""
        point, last = _checked_point(point, self._start), self.record.steps[-1]
        if isinstance(step, bool) or not isinstance(step, Integral) or step <= last:
            begun = "0, where the start is recorded" if last == 0 else str(last)
            raise ValueError(
                f"expected report(step, point) with steps that grow from {begun}, got {step!r}"
            )
        if state is not None and not self.reported:
            _check_state(state)
        self.reported = True
        self.state = copy.deepcopy(state) if self._takes_resume else None
        validation = self._note(int(step), point)
        if self._callback is None:
            return
        snapshot = self._snapshot()  # as it is now: the function goes on drawing numbers
        points, value = self.record.last_points, self.record.values[-1]
        if self._callback(Progress(int(step), points, value, validation, lambda: snapshot)):
            raise Stopped

    def end_at(self, point: Tensor) -> None:
        """Record where the function ended, unless it was the last that it reported."""
        last = self.record.last_point
        if len(self.record.steps) == 1 or last is None or not torch.equal(last, point):
            self._note(self.record.steps[-1] + 1, point)

    def _note(self, step: int, point: Tensor) -> float | None:
        value = value_or_nan(self.counted, point)
        return self.record.add(step, point, value, self._validation, self.evaluations)

    def _snapshot(self) -> dict[str, Any] | None:
        if self.state is None:
            return None
        return {
            "optimizer": self._name,
            "epoch": self.record.steps[-1],
            "point": self.record.last_point,
            "state": self.state,
            "record": self.record.state(),
            "evaluations": vars(self.evaluations).copy(),
            "generator": self._generator.get_state(),
            "global_random": self.random.now(),
        }


class _CountedTrain(CountingLandscape):
    """A counting landscape that also has whatever else the counted one has, its module say."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "landscape" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.landscape, name)


class _Seen:
    """A problem whose training landscape counts its evaluations."""

    def __init__(self, problem: Any, train: Landscape) -> None:
        self._problem, self.train = problem, train

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_problem" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._problem, name)


def _checked_point(point: Any, start: Tensor) -> Tensor:
    if not isinstance(point, Tensor):
        raise ValueError(
            f"expected a point as a torch tensor {list(start.shape)}, got {type(point).__name__}"
        )
    if point.shape != start.shape or not point.is_floating_point():
        raise ValueError(
            f"expected a point of shape {list(start.shape)} and type {start.dtype}, got "
            f"{list(point.shape)} and {point.dtype}"
        )
    return point.detach().to(start)


def _checked_return(returned: Any, start: Tensor) -> Tensor:
    if isinstance(returned, Tensor):
        return _checked_point(returned, start)
    hint = ""
    if isinstance(returned, list | tuple) and returned:
        if isinstance(returned[0], OptimizationResult):
            hint = ": return one of them, such as result[0]"
    elif isinstance(returned, np.ndarray):
        hint = ": return torch.from_numpy(point)"
    elif isinstance(returned, Mapping) and isinstance(returned.get("x"), np.ndarray):
        hint = ": return torch.from_numpy(result.x).to(start)"  # of scipy.optimize
    elif isinstance(returned, Mapping):
        hint = ": return problem.train.point_of(state)"
    elif isinstance(returned, torch.nn.Module):
        hint = ": return problem.train.point_of(module.state_dict())"
    raise TypeError(
        f"expected the function to return the point where it ends, a torch tensor "
        f"{list(start.shape)}, or an OptimizationResult, got {type(returned).__name__}{hint}"
    )


def _checked_result(
    result: OptimizationResult, train: Landscape, start: Tensor, validation: Landscape | None
) -> OptimizationResult:
    """Return a function's own result; without values on the validation landscape it gets one."""
    point = _checked_point(result.point, start)
    value = train.value(point)
    if not math.isclose(value, result.value, rel_tol=1e-3, abs_tol=1e-6):
        raise ValueError(
            f"expected a result of the problem's training landscape, got one of value "
            f"{result.value:.6g} at whose point the landscape's value is {value:.6g}: return the "
            "point instead"
        )
    if validation is None or result.validation_point is not None:
        return result
    curve = np.where(result.history.steps == result.step, validation.value(point), np.nan)
    return dataclasses.replace(
        result,
        validation_point=point,
        validation_value=validation.value(point),
        validation_step=result.step,
        history=dataclasses.replace(result.history, validation_values=curve),
    )


def _check_state(state: Any) -> None:
    try:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    except Exception as error:  # torch raises all kinds
        raise TypeError(
            "expected report(step, point, state=...) with a state of tensors, numbers, text, "
            f"lists and dictionaries, which torch.save takes and torch.load(weights_only=True) "
            f"gives back, got {type(state).__name__}: {error}"
        ) from error
