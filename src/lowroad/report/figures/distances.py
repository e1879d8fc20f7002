"""Distances of solutions from the common origin of two sets, and of all sets from each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.plotting import sample_rows, set_matrices
from lowroad.plotting.ensembles import samples_of
from lowroad.plotting.style import shorter
from lowroad.report.charts import matrix_chart, ridge_chart
from lowroad.report.figures.figure import Figure
from lowroad.report.tables import distance_table
from lowroad.report.text import interval, listing, runs_behind
from lowroad.report.view import Pair, View
from lowroad.report.views import (
    Charts,
    FigureView,
    Group,
    LegendEntry,
    TableView,
)
from lowroad.study.labels import WeightSet


def build(view: View, charts: Charts) -> list[FigureView]:
    """A matrix for all sets where there are more than two sources; then a choice of pairs."""
    figures = [_matrix(view, charts), _detail(view, charts)]
    return [figure for figure in figures if figure is not None]


def rms_distances(view: View, problem: str, sets: list[WeightSet]) -> NDArray[np.float64]:
    """Root-mean-square distances [s, s] of the sets' points from each other."""
    values = np.full((len(sets), len(sets)), np.nan)
    for i, one in enumerate(sets):
        for j, two in enumerate(sets[: i + 1]):
            a, b = (view.points(problem, each)[0].astype(np.float64) for each in (one, two))
            number = len(a) * len(b) if i != j else len(a) * (len(a) - 1)
            if number:
                # sum over pairs of |x - y|² from means about a common centre
                centre = np.concatenate([a, b]).mean(axis=0)
                x, y = a - centre, b - centre
                total = len(b) * (x**2).sum() + len(a) * (y**2).sum() - 2 * x.sum(0) @ y.sum(0)
                values[i, j] = values[j, i] = np.sqrt(max(total, 0.0) / number)
    return values


def _matrix(view: View, charts: Charts) -> FigureView | None:
    views = []
    for title, (names, values) in _matrices(view).items():
        text = f"Root-mean-square distances between {listing(names)}."
        views.append(charts.add(matrix_chart(values, names, "distance"), title, text))
    if not views:
        return None
    return FigureView(
        "distance-matrix", "Where they lie", "Distances between all sets",
        [
            "Root-mean-square distance of a solution of one set from one of another; on the "
            "diagonal that of two solutions of the same set.",
            f"Behind it: {runs_behind(view)}.",
        ],
        views, files=["distance-matrix"], layout="pairs",
    )  # fmt: skip


def _matrices(view: View) -> dict[str, tuple[list[str], NDArray[np.float64]]]:
    """Names and distances of all sets of a selection, where there are more than two sources."""
    matrices = {}
    for problem in view.results.problems:
        if len(view.results.sources(problem)) < 3:
            continue
        for selection in view.selections(problem):
            sets = [each for each in view.sets(problem) if each.selection == selection]
            names = [view.results.label(each.source) for each in sets]
            title = f"{problem}, {selection} sets" if selection else problem
            matrices[title] = names, rms_distances(view, problem, sets)
    return matrices


def _detail(view: View, charts: Charts) -> FigureView | None:
    views, separations, tables, shown = [], [], {}, dict[str, None]()
    for pair in view.all_pairs:
        names = pair_label(view, pair)
        for problem in view.results.problems:
            table = view.distances(problem, pair) if _both(view, problem, pair) else None
            if table is None:
                continue
            samples = samples_of(table, "distance")
            shown |= dict.fromkeys(samples)
            medians = [
                f"{view.styles[name].label} {shorter(float(np.median(values)))}"
                for name, values in samples.items()
            ]
            text = f"Median distances in {problem}: {listing(medians)}."
            middle, error = float(table["relative"]), float(table["relative_error"])
            if np.isfinite(middle):
                ends = np.sqrt(np.maximum([middle - 1.96 * error, middle + 1.96 * error], 0))
                ratio = float(np.sqrt(max(middle, 0.0)))
                separations.append(f"{interval(ratio, *map(float, ends))} for {names} in {problem}")
            views.append(charts.add(_chart(view, table), problem, text, group=names))
            tables[names] = distance_table(view, pair)
    if not views:
        return None
    caption = [
        "Distance of every vector of two sets from their common origin, the mean of the two sets’ "
        "centroids. Each mark is one vector, the bar the median. The dotted line is the centroids’ "
        "distance from the origin, the same for both.",
        "A centroid of n vectors keeps 1/n of their variance as noise, so with few runs the dotted "
        "line lies far out even if the sets share one centre.",
    ]
    if separations:
        caption.append(
            "Corrected for that, the centroids’ separation relative to the spread of the vectors "
            f"is {listing(separations)} (95% jackknife intervals). Runs of two optimizers with one "
            "seed began at the same weights; such pairs are left out of it."
        )
    return FigureView(
        "distances", "Where they lie", "Distances of two sets from their common origin", caption,
        views, [*view.legend(shown),
                LegendEntry("median", "ink", "bar"), LegendEntry("centroids", "ink", "", "dot")],
        [f"distances-{_name(pair)}" for pair in view.all_pairs], joined_table(tables),
    )  # fmt: skip


def pair_label(view: View, pair: Pair) -> str:
    """Two sets by their names for people."""
    return " and ".join(map(view.label, pair))


def joined_table(tables: Mapping[str, TableView | None]) -> TableView | None:
    """Tables of several pairs as one, the pairs' names in its headings."""
    filled = {name: table for name, table in tables.items() if table is not None}
    if not filled:
        return None
    first = next(iter(filled.values()))
    groups = [
        Group(f"{name}, {group.heading}" if group.heading else name, group.rows)
        for name, table in filled.items()
        for group in table.groups
    ]
    name = f"{first.name.partition(' ')[0]} of all pairs"
    return TableView(name, first.caption, first.header, groups)


def _chart(view: View, table: xr.Dataset) -> go.Figure | None:
    samples = samples_of(table, "distance")
    chart = ridge_chart(samples, "distance from the common origin", view.styles, log=False)
    if chart is not None:
        chart.update_xaxes(rangemode="tozero")
        chart.add_vline(x=float(table["centroid_distance"].values[0]), line_dash="dot")
    return chart


def _both(view: View, problem: str, pair: Pair) -> bool:
    return set(pair) <= set(view.sets(problem))


def _name(pair: Pair) -> str:
    return "-".join(str(each).replace("/", "-") for each in pair)


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for all matrices, and one for each pair."""
    matrices = _matrices(view)
    figures = {"distance-matrix": set_matrices(matrices, "distance")} if matrices else {}
    for pair in view.all_pairs:
        tables = {
            problem: view.distances(problem, pair)
            for problem in view.results.problems
            if _both(view, problem, pair)
        }
        filled = {p: samples_of(t, "distance") for p, t in tables.items() if t is not None}
        if filled:
            figure = sample_rows(
                filled, "distance from the common origin", styles=view.styles, log=False
            )
            for panel, problem in zip(figure.axes, filled, strict=False):
                table = tables[problem]
                assert table is not None
                origin = float(table["centroid_distance"].values[0])
                panel.axvline(origin, color="black", linestyle=":")
                panel.set_xlim(left=0)
            figures[f"distances-{_name(pair)}"] = figure
    return figures


FIGURE = Figure("distances", build, draw)
