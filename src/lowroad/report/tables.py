"""The report's tables: one group of rows for each problem, mostly one row for each weight set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowroad.analysis import lowest_within, weight_statistics
from lowroad.plotting.style import scientific, three_figures
from lowroad.report.text import SPLIT_NAMES, listing, value_text
from lowroad.report.views import Group, TableView

if TYPE_CHECKING:
    from lowroad.analysis import Published
    from lowroad.report.view import View
    from lowroad.study.labels import WeightSet
    from lowroad.study.references import Facts

__all__ = [
    "barrier_table",
    "distance_table",
    "height_table",
    "kept_table",
    "kernel_table",
    "metric_table",
    "sharpness_table",
    "step_table",
    "tree_table",
    "value_table",
    "weight_table",
]

Pair = tuple["WeightSet", "WeightSet"]
Cells = list[str] | None


def value_table(view: View, published: Published | None = None) -> TableView | None:
    """Lowest values of the kept runs, with published means beside where there are some."""
    numbers = published.values if published else {}

    def cells(problem: str, name: WeightSet) -> Cells:
        values, facts = view.values(problem, name), view.results.facts[problem]
        finite = values[np.isfinite(values)]
        if not len(values):
            return None
        row = [value_text(number, facts) for number in _mean_and_deviation(finite)]
        row += [value_text(number, facts) for number in _ends(finite)]
        return [*row, _count(values), *_published(numbers, problem, name, 1)]

    quantities = dict.fromkeys(facts.quantity for facts in view.results.facts.values())
    caption = (
        f"Lowest {listing(quantities)} of each kept run: mean and standard deviation over the n "
        "runs, lowest and highest."
    )
    if any(each.selection for name in view.results.problems for each in view.sets(name)):
        caption += (
            " “Train” is where the training value is lowest, and that value; “test” where the test "
            "value is."
        )
    header = ["Weights", "Mean", "Std. dev.", "Lowest", "Highest", "n"]
    if published:
        caption += f" Paper: mean in {published.reference}."
        header.append("Paper")
    return _table("Lowest values", caption, header, _groups(view, cells))


def weight_table(view: View, published: Published | None = None) -> TableView | None:
    """Statistics of the components of all vectors, with published ones beside."""
    numbers = published.weights if published else {}

    def cells(problem: str, name: WeightSet) -> Cells:
        vectors = view.results.points(problem, name)[0]
        vectors = vectors[np.isfinite(vectors).all(axis=1)]
        if not len(vectors):
            return None
        cell = weight_statistics({str(name): vectors}).isel(set=0)
        row = [scientific(float(cell[each])) for each in ("mean", "standard_deviation")]
        row.append(str(len(vectors)))
        return [*row, *_published(numbers, problem, name, 2)]

    caption = (
        "Mean μ and standard deviation σ of all components of the n vectors of a set, pooled "
        "(ddof = 0)."
    )
    header = ["Weights", "μ", "σ", "n"]
    if published:
        caption += f" Paper: {published.reference}."
        header += ["μ, paper", "σ, paper"]
    return _table("Components of the weight vectors", caption, header, _groups(view, cells))


def metric_table(view: View) -> TableView | None:
    """Every metric of the kept solutions on every split: mean and standard deviation."""
    tables = {problem: view.results.table("metric", problem) for problem in view.results.problems}
    columns: dict[tuple[str, str], None] = {}
    for problem, table in tables.items():
        splits = dict.fromkeys(map(str, table["split"].values)) if table.sizes["point"] else {}
        for metric in view.results.facts[problem].metrics:
            columns |= dict.fromkeys((metric, split) for split in splits if metric in table)

    def cells(problem: str, name: WeightSet) -> Cells:
        table, row, count = tables[problem], [], 0
        for metric, split in columns:
            if metric not in table:
                row.append("–")
                continue
            rows = (table["set"].values == str(name)) & (table["split"].values == split)
            values = _finite(table[metric].values[rows])
            count = max(count, len(values))
            row.append(_with_deviation(values))
        return [*row, str(count)] if count else None

    if not columns:
        return None
    header = [f"{metric}, {SPLIT_NAMES.get(split, split)}" for metric, split in columns]
    return _table(
        "Metrics of the kept solutions",
        "Mean ± standard deviation over the n kept solutions of a set.",
        ["Weights", *header, "n"],
        _groups(view, cells),
    )


def height_table(view: View, split: str) -> TableView | None:
    """Path heights within every set."""

    def cells(problem: str, name: WeightSet) -> Cells:
        paths, facts = view.paths(problem, split, name), view.results.facts[problem]
        if not paths.sizes["path"]:
            return None
        heights = paths["height"].values
        finite = _finite(heights)
        quartiles = np.quantile(finite, [0, 0.25, 0.5, 0.75, 1]) if len(finite) else [np.nan] * 5
        lines = _median(paths["straight_height"].values)
        return [_count(heights), *(_height_text(x, facts) for x in (*quartiles, lines))]

    return _table(
        f"Path heights{view.on(split)}",
        "Path heights: number of paths, minimum, quartiles and maximum, and the median height of "
        "the straight lines between the same ends.",
        ["Weights", "n", "Min.", "25%", "50%", "75%", "Max.", "Line"],
        _groups(view, cells),
    )


def barrier_table(view: View, split: str) -> TableView | None:
    """Barriers within every set and between sets."""

    def cells(problem: str, pair: Pair) -> Cells:
        first, second = pair
        paths = view.paths(problem, split, first, None if first == second else second)
        if not paths.sizes["path"]:
            return None
        barriers = _finite(paths["barrier"].values)
        numbers = (_median(barriers), *_ends(barriers))
        level = int((barriers <= 0).sum())
        return [_count(paths["barrier"].values), *map(three_figures, numbers), str(level)]

    def rows(problem: str) -> list[tuple[str, Pair]]:
        label = view.results.set_label
        within = [(label(each), (each, each)) for each in view.results.sets(problem)]
        return within + [
            (f"{label(first)} – {label(second)}", (first, second))
            for first, second in view.between(problem)
        ]

    return _table(
        f"Barriers{view.on(split)}",
        "Barrier: how far a path rises above its higher end; median, minimum and maximum over the "
        "n paths within a set, and between two sets. Level: how many paths rise nowhere above it.",
        ["Weights", "n", "Median", "Min.", "Max.", "Level"],
        _rows(view, rows, cells),
    )


def step_table(view: View, split: str) -> TableView | None:
    """Median of the lowest height so far, by steps."""

    def cells(problem: str, name: WeightSet) -> Cells:
        curves, facts = view.curves(problem, split, name), view.results.facts[problem]
        if not curves.sizes["step"]:
            return None
        medians = [_median(lowest_within(curves, fraction)) for fraction in (0.0, 0.25, 0.5, 1.0)]
        return [_height_text(median, facts) for median in medians]

    return _table(
        f"Heights by steps{view.on(split)}",
        "Median over the paths of the lowest height so far: of the straight lines, by the last "
        "measured step within a quarter and within half of the steps (– where there is none), and "
        "at the end.",
        ["Weights", "Line", "25%", "50%", "End"],
        _groups(view, cells),
    )


def tree_table(view: View, split: str) -> TableView | None:
    """What the disconnectivity graphs hold."""

    def cells(problem: str, name: WeightSet) -> Cells:
        tree, facts = view.tree(problem, split, name), view.results.facts[problem]
        if not tree.heights:
            return None
        levels = [merge.level for merge in tree.merges]
        paths = len(_finite(view.paths(problem, split, name)["height"].values))
        ends = (min(tree.heights), min(levels, default=np.nan), max(levels, default=np.nan))
        counts = (len(tree.heights), paths, len(tree.roots))
        return [*map(str, counts), *(_height_text(number, facts) for number in ends)]

    return _table(
        f"Disconnectivity{view.on(split)}",
        "The n minima that have a path, paths, and the parts that these hold together; the lowest "
        "minimum, and the first and the last level at which two parts join.",
        ["Weights", "n", "Paths", "Parts", "Min.", "First", "Last"],
        _groups(view, cells),
    )


def distance_table(view: View, pair: Pair) -> TableView | None:
    """Distances of two sets' vectors from their common origin."""

    def cells(problem: str, name: WeightSet) -> Cells:
        table = view.distances(problem, pair)
        if table is None:
            return None
        values = table["distance"].values[table["set"].values == str(name)]
        spread = float(table["spread"].sel(group=str(name)))
        numbers = (_median(values), *_ends(values), spread, float(table["separation"]))
        return [str(len(values)), *map(three_figures, numbers)]

    ratios = {
        problem: float(table["same_start"] / table["other_start"])
        for problem in view.results.problems
        if (table := view.distances(problem, pair)) is not None
    }
    said = [f"{three_figures(ratio)} in {name}" for name, ratio in ratios.items() if ratio > 0]
    caption = (
        "Distance from the common origin; spread: root-mean-square distance of the vectors from "
        "their own centroid; apart: distance of the two centroids from each other."
    )
    if said:
        caption += (
            " The root-mean-square distance of vectors of the two sets that began at the same "
            f"weights, relative to that of others, is {listing(said)}."
        )
    return _table(
        "Distances of {} and {} vectors".format(*map(view.results.set_label, pair)),
        caption,
        ["Weights", "n", "Median", "Min.", "Max.", "Spread", "Apart"],
        _groups(view, cells, pair),
    )


def kernel_table(view: View, pair: Pair, kernels: Mapping[str, str]) -> TableView | None:
    """Area under the ROC curve of both components for every kernel, which are named by label."""

    def cells(problem: str, kernel: str) -> Cells:
        table = view.projection(problem, pair, kernel)
        if table is None:
            return None
        areas, fractions = table["auc"].values, table["explained"].values
        gamma = scientific(float(table.attrs["gamma"]))
        return [gamma, *(three_figures(float(a)) for a in areas[:2]), f"{fractions[0]:.1%}"]

    return _table(
        "Kernels on {} and {} vectors".format(*map(view.results.set_label, pair)),
        "Area under the ROC curve (0.5: no separation, 1: perfect) of the first and the second "
        "component, and the first component’s fraction of the eigenvalues.",
        ["Kernel", "γ", "Area 1", "Area 2", "Fraction 1"],
        _rows(view, lambda _: [(label, kernel) for kernel, label in kernels.items()], cells),
    )


def sharpness_table(view: View) -> TableView | None:
    """Largest eigenvalue and trace of the Hessian at the kept minima."""

    def cells(problem: str, name: WeightSet) -> Cells:
        table = view.results.table("sharpness", problem)
        if not table.sizes["point"]:
            return None
        table = table.isel(point=table["set"].values == str(name))
        if not table.sizes["point"]:
            return None
        largest = table["eigenvalues"].values[:, 0]
        traces = (_median(table["trace"].values), _median(table["trace_error"].values))
        numbers = (_median(largest), *_ends(_finite(largest)), *traces)
        return [str(len(largest)), *map(three_figures, numbers)]

    return _table(
        "Sharpness",
        "Largest eigenvalue λ₁ of the Hessian over the n minima, its median and range; medians of "
        "the traces and of their estimates’ standard errors.",
        ["Weights", "n", "λ₁", "Min.", "Max.", "Trace", "±"],
        _groups(view, cells),
    )


def kept_table(view: View) -> TableView | None:
    """Which runs were kept, and how all runs ended."""

    def cells(problem: str, source: str) -> Cells:
        runs = view.runs(problem, source)
        if not runs.sizes["run"]:
            return None
        seeds = runs["seed"].values[runs["kept"].values]
        return [", ".join(view.results.study.run_name(source, seed) for seed in seeds) or "–"]

    def rows(problem: str) -> list[tuple[str, str]]:
        return [(view.results.label(each), each) for each in view.results.sources(problem)]

    return _table(
        "Kept runs",
        "The kept runs by seed, checkpoints by file; lowest training value first.",
        ["Optimizer", "Runs"],
        _rows(view, rows, cells),
    )


def _groups(
    view: View, cells: Callable[[str, Any], Cells], only: Iterable[WeightSet] | None = None
) -> list[Group]:
    """Rows of the weight sets of each problem."""

    def rows(problem: str) -> list[tuple[str, WeightSet]]:
        sets = [s for s in view.results.sets(problem) if only is None or s in tuple(only)]
        return [(view.results.set_label(each), each) for each in sets]

    return _rows(view, rows, cells)


def _rows(
    view: View,
    rows: Callable[[str], list[tuple[str, Any]]],
    cells: Callable[[str, Any], Cells],
) -> list[Group]:
    """Return each problem that has rows: a label and its cells, where there are some."""
    groups = []
    for problem in view.results.problems:
        filled = [
            [label, *row]
            for label, key in rows(problem)
            if (row := cells(problem, key)) is not None
        ]
        if filled:
            groups.append(Group(problem, filled))
    return groups


def _table(name: str, caption: str, header: list[str], groups: list[Group]) -> TableView | None:
    return TableView(name, caption, header, groups) if groups else None


def _published(
    numbers: Mapping[str, Mapping[str, Any]], problem: str, name: WeightSet, columns: int
) -> list[str]:
    if not numbers:
        return []
    known = numbers.get(problem, {}).get(str(name))
    return ["–"] * columns if known is None else [scientific(x) for x in np.atleast_1d(known)]


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return np.asarray(array[np.isfinite(array)])


def _median(values: ArrayLike) -> float:
    finite = _finite(values)
    return float(np.median(finite)) if len(finite) else float("nan")


def _mean_and_deviation(values: NDArray[np.float64]) -> tuple[float, float]:
    deviation = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return float(values.mean()) if len(values) else float("nan"), deviation


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    nan = float("nan")
    return (float(values.min()), float(values.max())) if len(values) else (nan, nan)


def _with_deviation(values: NDArray[np.float64]) -> str:
    if not len(values):
        return "–"
    mean, deviation = _mean_and_deviation(values)
    return three_figures(mean) + ("" if np.isnan(deviation) else f" ± {three_figures(deviation)}")


def _height_text(number: float, facts: Facts) -> str:
    """A height: with three figures, or as an energy's where the value has no lower bound."""
    return three_figures(number) if facts.lower_bound is not None else value_text(number, facts)


def _count(values: NDArray[np.float64]) -> str:
    excluded = int((~np.isfinite(values)).sum())
    return str(len(values) - excluded) + (f" (+{excluded} not finite)" if excluded else "")
