"""What a study runs on: landscapes, a sampler of starts, and what its values mean."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lowroad.landscapes import Landscape

Metric = Callable[[Landscape, Tensor], float]
Start = Callable[[torch.Generator], Tensor]
TAKEN = frozenset(
    {
        *("value", "problem", "set", "seed", "split", "point"),
        *("title", "task", "computed_from", "seconds", "elapsed", "created", "machine"),
        *("versions", "content_sha256", "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"),
    }
)
"""What else stands beside the metrics in records and tables, by name."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What optimizers are compared on.

    Attributes:
        train: what is minimized.
        start: draws a start [d] from a generator.
        test: what is recorded beside it, over other data.
        validation: where there is one, early stopping selects on it and the test value stays clean.
        metrics: numbers by name that are taken at solutions on every split, each
            `(landscape, point [d]) -> number`.
        align: removes symmetries before two solutions are connected,
            `(point [d], reference [d], generator) -> point [d]`.
        same: whether two solutions [d] are one up to symmetry; of such only the first is kept.
        quantity: what a value is, such as "loss" or "energy".
        unit: its unit.
        lower_bound: the number that no value is below, where there is one: ratios and logarithms
            of the distance from it make sense.

    Raises:
        TypeError: when something is not a landscape or not a function.
        ValueError: when the landscapes' points differ, or the lower bound is not a finite number,
            or a metric has a name that its record or table cannot hold.

    >>> from lowroad.landscapes import MullerBrown
    >>> surface = MullerBrown()
    >>> problem = Problem(train=surface, start=lambda generator: surface.ends[0])
    >>> problem.splits
    ('train',)
    """

    train: Landscape
    start: Start
    test: Landscape | None = None
    validation: Landscape | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    align: Callable[[Tensor, Tensor, torch.Generator], Tensor] | None = None
    same: Callable[[Tensor, Tensor], bool] | None = None
    quantity: str = "loss"
    unit: str = ""
    lower_bound: float | None = None

    def __post_init__(self) -> None:
        for name in ("train", "test", "validation"):
            landscape = getattr(self, name)
            if landscape is None and name != "train":
                continue
            if not isinstance(landscape, Landscape):
                raise TypeError(
                    f"{name}: expected a landscape, such as lowroad.FunctionLandscape(...), got "
                    f"{type(landscape).__name__}"
                )
            own, expected = (
                (each.dimension, each.dtype, each.device.type) for each in (landscape, self.train)
            )
            if own != expected:
                raise ValueError(
                    f"{name}: expected a landscape over the same points as train, {expected[0]} "
                    f"components of {expected[1]} on {expected[2]}, got {own[0]} of {own[1]} on "
                    f"{own[2]}"
                )
        if not isinstance(self.metrics, Mapping):
            raise TypeError(
                "metrics: expected functions of (landscape, point) by name, such as "
                f'{{"error": error_rate}}, got {type(self.metrics).__name__}'
            )
        optional = {"align": self.align, "same": self.same}
        functions = {
            "start": self.start,
            **{name: each for name, each in optional.items() if each is not None},
            **{f"metrics[{name!r}]": metric for name, metric in self.metrics.items()},
        }
        for name, function in functions.items():
            if not callable(function):
                raise TypeError(f"{name}: expected a function, got {type(function).__name__}")
        for name in ("quantity", "unit"):
            if not isinstance(getattr(self, name), str):
                got = type(getattr(self, name)).__name__
                raise TypeError(f"{name}: expected a string, got {got}")
        bound = self.lower_bound
        if bound is not None and not (isinstance(bound, int | float) and math.isfinite(bound)):
            raise ValueError(f"lower_bound: expected a finite number or None, got {bound!r}")
        for name in self.metrics:
            if name in TAKEN:
                told = "the landscape's own" if name == "value" else "what a record itself has"
                raise ValueError(f'metrics: "{name}" is {told}; choose another name')
            if not isinstance(name, str) or not re.fullmatch("[^_/][^/]*", name):
                raise ValueError(
                    f'metrics: expected a name without "/" or a first "_", got {name!r}'
                )

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the landscapes that solutions and paths are measured on."""
        return ("train",) if self.test is None else ("train", "test")

    def landscape(self, split: str) -> Landscape:
        """The landscape of a split.

        Raises:
            ValueError: when there is none.
        """
        if split == "train":
            return self.train
        if split != "test" or self.test is None:
            raise ValueError(f"expected a split among {', '.join(self.splits)}, got {split!r}")
        return self.test
