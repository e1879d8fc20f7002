"""Path heights within weight sets, on each split's landscape (Figs. 4 and S2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.plotting import sample_rows
from lowroad.plotting.style import shorter
from lowroad.report.charts import ridge_chart
from lowroad.report.figures.figure import Figure
from lowroad.report.tables import height_table
from lowroad.report.text import listing, outcome_counts, paths_behind
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView, LegendEntry, legend_of

Samples = dict[str, NDArray[np.float64]]


def _samples(view: View, problem: str, split: str, name: str = "height") -> Samples:
    return {
        str(each): values
        for each in view.sets(problem)
        if len(values := view.numbers(name, problem, split, each))
    }


def _splits(view: View) -> list[str]:
    found = [split for problem in view.results.problems for split in view.splits(problem)]
    return list(dict.fromkeys(found))


def build(view: View, charts: Charts) -> list[FigureView]:
    """One figure for each split."""
    return [figure for split in _splits(view) if (figure := _build(view, charts, split))]


def _build(view: View, charts: Charts, split: str) -> FigureView | None:
    views, ends, outcomes, shown, same = [], [], [], set[str](), 0
    for problem in view.results.problems:
        samples = _samples(view, problem, split)
        straight = _samples(view, problem, split, "straight_height")
        if not samples:
            continue
        shown |= samples.keys()
        log = view.wants_log(problem, [*samples.values(), *straight.values()])
        chart = ridge_chart(samples, view.quantity(problem, "highest "), view.styles, straight, log)
        medians = [
            f"{view.styles[name].label} {shorter(float(np.nanmedian(values)))}"
            for name, values in samples.items()
            if np.isfinite(values).any()
        ]
        text = f"Median path heights in {problem}: {listing(medians)}."
        views.append(charts.add(chart, problem, text, "No finite height."))
        for each in view.sets(problem):
            paths = view.paths(problem, split, each)
            if paths.sizes["path"]:
                outcomes += paths["outcome"].values.tolist()
                if "same_ends" in paths:
                    same += int((paths["same_ends"].values == 1).sum())
                level = int((paths["barrier"].values <= 0).sum())
                if level:
                    ends.append(
                        f"{level} of {paths.sizes['path']} in {problem}, {view.label(each)}"
                    )
    if not views:
        return None
    caption = [
        "The highest value on each path between two solutions of a set"
        f"{view.on(split)}: each mark is a path, the bar the median, the hollow "
        "triangle the median of the straight lines between the same ends; a histogram stands above "
        "the marks where there are eight or more.",
        "A height is an upper bound that belongs to the budget of the path finder, stated at the "
        "top: it falls as long as one goes on optimizing.",
        f"Behind it: {paths_behind(view, split)}. Paths that share a run are not independent.",
    ]
    if ends:
        caption.append(
            "A path that is nowhere higher than at one of its ends has that solution’s own value "
            f"as its height, and no barrier: {listing(ends)}."
        )
    if same:
        caption.append(
            f"The ends of {same} of the paths are one state up to the problem’s symmetries: such a "
            "path only performs the symmetry."
        )
    caption.append(f"How the searches ended: {outcome_counts(outcomes)}.")
    legend = [
        *legend_of(view.styles[name] for name in view.styles if name in shown),
        LegendEntry("straight lines, median", "ink", "triangle-down-open"),
        LegendEntry("median", "ink", "bar"),
    ]
    return FigureView(
        f"path-heights-{split}", "Paths", f"Path heights{view.on(split)}",
        caption, views, legend if len(shown) <= 8 else legend[-2:], [f"path-heights-{split}"],
        height_table(view, split),
    )  # fmt: skip


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for each split."""
    figures = {}
    for split in _splits(view):
        heights = {p: _samples(view, p, split) for p in view.results.problems}
        heights = {problem: sets for problem, sets in heights.items() if sets}
        if heights:
            straight = {p: _samples(view, p, split, "straight_height") for p in heights}
            figures[f"path-heights-{split}"] = sample_rows(
                heights, "path height", straight, styles=view.styles
            )
    return figures


FIGURE = Figure("path heights", build, draw)
