"""What the questions are asked of: the samples of a problem, its weight sets and their paths."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

__all__ = ["Asked", "PathSamples", "ProblemSamples", "SetSamples"]

Pair = tuple[str, str]


_OF_PATHS = ("heights", "barriers", "straight_barriers", "same_start", "converged")
_OF_SOLUTIONS = ("seeds", "rises", "sharpness")


@dataclass(frozen=True, kw_only=True)
class PathSamples:
    """Paths [m] on one split, within one weight set or between two; what is unknown is left out.

    Attributes:
        heights: Path heights (Eq. 5) [m].
        barriers: How far the paths rise above their higher ends [m].
        straight_barriers: The same of the straight lines between their ends [m].
        pairs: Seeds [m, 2] of both ends; between two sets, the first column is the first set's.
        same_start: Whether both ends were trained from one start [m].
        converged: Whether the path finder stopped by its own criterion [m].
        curves: `heights_by_step` of the paths.
    """

    heights: ArrayLike = ()
    barriers: ArrayLike = ()
    straight_barriers: ArrayLike = ()
    pairs: ArrayLike | None = None
    same_start: ArrayLike = ()
    converged: ArrayLike = ()
    curves: xr.Dataset | None = None

    def __post_init__(self) -> None:
        numbers = {name: np.size(getattr(self, name)) for name in _OF_PATHS}
        numbers["pairs"] = 0 if self.pairs is None else len(np.asarray(self.pairs))
        numbers["curves"] = 0 if self.curves is None else self.curves.sizes["path"]
        _check_lengths("paths", numbers)

    def keys(self) -> list[Hashable]:
        """The seeds of each path, the lower one first."""
        pairs = [] if self.pairs is None else np.asarray(self.pairs).tolist()
        return [tuple(sorted(pair)) for pair in pairs]


@dataclass(frozen=True, kw_only=True)
class SetSamples:
    """What is known of the n solutions of one weight set; NaN where a number is not known.

    Attributes:
        seeds: Seeds [n]; equal seeds of two sets mean that training began at the same start.
        own_starts: Whether the seeds say nothing about starts, as those of checkpoints.
        values: Values [n] by split.
        rises: `rise_after_minimum` [n] of the test curves.
        sharpness: Largest eigenvalues of the Hessian [n].
        paths: Paths within the set, by split.
    """

    seeds: ArrayLike = ()
    own_starts: bool = False
    values: Mapping[str, ArrayLike] = field(default_factory=dict)
    rises: ArrayLike = ()
    sharpness: ArrayLike = ()
    paths: Mapping[str, PathSamples] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = {name: np.size(getattr(self, name)) for name in _OF_SOLUTIONS}
        numbers |= {f"{split} values": np.size(each) for split, each in self.values.items()}
        _check_lengths("solutions", numbers)


@dataclass(frozen=True, kw_only=True)
class ProblemSamples:
    """All samples of one problem.

    Attributes:
        name: The problem's name.
        sets: Weight sets by name.
        between: Paths between two sets, by the names of the sets and by split.
        distances: Results of `centroid_distances`, by the names of the two sets.
        projections: Results of `kernel_pca`, by the names of the two sets and the kernel.
        lower_bound: The least value that is possible; None where there is none, as for energies:
            then differences replace ratios.
        same_points: Sets that hold the same points as another, by name, e.g. test weights where
            the test loss never rises.
    """

    name: str = ""
    sets: Mapping[str, SetSamples] = field(default_factory=dict)
    between: Mapping[Pair, Mapping[str, PathSamples]] = field(default_factory=dict)
    distances: Mapping[Pair, xr.Dataset] = field(default_factory=dict)
    projections: Mapping[tuple[str, str, str], xr.Dataset] = field(default_factory=dict)
    lower_bound: float | None = 0.0
    same_points: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One question's samples: a problem, one or two of its sets, a split or a kernel (`part`)."""

    problem: ProblemSamples
    first: str
    second: str
    part: str
    generator: np.random.Generator

    def sets(self) -> list[SetSamples]:
        """The sets, empty ones where the problem has none of that name."""
        names = (self.first, self.second) if self.second else (self.first,)
        return [self.problem.sets.get(name, SetSamples()) for name in names]

    def paths(self) -> list[PathSamples]:
        """The paths within the sets."""
        return [each.paths.get(self.part, PathSamples()) for each in self.sets()]

    def table(self, known: Mapping[Any, Any], *more: str) -> Any:
        """What is known of the two sets, whichever comes first; None where nothing is."""
        one, two = self.first, self.second
        return known.get((one, two, *more), known.get((two, one, *more)))

    def share_starts(self) -> bool:
        """Whether equal seeds of the sets mean equal starts."""
        return not any(each.own_starts for each in self.sets())


def _check_lengths(what: str, numbers: Mapping[str, int]) -> None:
    given = {name: number for name, number in numbers.items() if number}
    if len(set(given.values())) > 1:
        raise ValueError(
            f"expected one number for each of the {what}, or none; got "
            + ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in given.items())
        )
