"""The result of an optimizer, and the record of the best points during a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowroad.landscapes import Evaluations, Landscape
from lowroad.landscapes.landscape import check_landscape
from lowroad.optimizers.numerical import value_or_nan
from lowroad.outcome import Outcome


@dataclass(frozen=True)
class History:
    """The curve of a run: values after each recorded step, the start included.

    Attributes:
        steps: epochs or iterations done, int64 [r], from 0.
        values: float64 [r].
        validation_values: float64 [r], or None without a validation landscape.
        evaluations: float64 [r], values and gradients evaluated so far, in passes over the data.
        elapsed: float64 [r], seconds so far; a resumed run counts on.
    """

    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    validation_values: npt.NDArray[np.float64] | None
    evaluations: npt.NDArray[np.float64]
    elapsed: npt.NDArray[np.float64]


@dataclass(frozen=True)
class OptimizationResult:
    """The best points that an optimizer found.

    Attributes:
        point: the point of the lowest value seen, [d].
        value: its value.
        step: the epoch or iteration at which it was seen.
        validation_point: the point of the lowest validation value seen (early stopping), [d].
        validation_value: its value on the validation landscape.
        validation_step: the epoch or iteration at which it was seen.
        last_point: where the run ended, [d].
        history: the curve.
        evaluations: what the search cost, without the validation's.
        outcome: how it ended.
        gradient_norm: |∇L| at `point`, where the optimizer knows it.
        note: what else is to be said of the run.
    """

    point: Tensor
    value: float
    step: int
    validation_point: Tensor | None
    validation_value: float | None
    validation_step: int | None
    last_point: Tensor
    history: History
    evaluations: Evaluations
    outcome: Outcome
    gradient_norm: float | None = None
    note: str = ""

    @property
    def last_value(self) -> float:
        """The value at `last_point`; not finite where the run diverged."""
        return float(self.history.values[-1])

    @property
    def iterations(self) -> int:
        """Epochs or iterations done."""
        return int(self.history.steps[-1])

    @property
    def message(self) -> str:
        """How the run ended, in words."""
        return f"{self.outcome.value}; {self.note}" if self.note else self.outcome.value


@dataclass(frozen=True)
class Progress:
    """The argument of a callback after each epoch or iteration.

    Attributes:
        step: epochs or iterations done.
        points: where each start is now, [starts, d]; one start but for an ensemble.
        value: the current value; for an ensemble the lowest.
        validation_value: likewise on the validation landscape, or None.
        snapshot: returns the state to resume from, as tensors, numbers, lists and dictionaries
            that `torch.save` takes and `torch.load(weights_only=True)` gives back. Given as
            `resume=` to the same call, the run ends in the same bits as an uninterrupted one. None
            where the optimizer cannot be resumed.
    """

    step: int
    points: Tensor
    value: float
    validation_value: float | None
    snapshot: Callable[[], dict[str, Any] | None]


Callback = Callable[[Progress], bool | None]


@dataclass
class Best:
    """The lowest point seen so far."""

    value: float = float("inf")
    point: Tensor | None = None
    step: int = 0

    def see(self, value: float, point: Tensor, step: int) -> bool:
        """Keep a copy of `point` if it is lower than all before, and say whether it was."""
        if math.isfinite(value) and value < self.value:
            self.value, self.point, self.step = value, point.clone(), step
            return True
        return False

    def see_equal(self, point: Tensor, step: int) -> None:
        """Keep a copy of `point`, which has the lowest value too and a smaller gradient."""
        self.point, self.step = point.clone(), step


@dataclass
class Record:
    """The curve and the best points of a run, so far."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    validation_values: list[float] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    best_validation: Best = field(default_factory=Best)
    evaluations: list[float] = field(default_factory=list)
    elapsed: list[float] = field(default_factory=list)
    last_point: Tensor | None = None

    def __post_init__(self) -> None:
        self._began = time.perf_counter() - (self.elapsed[-1] if self.elapsed else 0.0)

    def add(
        self,
        step: int,
        point: Tensor,
        value: float,
        validation: Landscape | None,
        evaluations: Evaluations,
    ) -> float | None:
        """Record the point [d] reached after `step` and return its validation value."""
        self.evaluations.append(evaluations.values + evaluations.gradients)
        self.elapsed.append(time.perf_counter() - self._began)
        self.last_point = point.clone()
        self.steps.append(step)
        self.values.append(value)
        self.best.see(value, point, step)
        if validation is None:
            return None
        validation_value = value_or_nan(validation, point)
        self.validation_values.append(validation_value)
        self.best_validation.see(validation_value, point, step)
        return validation_value

    @property
    def last_points(self) -> Tensor:
        """A copy of the point recorded last, [1, d]."""
        assert self.last_point is not None
        return self.last_point[None].clone()

    def idle(self, validated: bool) -> int:
        """Return the steps since the lowest validation value, or the lowest value without one."""
        return self.steps[-1] - (self.best_validation if validated else self.best).step

    def result(
        self,
        start: Tensor,
        evaluations: Evaluations,
        outcome: Outcome,
        validated: bool,
        gradient_norm: float | None = None,
        note: str = "",
    ) -> OptimizationResult:
        """Return the result; its point is `start` where no value was finite."""
        best, other = self.best, self.best_validation
        curve = np.array(self.validation_values) if validated else None
        return OptimizationResult(
            point=start.clone() if best.point is None else best.point,
            value=best.value,
            step=best.step,
            validation_point=other.point,
            validation_value=other.value if validated else None,
            validation_step=other.step if validated else None,
            last_point=start.clone() if self.last_point is None else self.last_point,
            history=History(
                np.array(self.steps, dtype=np.int64),
                np.array(self.values),
                curve,
                np.array(self.evaluations),
                np.array(self.elapsed),
            ),
            evaluations=evaluations,
            outcome=outcome,
            gradient_norm=gradient_norm,
            note=note,
        )

    def state(self) -> dict[str, Any]:
        """Return the record as plain data."""
        return {
            "steps": list(self.steps),
            "values": list(self.values),
            "validation_values": list(self.validation_values),
            "best": vars(self.best).copy(),
            "best_validation": vars(self.best_validation).copy(),
            "evaluations": list(self.evaluations),
            "elapsed": list(self.elapsed),
            "last_point": self.last_point,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Record:
        """Return the record that `state` was made of."""
        return cls(
            list(state["steps"]),
            list(state["values"]),
            list(state["validation_values"]),
            Best(**state["best"]),
            Best(**state["best_validation"]),
            list(state["evaluations"]),
            list(state["elapsed"]),
            state["last_point"],
        )


def checked_start(landscape: Landscape, start: Tensor) -> Tensor:
    """Return a start [d] without its graph, or refuse one that the landscape cannot take.

    Raises:
        ValueError: when its shape is wrong or a component is not finite.
        TypeError: when it is not a tensor, its type or device differs from the landscape's, or
            `landscape` is none.
    """
    check_landscape(landscape)
    if not isinstance(start, Tensor):
        raise TypeError(f"expected the start to be a torch tensor, got {type(start).__name__}")
    if start.ndim != 1:
        raise ValueError(
            f"expected a start of shape [{landscape.dimension}], got {list(start.shape)}"
        )
    landscape.check_points(start[None])
    wrong = int((~torch.isfinite(start)).sum())
    if wrong:
        raise ValueError(f"expected a finite start, got {wrong} components that are not")
    return start.detach()


def check_budget_and_patience(name: str, budget: int, patience: int | None) -> None:
    """Refuse a budget of steps or a patience that is none.

    Args:
        name: what the steps are called, "epochs" or "iterations".
        budget: the most steps.
        patience: steps without progress after which a run ends, or None.

    Raises:
        ValueError: when the budget is negative or the patience below 1.
    """
    if not isinstance(budget, Integral) or budget < 0:
        raise ValueError(f"expected a number of {name} of at least 0, got {budget}")
    if patience is not None and not (isinstance(patience, Integral) and patience >= 1):
        raise ValueError(f"expected a patience of at least one {name[:-1]}, got {patience}")


def checked_batch_size(size: int | str | None) -> int | None:
    """Return a batch size, None for the full landscape.

    Raises:
        ValueError: when it is neither a number of samples nor "full".
    """
    if size is None or size == "full":
        return None
    if isinstance(size, bool | str) or not isinstance(size, Integral) or size < 1:
        raise ValueError(f'expected "full" or batches of at least one sample, got {size!r}')
    return int(size)


def check_validation(validation: object) -> None:
    """Refuse a validation that is not a landscape.

    Raises:
        TypeError: when it is neither a landscape nor None.
    """
    if validation is not None and not isinstance(validation, Landscape):
        raise TypeError(f"expected a landscape for the validation, got {type(validation).__name__}")


class SnapshotError(ValueError):
    """A snapshot of another version, from which no run can go on."""


def check_snapshot(
    snapshot: Mapping[str, Any], optimizer: str, key: str, points: Tensor, needed: Sequence[str]
) -> None:
    """Refuse to resume from a snapshot of another optimizer, of other points or another version.

    Args:
        snapshot: the value of `resume`.
        optimizer: the name of the optimizer that resumes.
        key: the entry of the snapshot that holds its points.
        points: the starts, of the shape that the snapshot's points must have.
        needed: the entries that the optimizer reads.

    Raises:
        SnapshotError: when an entry is missing.
        ValueError: when it does not fit otherwise.
    """
    found = snapshot.get("optimizer")
    if found != optimizer:
        whose = f"one of {found}" if found is not None else "something else"
        raise ValueError(
            f"expected resume to be a snapshot of {optimizer} (Progress.snapshot()), got {whose}"
        )
    missing = [name for name in (key, *needed) if name not in snapshot]
    if missing:
        raise SnapshotError(
            f"expected a snapshot with {', '.join(map(repr, missing))}, got one without: it is of "
            "another version of lowroad; begin the run anew"
        )
    if snapshot[key].shape != points.shape:
        raise ValueError(
            f"expected a snapshot of points of shape {list(points.shape)}, got "
            f"{list(snapshot[key].shape)}: it is of another run"
        )
