"""Profiles of found paths, and paths on surfaces and planes, in matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import xarray as xr
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from lowroad.landscapes import Landscape
from lowroad.plotting.prepared import (
    Against,
    HeightMap,
    Paths,
    Window,
    plane_map,
    profiles_of,
    surface_map,
)
from lowroad.plotting.style import HEIGHT_COLORS, MARKERS, drawing, new_figure

__all__ = ["plane_figure", "profile_figure", "surface_figure"]

AXIS_LABELS = {"t": "t", "length": "arc length"}
WIDTH = 4.8  # inches
TALLEST, FLATTEST = 1.3, 0.3  # a map's height over its width, at most and at least

_COLORS = LinearSegmentedColormap.from_list("heights", HEIGHT_COLORS)
_HALO = [patheffects.withStroke(linewidth=2.2, foreground="white")]


def profile_figure(paths: Paths, against: Against = "t") -> Figure:
    """Heights along one or several found paths, the refined maximum of each marked.

    A mark's label gives its height. Straight lines are dashed.

    Args:
        paths: Found paths by name; at most two straight lines and six others.
        against: "t", or "length" for the arc length from the start.

    Raises:
        ValueError: If there is no path, or too many.

    >>> from lowroad.landscapes import CurvyValley
    >>> from lowroad.paths import StraightLine
    >>> surface = CurvyValley()
    >>> figure = profile_figure({"straight line": StraightLine().find(surface, *surface.ends)})
    >>> figure.axes[0].get_legend_handles_labels()[1]
    ['straight line: 2.977']
    """
    with drawing():
        figure, [axes] = new_figure(1, 1, WIDTH, 3.2)
        for profile in profiles_of(paths, against):
            style = profile.style
            axes.plot(
                profile.x,
                profile.heights,
                style.dash,
                color=style.color,
                marker=style.marker,
                markevery=[int((profile.x == profile.peak[0]).argmax())],
                markersize=6,
                markeredgecolor="black",
                markeredgewidth=0.5,
                label=profile.label,
            )
        axes.set(xlabel=AXIS_LABELS[against], ylabel="height")
        figure.legend(loc="outside lower center", ncols=2, title="highest point")
        return figure


def surface_figure(
    landscape: Landscape,
    paths: Paths | None = None,
    *,
    window: Window | None = None,
    marks: Mapping[str, Sequence[Tensor]] | None = None,
) -> Figure:
    """Contours of a two-dimensional landscape with paths, images and stationary points on it.

    The contours end where no path goes (see `HeightMap.levels`); what is higher has the darkest
    colour. The small marks on a path are a chain's images; other paths have none.

    Args:
        landscape: Two-dimensional.
        paths: Found paths by name; at most two straight lines and six others.
        window: (x from, x to, y from, y to). By default what holds the paths and the surface's own
            window.
        marks: Points [2] of each kind by the kind's name, at most four kinds; by default a
            surface's known minima and saddles.

    Raises:
        ValueError: If the landscape is not two-dimensional, or neither a window nor a path is
            given.

    >>> from lowroad.landscapes import MullerBrown
    >>> figure = surface_figure(MullerBrown())
    >>> figure.axes[0].get_legend_handles_labels()[1]
    ['minimum', 'saddle']
    """
    with drawing():
        shown = surface_map(landscape, paths, window, marks)
        figure, [axes] = new_figure(1, 1, WIDTH, 0.9 + _map_height(shown))
        _draw_map(figure, axes, shown)
        for kind, (marker, _) in zip(shown.marks, MARKERS, strict=False):
            axes.plot(
                *kind.places.T, marker, color="white", markeredgecolor="black", zorder=4,
                label=kind.name,
            )  # fmt: skip
        if shown.paths or shown.marks:
            figure.legend(loc="outside lower center", ncols=4)
        return figure


def plane_figure(plane: xr.Dataset) -> Figure:
    """The plane through three points with paths projected on it, and their distances from it.

    Where a path's distance (lower panel) is not small, the map's height there differs from that of
    the path.

    Args:
        plane: Made by `lowroad.analysis.plane_through`.
    """
    with drawing():
        shown = plane_map(plane)
        below = 1.3 if shown.paths else 0.0
        height = _map_height(shown)
        figure = Figure(figsize=(WIDTH, 0.9 + height + below), layout="constrained")
        panels = figure.subplots(
            1 + bool(below), 1, squeeze=False, height_ratios=[height, below][: 1 + bool(below)]
        )[:, 0]
        _draw_map(figure, panels[0], shown)
        for mark in shown.marks:
            panels[0].plot(*mark.places.T, "o", color="white", markeredgecolor="black", zorder=4)
            panels[0].annotate(
                mark.name, mark.places[0], (0, 6), textcoords="offset points", ha="center",
                path_effects=_HALO, zorder=5,
            )  # fmt: skip
        if below:
            for path in shown.paths:
                panels[1].plot(path.t, path.distance, path.style.dash, color=path.style.color)
            panels[1].set(xlabel="t", ylabel="distance\nfrom the plane")
            figure.legend(loc="outside lower center", ncols=3)
        return figure


def _map_height(shown: HeightMap) -> float:
    ratio = (shown.y[-1] - shown.y[0]) / (shown.x[-1] - shown.x[0])
    return float(WIDTH * 0.72 * min(max(ratio, FLATTEST), TALLEST))


def _draw_map(figure: Figure, axes: Axes, shown: HeightMap) -> None:
    """Draw contours with a colour bar, and the paths with their images."""
    levels = shown.levels
    filled = axes.contourf(
        shown.x,
        shown.y,
        shown.drawable,
        levels=levels,
        cmap=_COLORS,
        extend="max" if shown.is_cut else "neither",
    )
    filled.set_edgecolor("face")
    axes.contour(
        shown.x,
        shown.y,
        shown.drawable,
        levels=levels[::2],
        colors="0.45",
        linewidths=0.4,
        linestyles="solid",
    )
    ticks = levels[:: -(-len(levels) // 6)]
    figure.colorbar(filled, ax=axes, label="height", shrink=0.85, ticks=ticks)
    for path in shown.paths:
        style = path.style
        axes.plot(*path.places.T, style.dash, color=style.color, label=path.name, linewidth=1.6)
        axes.plot(
            *path.images.T[:2], style.marker, color=style.color, markeredgecolor="white",
            markeredgewidth=0.4, markersize=4,
        )  # fmt: skip
    axes.set(
        xlabel=shown.axes[0],
        ylabel=shown.axes[1],
        aspect="equal",
        xlim=shown.x[[0, -1]],
        ylim=shown.y[[0, -1]],
    )
