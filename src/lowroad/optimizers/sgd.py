"""Stochastic gradient descent for an ensemble of starts at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Evaluations, Landscape
from lowroad.landscapes.landscape import check_landscape
from lowroad.optimizers.numerical import diverged, rows_or_nan
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
from lowroad.outcome import Outcome

Schedule = Callable[[int], float]


SNAPSHOT = ("epoch", "velocities", "records", "evaluations", "outcomes", "generators")


def sgd(
    landscape: Landscape,
    starts: Tensor,
    *,
    generators: Sequence[torch.Generator],
    learning_rate: float | Schedule = 0.1,
    epochs: int = 80,
    batch_size: int | str | None = 64,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    patience: int | None = None,
    validation: Landscape | None = None,
    callback: Callback | None = None,
    resume: dict[str, Any] | None = None,
) -> list[OptimizationResult]:
    """Minimize a landscape by plain SGD from several starts (the paper's section III.1).

    x ← x − η v with v ← μ v + ∇L_B(x) + κ x over reshuffled mini-batches B, each start with its own
    shuffles. The starts advance together where the landscape evaluates them faster that way; up to
    rounding, the run of a start does not depend on the others. After each epoch the full
    landscape's values are recorded and the lowest points kept.

    Args:
        landscape: the landscape to minimize.
        starts: [s, d].
        generators: one per start, to shuffle its mini-batches.
        learning_rate: η, or a function from the epoch (0, 1, …) to η.
        epochs: the largest number of epochs.
        batch_size: samples per mini-batch; None for the full landscape (gradient descent, one step
            per epoch).
        momentum: μ, 0 for the paper's plain SGD.
        weight_decay: κ.
        patience: stop a start when its validation value (its own value without a validation
            landscape) has not reached a new minimum for this many epochs.
        validation: a second landscape whose values are recorded and whose lowest points are kept.
        callback: called with a `Progress` after every epoch; returning True stops all starts.
        resume: a result of `Progress.snapshot()`, to continue from.

    Returns:
        One `OptimizationResult` per start. A start whose value is no longer finite ends as DIVERGED
        with the best point before.

    Raises:
        ValueError: when shapes, settings or the number of generators do not fit, or the landscape
            is not finite at a start, or when `resume` is a snapshot of another optimizer or of
            other starts.
        TypeError: when the landscape has no data for mini-batches, types differ, or the generators
            are not a list of generators.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> bowl = FunctionLandscape(lambda x: ((x - 3.0) ** 2).sum(1), dimension=2)
    >>> (found,) = sgd(
    ...     bowl, torch.zeros(1, 2, dtype=torch.float64), generators=[torch.Generator()],
    ...     batch_size=None,
    ... )
    >>> found.point.round(decimals=5)
    tensor([3., 3.], dtype=torch.float64)
    """
    _check(landscape, starts, generators, learning_rate, momentum, weight_decay)
    check_budget_and_patience("epochs", epochs, patience)
    check_validation(validation)
    size = checked_batch_size(batch_size)
    rate = learning_rate if callable(learning_rate) else lambda epoch: float(learning_rate)
    run = _Run(landscape, starts.detach(), generators, validation, resume)
    stopped = False
    while run.epoch < epochs and run.running and not stopped:
        run.advance(rate(run.epoch), size, momentum, weight_decay)
        run.end_starts(patience)
        stopped = bool(callback is not None and callback(run.progress()))
    return run.results(Outcome.STOPPED if stopped else Outcome.BUDGET_SPENT)


class _Run:
    """The state of an ensemble run."""

    def __init__(
        self,
        landscape: Landscape,
        starts: Tensor,
        generators: Sequence[torch.Generator],
        validation: Landscape | None,
        resume: dict[str, Any] | None,
    ) -> None:
        self.starts, self.generators, self.validation = starts, list(generators), validation
        # one counter for all starts: they are evaluated alike
        self.counted = CountingLandscape(landscape)
        if resume is None:
            self.epoch = 0
            self.points, self.velocities = starts.clone(), torch.zeros_like(starts)
            self.records = [Record() for _ in starts]
            self.evaluations = [Evaluations() for _ in starts]
            self.outcomes: list[Outcome | None] = [None] * len(starts)
            self._record(list(range(len(starts))))
            if any(not math.isfinite(record.values[0]) for record in self.records):
                raise ValueError(
                    "expected a landscape that is finite at every start, got the values "
                    f"{[record.values[0] for record in self.records]}"
                )
        else:
            check_snapshot(resume, "sgd", "points", starts, SNAPSHOT)
            self.epoch = resume["epoch"]
            self.points, self.velocities = resume["points"].clone(), resume["velocities"].clone()
            self.records = [Record.from_state(state) for state in resume["records"]]
            self.evaluations = [Evaluations(**state) for state in resume["evaluations"]]
            self.outcomes = [None if name is None else Outcome[name] for name in resume["outcomes"]]
            for generator, state in zip(self.generators, resume["generators"], strict=True):
                generator.set_state(state)

    @property
    def running(self) -> list[int]:
        """The starts that have not ended."""
        return [i for i, outcome in enumerate(self.outcomes) if outcome is None]

    def advance(
        self, rate: float, batch_size: int | None, momentum: float, weight_decay: float
    ) -> None:
        """Do one epoch of all starts that run, and record it."""
        running = self.running
        x, v = self.points[running], self.velocities[running]
        batches = (
            [self.counted]
            if batch_size is None
            else self.counted.ensemble_minibatches(
                batch_size, [self.generators[i] for i in running]
            )
        )
        self.counted.evaluations.gradients = 0.0  # per epoch, as in a resumed run
        for batch in batches:
            gradients = rows_or_nan(partial(_gradients, batch), x)
            if weight_decay:
                gradients = gradients.add(x, alpha=weight_decay)
            if momentum:
                gradients = v.mul_(momentum).add_(gradients)
            x.sub_(gradients, alpha=rate)
        self.points[running], self.velocities[running] = x, v
        for i in running:
            self.evaluations[i].gradients += self.counted.evaluations.gradients / len(running)
        self.epoch += 1
        self._record(running)

    def _record(self, which: list[int]) -> None:
        values = rows_or_nan(self._values, self.points[which])[:, 0]
        for i, value in zip(which, values.tolist(), strict=True):
            self.evaluations[i].values += 1
            self.records[i].add(
                self.epoch, self.points[i], value, self.validation, self.evaluations[i]
            )

    def _values(self, points: Tensor) -> Tensor:
        return self.counted.values(points)[:, None]

    def end_starts(self, patience: int | None) -> None:
        """Mark the starts that diverged or have run out of patience."""
        for i in self.running:
            record = self.records[i]
            idle = record.idle(self.validation is not None)
            if diverged(record.values[-1]):
                self.outcomes[i] = Outcome.DIVERGED
            elif patience is not None and idle >= patience:
                self.outcomes[i] = Outcome.CONVERGED_VALUE

    def progress(self) -> Progress:
        """Return the argument of the callback."""
        values = [record.values[-1] for record in self.records]
        validation = [r.validation_values[-1] for r in self.records if r.validation_values]
        points = torch.cat([record.last_points for record in self.records])
        return Progress(
            self.epoch, points, min(values), min(validation) if validation else None, self._state
        )

    def _state(self) -> dict[str, Any]:
        return {
            "optimizer": "sgd",
            "epoch": self.epoch,
            "points": self.points.clone(),
            "velocities": self.velocities.clone(),
            "records": [record.state() for record in self.records],
            "evaluations": [vars(each).copy() for each in self.evaluations],
            "outcomes": [None if outcome is None else outcome.name for outcome in self.outcomes],
            "generators": [generator.get_state() for generator in self.generators],
        }

    def results(self, unfinished: Outcome) -> list[OptimizationResult]:
        """Return the results; starts that have not ended get the outcome `unfinished`."""
        return [
            record.result(start, count, outcome or unfinished, self.validation is not None)
            for record, start, count, outcome in zip(
                self.records, self.starts, self.evaluations, self.outcomes, strict=True
            )
        ]


def _gradients(landscape: Landscape, points: Tensor) -> Tensor:
    return landscape.values_and_gradients(points)[1]


def _check(
    landscape: Landscape,
    starts: Tensor,
    generators: Sequence[torch.Generator],
    learning_rate: float | Schedule,
    momentum: float,
    weight_decay: float,
) -> None:
    check_landscape(landscape)
    if not isinstance(starts, torch.Tensor):
        raise TypeError(f"expected starts [s, d] as a torch tensor, got {type(starts).__name__}")
    if starts.ndim != 2 or len(starts) == 0:
        raise ValueError(
            f"expected starts of shape [s, {landscape.dimension}], got {list(starts.shape)}"
        )
    for start in starts:
        checked_start(landscape, start)
    if not isinstance(generators, Sequence) or not all(
        isinstance(each, torch.Generator) for each in generators
    ):
        raise TypeError(
            "expected a list of generators, one per start, such as "
            f"[torch.Generator().manual_seed(0)], got {generators!r}"
        )
    if len(generators) != len(starts):
        raise ValueError(
            f"expected one generator per start, got {len(generators)} for {len(starts)} starts"
        )
    if not callable(learning_rate) and not 0.0 < learning_rate < math.inf:
        raise ValueError(f"expected a positive learning rate, got {learning_rate}")
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"expected a momentum in [0, 1), got {momentum}")
    if not 0.0 <= weight_decay < math.inf:
        raise ValueError(f"expected a weight decay of at least 0, got {weight_decay}")
