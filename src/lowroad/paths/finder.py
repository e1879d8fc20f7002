"""What every path finder shares: the call, the checks, the record of a search."""

from __future__ import annotations

import bisect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Evaluations, Landscape
from lowroad.outcome import Outcome
from lowroad.paths.found_path import REFINEMENTS, FoundPath, History, measure
from lowroad.paths.path import Path

Callback = Callable[[int, float], bool | None]


class Search(NamedTuple):
    """What a finder's search yields before it is measured.

    Attributes:
        profile: the path's full-landscape heights on the grid [T], where the search has them.
    """

    path: Path
    history: History
    outcome: Outcome
    profile: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class PathFinder(ABC):
    """Seeks a low path between two points of any landscape.

    A finder is a frozen set of settings; all state of a search lives in its call.

    Attributes:
        points: T, on how many equally spaced t the found path is measured, ends included.
        refinements: golden sections spent on the maximum between grid points, each of up to three
            heights; 20 shrink a bracket to 1.3e-4 of a grid step, 0 leave the grid's maximum.
    """

    points: int = 51
    refinements: int = REFINEMENTS

    def __post_init__(self) -> None:
        if self.points < 3:
            raise ValueError(f"expected at least 3 points along the path, got {self.points}")
        if self.refinements < 0:
            raise ValueError(f"expected refinements >= 0, got {self.refinements}")

    def find(
        self,
        landscape: Landscape,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
        initial: Path | None = None,
    ) -> FoundPath:
        """Return a low path from `start` [d] to `end` [d].

        Args:
            landscape: what is walked on.
            start: one end [d].
            end: the other end [d].
            generator: draws mini-batches and noise, where the finder uses any.
            callback: called as `callback(step, height)` once a step; returning True stops the
                search. The height is the largest one seen at that step: on the mini-batch, where
                the step was made on one.
            initial: where to begin, a path between the same ends of any family; the straight line
                when not given.

        Raises:
            ValueError: when the ends differ in length or from the landscape's dimension, are
                equal or not finite, when the landscape is not finite there, when `initial` joins
                other points, or when a generator is missing.
            TypeError: when the ends are of another type than the landscape's, or mini-batches are
                asked of a landscape without data.
        """
        check_ends(landscape, start, end)
        if self.draws and generator is None:
            raise ValueError(
                f"this {type(self).__name__} draws random numbers (mini-batches or noise): pass "
                "generator=torch.Generator().manual_seed(...)"
            )
        if initial is not None and not (
            torch.equal(initial.start, start) and torch.equal(initial.end, end)
        ):
            raise ValueError("expected an initial path between the same ends, got other ends")
        counted = CountingLandscape(landscape)
        search = self._search(counted, start, end, generator, callback, initial)
        return measure(
            counted, counted.evaluations, search.path, self.points, self.refinements, *search[1:]
        )

    @abstractmethod
    def _search(
        self,
        landscape: CountingLandscape,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator | None,
        callback: Callback | None,
        initial: Path | None,
    ) -> Search:
        """Return the path sought, before it is measured."""

    @property
    def draws(self) -> bool:
        """Whether the finder draws random numbers and so needs a generator."""
        return False


def check_ends(landscape: Landscape, start: Tensor, end: Tensor) -> None:
    """Refuse ends that no path can join.

    Raises:
        ValueError: see `PathFinder.find`.
        TypeError: see `PathFinder.find`.
    """
    for name, point in (("start", start), ("end", end)):
        if not isinstance(point, Tensor):
            raise TypeError(f"expected the {name} to be a torch tensor, got {type(point).__name__}")
        if point.shape != (landscape.dimension,):
            raise ValueError(
                f"expected a {name} of shape [{landscape.dimension}] for "
                f"{type(landscape).__name__}, got {list(point.shape)}"
            )
        if not bool(torch.isfinite(point).all()):
            bad = int((~torch.isfinite(point)).sum())
            raise ValueError(f"the {name} has {bad} components that are not finite")
    if torch.equal(start, end):
        raise ValueError("the start and the end are the same point: there is no path to find")
    heights = landscape.heights(torch.stack([start, end]))
    for name, height in zip(("start", "end"), heights.tolist(), strict=True):
        if not np.isfinite(height):
            raise ValueError(f"the landscape's height at the {name} is {height}: expected a number")


class Record:
    """The rows of a `History` as they come, and the judgement whether the height has settled.

    Args:
        evaluations: the running count of the search.
        tolerance: the relative change below which a height counts as settled.
        steps: over how many steps.
    """

    def __init__(self, evaluations: Evaluations, tolerance: float, steps: int) -> None:
        self._evaluations = evaluations
        self._tolerance, self._span = tolerance, steps
        self._rows: list[tuple[int, float, float, float, float]] = []
        self._floor = np.inf
        self._lowest: list[float] = []  # of the rows since the last `begin_anew`

    def add(self, step: int, heights: Tensor) -> None:
        """Add the heights [T] of a path that is `step` steps old."""
        height, spent = float(heights.max()), self._evaluations
        total = float(heights.sum())
        self._rows.append((step, height, total, spent.gradients, spent.heights))
        self._floor = min(self._floor, float(heights[0]), float(heights[-1]))
        lowest = self._lowest[-1] if self._lowest else np.inf
        self._lowest.append(min(lowest, height))

    def begin_anew(self) -> None:
        """Judge by the rows to come alone: they are of a path that sees more than the last."""
        self._lowest = []

    @property
    def finite(self) -> bool:
        """Whether the last row is finite."""
        return bool(np.isfinite(self._rows[-1][2]))

    @property
    def settled(self) -> bool:
        """Whether the lowest height fell by less than the tolerance over the last steps.

        The change is relative to the height above the lower end, so that adding a constant to the
        landscape or scaling it changes nothing.
        """
        steps = [row[0] for row in self._rows[-len(self._lowest) :]]
        before = bisect.bisect_right(steps, steps[-1] - self._span)
        if before == 0:
            return False
        lowest = self._lowest[-1]
        return self._lowest[before - 1] - lowest <= self._tolerance * (lowest - self._floor)

    def history(self) -> History:
        """Return the rows as arrays."""
        columns = np.array(self._rows, dtype=np.float64).reshape(-1, 5).T
        return History(columns[0].astype(np.int64), *columns[1:])
