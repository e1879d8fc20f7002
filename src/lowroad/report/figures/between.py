"""Barriers between weight sets beside those within them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.plotting import sample_rows
from lowroad.plotting.style import SetStyle, three_figures
from lowroad.report.charts import matrix_chart, ridge_chart
from lowroad.report.figures.figure import Figure
from lowroad.report.tables import barrier_table
from lowroad.report.text import SPLIT_NAMES, listing, paths_behind
from lowroad.report.view import View
from lowroad.report.views import Charts, ChartView, FigureView, LegendEntry
from lowroad.study.labels import SetPair, WeightSet

Samples = dict[str, NDArray[np.float64]]
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
        for problem in view.results.problems:
            pairs = [pair for p, s, pair in found if (p, s) == (problem, split)]
            if len(pairs) > 2:
                views += _matrices(view, charts, problem, split, pairs)
            for pair in pairs:
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
                title = f"{problem}: {first} and {second}"
                views.append(charts.add(chart, title, text, "No finite barrier."))
        name = SPLIT_NAMES[split]
        caption = [
            f"How far each path rises above its higher end on the {name} landscape: within each of "
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
                f"Barriers between sets, {name} landscape",
                caption,
                views,
                [LegendEntry("median", "ink", "bar")],
                [f"barriers-between-{split}"],
                barrier_table(view, split),
            )
        )
    return figures


def _matrices(
    view: View, charts: Charts, problem: str, split: str, pairs: list[SetPair]
) -> list[ChartView]:
    """Median barriers of all sets of a selection with each other, as heat maps."""
    charted: list[ChartView] = []
    for selection in view.selections(problem):
        sets = [each for each in view.sets(problem) if each.selection == selection]
        values = np.full((len(sets), len(sets)), np.nan)
        for i, one in enumerate(sets):
            for j, two in enumerate(sets):
                for pair in ((one, two), (two, one)):
                    found = view.numbers("barrier", problem, split, *_named(*pair))
                    if len(found) and np.isfinite(found).any():
                        values[i, j] = np.nanmedian(found)
        if np.isfinite(values).sum() > len(sets):
            names = [view.results.label(each.source) for each in sets]
            log = view.wants_log(problem, [values[np.isfinite(values)]])
            chart = matrix_chart(values, names, "median barrier", log)
            title = f"{problem}, {selection} sets" if selection else problem
            text = f"Median barriers within and between {listing(names)} in {problem}."
            charted.append(charts.add(chart, f"{title}: median barriers", text))
    return charted


def _named(first: WeightSet, second: WeightSet) -> tuple[WeightSet, WeightSet | None]:
    return first, None if first == second else second


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for each split."""
    figures = {}
    found = list(_pairs(view))
    for split in dict.fromkeys(each[1] for each in found):
        panels = {
            f"{problem}: {view.label(pair.first)} and {view.label(pair.second)}": _samples(
                view, problem, split, pair
            )
            for problem, s, pair in found
            if s == split
        }
        figures[f"barriers-between-{split}"] = sample_rows(
            panels, "barrier", styles=_looks(view), log=False
        )
    return figures


FIGURE = Figure("barriers between sets", build, draw)
