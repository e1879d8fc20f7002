"""Figure 3 of the paper: paths over a two-dimensional surface for three weights of smoothness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import plotly.graph_objects as go
import torch
from matplotlib.figure import Figure as PrintFigure
from numpy.typing import NDArray

from lowroad.landscapes import TwoWells
from lowroad.paths import FoundPath, FourierPathFinder, StraightLine
from lowroad.plotting import SurfacePath, SurfacePaths, path_profiles, surface_paths
from lowroad.plotting.style import LINE_COLORS, STRAIGHT_COLOR
from lowroad.report.charts import layout
from lowroad.report.figures.figure import Figure
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView, LegendEntry

__all__ = ["SURFACE", "paths_on_two_wells"]

SMOOTHNESS = (3.5, 35.0, 350.0)
"""Values of λ on the two-dimensional surface: the paper's 35, a tenth and ten times that."""

DASHES = ("solid", "dash", "dashdot")
SYMBOLS = ("circle", "square", "triangle-up")


@lru_cache(maxsize=1)
def paths_on_two_wells(seed: int) -> SurfacePaths:
    """The straight line and a path for each of `SMOOTHNESS` over the surface of Figure 3.

    As in the authors' program: 15 terms, 101 points, 300 Adam steps of rate 0.01, standard normal
    noise on the gradient.

    Source: Yu & Morozov 2026, Fig. 3.
    """
    surface = TwoWells()
    x = np.linspace(surface.window[0], surface.window[1], 121)
    y = np.linspace(surface.window[2], surface.window[3], 111)
    columns, rows = np.meshgrid(x, y)
    grid = torch.from_numpy(np.stack([columns.ravel(), rows.ravel()], axis=1))
    values = surface.values(grid).numpy().reshape(columns.shape)
    paths = []
    for smoothness in SMOOTHNESS:
        finder = FourierPathFinder(
            terms=15, points=101, smoothness=smoothness, steps=300, learning_rate=0.01, noise=1.0
        )
        generator = torch.Generator().manual_seed(seed)
        found = finder.find(surface, *surface.ends, generator=generator)
        paths.append(_surface_path(f"λ = {smoothness:g}", found))
    line = StraightLine(points=101).find(surface, *surface.ends)
    return SurfacePaths(x, y, values, _surface_path("straight line", line), tuple(paths))


def _surface_path(label: str, found: FoundPath) -> SurfacePath:
    points = found.path(torch.from_numpy(found.t)).numpy()
    return SurfacePath(label, points, found.t, found.profile)


def build(view: View, charts: Charts) -> list[FigureView]:
    """The surface with its paths, and their profiles."""
    surface = paths_on_two_wells(view.results.config.seed)
    heights = [f"{path.label}: {path.profile.max():.3f}" for path in surface.paths]
    text = f"Paths between two wells; the highest f on each: {', '.join(heights)}."
    views = [
        charts.add(_surface_chart(surface), "Paths over the surface", text),
        charts.add(_profile_chart(surface), "Profiles", text),
    ]
    legend = [
        LegendEntry(surface.straight.label, STRAIGHT_COLOR, "", "dot"),
        *(
            LegendEntry(path.label, color, symbol, dash)
            for path, color, symbol, dash in zip(
                surface.paths, LINE_COLORS, SYMBOLS, DASHES, strict=False
            )
        ),
    ]
    caption = [
        "FourierPathFinder on a surface of two variables with two wells and two humps, for three "
        "weights λ of the squared steps: the heavier, the straighter. Marks are the path’s points.",
        "As in the authors’ program, the gradient of the coefficients has normal noise added.",
    ]
    return [
        FigureView(
            "surface", "Paths", "Paths over a surface of two variables (Figure 3)", caption, views,
            legend, ["figure-3a-surface", "figure-3b-profiles"], layout="pairs",
        )
    ]  # fmt: skip


def _surface_chart(surface: SurfacePaths) -> go.Figure:
    figure = go.Figure()
    figure.add_contour(
        x=surface.x, y=surface.y, z=np.round(surface.heights, 4), ncontours=24, meta="surface",
        line={"width": 0.5}, hovertemplate="x %{x:.2f}, y %{y:.2f}<br>f = %{z:.3f}<extra></extra>",
        colorbar={"title": {"text": "f(x, y)", "side": "bottom"}, "thickness": 10, "len": 0.8,
                  "orientation": "h", "y": -0.16, "yanchor": "top"},
    )  # fmt: skip
    _add_lines(figure, surface, lambda path: (path.points[:, 0], path.points[:, 1]))
    figure.update_xaxes(title_text="x", range=[surface.x[0], surface.x[-1]], constrain="domain")
    figure.update_yaxes(
        title_text="y", range=[surface.y[0], surface.y[-1]], scaleanchor="x", constrain="domain"
    )
    return layout(figure, 420)


def _profile_chart(surface: SurfacePaths) -> go.Figure:
    figure = go.Figure()
    _add_lines(figure, surface, lambda path: (path.t, path.profile))
    figure.update_xaxes(title_text="t", range=[-0.02, 1.02])
    figure.update_yaxes(title_text="f along the path", rangemode="tozero")
    return layout(figure, 420)


_Coordinates = Callable[[SurfacePath], tuple[NDArray[np.float64], NDArray[np.float64]]]


def _add_lines(figure: go.Figure, surface: SurfacePaths, coordinates: _Coordinates) -> None:
    looks = [(surface.straight, STRAIGHT_COLOR, "dot", None)]
    looks += list(zip(surface.paths, LINE_COLORS, DASHES, SYMBOLS, strict=False))  # type: ignore
    for path, color, dash, symbol in looks:
        x, y = coordinates(path)
        marker = {"symbol": symbol, "size": 4.5, "color": color, "maxdisplayed": 26}
        figure.add_scatter(
            x=np.round(x, 5), y=np.round(y, 5), mode="lines+markers" if symbol else "lines",
            line={"color": color, "dash": dash, "width": 2.2}, marker=marker if symbol else None,
            customdata=np.round(path.profile, 4),
            hovertemplate=f"{path.label}<br>f = %{{customdata:.3f}}<extra></extra>",
        )  # fmt: skip


def draw(view: View) -> Mapping[str, PrintFigure]:
    """The surface and the profiles."""
    surface = paths_on_two_wells(view.results.config.seed)
    return {
        "figure-3a-surface": surface_paths(surface),
        "figure-3b-profiles": path_profiles(surface),
    }


SURFACE = Figure("paths over a surface", build, draw)
