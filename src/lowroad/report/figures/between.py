"""Barriers between weight sets beside those within them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.plotting import sample_rows, set_matrices
from lowroad.plotting.style import SetStyle, three_figures
from lowroad.report.charts import matrix_chart, ridge_chart
from lowroad.report.figures.figure import Figure
from lowroad.report.tables import barrier_table
from lowroad.report.text import listing, paths_behind
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView, LegendEntry
from lowroad.study.labels import SetPair

Samples = dict[str, NDArray[np.float64]]
_MOST_PANELS = 24  # in print
_BOTH = SetStyle("between", "#8C8C8C", "X", "x", "", "-", "solid")
_SHARED = SetStyle("between, same start", "#8C8C8C", "P", "cross", "", "-", "solid")


def _pairs(view: View) -> Iterator[tuple[str, str, SetPair]]:
    """Problem, split and pair of sets of which some paths are stored."""
    for problem in view.results.problems:
        for split in view.splits(problem):
            for pair in view.between(problem):
                if view.paths(problem, split, *pair).sizes["path"]:
                    yield problem, split, pair


def _samples(view: View, problem: str, split: str, pair: SetPair) -> Samples:
    """Barriers within both sets, and between them with and without a common start."""
    paths = view.paths(problem, split, *pair)
    shared = paths["same_start"].values
    samples = {
        str(each): values
        for each in pair
        if len(values := view.numbers("barrier", problem, split, each))
    }
    samples["between"] = paths["barrier"].values[~shared]
    samples["between, same start"] = paths["barrier"].values[shared]
    return {name: values for name, values in samples.items() if len(values)}


def _looks(view: View) -> dict[str, SetStyle]:
    return {**view.styles, "between": _BOTH, "between, same start": _SHARED}


def build(view: View, charts: Charts) -> list[FigureView]:
    """One figure for each split: a matrix of medians, and rows for every pair."""
    found = list(_pairs(view))
    figures = []
    for split in dict.fromkeys(each[1] for each in found):
        views = []
        matrices = _matrices(view, split)
        for title, (names, values, log) in matrices.items():
            text = f"Median barriers within and between {listing(names)}."
            chart = matrix_chart(values, names, "median barrier", log)
            views.append(charts.add(chart, f"{title}: median barriers", text))
        for problem in view.results.problems:
            for pair in [pair for p, s, pair in found if (p, s) == (problem, split)]:
                samples = _samples(view, problem, split, pair)
                label = f"barrier ({view.quantity(problem)})"
                log = view.wants_log(problem, [v[v > 0] for v in samples.values()]) and all(
                    (v > 0).all() for v in samples.values()
                )
                chart = ridge_chart(samples, label, _looks(view), log=log)
                first, second = map(view.label, pair)
                medians = [
                    f"{_looks(view)[n].label} {three_figures(float(np.nanmedian(v)))}"
                    for n, v in samples.items()
                ]
                text = f"Median barriers in {problem}: {listing(medians)}."
                title, both = f"{problem}: {first} and {second}", f"{first} and {second}"
                group = both if matrices else ""
                views.append(charts.add(chart, title, text, "No finite barrier.", group))
        caption = [
            f"How far each path rises above its higher end{view.on(split)}: within each of "
            "two sets, and between a solution of one and a solution of the other. Where the "
            "barriers between the sets are no higher than those within them, the two optimizers "
            "find solutions of one connected region, as far as these paths can tell.",
            "Solutions of two optimizers that began at the same weights are marked and stand in a "
            "row of their own.",
            f"Behind it: {paths_behind(view, split)}. A path that was not found was not found "
            "within the budget of the path finder.",
        ]
        figures.append(
            FigureView(
                f"between-{split}",
                "Paths",
                f"Barriers between sets{view.on(split)}",
                caption,
                views,
                [LegendEntry("median", "ink", "bar")],
                [f"barriers-between-{split}"] + [f"barrier-matrix-{split}"] * bool(matrices),
                barrier_table(view, split),
            )
        )
    return figures


def _matrices(view: View, split: str) -> dict[str, tuple[list[str], NDArray[np.float64], bool]]:
    """Median barriers of all sets of a selection with each other, whether on a log scale.

    Only where there are more than two pairs: two are read faster from their rows.
    """
    matrices = {}
    for problem in view.results.problems:
        if len(view.between(problem)) < 3:
            continue
        for selection in view.selections(problem):
            sets = [each for each in view.sets(problem) if each.selection == selection]
            values = np.full((len(sets), len(sets)), np.nan)
            for i, one in enumerate(sets):
                for j, two in enumerate(sets):
                    for pair in ((one, two), (two, one)):
                        found = view.numbers("barrier", problem, split, *pair)
                        if len(found) and np.isfinite(found).any():
                            values[i, j] = np.nanmedian(found)
            if np.isfinite(values).sum() > len(sets):
                names = [view.results.label(each.source) for each in sets]
                title = f"{problem}, {selection} sets" if selection else problem
                log = view.wants_log(problem, [values])
                matrices[title] = names, values, log
    return matrices


def draw(view: View) -> Mapping[str, PrintFigure]:
    """Rows of the pairs for each split, at most the detailed ones where they are many; matrices."""
    figures = {}
    found = list(_pairs(view))
    for split in dict.fromkeys(each[1] for each in found):
        matrices = _matrices(view, split)
        panels = {
            f"{problem}: {view.label(pair.first)} and {view.label(pair.second)}": _samples(
                view, problem, split, pair
            )
            for problem, s, pair in found
            if s == split and (len(found) <= _MOST_PANELS or tuple(pair) in view.pairs(problem))
        }
        figures[f"barriers-between-{split}"] = sample_rows(
            panels, "barrier", styles=_looks(view), log=False
        )
        if matrices:
            figures[f"barrier-matrix-{split}"] = set_matrices(
                {title: (names, values) for title, (names, values, _) in matrices.items()},
                "median barrier",
                all(log for _, _, log in matrices.values()),
            )
    return figures


FIGURE = Figure("barriers between sets", build, draw)
