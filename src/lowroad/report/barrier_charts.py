"""The report's charts of path heights against steps and of disconnectivity graphs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from lowroad.analysis import MergeTree
from lowroad.plotting.barriers import median_course, tree_lines, wants_log_heights
from lowroad.plotting.ridges import log_ticks, wants_log_axis
from lowroad.plotting.style import WEIGHT_STYLES
from lowroad.report.charts import OUTLINE, layout

__all__ = ["course_chart", "tree_chart"]

_MOST_STEPS = 100


def course_chart(courses: Mapping[str, xr.Dataset]) -> go.Figure | None:
    """Lowest height of every path so far, thin, and of each set's median, thick."""
    filled = {name: c for name, c in courses.items() if np.isfinite(c["lowest"].values).any()}
    if not filled:
        return None
    figure = go.Figure()
    for name, course in filled.items():
        style = WEIGHT_STYLES[name]
        number = course.sizes["step"]
        stride = max(1, -(-number // _MOST_STEPS))
        shown = np.unique([*range(0, number, stride), number - 1])
        steps = course["step"].values[shown].astype(np.float64)
        lowest = course["lowest"].values[:, shown]
        gaps = np.full((len(lowest), 1), np.nan)
        line = {"color": style.color, "dash": style.plotly_dash}
        figure.add_scatter(
            x=np.tile(np.append(steps, np.nan), len(lowest)),
            y=np.hstack([lowest, gaps]).ravel(), mode="lines", line=line | {"width": 0.7},
            opacity=0.3, hoverinfo="skip", connectgaps=False,
        )  # fmt: skip
        figure.add_scatter(
            x=steps, y=median_course(course)[shown], mode="lines+markers", line=line | {"width": 2},
            marker={"symbol": style.symbol, "size": 8, "color": style.color, "line": OUTLINE,
                    "maxdisplayed": 8},
            hovertemplate=f"{style.label}, median<br>step %{{x}}: %{{y:.3g}}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="step", rangemode="tozero")
    values = np.concatenate([course["lowest"].values.ravel() for course in filled.values()])
    return _heights(figure, values, wants_log_axis([values]), "path height", 320)


def tree_chart(trees: Mapping[str, MergeTree]) -> go.Figure | None:
    """Merge trees of the sets beside each other."""
    if not any(tree.heights for tree in trees.values()):
        return None
    figure = go.Figure()
    first = 0.0
    values: list[float] = []
    for name, tree in trees.items():
        style = WEIGHT_STYLES[name]
        places, x, y = tree_lines(tree, first)
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"color": style.color, "width": 1.5},
            connectgaps=False, hovertemplate=f"{style.label}<br>%{{y:.3g}}<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=places, y=tree.heights, mode="markers",
            marker={"symbol": style.symbol, "size": 7, "color": style.color, "line": OUTLINE},
            hovertemplate=f"{style.label}, minimum<br>%{{y:.3g}}<extra></extra>",
        )  # fmt: skip
        values += [*tree.heights, *(merge.level for merge in tree.merges)]
        first += len(places) + 1
    figure.update_xaxes(showticklabels=False, showgrid=False, range=[-1, first - 1])
    return _heights(figure, np.array(values), wants_log_heights(trees), "height", 340)


def _heights(
    figure: go.Figure, values: np.ndarray, log: bool, title: str, pixels: int
) -> go.Figure:
    figure.update_yaxes(title_text=title)
    if log:
        finite = values[np.isfinite(values)]
        margin = (finite.max() / finite.min()) ** 0.06
        low, high = finite.min() / margin, finite.max() * margin
        ticks, labels = log_ticks(low, high)
        figure.update_yaxes(
            type="log", range=[np.log10(low), np.log10(high)], tickvals=ticks, ticktext=labels
        )
    return layout(figure, pixels)
