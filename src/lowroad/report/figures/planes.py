"""Surfaces: values on the plane through two solutions and the peak of the path between them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.plotting.paths import panel_grid
from lowroad.plotting.ridges import log_ticks
from lowroad.plotting.style import drawing, three_figures
from lowroad.report.figures.figure import Figure
from lowroad.report.text import by_value, counted
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView, LegendEntry
from lowroad.study.labels import WeightSet

COLORS = "Viridis"
PATH_COLOR = "#FF4D4D"
_MOST = 12  # surfaces on the page
_DECADES = 1e3  # that a logarithmic colour scale spans at most


def _planes(view: View, problem: str) -> list[xr.Dataset]:
    """The first plane of each set, of those that there are."""
    table = view.results.table("plane", problem)
    if not table.sizes["plane"] or "values" not in table:
        return []
    found = []
    for each in view.sets(problem):
        rows = np.flatnonzero(
            (table["first"].values == str(each))
            & np.isfinite(table["values"].values).any(axis=(1, 2))
        )
        found += [table.isel(plane=row) for row in rows[:1]]
    return found


def _scale(view: View, problem: str, planes: list[xr.Dataset]) -> tuple[float, float, bool]:
    """Lowest and highest value shown, the same for all surfaces of a problem; whether log."""
    values = np.concatenate([plane["values"].values.ravel() for plane in planes])
    values = values[np.isfinite(values)]
    corners = np.concatenate([plane["corner_values"].values for plane in planes])
    log = view.wants_log(problem, [values])
    # above thrice the highest corner a surface only hides what lies below
    top = min(float(values.max()), float(np.nanmax(corners)) + 2 * float(np.ptp(corners)))
    positive = values[values > 0] if log else values
    low = float(positive.min()) if len(positive) else 0.0
    if log:  # the deep wells of one set must not take all colours from the others
        low = max(low, top / _DECADES)
    return low, max(top, low * 1.01 if log else low + 1e-300), log


def build(view: View, charts: Charts) -> list[FigureView]:
    """One surface for each set."""
    views, samples = [], {}
    for problem in view.results.problems:
        planes = _planes(view, problem)
        if not planes:
            continue
        low, top, log = _scale(view, problem, planes)
        for plane in planes[:_MOST]:
            label = view.label(str(plane["first"].values))
            first, second = _run_names(view, plane)
            start, end, peak = (three_figures(v) for v in plane["corner_values"].values.tolist())
            text = (
                f"Surface of {problem} through runs {first} and {second} of {label}, at {start} "
                f"and {end}, and their path’s peak, at {peak}."
            )
            chart = _chart(plane, low, top, log, view.quantity(problem), (first, second))
            views.append(charts.add(chart, f"{problem}, {label}, runs {first} and {second}", text))
            if int(plane["samples"]) < view.results.facts[problem].samples["train"]:
                samples[problem] = counted(int(plane["samples"]), "training sample")
    if not views:
        return []
    caption = [
        "The training value on the plane through two solutions and the highest point of the path "
        "between them, for the first measured pair of each set; all surfaces of a problem have one "
        "colour scale. The red line is the path projected on the plane; it touches the plane at "
        "its ends and its peak, and under the pointer is how far it is from the plane elsewhere.",
        "Values are cut off flat far above the path and, on a log scale, a thousandth below that. "
        "A well narrower than the grid is not seen. Drag to turn, scroll or pinch to come nearer; "
        "u and v are distances between points.",
        "A set is missing where the path’s highest point is one of its ends, which span no plane.",
    ]
    if samples:
        caption.append(
            f"Values are means over {by_value(samples)}, so they differ a little from those of the "
            "whole training set."
        )
    legend = [
        LegendEntry("path", PATH_COLOR, "", "solid"),
        LegendEntry("ends", "#FFFFFF", "circle"),
        LegendEntry("peak", "#FFFFFF", "diamond"),
    ]
    return [
        FigureView(
            "planes", "Paths", "Surfaces through two solutions and a path’s peak", caption, views,
            legend, ["planes"], layout="pairs", navigation="Surfaces",
        )
    ]  # fmt: skip


def _run_names(view: View, plane: xr.Dataset) -> tuple[str, str]:
    one, two = (
        view.results.study.run_name(
            WeightSet.of(str(plane[key].values)).source, int(plane[seed].values)
        )
        for key, seed in (("first", "seed_1"), ("second", "seed_2"))
    )
    return one, two


def _chart(
    plane: xr.Dataset, low: float, top: float, log: bool, quantity: str, runs: tuple[str, str]
) -> go.Figure:
    """The surface, with the values under the pointer."""

    def shown(values: NDArray[np.float64]) -> NDArray[np.float64]:
        cut = np.clip(values, low, top)
        return np.log10(cut).round(4) if log else _rounded(cut)

    values, own = plane["values"].values, np.isfinite(plane["profile"].values)
    corners = _rounded(plane["corners"].values)
    place = _rounded(plane["projection"].values[own])
    below = plane["projected_values"].values[own]
    profile, away = plane["profile"].values[own], plane["distance"].values[own]
    figure = go.Figure()
    bounds = {"cmin": float(shown(np.array(low))), "cmax": float(shown(np.array(top)))}
    figure.add_surface(
        x=_rounded(plane["grid_u"].values), y=_rounded(plane["grid_v"].values), z=shown(values),
        colorscale=COLORS, showscale=False, customdata=_rounded(values), **bounds,
        contours={"z": {"show": True, "color": "rgba(255,255,255,0.35)", "width": 1,
                        "start": bounds["cmin"], "end": bounds["cmax"],
                        "size": (bounds["cmax"] - bounds["cmin"]) / 12 or 1.0}},
        hovertemplate=f"{quantity} %{{customdata:.3g}}<extra></extra>",
    )  # fmt: skip
    lift = 0.01 * (bounds["cmax"] - bounds["cmin"])
    figure.add_scatter3d(
        x=place[:, 0], y=place[:, 1], z=shown(below) + lift, mode="lines",
        line={"color": PATH_COLOR, "width": 6},
        customdata=_rounded(np.column_stack([plane["t"].values[own], profile, below, away])),
        hovertemplate="t %{customdata[0]:.2f}: the path’s own value %{customdata[1]:.3g}<br>"
        "%{customdata[3]:.3g} from the plane, whose value is %{customdata[2]:.3g}<extra></extra>",
    )  # fmt: skip
    names = (*(f"run {each}" for each in runs), "peak")
    figure.add_scatter3d(
        x=corners[:, 0], y=corners[:, 1], z=shown(plane["corner_values"].values) + lift,
        mode="markers", marker={"size": 5, "color": "white", "line": {"color": "black", "width": 2},
                                "symbol": ["circle", "circle", "diamond"]},
        customdata=[[n, v] for n, v in zip(names, plane["corner_values"].values.tolist(),
                                           strict=True)],
        hovertemplate="%{customdata[0]}: %{customdata[1]:.3g}<extra></extra>",
    )  # fmt: skip
    axis = {"title": {"text": quantity}, "range": [bounds["cmin"], bounds["cmax"] + 3 * lift]}
    if log:
        ticks, labels = log_ticks(low, top)
        axis |= {"tickvals": np.log10(ticks).tolist(), "ticktext": labels}
    figure.update_layout(
        template=None, height=400, showlegend=False, margin={"l": 0, "r": 0, "t": 0, "b": 0},
        scene={
            "xaxis": {"title": {"text": "u"}, "nticks": 5},
            "yaxis": {"title": {"text": "v"}, "nticks": 5},
            "zaxis": axis, "aspectmode": "manual", "aspectratio": {"x": 1.2, "y": 1.2, "z": 0.8},
            "camera": {"eye": {"x": 1.55, "y": -1.85, "z": 1.4},
                       "center": {"x": 0, "y": 0, "z": -0.1}},
        },
    )  # fmt: skip
    return figure


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with five figures: no more can be seen, and the page stays small."""
    flat = np.asarray(values, dtype=np.float64)
    return np.array([float(f"{value:.5g}") for value in flat.ravel()]).reshape(flat.shape)


def draw(view: View) -> Mapping[str, PrintFigure]:
    """All planes as contours, in one file."""
    panels = {
        f"{problem}, {view.label(str(plane['first'].values))}": (problem, plane)
        for problem in view.results.problems
        for plane in _planes(view, problem)
    }
    if not panels:
        return {}
    with drawing():
        figure, axes = panel_grid(len(panels), row_height=2.8)
        for axis, (name, (problem, plane)) in zip(axes, panels.items(), strict=False):
            low, top, log = _scale(view, problem, _planes(view, problem))
            values = np.clip(plane["values"].values, low, top)
            filled = axis.contourf(
                plane["grid_u"].values, plane["grid_v"].values, np.log10(values) if log else values,
                levels=20, cmap="viridis",
            )  # fmt: skip
            filled.set_edgecolor("face")
            own = np.isfinite(plane["profile"].values)
            axis.plot(*plane["projection"].values[own].T, color=PATH_COLOR)
            corners = plane["corners"].values
            axis.plot(*corners[:2].T, "o", color="white", markeredgecolor="black", markersize=4)
            axis.plot(*corners[2:].T, "D", color="white", markeredgecolor="black", markersize=4)
            axis.set(xlabel="u", ylabel="v", aspect="equal")
            axis.set_title(name, loc="left")
            quantity = view.quantity(problem)
            figure.colorbar(filled, ax=axis, label=f"log₁₀ {quantity}" if log else quantity)
        return {"planes": figure}


FIGURE = Figure("surfaces", build, draw)
