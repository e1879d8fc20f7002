"""The result of an optimizer, and the record of the best points during a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowroad.landscapes import Evaluations, Landscape
from lowroad.outcome import Outcome


@dataclass(frozen=True)
class History:
    """The curve of a run: values after each recorded step, the start included.

    Attributes:
        steps: epochs or iterations done, int64 [r], from 0.
        values: float64 [r].
        validation_values: float64 [r], or None without a validation landscape.
    """

    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    validation_values: npt.NDArray[np.float64] | None


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
        history: the curve.
        evaluations: the evaluations of the search, without those of the validation.
        outcome: why the run ended.
    """

    point: Tensor
    value: float
    step: int
    validation_point: Tensor | None
    validation_value: float | None
    validation_step: int | None
    history: History
    evaluations: Evaluations
    outcome: Outcome


@dataclass(frozen=True)
class Progress:
    """The argument of a callback after each epoch or iteration.

    Attributes:
        step: epochs or iterations done.
        value: the current value; for an ensemble the lowest.
        validation_value: likewise on the validation landscape, or None.
        snapshot: returns the state to resume from, as tensors, numbers, lists and dictionaries
            that `torch.save` takes and `torch.load(weights_only=True)` gives back. Given as
            `resume=` to the same call, the run ends with the same bits as an uninterrupted one.
    """

    step: int
    value: float
    validation_value: float | None
    snapshot: Callable[[], dict[str, Any]]


Callback = Callable[[Progress], bool | None]


@dataclass
class Best:
    """The lowest point seen so far."""

    value: float = float("inf")
    point: Tensor | None = None
    step: int = 0

    def see(self, value: float, point: Tensor, step: int) -> bool:
        """Keep a copy of `point` if it is lower than all before, and say whether it was."""
        if value < self.value:
            self.value, self.point, self.step = value, point.clone(), step
            return True
        return False


@dataclass
class Record:
    """The curve and the best points of a run, so far."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    validation_values: list[float] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    best_validation: Best = field(default_factory=Best)

    def add(
        self, step: int, point: Tensor, value: float, validation: Landscape | None
    ) -> float | None:
        """Record the point [d] reached after `step` and return its validation value."""
        self.steps.append(step)
        self.values.append(value)
        self.best.see(value, point, step)
        if validation is None:
            return None
        validation_value = validation.value(point)
        self.validation_values.append(validation_value)
        self.best_validation.see(validation_value, point, step)
        return validation_value

    def result(
        self, start: Tensor, evaluations: Evaluations, outcome: Outcome, validated: bool
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
            history=History(np.array(self.steps, dtype=np.int64), np.array(self.values), curve),
            evaluations=evaluations,
            outcome=outcome,
        )

    def state(self) -> dict[str, Any]:
        """Return the record as plain data."""
        return {
            "steps": list(self.steps),
            "values": list(self.values),
            "validation_values": list(self.validation_values),
            "best": vars(self.best).copy(),
            "best_validation": vars(self.best_validation).copy(),
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
        )


def check_start(landscape: Landscape, start: Tensor) -> None:
    """Refuse a start that the landscape cannot take.

    Raises:
        ValueError: when its shape is wrong or a component is not finite.
        TypeError: when it is not a tensor, or its type or device differs from the landscape's.
    """
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


def check_validation(validation: object) -> None:
    """Refuse a validation that is not a landscape.

    Raises:
        TypeError: when it is neither a landscape nor None.
    """
    if validation is not None and not isinstance(validation, Landscape):
        raise TypeError(f"expected a landscape for the validation, got {type(validation).__name__}")


def check_snapshot(snapshot: Mapping[str, Any], optimizer: str, key: str, points: Tensor) -> None:
    """Refuse to resume from a snapshot of another optimizer or of other points.

    Args:
        snapshot: the value of `resume`.
        optimizer: the name of the optimizer that resumes.
        key: the entry of the snapshot that holds its points.
        points: the starts, of the shape that the snapshot's points must have.

    Raises:
        ValueError: when it does not fit.
    """
    found = snapshot.get("optimizer")
    if found != optimizer:
        whose = f"one of {found}" if found is not None else "something else"
        raise ValueError(
            f"expected resume to be a snapshot of {optimizer} (Progress.snapshot()), got {whose}"
        )
    if snapshot[key].shape != points.shape:
        raise ValueError(
            f"expected a snapshot of points of shape {list(points.shape)}, got "
            f"{list(snapshot[key].shape)}: it is of another run"
        )
