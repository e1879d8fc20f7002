"""A study's results with what is computed from them once for the whole report."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from lowroad.analysis import (
    MergeTree,
    centroid_distances,
    heights_by_step,
    kernel_pca,
    merge_tree,
    weight_statistics,
)
from lowroad.plotting.ridges import wants_log_axis
from lowroad.plotting.style import SetStyle, set_styles
from lowroad.report.text import SPLIT_NAMES
from lowroad.report.views import LegendEntry, legend_of
from lowroad.study.config import like_with_like
from lowroad.study.labels import SetPair, WeightSet
from lowroad.study.references import claims_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lowroad.study.results import StudyResults

__all__ = ["OTHER_GAMMA", "View", "other_gamma"]

MOST_LEGENDS = 8  # of single sets; beyond that a legend names sources
MOST_PAIRS = 6  # of weight sets that are shown in detail unless the study names more
OTHER_GAMMA = "rbf, other gamma"
"""Key of the RBF projection with the rule for gamma that the study does not use."""

Pair = tuple[WeightSet, WeightSet]
T = TypeVar("T")


def other_gamma(gamma: str | float) -> str:
    """The rule for gamma that is shown for comparison beside the study's own.

    >>> other_gamma("1/D"), other_gamma("median"), other_gamma(0.1)
    ('median', '1/D', '1/D')
    """
    return "median" if gamma == "1/D" else "1/D"


class View:
    """What figures and tables read.

    Args:
        results: The study's results.

    Attributes:
        claims: The published claims that the study names, or None.

    Raises:
        StudyFileError, UserCodeError: The claims cannot be had.
    """

    def __init__(self, results: StudyResults) -> None:
        self.results = results
        self._cache: dict[Hashable, Any] = {}
        named = results.config.report.claims
        self.claims: Any = None if named is None else claims_of(named, results.study.folder)

    def _once(self, key: Hashable, compute: Callable[[], T]) -> T:
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]

    @cached_property
    def styles(self) -> dict[str, SetStyle]:
        """Looks of all weight sets, by name."""
        sets = [each for name in self.results.problems for each in self.results.sets(name)]
        return set_styles(map(str, sets), {str(each): self.label(each) for each in sets})

    def label(self, weights: WeightSet | str) -> str:
        """What a weight set is called for people."""
        return self.results.set_label(weights)

    def legend(self, names: Iterable[str], lines: bool = False) -> list[LegendEntry]:
        """Legend of sets; of their sources where the sets are many, and what differs in a set.

        Args:
            names: The sets.
            lines: Whether the figure draws lines.
        """
        own = set(names)
        shown = {name: style for name, style in self.styles.items() if name in own}
        if len(shown) <= MOST_LEGENDS:
            return legend_of(shown.values(), lines)
        entries: dict[str, LegendEntry] = {}
        others: dict[str, LegendEntry] = {}
        for name, style in shown.items():
            source, _, selection = name.partition("/")
            entries.setdefault(
                source,
                LegendEntry(
                    self.results.label(source),
                    style.color,
                    style.symbol,
                    style.plotly_dash if lines else "",
                ),
            )
            if style.plotly_dash != "solid" and selection not in others:
                dash = style.plotly_dash if lines else ""
                others[selection] = LegendEntry(
                    f"{selection} sets", style.color, style.symbol, dash
                )
        return [*entries.values(), *others.values()]

    def sets(self, problem: str) -> tuple[WeightSet, ...]:
        """The problem's weight sets."""
        return self.results.sets(problem)

    def alone(self, problem: str) -> bool:
        """Whether there is nothing to compare."""
        return len(self.sets(problem)) < 2

    def quantity(self, problem: str, prefix: str = "") -> str:
        """What a value is, with its unit: an axis title."""
        facts = self.results.facts[problem]
        unit = f" ({facts.unit})" if facts.unit else ""
        return f"{prefix}{facts.quantity}{unit}"

    def on(self, split: str) -> str:
        """Return "on the training landscape" after a space; "" where no problem has another."""
        several = any(len(facts.splits) > 1 for facts in self.results.facts.values())
        return f" on the {SPLIT_NAMES[split]} landscape" if several else ""

    def wants_log(self, problem: str, samples: Iterable[Any]) -> bool:
        """Whether an axis of values is logarithmic: they have a zero, and span much."""
        return self.results.facts[problem].lower_bound is not None and wants_log_axis([*samples])

    def selections(self, problem: str) -> tuple[str, ...]:
        """How points of the problem's sets are chosen."""
        return tuple(dict.fromkeys(each.selection for each in self.sets(problem)))

    def runs(self, problem: str, source: str, kept: bool = False) -> xr.Dataset:
        """A source's runs, the lowest training value first."""
        runs = self.results.table("training", problem)
        if not runs.sizes["run"]:
            return runs
        own = runs["source"].values == source
        return runs.isel(run=own & runs["kept"].values if kept else own)

    def values(self, problem: str, weights: WeightSet) -> NDArray[np.float64]:
        """Values [n] of a set's kept points on the landscape that they are selected by."""
        runs = self.runs(problem, weights.source, kept=True)
        if not runs.sizes["run"]:
            return np.empty(0)
        if weights.selection == "last":
            curves = runs["train_values"].values
            return np.array([curve[np.isfinite(curve)][-1] for curve in curves])
        return np.asarray(runs[f"{weights.selection or 'train'}_value"].values, dtype=np.float64)

    def paths(
        self,
        problem: str,
        split: str,
        first: WeightSet,
        second: WeightSet | None = None,
        finder: str | None = None,
    ) -> xr.Dataset:
        """Paths within a set or between two, on a split's landscape, of one path finder."""
        table = self.results.table("path", problem)
        if not table.sizes["path"]:
            return table
        main = self.results.config.settings(problem).paths.finder
        return table.isel(
            path=(table["split"].values == split)
            & (table["first"].values == str(first))
            & (table["second"].values == str(second or first))
            & (table["finder"].values == (finder or main))
        )

    def has_paths(self, problem: str, split: str) -> bool:
        """Whether any path is stored on a split's landscape."""
        table = self.results.table("path", problem)
        return bool(table.sizes["path"]) and bool((table["split"].values == split).any())

    def splits(self, problem: str) -> tuple[str, ...]:
        """Splits on whose landscapes paths are stored."""
        return tuple(s for s in self.results.facts[problem].splits if self.has_paths(problem, s))

    def between(self, problem: str) -> list[SetPair]:
        """Pairs of different sets that paths connect."""
        return [pair for pair in self.results.study.set_pairs(problem) if not pair.within]

    def numbers(self, name: str, *which: Any) -> NDArray[np.float64]:
        """One number of each path [n]; arguments as of `paths`."""
        paths = self.paths(*which)
        return np.asarray(paths[name].values if paths.sizes["path"] else (), dtype=np.float64)

    def curves(
        self, problem: str, split: str, first: WeightSet, second: WeightSet | None = None
    ) -> xr.Dataset:
        """`heights_by_step` of paths."""

        def compute() -> xr.Dataset:
            paths = self.paths(problem, split, first, second)
            heights = paths["heights"].values if paths.sizes["path"] else ()
            steps = paths["step"].values if paths.sizes["path"] else ()
            return heights_by_step([(steps[np.isfinite(h)], h[np.isfinite(h)]) for h in heights])

        return self._once(("curves", problem, split, first, second), compute)

    def tree(self, problem: str, split: str, weights: WeightSet) -> MergeTree:
        """`merge_tree` of a set's minima that have a path; heights are those of the paths' ends."""
        return self._once(
            ("tree", problem, split, weights),
            lambda: _tree(self.paths(problem, split, weights)),
        )

    def points(self, problem: str, weights: WeightSet) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """A set's finite points [n, d] and their seeds [n]."""

        def compute() -> tuple[NDArray[Any], NDArray[np.int64]]:
            points, seeds = self.results.points(problem, weights)
            finite = np.isfinite(points).all(axis=1)
            return points[finite], seeds[finite]

        return self._once(("points", problem, weights), compute)

    def weights(self, problem: str) -> xr.Dataset:
        """`weight_statistics` of the sets that hold points, with their number `n`."""
        filled = {
            str(each): points
            for each in self.sets(problem)
            if len(points := self.points(problem, each)[0])
        }
        if not filled:
            return xr.Dataset(coords={"set": np.empty(0, dtype=str)})
        table = weight_statistics(filled)
        return table.assign(n=("set", [len(points) for points in filled.values()]))

    def distances(self, problem: str, pair: Pair) -> xr.Dataset | None:
        """`centroid_distances` of two sets; None where one holds no point."""

        def compute() -> xr.Dataset | None:
            (one, starts_one), (two, starts_two) = (self.points(problem, each) for each in pair)
            if not len(one) or not len(two):
                return None
            trained = self.results.config.optimizers_of(problem)
            # one seed gives all optimizers one start; checkpoints have starts of their own
            shared = all(each.source in trained for each in pair)
            starts = (starts_one, starts_two) if shared else None
            names = str(pair[0]), str(pair[1])
            return centroid_distances(one, two, names, starts)

        return self._once(("distances", problem, pair), compute)

    def projection(
        self, problem: str, sets: tuple[WeightSet, ...], kernel: str
    ) -> xr.Dataset | None:
        """`kernel_pca` of sets; None where a set has no point, or with fewer than three points.

        Also None where all points are equal.
        """

        def compute() -> xr.Dataset | None:
            filled = {str(each): self.points(problem, each)[0] for each in sets}
            sizes = [len(points) for points in filled.values()]
            if min(sizes) == 0 or sum(sizes) < 3:
                return None
            joined = np.concatenate(list(filled.values()))
            if (joined == joined[0]).all():
                return None
            gamma = self.results.config.analysis.gamma
            if kernel == OTHER_GAMMA:
                return kernel_pca(filled, "rbf", other_gamma(gamma))
            return kernel_pca(filled, kernel, gamma)

        return self._once(("projection", problem, sets, kernel), compute)

    def pairs(self, problem: str) -> list[Pair]:
        """Pairs of sets that are shown in detail: those that the study names, or the first ones."""
        sets = self.sets(problem)
        named = self.results.config.report.pairs
        if named:
            found = [
                (each.first, each.second) for names in named for each in like_with_like(names, sets)
            ]
        else:
            found = [
                (one, two)
                for number, one in enumerate(sets)
                for two in sets[number + 1 :]
                if one.source != two.source
                and (one.selection == two.selection or "" in (one.selection, two.selection))
            ][:MOST_PAIRS]
        return list(dict.fromkeys(found))

    @property
    def all_pairs(self) -> list[Pair]:
        """Pairs shown in detail in any problem."""
        every = [pair for problem in self.results.problems for pair in self.pairs(problem)]
        return list(dict.fromkeys(every))


def _tree(paths: xr.Dataset) -> MergeTree:
    if not paths.sizes["path"]:
        return merge_tree([], np.empty((0, 2), dtype=np.int64), [])
    ends = np.stack([paths["start_value"].values, paths["end_value"].values], axis=1)
    seeds = np.stack([paths["seed_1"].values, paths["seed_2"].values], axis=1)
    known = np.isfinite(ends).all(axis=1)
    heights: dict[int, float] = {}
    for pair, values in zip(seeds[known].tolist(), ends[known].tolist(), strict=True):
        for seed, value in zip(pair, values, strict=True):
            heights[seed] = min(value, heights.get(seed, np.inf))  # alike but for rounding
    order = sorted(heights)
    pairs = np.searchsorted(order, seeds[known]).astype(np.int64).reshape(-1, 2)
    return merge_tree([heights[seed] for seed in order], pairs, paths["height"].values[known])
