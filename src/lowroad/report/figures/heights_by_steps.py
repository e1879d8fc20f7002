"""Path heights against the number of steps: does a difference survive longer searches?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure as PrintFigure

from lowroad.plotting import convergence_curves
from lowroad.plotting.barriers import median_curve
from lowroad.plotting.style import SetStyle, three_figures
from lowroad.report.charts import MARK_SIZE, OUTLINE, layout, log_axis
from lowroad.report.figures.figure import Figure
from lowroad.report.tables import step_table
from lowroad.report.text import listing, paths_behind
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView

_MOST_STEPS = 100


def _curves(view: View, problem: str, split: str, selection: str) -> dict[str, xr.Dataset]:
    return {
        str(each): curves
        for each in view.sets(problem)
        if each.selection == selection
        and (curves := view.curves(problem, split, each)).sizes["step"] > 1
        and np.isfinite(curves["lowest"].values).any()
    }


def _splits(view: View) -> list[str]:
    found = [split for problem in view.results.problems for split in view.splits(problem)]
    return list(dict.fromkeys(found))


def build(view: View, charts: Charts) -> list[FigureView]:
    """One figure for each split, one panel for each problem and selection."""
    figures = []
    for split in _splits(view):
        views, shown = [], set[str]()
        for problem in view.results.problems:
            for selection in view.selections(problem):
                curves = _curves(view, problem, split, selection)
                if not curves:
                    continue
                shown |= curves.keys()
                ends = []
                for name, curve in curves.items():
                    first, last = (three_figures(float(h)) for h in median_curve(curve)[[0, -1]])
                    ends.append(f"{view.styles[name].label} {first} to {last}")
                text = (
                    f"Median path heights in {problem} from the straight line to the last step: "
                    f"{listing(ends)}."
                )
                title = f"{problem}, {selection} sets" if selection else problem
                chart = _chart(view, problem, curves, view.styles)
                views.append(charts.add(chart, title, text))
        if views:
            caption = [
                f"How low each search had come by each of its steps{view.on(split)}, from "
                "the straight line at step 0: paths thin, each set’s median thick.",
                "Only heights on the full landscape count. Searches that step on mini-batches take "
                "them at the start of every pass over the data and at the end; between these steps "
                "the lines only lead the eye. A curve that still falls at its end says that more "
                "steps would lower the paths further.",
                f"Behind it: {paths_behind(view, split)}.",
            ]
            legend = view.legend(shown, lines=True)
            figures.append(
                FigureView(
                    f"steps-{split}",
                    "Paths",
                    f"Path heights by steps{view.on(split)}",
                    caption,
                    views,
                    legend,
                    [f"heights-by-steps-{split}"],
                    step_table(view, split),
                )
            )
    return figures


def _chart(
    view: View, problem: str, curves: Mapping[str, xr.Dataset], styles: Mapping[str, SetStyle]
) -> go.Figure:
    figure = go.Figure()
    for name, curve in curves.items():
        style, number = styles[name], curve.sizes["step"]
        stride = max(1, -(-number // _MOST_STEPS))
        shown = np.unique([*range(0, number, stride), number - 1])
        steps = curve["step"].values[shown].astype(np.float32)
        # half the size in the page, and finer than the eye
        lowest = curve["lowest"].values[:, shown].astype(np.float32)
        gaps = np.full((len(lowest), 1), np.nan, dtype=np.float32)
        line = {"color": style.color, "dash": style.plotly_dash}
        figure.add_scatter(
            x=np.tile(np.append(steps, np.float32(np.nan)), len(lowest)),
            y=np.hstack([lowest, gaps]).ravel(), mode="lines", line=line | {"width": 1},
            opacity=0.4, hoverinfo="skip", connectgaps=False,
        )  # fmt: skip
        figure.add_scatter(
            x=steps, y=median_curve(curve)[shown], mode="lines+markers",
            line=line | {"width": 2.2},
            marker={"symbol": style.symbol, "size": MARK_SIZE, "color": style.color,
                    "line": OUTLINE, "maxdisplayed": 8},
            hovertemplate=f"{style.plotly_label}, median<br>step %{{x}}: %{{y:.3g}}<extra></extra>",
        )  # fmt: skip
    values = np.concatenate([curve["lowest"].values.ravel() for curve in curves.values()])
    log = view.wants_log(problem, [values])
    title = view.quantity(problem, "highest ")
    figure.update_yaxes(title_text=f"{title} (log scale)" if log else title)
    if log:
        figure.update_yaxes(**log_axis(values))
    figure.update_xaxes(title_text="step of the path finder", rangemode="tozero")
    return layout(figure, 320)


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for each split."""
    figures = {}
    for split in _splits(view):
        panels = {
            f"{problem}, {selection}".rstrip(", "): curves
            for problem in view.results.problems
            for selection in view.selections(problem)
            if (curves := _curves(view, problem, split, selection))
        }
        if panels:
            figures[f"heights-by-steps-{split}"] = convergence_curves(panels, view.styles)
    return figures


FIGURE = Figure("path heights by steps", build, draw)
