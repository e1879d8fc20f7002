"""Any class with the interface of `torch.optim.Optimizer` as an optimizer of landscapes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Evaluations, Landscape
from lowroad.optimizers.numerical import diverged
from lowroad.optimizers.result import (
    Callback,
    OptimizationResult,
    Progress,
    Record,
    check_budget_and_patience,
    check_snapshot,
    check_validation,
    checked_batch_size,
    checked_start,
)
from lowroad.optimizers.torch_parameters import (
    GlobalRandom,
    NotFinite,
    Recipe,
    Stepper,
    end_epoch,
    optimizer_class,
    scheduler_class,
    tried_out,
)
from lowroad.outcome import Outcome

SNAPSHOT = (
    *("settings", "epoch", "stepper", "gradient_first", "record", "evaluations", "generator"),
    "global_random",
)
NOT_RESUMABLE = "this optimizer's state does not survive saving: an interrupted run begins anew"


def minimize_by_class(
    landscape: Landscape,
    start: Tensor,
    optimizer: str | type,
    *,
    generator: torch.Generator,
    options: Mapping[str, Any] | None = None,
    epochs: int = 80,
    batch_size: int | str | None = 64,
    scheduler: str | type | None = None,
    scheduler_options: Mapping[str, Any] | None = None,
    patience: int | None = None,
    validation: Landscape | None = None,
    callback: Callback | None = None,
    resume: dict[str, Any] | None = None,
) -> OptimizationResult:
    """Minimize a landscape with an optimizer written for modules.

    The optimizer gets separate parameters of the module's own shapes, in the module's order (one
    vector where the landscape has no module). Each step is given a closure that evaluates value and
    gradient of one mini-batch, as often as the optimizer asks; every call is counted. After each
    epoch the full landscape's value is recorded and the lowest points kept.

    Before the run the optimizer is tried out on a part of the data, uncounted and without a trace:
    whether its state can be saved and loaded so that the next steps have the same bits.

    Args:
        landscape: what is minimized.
        start: [d].
        optimizer: the class or its import path; `optimizer(parameters, **options)` makes one.
        generator: shuffles the mini-batches; PyTorch's global generator is seeded from it for the
            optimizer's steps, and put back.
        options: the class's own, such as lr.
        epochs: the most epochs.
        batch_size: samples in a mini-batch; None or "full" for one step on all data per epoch.
        scheduler: a class of `torch.optim.lr_scheduler` or its import path, stepped after each
            epoch (`ReduceLROnPlateau` with the landscape's value).
        scheduler_options: the scheduler's own.
        patience: stop when the validation value (the landscape's own without a validation
            landscape) has not reached a new minimum for this many epochs.
        validation: a second landscape whose value is recorded and whose lowest point is kept.
        callback: called with a `Progress` after every epoch; returning True stops the run.
        resume: what `Progress.snapshot()` gave. An optimizer whose state does not survive saving
            gives None, and the result's note says so.

    Returns:
        The lowest point recorded. Where the value is no longer finite the outcome is DIVERGED, with
        the best point before.

    Raises:
        ValueError: when the class is no optimizer, does not take the options or fails in its first
            step, when a setting is out of range, when the start does not fit or is not finite, or
            when `resume` is a snapshot of another optimizer, other settings or other points.
        TypeError: when types differ, or the landscape has no data for mini-batches.
        ImportError: when an import path leads to nothing.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> bowl = FunctionLandscape(lambda x: ((x - 3.0) ** 2).sum(1), dimension=2)
    >>> found = minimize_by_class(
    ...     bowl, torch.zeros(2, dtype=torch.float64), "torch.optim.Adam",
    ...     generator=torch.Generator(), options={"lr": 0.1}, epochs=300, batch_size="full",
    ... )
    >>> found.point.round(decimals=3)
    tensor([3., 3.], dtype=torch.float64)
    """
    start = checked_start(landscape, start)
    check_validation(validation)
    check_budget_and_patience("epochs", epochs, patience)
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            "expected a generator such as torch.Generator().manual_seed(0), got "
            f"{type(generator).__name__}"
        )
    size = checked_batch_size(batch_size)
    recipe = Recipe(
        optimizer_class(optimizer),
        options or {},
        None if scheduler is None else scheduler_class(scheduler),
        scheduler_options or {},
    )
    run = _Run(landscape, start, recipe, size, generator, validation, resume)
    outcome = run.outcome(patience)
    while outcome is None and run.epoch < epochs:
        run.advance()
        stop = callback is not None and callback(run.progress())
        outcome = run.outcome(patience) or (Outcome.STOPPED if stop else None)
    note = "" if run.resumable else NOT_RESUMABLE
    outcome = outcome or Outcome.BUDGET_SPENT
    return run.record.result(start, run.evaluations, outcome, validation is not None, note=note)


class _Run:
    """The state of one run, and its snapshots."""

    def __init__(
        self,
        landscape: Landscape,
        start: Tensor,
        recipe: Recipe,
        batch_size: int | None,
        generator: torch.Generator,
        validation: Landscape | None,
        resume: dict[str, Any] | None,
    ) -> None:
        self.generator, self.validation, self.batch_size = generator, validation, batch_size
        kind = recipe.optimizer
        self._name = f"{kind.__module__}.{kind.__qualname__}"
        self._settings = {**recipe.described(), "batch_size": str(batch_size or "full")}
        self.evaluations = Evaluations() if resume is None else self._checked(resume, start)
        self.counted = CountingLandscape(landscape, self.evaluations)
        if resume is None:
            self.epoch, self.record = 0, Record()
            self._last_validation = self._note(start)
            if not math.isfinite(self.record.values[0]):
                raise ValueError(
                    "expected a landscape that is finite at the start, got the value "
                    f"{self.record.values[0]}"
                )
            self.random = GlobalRandom.seeded(landscape.device, generator)
            gradient_first, self.resumable = tried_out(recipe, landscape, start, self.random)
            with self.random:
                self.stepper = Stepper(recipe, landscape, start, gradient_first)
            return
        self.epoch, self.record = resume["epoch"], Record.from_state(resume["record"])
        self._last_validation = None
        self.random = GlobalRandom(landscape.device, resume["global_random"])
        self.stepper = Stepper(recipe, landscape, start, resume["gradient_first"])
        self.stepper.load(resume["stepper"])
        self.resumable = True
        generator.set_state(resume["generator"])

    def _checked(self, resume: dict[str, Any], start: Tensor) -> Evaluations:
        check_snapshot(resume, self._name, "point", start, SNAPSHOT)
        for name, value in self._settings.items():
            if resume["settings"][name] != value:
                raise ValueError(
                    f"expected a snapshot of a run with {name}: {value}, got one with "
                    f"{resume['settings'][name]}: go on with that"
                )
        return Evaluations(**resume["evaluations"])

    def advance(self) -> None:
        """Do one epoch and record it; where the value is not finite it ends at once."""
        size = self.batch_size
        with self.random, contextlib.suppress(NotFinite):
            for batch in (
                [self.counted] if size is None else self.counted.minibatches(size, self.generator)
            ):
                self.stepper.step(batch)
        self.epoch += 1
        self._last_validation = self._note(self.stepper.point())
        if math.isfinite(self.record.values[-1]):
            end_epoch(self.stepper.scheduler, self.record.values[-1])

    def _note(self, point: Tensor) -> float | None:
        value = self.counted.value(point)
        return self.record.add(self.epoch, point, value, self.validation, self.evaluations)

    def outcome(self, patience: int | None) -> Outcome | None:
        """Return why the run ends now, if it does."""
        if diverged(self.record.values[-1]):
            return Outcome.DIVERGED
        if patience is not None and self.record.idle(self.validation is not None) >= patience:
            return Outcome.CONVERGED_VALUE
        return None

    def progress(self) -> Progress:
        """Return what the callback is told."""
        record = self.record
        return Progress(
            self.epoch, record.last_points, record.values[-1], self._last_validation, self._state
        )

    def _state(self) -> dict[str, Any] | None:
        if not self.resumable:
            return None
        return {
            "optimizer": self._name,
            "settings": dict(self._settings),
            "epoch": self.epoch,
            "point": self.stepper.point(),
            "stepper": self.stepper.state(),
            "gradient_first": self.stepper.gradient_first,
            "record": self.record.state(),
            "evaluations": vars(self.evaluations).copy(),
            "generator": self.generator.get_state(),
            "global_random": list(self.random.states),
        }
