"""Training curves: values on both splits by steps, evaluations and seconds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.analysis import rise_after_minimum
from lowroad.plotting.curves import AXIS_NAMES, abscissa, pick_representative, training_curves
from lowroad.plotting.style import SetStyle, shorter
from lowroad.report.charts import MARK_SIZE, OUTLINE, layout, log_axis
from lowroad.report.figures.figure import Figure
from lowroad.report.text import listing, runs_behind
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView, LegendEntry

_MOST_POINTS = 300  # of the thick curve
_MOST_THIN = 100
_MOST_DECADES = 5
Numbers = NDArray[np.floating]
_GROUPS = {"step": "by steps", "evaluations": "by evaluations", "elapsed": "by seconds"}


def _styles(view: View, problem: str, source: str) -> dict[str, SetStyle]:
    """Looks of the curves of a source: those of the sets that are selected by them."""
    runs = view.runs(problem, source)
    styles = {}
    for split in ("train", "test", "validation"):
        name = f"{split}_values"
        if name in runs and np.isfinite(runs[name].values).any():
            style = view.styles.get(f"{source}/{split}") or view.styles.get(source)
            if style is not None:
                styles[split] = style
    return styles


def _panels(view: View, problem: str) -> dict[str, xr.Dataset]:
    """Kept runs of the problem's optimizers."""
    return {
        source: runs
        for source in view.results.config.optimizers_of(problem)
        if (runs := view.runs(problem, source, kept=True)).sizes["run"]
    }


def build(view: View, charts: Charts) -> list[FigureView]:
    """One panel for each problem and optimizer, with a choice of what stands below."""
    views, rises, curves_of = [], [], _panels
    for against, group in _GROUPS.items():
        for problem in view.results.problems:
            panels = curves_of(view, problem)
            styles = {source: _styles(view, problem, source) for source in panels}
            shared = _shared_axis(view, problem, panels, styles)
            for source, runs in panels.items():
                own = {source: runs}
                axis = _shared_axis(view, problem, own, styles) if _is_long(shared) else shared
                chart = _chart(runs, styles[source], against, axis, view.quantity(problem))
                label = view.results.label(source)
                values = runs["train_value"].values
                finite = values[np.isfinite(values)]
                lowest = shorter(float(np.median(finite)) if len(finite) else float("nan"))
                text = (
                    f"Curves of {runs.sizes['run']} runs of {label} on {problem}; median of the "
                    f"lowest training values: {lowest}."
                )
                title = f"{problem}, {label}"
                views.append(charts.add(chart, title, text, "No finite value.", group))
    if not views:
        return []
    for problem in view.results.problems:
        for source, runs in _panels(view, problem).items():
            held_out = "validation_values" if "validation_values" in runs else "test_values"
            if held_out in runs and view.results.facts[problem].lower_bound is not None:
                found = [rise_after_minimum(curve) for curve in runs[held_out].values]
                if np.isfinite(found).any():
                    name = f"{view.results.label(source)} on {problem}"
                    rises.append(f"{shorter(float(np.nanmedian(found)))} of {name}")
    caption = [
        "Training values (solid) and held-out values (dashed). All kept runs are thin; the run "
        "with the median lowest training value is thick, with its lowest values marked. The value "
        "axis is shared by all panels of a problem, unless it would span more than five decades.",
        "A step is an epoch, or an iteration of an optimizer that has no epochs: compare "
        "optimizers by evaluations of the training landscape, where a value and a gradient count "
        "as one each and mini-batches as their part of the data, or by seconds.",
    ]
    if rises:
        caption.append(
            f"Last held-out value over the lowest one, median over runs: {listing(rises)}."
        )
    caption.append(f"Behind it: {runs_behind(view)}.")
    files = [f"curves-{problem}" for problem in view.results.problems if _panels(view, problem)]
    legend = [LegendEntry("training", "ink", "", "solid")]
    if any("test" in view.results.facts[p].splits for p in view.results.problems):
        legend.append(LegendEntry("held out", "ink", "", "dash"))
    return [FigureView("curves", "Training", "Training curves", caption, views, legend, files)]


def _shared_axis(
    view: View,
    problem: str,
    panels: Mapping[str, xr.Dataset],
    styles: Mapping[str, Mapping[str, SetStyle]],
) -> dict[str, object]:
    values = [runs[f"{k}_values"].values for source, runs in panels.items() for k in styles[source]]
    joined = np.concatenate([each.ravel() for each in values]) if values else np.empty(0)
    joined = joined[np.isfinite(joined)]
    if view.wants_log(problem, [joined[joined > 0]]):
        return log_axis(joined)
    if not len(joined):
        return {}
    margin = 0.05 * float(joined.max() - joined.min()) or 1.0
    return {"range": [float(joined.min()) - margin, float(joined.max()) + margin]}


def _is_long(axis: Mapping[str, object]) -> bool:
    """Whether a log axis spans so much that curves on a part of it look flat."""
    ends = axis.get("range")
    if axis.get("type") != "log" or not isinstance(ends, list):
        return False
    return bool(np.ptp(ends) > _MOST_DECADES)


def _chart(
    runs: xr.Dataset,
    styles: Mapping[str, SetStyle],
    against: str,
    axis: Mapping[str, object],
    quantity: str,
) -> go.Figure | None:
    chosen = pick_representative(runs)
    if chosen is None or not styles:
        return None
    figure = go.Figure()
    log = axis.get("type") == "log"
    x = abscissa(runs, against)
    for split, style in styles.items():
        y = runs[f"{split}_values"].values
        y = np.where(np.isfinite(y) & ((y > 0) | (not log)), y, np.nan)
        line = {"color": style.color, "dash": style.plotly_dash}
        thin = _thinned(x, y, _MOST_THIN)
        figure.add_scatter(
            x=thin[0], y=thin[1], mode="lines", line=line | {"width": 1}, opacity=0.45,
            hoverinfo="skip", connectgaps=False,
        )  # fmt: skip
        one = _thinned(x[[chosen]], y[[chosen]], _MOST_POINTS)
        figure.add_scatter(
            x=one[0], y=one[1], mode="lines", line=line | {"width": 2.4}, name=style.label,
            hovertemplate=f"{style.plotly_label}<br>%{{x:.4g}}: %{{y:.3g}}<extra></extra>",
        )  # fmt: skip
        lowest = int(np.nanargmin(y[chosen])) if np.isfinite(y[chosen]).any() else 0
        figure.add_scatter(
            x=[x[chosen, lowest]], y=[y[chosen, lowest]], mode="markers",
            marker={"symbol": style.symbol, "size": MARK_SIZE, "color": style.color,
                    "line": OUTLINE},
            hovertemplate=f"{style.plotly_label}, lowest<br>%{{x:.4g}}: %{{y:.3g}}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(title_text=f"{quantity} (log scale)" if log else quantity, **axis)
    figure.update_xaxes(title_text=AXIS_NAMES[against], rangemode="tozero")
    return layout(figure, 300)


def _thinned(x: Numbers, y: Numbers, most: int) -> tuple[Numbers, Numbers]:
    """All runs' curves as one line with gaps, of at most so many points each."""
    columns, rows = [np.empty(0)], [np.empty(0)]
    for xs, ys in zip(x, y, strict=True):
        ends = np.flatnonzero(np.isfinite(xs))
        if not len(ends):
            continue
        keep = np.unique(np.linspace(0, ends[-1], most).round().astype(int))
        keep = keep[np.isfinite(xs[keep])]
        columns += [xs[keep], np.array([np.nan])]
        rows += [ys[keep], np.array([np.nan])]
    # half the size in the page, and finer than the eye
    return np.concatenate(columns).astype(np.float32), np.concatenate(rows).astype(np.float32)


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for each problem, against steps."""
    figures = {}
    for problem in view.results.problems:
        panels = _panels(view, problem)
        if panels:
            styles = {view.results.label(s): _styles(view, problem, s) for s in panels}
            named = {view.results.label(source): runs for source, runs in panels.items()}
            figures[f"curves-{problem}"] = training_curves(named, styles, view.quantity(problem))
    return figures


FIGURE = Figure("training curves", build, draw)
