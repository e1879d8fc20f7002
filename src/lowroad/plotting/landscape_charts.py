"""Profiles of found paths, and paths on surfaces and planes, as interactive plotly figures.

A *chart* is flat and shows what the matplotlib figure of the same name shows; a *scene* is the
landscape in space with the paths lifted onto it. `figure.show()` opens one,
`figure.write_html(...)` keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from torch import Tensor

from lowroad.landscapes import Landscape
from lowroad.plotting.landscape_figures import AXIS_LABELS
from lowroad.plotting.prepared import (
    Against,
    HeightMap,
    Paths,
    PlacedPath,
    Window,
    plane_map,
    profiles_of,
    surface_map,
)
from lowroad.plotting.style import HEIGHT_COLORS, MARKERS

__all__ = [
    "plane_chart",
    "plane_scene",
    "profile_chart",
    "surface_chart",
    "surface_scene",
]

_COLORS = [[0.0, HEIGHT_COLORS[0]], [1.0, HEIGHT_COLORS[1]]]
_OUTLINE = {"color": "black", "width": 1}
_BAR = {
    "title": {"text": "height", "side": "right"},
    "thickness": 12,
    "len": 0.8,
    "outlinewidth": 0,
}
_LEGEND = {"orientation": "h", "y": -0.16, "yanchor": "top", "x": 0.0}
WIDTH = 720  # pixels
LIFT = 0.01  # of the heights shown: keeps a path on the surface from sinking into it
LOW_SIDE = 0.25  # of a scene's longer side: what a narrow map's shorter side gets at least


def profile_chart(paths: Paths, against: Against = "t") -> go.Figure:
    """Heights along found paths, the refined maximum of each marked: see `profile_figure`.

    >>> from lowroad.landscapes import CurvyValley
    >>> from lowroad.paths import StraightLine
    >>> surface = CurvyValley()
    >>> chart = profile_chart({"straight line": StraightLine().find(surface, *surface.ends)})
    >>> chart.data[1].name, round(chart.data[1].y[0], 6)
    ('straight line: 2.977', 2.976668)
    """
    figure = go.Figure()
    label = AXIS_LABELS.get(against, against)
    for profile in profiles_of(paths, against):
        style = profile.style
        figure.add_scatter(
            x=profile.x, y=profile.heights, mode="lines", legendgroup=profile.name,
            showlegend=False, line={"color": style.color, "dash": style.plotly_dash, "width": 2},
            hovertemplate=f"{profile.name}<br>{label} %{{x:.4g}}: %{{y:.5g}}<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=[profile.peak[0]], y=[profile.peak[1]], mode="lines+markers",
            legendgroup=profile.name, name=profile.label,
            line={"color": style.color, "dash": style.plotly_dash, "width": 2},
            marker={"symbol": style.symbol, "size": 10, "color": style.color, "line": _OUTLINE},
            hovertemplate=f"{profile.name}, highest<br>{label} %{{x:.4g}}: %{{y:.6g}}"
            "<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text=label)
    figure.update_yaxes(title_text="height")
    return _layout(figure, 460)


def surface_chart(
    landscape: Landscape,
    paths: Paths | None = None,
    *,
    window: Window | None = None,
    marks: Mapping[str, Sequence[Tensor]] | None = None,
) -> go.Figure:
    """Contours of a two-dimensional landscape with paths on it: see `surface_figure`.

    >>> from lowroad.landscapes import MullerBrown
    >>> [trace.name for trace in surface_chart(MullerBrown()).data]
    ['height', 'minimum', 'saddle']
    """
    shown = surface_map(landscape, paths, window, marks)
    figure = go.Figure()
    _add_map(figure, shown)
    for mark, (_, symbol) in zip(shown.marks, MARKERS, strict=False):
        figure.add_scatter(
            x=mark.places[:, 0], y=mark.places[:, 1], customdata=mark.heights, name=mark.name,
            mode="markers", hovertemplate=f"{mark.name}<br>%{{customdata:.6g}}<extra></extra>",
            marker={"symbol": symbol, "size": 10, "color": "white", "line": _OUTLINE},
        )  # fmt: skip
    return _layout(figure, _pixels(shown))


def plane_chart(plane: xr.Dataset) -> go.Figure:
    """The plane through three points, paths projected on it, their distances: see `plane_figure`.

    Args:
        plane: Made by `lowroad.analysis.plane_through`.
    """
    shown = plane_map(plane)
    below = 150 if shown.paths else 0
    height = _pixels(shown) + below
    figure = go.Figure()
    if below:
        fraction = below / height
        figure.set_subplots(
            2, 1, row_heights=[1 - fraction, fraction], vertical_spacing=70 / height
        )  # the title of the upper axis stands between
    _add_map(figure, shown)
    for mark in shown.marks:
        figure.add_scatter(
            x=mark.places[:, 0], y=mark.places[:, 1], customdata=mark.heights, name=mark.name,
            mode="markers+text", text=[f"<b>{mark.name}</b>"], textposition="top right",
            textfont={"color": "black"}, showlegend=False,
            marker={"symbol": "circle", "size": 9, "color": "white", "line": _OUTLINE},
            hovertemplate=f"{mark.name}<br>%{{customdata:.6g}}<extra></extra>",
        )  # fmt: skip
    for path in shown.paths:
        figure.add_scatter(
            x=path.t, y=path.distance, mode="lines", legendgroup=path.name, showlegend=False,
            line={"color": path.style.color, "dash": path.style.plotly_dash, "width": 2},
            hovertemplate=f"{path.name}<br>t %{{x:.3g}}: %{{y:.4g}} away<extra></extra>",
            row=2, col=1,
        )  # fmt: skip
    if below:
        figure.update_xaxes(title_text="t", row=2, col=1)
        figure.update_yaxes(title_text="distance", rangemode="tozero", row=2, col=1)
        bar = _BAR | {"len": 0.85 * (1 - fraction), "y": 1 - (1 - fraction) / 2}
        figure.update_traces(colorbar=bar, selector={"type": "contour"})
    return _layout(figure, height)


def surface_scene(
    landscape: Landscape,
    paths: Paths | None = None,
    *,
    window: Window | None = None,
    marks: Mapping[str, Sequence[Tensor]] | None = None,
) -> go.Figure:
    """A two-dimensional landscape in space with paths on it; arguments as of `surface_figure`.

    Heights above the highest contour level are cut off flat, also those of paths, so that infinite
    values hide nothing.

    >>> from lowroad.landscapes import MullerBrown
    >>> scene = surface_scene(MullerBrown())
    >>> [trace.name for trace in scene.data]
    ['height', 'minimum', 'saddle']
    """
    return _scene(surface_map(landscape, paths, window, marks), side=-1)


def plane_scene(plane: xr.Dataset) -> go.Figure:
    """The plane through three points in space, with the projections of paths lifted onto it.

    The hover text gives a path's own height and its distance from the plane; where that distance is
    not small, its own height differs from that of the surface.

    Args:
        plane: Made by `lowroad.analysis.plane_through`.
    """
    shown = plane_map(plane)
    # the third point, where the paths go round what is between the first two, is at v > 0
    figure = _scene(shown, side=1)
    figure.update_traces(marker_symbol="circle", showlegend=False, selector={"mode": "markers"})
    # annotations: the surface would hide a marker's text
    figure.update_layout(
        scene_annotations=[
            {"x": trace.x[0], "y": trace.y[0], "z": trace.z[0], "text": f"<b>{trace.name}</b>",
             "showarrow": False, "yshift": 14, "font": {"color": "black"},
             "bgcolor": "rgba(255, 255, 255, 0.6)"}
            for trace in figure.select_traces({"mode": "markers"})
        ]
    )  # fmt: skip
    return figure


def _add_map(figure: go.Figure, shown: HeightMap) -> None:
    """Add contours and paths to the first panel."""
    levels = shown.levels
    figure.add_contour(
        x=shown.x, y=shown.y, z=shown.drawable, name="height", colorscale=_COLORS,
        zmin=levels[0], zmax=levels[-1], line={"width": 0.5, "color": "#737373"},
        contours={"start": levels[0], "end": levels[-1], "size": levels[1] - levels[0]},
        hovertemplate=f"{shown.axes[0]} %{{x:.4g}}, {shown.axes[1]} %{{y:.4g}}<br>%{{z:.5g}}"
        "<extra></extra>",
        colorbar=_BAR,
    )  # fmt: skip
    for path in shown.paths:
        figure.add_scatter(
            x=path.places[:, 0], y=path.places[:, 1], customdata=_hover_data(path), mode="lines",
            name=path.name, legendgroup=path.name, hovertemplate=_hover(path, "customdata[1]"),
            line={"color": path.style.color, "dash": path.style.plotly_dash, "width": 2.5},
        )  # fmt: skip
        if len(path.images):
            figure.add_scatter(
                x=path.images[:, 0], y=path.images[:, 1], customdata=path.images[:, 2],
                mode="markers", name=f"{path.name}, images", legendgroup=path.name,
                showlegend=False, hovertemplate=f"{path.name}, image<br>%{{customdata:.5g}}"
                "<extra></extra>",
                marker={"symbol": path.style.symbol, "size": 7, "color": path.style.color,
                        "line": {"color": "white", "width": 0.8}},
            )  # fmt: skip
    figure.update_layout(
        xaxis={"title": {"text": shown.axes[0], "standoff": 6}, "range": shown.x[[0, -1]],
               "constrain": "domain"},
        yaxis={"title": {"text": shown.axes[1]}, "range": shown.y[[0, -1]], "scaleanchor": "x",
               "constrain": "domain"},
    )  # fmt: skip


def _scene(shown: HeightMap, side: int) -> go.Figure:
    """The heights as a surface cut off at the highest level, and the paths in space.

    They are seen from the low end of the second axis (`side` −1) or from its high end (1).
    """
    levels = shown.levels
    low, high = float(levels[0]), float(levels[-1])
    step = float(levels[1] - levels[0])
    # between two levels: contours at the height of the flat parts would flicker
    cut = high - step / 2
    lift = LIFT * (high - low)
    figure = go.Figure()
    figure.add_surface(
        x=shown.x, y=shown.y, z=np.minimum(shown.drawable, cut), name="height",
        colorscale=_COLORS, cmin=low, cmax=high, colorbar=_BAR, opacity=0.92,
        lighting={"ambient": 0.75, "diffuse": 0.5, "specular": 0.05, "roughness": 0.9},
        contours={"z": {"show": True, "start": low, "end": high, "size": step,
                        "color": "#8c8c8c", "width": 1}},
        hovertemplate=f"{shown.axes[0]} %{{x:.4g}}, {shown.axes[1]} %{{y:.4g}}<br>%{{z:.5g}}"
        "<extra></extra>",
    )  # fmt: skip
    for path in shown.paths:
        figure.add_scatter3d(
            x=path.places[:, 0], y=path.places[:, 1], z=np.minimum(path.under, cut) + lift,
            mode="lines", customdata=_hover_data(path), name=path.name,
            hovertemplate=_hover(path, "customdata[1]"),
            line={"color": path.style.color, "dash": path.style.plotly_dash, "width": 7},
        )  # fmt: skip
    for mark, (_, symbol) in zip(shown.marks, MARKERS, strict=False):
        figure.add_scatter3d(
            x=mark.places[:, 0], y=mark.places[:, 1], z=mark.heights + lift, name=mark.name,
            customdata=mark.heights, mode="markers",
            hovertemplate=f"{mark.name}<br>%{{customdata:.6g}}<extra></extra>",
            marker={"symbol": symbol, "size": 5, "color": "white", "line": _OUTLINE},
        )  # fmt: skip
    sides = np.array([np.ptp(shown.x), np.ptp(shown.y)])
    sides = np.maximum(sides / sides.max(), LOW_SIDE)
    figure.update_layout(
        scene={
            "xaxis": {"title": {"text": shown.axes[0]}, "range": shown.x[[0, -1]]},
            "yaxis": {"title": {"text": shown.axes[1]}, "range": shown.y[[0, -1]]},
            "zaxis": {"title": {"text": "height"}, "range": [low, high]},
            "aspectmode": "manual",
            "aspectratio": {"x": sides[0], "y": sides[1], "z": 0.55},
            "camera": {
                "eye": {"x": 0.38, "y": side * 0.95, "z": 1.5},
                "center": {"x": 0, "y": 0, "z": -0.1},
            },
        },
    )
    return _layout(figure, 640).update_layout(legend={"y": 0.02, "yanchor": "top"})


def _hover_data(path: PlacedPath) -> np.ndarray:
    return np.column_stack([path.t, path.heights, path.distance])


def _hover(path: PlacedPath, height: str) -> str:
    away = "<br>%{customdata[2]:.3g} from the plane" if path.distance.any() else ""
    return f"{path.name}<br>t %{{customdata[0]:.3g}}: %{{{height}:.5g}}{away}<extra></extra>"


def _pixels(shown: HeightMap) -> int:
    """Height of a chart that gives the map its true proportions."""
    ratio = float(np.ptp(shown.y) / np.ptp(shown.x))
    return 150 + round(0.8 * WIDTH * min(max(ratio, 0.25), 1.2))


def _layout(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        template="simple_white",
        width=WIDTH,
        height=height,
        margin={"l": 64, "r": 16, "t": 24, "b": 60},
        legend=_LEGEND,
        hovermode="closest",
    )
    return figure
