"""Any class with the interface of `torch.optim.Optimizer` as an optimizer of landscapes."""

from __future__ import annotations

import copy
import inspect
import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lowroad.importing import import_object
from lowroad.landscapes import CountingLandscape, Evaluations, Landscape
from lowroad.optimizers.result import (
    Callback,
    OptimizationResult,
    Progress,
    Record,
    check_snapshot,
    check_start,
    check_validation,
)
from lowroad.outcome import Outcome

NOT_RESUMABLE = "this optimizer's state does not survive saving: an interrupted run begins anew"


def optimizer_class(path: str) -> type[torch.optim.Optimizer]:
    """Return the optimizer class at an import path.

    Raises:
        ImportError: when there is nothing there.
        ValueError: when it is no class with the interface of `torch.optim.Optimizer`.

    >>> optimizer_class("torch.optim.Adam").__name__
    'Adam'
    """
    found = import_object(path)
    if not (isinstance(found, type) and all(hasattr(found, n) for n in ("step", "zero_grad"))):
        what = found.__name__ if isinstance(found, type) else type(found).__name__
        raise ValueError(
            f"method: expected a class with the interface of torch.optim.Optimizer, got {what} at "
            f'"{path}"; a function is named by "module:function"'
        )
    return found


def check_scheduler(path: str) -> Any:
    """Return the learning-rate scheduler class at an import path.

    Raises:
        ImportError: when there is nothing there.
        ValueError: when it is no such class.
    """
    found = import_object(path)
    if not (isinstance(found, type) and hasattr(found, "step")):
        raise ValueError(f'expected a class of torch.optim.lr_scheduler, got "{path}"')
    return found


def minimize_by_class(
    landscape: Landscape,
    start: Tensor,
    optimizer: type[torch.optim.Optimizer],
    *,
    generator: torch.Generator,
    options: Mapping[str, Any] | None = None,
    epochs: int = 80,
    batch_size: int | str | None = 64,
    scheduler: str | None = None,
    scheduler_options: Mapping[str, Any] | None = None,
    patience: int | None = None,
    validation: Landscape | None = None,
    callback: Callback | None = None,
    resume: dict[str, Any] | None = None,
) -> OptimizationResult:
    """Minimize a landscape with an optimizer written for modules.

    The optimizer gets separate parameters of the module's own shapes and names (one vector where
    the landscape has no module). In every step it is given a closure that evaluates one mini-batch,
    as often as it asks; each call is counted. After each epoch the full landscape's value is
    recorded and the lowest points kept.

    Args:
        landscape: what is minimized.
        start: [d].
        optimizer: the class; `optimizer(parameters, **options)` makes one.
        generator: shuffles the mini-batches, and seeds PyTorch's global generator for the run.
        options: the class's own, such as lr.
        epochs: the most epochs.
        batch_size: samples in a mini-batch; None or "full" for one step on all data per epoch.
        scheduler: import path of a class of `torch.optim.lr_scheduler`, stepped after each epoch
            (`ReduceLROnPlateau` with the recorded value).
        scheduler_options: the scheduler's own.
        patience: stop when the validation value (the landscape's own without a validation
            landscape) has not reached a new minimum for this many epochs.
        validation: a second landscape whose value is recorded and whose lowest point is kept.
        callback: called with a `Progress` after every epoch; returning True stops the run.
        resume: what `Progress.snapshot()` gave. An optimizer whose state does not survive saving
            gives none, and the result's note says so.

    Returns:
        The lowest point recorded. Where values are no longer finite the outcome is DIVERGED.

    Raises:
        ValueError, TypeError: when the start does not fit, or the class does not take the options.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> bowl = FunctionLandscape(lambda x: ((x - 3.0) ** 2).sum(1), dimension=2)
    >>> found = minimize_by_class(
    ...     bowl, torch.zeros(2, dtype=torch.float64), torch.optim.Adam,
    ...     generator=torch.Generator(), options={"lr": 0.1}, epochs=300, batch_size="full",
    ... )
    >>> found.point.round(decimals=3)
    tensor([3., 3.], dtype=torch.float64)
    """
    check_start(landscape, start)
    check_validation(validation)
    size = None if batch_size in (None, "full") else int(batch_size)  # type: ignore[arg-type]

    def make(point: Tensor) -> _Parameters:
        return _Parameters(
            landscape, point, optimizer, options or {}, scheduler, scheduler_options or {}
        )

    with _random_numbers(generator):
        run = _Run(landscape, start, make, generator, validation, resume)
        run.resumable = _survives_saving(make, landscape, start)
        run.restore_random_numbers(resume)
        outcome = run.outcome(patience)
        while outcome is None and run.epoch < epochs:
            run.advance(size)
            stop = callback is not None and callback(run.progress())
            outcome = run.outcome(patience) or (Outcome.STOPPED if stop else None)
    return run.record.result(
        start,
        run.evaluations,
        outcome or Outcome.BUDGET_SPENT,
        validation is not None,
        note="" if run.resumable else NOT_RESUMABLE,
    )


class _Parameters:
    """Parameters of a module's shapes with their optimizer and scheduler."""

    def __init__(
        self,
        landscape: Landscape,
        point: Tensor,
        optimizer: type[torch.optim.Optimizer],
        options: Mapping[str, Any],
        scheduler: str | None,
        scheduler_options: Mapping[str, Any],
    ) -> None:
        at = getattr(landscape, "parameters_at", None)
        named = {"point": point} if at is None else at(point)
        self.named = {name: nn.Parameter(part.detach().clone()) for name, part in named.items()}
        own = dict(options)
        try:
            self.optimizer = optimizer(list(self.named.values()), **own)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"options: {optimizer.__name__} cannot be made with {own}: {error}"
            ) from error
        self.scheduler = None
        if scheduler is not None:
            made = check_scheduler(scheduler)
            try:
                self.scheduler = made(self.optimizer, **scheduler_options)
            except (TypeError, ValueError) as error:
                raise ValueError(f"scheduler_options: {scheduler}: {error}") from error

    def point(self) -> Tensor:
        """The parameters as one vector [d]."""
        with torch.no_grad():
            return torch.cat([part.reshape(-1) for part in self.named.values()])

    def set_gradient(self, gradient: Tensor) -> None:
        """Give every parameter its part of the gradient [d]."""
        parts = gradient.split([part.numel() for part in self.named.values()])
        for parameter, part in zip(self.named.values(), parts, strict=True):
            parameter.grad = part.view(parameter.shape).clone()

    def step(self, batch: Landscape) -> None:
        """One step of the optimizer on a mini-batch."""

        def closure() -> Tensor:
            value, gradient = batch.value_and_gradient(self.point())
            self.optimizer.zero_grad()
            self.set_gradient(gradient)
            return torch.tensor(value, dtype=gradient.dtype, device=gradient.device)

        if _needs_no_closure(type(self.optimizer)):
            closure()
            self.optimizer.step()
        else:
            self.optimizer.step(closure)

    def end_epoch(self, value: float) -> None:
        """Let the scheduler step."""
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(value)
        elif self.scheduler is not None:
            self.scheduler.step()

    def state(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "parameters": [part.detach().clone() for part in self.named.values()],
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "scheduler": None
            if self.scheduler is None
            else copy.deepcopy(self.scheduler.state_dict()),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take a state over."""
        with torch.no_grad():
            for parameter, saved in zip(self.named.values(), state["parameters"], strict=True):
                parameter.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])


def _needs_no_closure(optimizer: type) -> bool:
    """Whether `step` takes no closure at all, as in some classes outside PyTorch."""
    return len(inspect.signature(optimizer.step).parameters) < 2  # type: ignore[attr-defined]


class _Run:
    """The state of one run, and its snapshots."""

    def __init__(
        self,
        landscape: Landscape,
        start: Tensor,
        make: Any,
        generator: torch.Generator,
        validation: Landscape | None,
        resume: dict[str, Any] | None,
    ) -> None:
        self.validation, self.generator, self.resumable = validation, generator, True
        self.parameters: _Parameters = make(start)
        if resume is None:
            self.evaluations = Evaluations()
            self.counted = CountingLandscape(landscape, self.evaluations)
            self.record, self.epoch = Record(), 0
            self._last_validation = self._note(start)
            if not math.isfinite(self.record.values[0]):
                raise ValueError(
                    "expected a landscape that is finite at the start, got the value "
                    f"{self.record.values[0]}"
                )
        else:
            check_snapshot(resume, "torch class", "point", start)
            self.evaluations = Evaluations(**resume["evaluations"])
            self.counted = CountingLandscape(landscape, self.evaluations)
            self.record, self.epoch = Record.from_state(resume["record"]), resume["epoch"]
            self._last_validation = None
            self.parameters.load(resume["state"])
            generator.set_state(resume["generator"])

    def restore_random_numbers(self, resume: dict[str, Any] | None) -> None:
        """Put PyTorch's global generator where it was."""
        if resume is not None:
            torch.set_rng_state(resume["global_generator"])

    def advance(self, size: int | None) -> None:
        """Do one epoch and record it."""
        batches = [self.counted] if size is None else self.counted.minibatches(size, self.generator)
        for batch in batches:
            self.parameters.step(batch)
        self.epoch += 1
        self._last_validation = self._note(self.parameters.point())
        self.parameters.end_epoch(self.record.values[-1])

    def _note(self, point: Tensor) -> float | None:
        value = self.counted.value(point)
        return self.record.add(self.epoch, point, value, self.validation, self.evaluations)

    def outcome(self, patience: int | None) -> Outcome | None:
        """Why the run ends now, if it does."""
        best = self.record.best if self.validation is None else self.record.best_validation
        if not math.isfinite(self.record.values[-1]):
            return Outcome.DIVERGED
        if patience is not None and self.epoch - best.step >= patience:
            return Outcome.CONVERGED_VALUE
        return None

    def progress(self) -> Progress:
        """What the callback is told."""
        return Progress(self.epoch, self.record.values[-1], self._last_validation, self._state)

    def _state(self) -> dict[str, Any] | None:
        if not self.resumable:
            return None
        return {
            "optimizer": "torch class",
            "epoch": self.epoch,
            "point": self.record.last_point,
            "state": self.parameters.state(),
            "record": self.record.state(),
            "evaluations": vars(self.evaluations).copy(),
            "generator": self.generator.get_state(),
            "global_generator": torch.get_rng_state(),
        }


def _survives_saving(make: Any, landscape: Landscape, start: Tensor) -> bool:
    """Whether an optimizer that is saved and loaded takes the same steps, bit for bit."""
    before = torch.get_rng_state()
    try:
        part = landscape.first(64)
        one = make(start)
        one.step(part)
        one.end_epoch(0.0)
        buffer = io.BytesIO()
        torch.save({"state": one.state(), "random": torch.get_rng_state()}, buffer)
        ends = []
        other = make(start)
        buffer.seek(0)
        saved = torch.load(buffer, weights_only=True)
        other.load(saved["state"])
        for each in (one, other):
            torch.set_rng_state(saved["random"])
            for _ in range(2):
                each.step(part)
                each.end_epoch(0.0)
            ends.append((each.point(), torch.get_rng_state()))
        (x, random_x), (y, random_y) = ends
        same = torch.equal(x.nan_to_num(), y.nan_to_num()) and torch.equal(random_x, random_y)
    except Exception:  # whatever an optimizer does with a state that it cannot load
        return False
    finally:
        torch.set_rng_state(before)
    return same


@contextmanager
def _random_numbers(generator: torch.Generator) -> Iterator[None]:
    """Seed PyTorch's global generator from `generator` for a while, and put it back."""
    own = torch.Generator()
    own.set_state(generator.get_state())  # the caller's own sequence stays as it is
    seed = int(torch.randint(2**62, (), generator=own))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
