"""Disconnectivity graphs of the kept minima."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from matplotlib.figure import Figure as PrintFigure

from lowroad.analysis import MergeTree
from lowroad.plotting import disconnectivity_graphs
from lowroad.report.charts import trees_chart
from lowroad.report.figures.figure import Figure
from lowroad.report.tables import tree_table
from lowroad.report.text import counted, listing, paths_behind
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView


def _trees(view: View, problem: str, split: str, selection: str) -> dict[str, MergeTree]:
    return {
        str(each): tree
        for each in view.sets(problem)
        if each.selection == selection and (tree := view.tree(problem, split, each)).heights
    }


def _splits(view: View) -> list[str]:
    found = [split for problem in view.results.problems for split in view.splits(problem)]
    return list(dict.fromkeys(found))


def build(view: View, charts: Charts) -> list[FigureView]:
    """One figure for each split, one panel for each problem and selection."""
    figures = []
    for split in _splits(view):
        views, alone, shown = [], [], set[str]()
        for problem in view.results.problems:
            for selection in view.selections(problem):
                trees = _trees(view, problem, split, selection)
                if not trees:
                    continue
                shown |= trees.keys()
                joined = [
                    f"{view.styles[n].label} {counted(len(t.heights), 'solution')}"
                    for n, t in trees.items()
                ]
                text = f"Disconnectivity graphs of {problem}: {listing(joined)}."
                title = f"{problem}, {selection} sets" if selection else problem
                views.append(charts.add(_chart(view, problem, trees), title, text))
                kept = sum(
                    view.runs(problem, each.source, kept=True).sizes["run"]
                    for each in view.sets(problem)
                    if each.selection == selection
                )
                if without := kept - sum(len(tree.heights) for tree in trees.values()):
                    alone.append(f"{without} of {kept} in {title}")
        if not views:
            continue
        caption = [
            f"Each line begins at a kept solution, at its value{view.on(split)}, and two "
            "lines join at the lowest value below which no chain of measured paths connects them. "
            "The paths are those within a weight set, so the sets stand apart.",
            "The levels are upper bounds and belong to a budget: more steps or more pairs can only "
            f"lower them. Behind it: {paths_behind(view, split)}.",
        ]
        if alone:
            caption.append(f"Kept solutions without a path are not shown: {listing(alone)}.")
        legend = view.legend(shown)
        figures.append(
            FigureView(
                f"disconnectivity-{split}",
                "Paths",
                f"Disconnectivity graphs{view.on(split)}",
                caption,
                views,
                legend,
                [f"disconnectivity-{split}"],
                tree_table(view, split),
            )
        )
    return figures


def _chart(view: View, problem: str, trees: Mapping[str, MergeTree]) -> go.Figure:
    values = [v for t in trees.values() for v in (*t.heights, *(m.level for m in t.merges))]
    log = view.wants_log(problem, [values])
    return trees_chart(trees, view.styles, view.quantity(problem), log)


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for each split."""
    figures = {}
    for split in _splits(view):
        panels = {
            f"{problem}, {selection}".rstrip(", "): trees
            for problem in view.results.problems
            for selection in view.selections(problem)
            if (trees := _trees(view, problem, split, selection))
        }
        if panels:
            figures[f"disconnectivity-{split}"] = disconnectivity_graphs(panels, view.styles)
    return figures


FIGURE = Figure("disconnectivity graphs", build, draw)
