"""The base class of path finders: the calls for one pair of ends or many, and the checks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from numbers import Integral, Real
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Landscape, SymmetricImage
from lowroad.landscapes.landscape import check_landscape
from lowroad.outcome import Outcome
from lowroad.paths.batching import run_batched
from lowroad.paths.found_path import REFINEMENTS, FoundPath, History, measure
from lowroad.paths.keeper import Keeper
from lowroad.paths.path import Path
from lowroad.paths.starts import lowest, perturbed, split_generator

COUNTS = frozenset(
    {"points", "refinements", "starts", "terms", "images", "insertions", "recordings"}
)
_NUMBERS = {"int": (Integral, "whole number"), "float": (Real, "number")}
MOST = 100_000  # of each of them: more are a slip of the keyboard, and no memory holds them

Callback = Callable[[int, float], bool | None]
PairCallback = Callable[[int, int, float], bool | None]


class Search(NamedTuple):
    """The result of a finder's search before it is measured.

    Attributes:
        profile: the path's full-landscape values on the grid [T], if the search has evaluated them.
        spline_height: the estimate from values and forces of images, where there are images.
    """

    path: Path
    history: History
    outcome: Outcome
    profile: Tensor | None = None
    spline_height: float | None = None


@dataclass(frozen=True, kw_only=True)
class PathFinder(ABC):
    """Finds a low path between two points of any landscape.

    A finder is a frozen set of settings and holds no state of a search.

    With several `starts` it searches from the straight line (or from `initial`) and from straight
    lines with random perturbations perpendicular to them (see `perturbed`), and returns the path of
    the lowest refined height: a search finds the pass that its start leads to, which need not be
    the lowest.

    Attributes:
        points: T, the number of equally spaced t at which the found path is measured, ends
            included.
        refinements: golden sections spent on the maximum between grid points, each of up to three
            values; 20 shrink a bracket to 1.3e-4 of a grid step, 0 return the grid's maximum.
        starts: the number of searches.
        perturbation: the largest distance of the other starts from the straight line, as a fraction
            of the distance between the ends.
    """

    resumable: ClassVar[bool] = False
    """Whether `_search` takes a `keeper`."""
    may_be_infinite: ClassVar[frozenset[str]] = frozenset()
    """Settings for which infinity has a meaning."""

    points: int = 51
    refinements: int = REFINEMENTS
    starts: int = 1
    perturbation: float = 0.3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kind = str(field.type).removesuffix(" | None")
            if kind not in _NUMBERS or (value is None and kind != field.type):
                continue
            expected, word = _NUMBERS[kind]
            if isinstance(value, bool) or not isinstance(value, expected):
                raise TypeError(f"expected {field.name} to be a {word}, got {value!r}")
            infinite = isinstance(value, float) and math.isinf(value)
            if infinite and field.name not in self.may_be_infinite:
                raise ValueError(f"expected {field.name} to be finite, got {value}")
        for name in sorted(COUNTS & {field.name for field in fields(self)}):
            if getattr(self, name) > MOST:
                raise ValueError(f"expected {name} to be at most {MOST}, got a larger number")
        if self.points < 3:
            raise ValueError(f"expected at least 3 points along the path, got {self.points}")
        if self.refinements < 0:
            raise ValueError(f"expected refinements >= 0, got {self.refinements}")
        if self.starts < 1:
            raise ValueError(f"expected at least one start, got {self.starts}")
        if not self.perturbation > 0:
            raise ValueError(f"expected a perturbation > 0, got {self.perturbation}")

    def find(
        self,
        landscape: Landscape,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
        initial: Path | None = None,
        keeper: Keeper | None = None,
    ) -> FoundPath:
        """Return a low path from `start` [d] to `end` [d].

        Args:
            landscape: the landscape to search.
            start: one end [d].
            end: the other end [d].
            generator: draws mini-batches, noise and starts, if the finder uses any.
            callback: called as `callback(step, height)` once per step; returning True stops the
                search and those from other starts. The height is the largest value seen at that
                step, on the mini-batch if there is one.
            initial: the path to begin with, of any family between the same ends; the straight line
                when not given.
            keeper: where the search's state is while it runs, and what it goes on from; of finders
                that are `resumable`, with a single start.

        Raises:
            ValueError: when the ends differ in length or from the landscape's dimension, are
                equal or not finite, when the landscape is not finite there, when `initial` joins
                other points, or when a generator is missing.
            TypeError: when `landscape` is not a landscape, when the ends are of another type, or
                when mini-batches are requested from a landscape without data.
        """
        self._check_landscape(landscape)
        check_ends(landscape, start, end)
        if self.draws and generator is None:
            raise ValueError(
                f"this {type(self).__name__} draws random numbers (mini-batches, noise or several "
                "starts): pass generator=torch.Generator().manual_seed(...)"
            )
        if initial is not None and not isinstance(initial, Path):
            raise TypeError(
                f"expected an initial path, such as found.path, got {type(initial).__name__}"
            )
        if initial is not None and not (
            torch.equal(initial.start, start) and torch.equal(initial.end, end)
        ):
            raise ValueError("expected an initial path between the same ends, got other ends")
        searches = self._searches(start, end, generator, callback, initial, keeper)
        found = lowest(run_batched(landscape, searches))
        return replace(found, symmetry=_symmetry(landscape, start, end))

    def find_many(
        self,
        landscape: Landscape,
        starts: Tensor | Sequence[Tensor],
        ends: Tensor | Sequence[Tensor],
        generators: Sequence[torch.Generator] | None = None,
        callback: PairCallback | None = None,
    ) -> list[FoundPath]:
        """Return a low path for each pair of ends, as `find` does up to rounding.

        On a landscape whose cost is mostly that of a call (`batched`), the searches advance
        together and share their calls (see `run_batched`); on others, such as a network whose steps
        share the products of its first layer, they run one after another.

        Args:
            landscape: the landscape to search.
            starts: one end of each pair, [p, d].
            ends: the other ends [p, d].
            generators: one per pair, if the finder draws random numbers.
            callback: called as `callback(pair, step, height)` once per step of each search;
                returning True stops the search of that pair.

        Raises:
            ValueError: as `find`, with the pair named, before any search begins; also when the
                numbers of starts, ends and generators differ, or a generator is given twice.
            TypeError: as `find`.
            Exception: any exception of a search, with a note that names the pair.

        >>> from lowroad.landscapes import MullerBrown
        >>> from lowroad.paths import StringFinder
        >>> surface = MullerBrown()
        >>> a, b, c = (minimum.point for minimum in surface.minima)
        >>> found = StringFinder().find_many(surface, [a, c], [c, b])
        >>> [round(each.refined_height, 3) for each in found]
        [-40.665, -72.249]
        """
        if self.draws and generators is None:
            raise ValueError(
                f"this {type(self).__name__} draws random numbers (mini-batches, noise or several "
                "starts): pass generators, one for each pair"
            )
        if isinstance(generators, torch.Generator):
            raise TypeError("expected a list of generators, one for each pair, got a single one")
        each = [None] * len(starts) if generators is None else list(generators)
        if len(each) != len(starts):
            raise ValueError(f"expected {len(starts)} generators, one per pair, got {len(each)}")
        if generators is not None and len(set(map(id, each))) < len(each):
            raise ValueError("expected a generator for each pair, got one for several")
        pairs = self._checked_pairs(landscape, list(starts), list(ends))
        searches = []
        for i, ((start, end), generator) in enumerate(zip(pairs, each, strict=True)):
            own = None if callback is None else partial(callback, i)
            searches += [
                partial(_noting, i, search)
                for search in self._searches(start, end, generator, own, None)
            ]
        found = run_batched(landscape, searches)
        paths = [lowest(found[i : i + self.starts]) for i in range(0, len(found), self.starts)]
        return [
            replace(path, symmetry=_symmetry(landscape, *pair))
            for path, pair in zip(paths, pairs, strict=True)
        ]

    def _searches(
        self,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator | None,
        callback: Callback | None,
        initial: Path | None,
        keeper: Keeper | None = None,
    ) -> list[Callable[[Landscape], FoundPath]]:
        """Return one search for each start, a function of the landscape."""
        start, end = start.detach(), end.detach()  # `parameters_to_vector` leaves them attached
        firsts, generators = [initial], [generator]
        if keeper is not None and (self.starts > 1 or not self.resumable):
            keeper = None
        if self.starts > 1 and generator is not None:
            more = range(self.starts - 1)
            firsts += [perturbed(start, end, self.perturbation, generator) for _ in more]
            generators = [*split_generator(generator, self.starts)]
            callback = None if callback is None else _StopsAll(callback)
        return [
            partial(self._found, start, end, own, callback, first, keeper)
            for own, first in zip(generators, firsts, strict=True)
        ]

    def _found(
        self,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator | None,
        callback: Callback | None,
        initial: Path | None,
        keeper: Keeper | None,
        landscape: Landscape,
    ) -> FoundPath:
        counted = CountingLandscape(landscape)
        kept = {} if keeper is None else {"keeper": keeper}
        search = self._search(counted, start, end, generator, callback, initial, **kept)
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
        """Return the path found, before it is measured."""

    @property
    def draws(self) -> bool:
        """Whether the finder draws random numbers and so needs a generator."""
        return self.starts > 1

    def _checked_pairs(
        self, landscape: Landscape, starts: list[Tensor], ends: list[Tensor]
    ) -> list[tuple[Tensor, Tensor]]:
        if len(starts) != len(ends):
            raise ValueError(f"expected as many starts as ends, got {len(starts)} and {len(ends)}")
        self._check_landscape(landscape)
        pairs = list(zip(starts, ends, strict=True))
        for i, pair in enumerate(pairs):
            with _naming(i):
                _check_points(landscape, *pair)
        if pairs:
            values = landscape.values(torch.stack([*starts, *ends])).view(2, -1).T
            for i, at_ends in enumerate(values):
                with _naming(i):
                    _check_values(at_ends, landscape.failure)
        return pairs

    def _check_landscape(self, landscape: Landscape) -> None:
        check_landscape(landscape)
        if self.starts > 1 and landscape.dimension == 1:
            raise ValueError("several starts need a second dimension: in one, all go the same way")


def _symmetry(landscape: Landscape, start: Tensor, end: Tensor) -> SymmetricImage | None:
    """How a symmetry brings the ends nearer; not tried with data, where it takes long."""
    if landscape.samples > 1:
        return None
    return landscape.symmetric_image(start.detach(), end.detach())


class _StopsAll:
    """A callback that several searches share: once it stops one, it stops all."""

    def __init__(self, callback: Callback) -> None:
        self._callback, self._stops = callback, False

    def __call__(self, step: int, height: float) -> bool:
        self._stops = self._stops or bool(self._callback(step, height))
        return self._stops


@contextmanager
def _naming(pair: int) -> Iterator[None]:
    """Name the pair in errors."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"pair {pair}: {error}") from error


def _noting(pair: int, search: Callable[[Landscape], FoundPath], landscape: Landscape) -> FoundPath:
    """Run the search of a pair; an exception gets a note that names the pair."""
    try:
        return search(landscape)
    except Exception as error:
        error.add_note(f"in the search for the path of pair {pair}")
        raise


def check_ends(landscape: Landscape, start: Tensor, end: Tensor) -> None:
    """Refuse ends that cannot be joined by a path.

    Raises:
        ValueError: see `PathFinder.find`.
        TypeError: see `PathFinder.find`.
    """
    _check_points(landscape, start, end)
    _check_values(landscape.values(torch.stack([start, end])), landscape.failure)


def _check_points(landscape: Landscape, start: Tensor, end: Tensor) -> None:
    for name, point in (("start", start), ("end", end)):
        if not isinstance(point, Tensor):
            raise TypeError(f"expected the {name} to be a torch tensor, got {type(point).__name__}")
        if point.shape != (landscape.dimension,):
            raise ValueError(
                f"expected a {name} of shape [{landscape.dimension}] for "
                f"{type(landscape).__name__}, got {list(point.shape)}"
            )
        landscape.check_points(point[None])
        if not bool(torch.isfinite(point).all()):
            bad = int((~torch.isfinite(point)).sum())
            raise ValueError(f"the {name} has {bad} components that are not finite")
        landscape.check_repeatable(point)
    if torch.equal(start, end):
        raise ValueError("the start and the end are the same point: there is no path to find")


def _check_values(values: Tensor, failure: Exception | None) -> None:
    for name, value in zip(("start", "end"), values.tolist(), strict=True):
        if not np.isfinite(value):
            raise ValueError(
                f"the landscape's value at the {name} is {value}: expected a number"
            ) from failure
