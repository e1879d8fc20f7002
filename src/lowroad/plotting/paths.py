"""Paths over a surface and their profiles (Fig. 3), and path heights (Figs. 4 and S2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from lowroad.plotting.ridges import Ridge, log_ticks, ridges, row_limits, wants_log_axis
from lowroad.plotting.style import (
    LINE_COLORS,
    LINE_HEIGHT,
    NAME_WIDTH,
    STRAIGHT_COLOR,
    TITLE_WIDTH,
    SetStyle,
    drawing,
    new_figure,
    say_nothing_here,
    set_styles,
    wrapped,
)

__all__ = [
    "SurfacePath",
    "SurfacePaths",
    "draw_ridges",
    "medians_of",
    "panel_grid",
    "path_profiles",
    "sample_rows",
    "surface_paths",
]


@dataclass(frozen=True)
class SurfacePath:
    """A path over a two-dimensional surface.

    Attributes:
        label: What it is called, e.g. "λ = 35".
        points: Its points [T, 2].
        t: The parameter of each point [T].
        profile: The height at each point [T].
    """

    label: str
    points: NDArray[np.float64]
    t: NDArray[np.float64]
    profile: NDArray[np.float64]


@dataclass(frozen=True)
class SurfacePaths:
    """A surface on a grid, with a straight line and paths between the same two ends.

    Attributes:
        x: Grid values [m].
        y: Grid values [k].
        heights: Heights [k, m], one row for each y.
        straight: The straight line.
        paths: Up to three paths.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    heights: NDArray[np.float64]
    straight: SurfacePath
    paths: Sequence[SurfacePath]

    def __post_init__(self) -> None:
        if self.heights.shape != (len(self.y), len(self.x)):
            raise ValueError(
                f"heights must be [len(y), len(x)] = {(len(self.y), len(self.x))}; "
                f"got {self.heights.shape}"
            )
        if len(self.paths) > len(LINE_COLORS):
            raise ValueError(f"at most {len(LINE_COLORS)} paths fit, got {len(self.paths)}")


_LINES = ("-", "--", "-.")
_MARKERS = ("o", "s", "^")


def surface_paths(surface: SurfacePaths) -> Figure:
    """Contours of a surface with the straight line and the paths on it (Fig. 3a).

    The markers are the paths' points, so their spacing shows where a path hurries.
    """
    with drawing():
        figure, [axes] = new_figure(1, 1, 4.6, 4.0)
        filled = axes.contourf(surface.x, surface.y, surface.heights, levels=24, cmap="Greys")
        filled.set_edgecolor("face")
        axes.contour(
            surface.x, surface.y, surface.heights, levels=12, colors="0.45", linewidths=0.4
        )
        figure.colorbar(filled, ax=axes, label="f(x, y)", shrink=0.85)
        _draw_lines(axes, surface, lambda path: (path.points[:, 0], path.points[:, 1]))
        axes.set(xlabel="x", ylabel="y", aspect="equal")
        figure.legend(loc="outside lower center", ncols=4)
        return figure


def path_profiles(surface: SurfacePaths) -> Figure:
    """Height along the straight line and along each path (Fig. 3b)."""
    with drawing():
        figure, [axes] = new_figure(1, 1, 4.6, 3.2)
        _draw_lines(axes, surface, lambda path: (path.t, path.profile))
        axes.set(xlabel="t", ylabel="f along the path")
        figure.legend(loc="outside lower center", ncols=4)
        return figure


_Coordinates = Callable[[SurfacePath], tuple[NDArray[np.float64], NDArray[np.float64]]]


def _draw_lines(axes: Axes, surface: SurfacePaths, coordinates: _Coordinates) -> None:
    straight = coordinates(surface.straight)
    axes.plot(*straight, ":", color=STRAIGHT_COLOR, label=surface.straight.label, linewidth=1.6)
    for number, path in enumerate(surface.paths):
        axes.plot(
            *coordinates(path),
            _LINES[number],
            color=LINE_COLORS[number],
            marker=_MARKERS[number],
            markersize=2.6,
            markevery=4,
            label=path.label,
        )


def sample_rows(
    samples: Mapping[str, Mapping[str, ArrayLike]],
    label: str,
    straight: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    *,
    styles: Mapping[str, SetStyle] | None = None,
    log: bool | None = None,
) -> Figure:
    r"""Samples of named sets as rows, one panel for each name (Figs. 4, 5, S2 and S3).

    Each set has a row: its points, its median as a bar, a histogram once there are eight numbers,
    and a hollow mark at the median of the numbers of `straight`.

    Args:
        samples: Numbers [n] by panel and by set.
        label: What the numbers are; the axis says whether it is logarithmic.
        straight: Numbers of straight lines, by the same keys.
        styles: Looks of the sets; assigned in their order where they are not given.
        log: Whether the axes are logarithmic; where the numbers want it by default.

    Source: Yu & Morozov 2026, Figs. 4 and S2.

    >>> figure = sample_rows({"one problem": {"Adam": [0.1, 0.2], "SGD": [0.3]}}, "path height")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['SGD\nn = 1', 'Adam\nn = 2']
    """
    looks = styles or set_styles(name for sets in samples.values() for name in sets)
    with drawing():
        most = max((len(sets) for sets in samples.values()), default=4)
        tallest = max((len(_lines(each.label)) for each in looks.values()), default=1)
        row = max(0.4, LINE_HEIGHT * (tallest + 1))  # and the number
        figure, axes = panel_grid(len(samples), row_height=0.7 + row * most)
        for panel, (name, sets) in zip(axes, samples.items(), strict=False):
            lines = (straight or {}).get(name, {})
            draw_ridges(panel, sets, label, lines, looks, log)
            panel.set_title("\n".join(wrapped(name, TITLE_WIDTH)), loc="left")
        return figure


def panel_grid(panels: int, row_height: float = 2.3, columns: int = 2) -> tuple[Figure, list[Axes]]:
    """Return a figure with `panels` axes, `columns` in a row; says so where there is none."""
    columns = max(1, min(panels, columns))
    rows = max(1, -(-panels // columns))
    figure, axes = new_figure(
        rows, columns, 3.5 * columns if columns < 3 else 2.5 * columns, 0.2 + row_height * rows
    )
    for unused in axes[max(panels, 1) :]:
        unused.set_axis_off()
    if not panels:
        say_nothing_here(axes[0], "nothing measured yet")
    return figure, axes


def draw_ridges(
    axes: Axes,
    samples: Mapping[str, ArrayLike],
    label: str,
    straight: Mapping[str, ArrayLike] | None,
    styles: Mapping[str, SetStyle],
    log: bool | None = None,
) -> None:
    """Draw samples of sets as rows of points and bars; see `ridges`.

    The axis is a log axis as `log` says, or, by default, where the numbers want one.
    """
    medians = medians_of(straight or {})
    if log is None:
        log = wants_log_axis([*samples.values(), list(medians.values())])
    rows = ridges(samples, log)
    if not any(len(row.values) for row in rows):
        say_nothing_here(axes, "nothing measured yet")
        return
    for place, row in enumerate(reversed(rows)):
        _draw_row(axes, row, place, medians.get(row.name), styles[row.name])
    names = [
        "\n".join([*_lines(styles[row.name].label), f"n = {len(row.values)}"])
        for row in reversed(rows)
    ]
    axes.set_yticks(range(len(rows)), names)
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=row_limits(rows), xlabel=f"{label} (log scale)" if log else label)
    if log:
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(*log_ticks(*axes.get_xlim()))


def _lines(name: str) -> list[str]:
    return wrapped(name, NAME_WIDTH)


def medians_of(samples: Mapping[str, ArrayLike]) -> dict[str, float]:
    """Medians of the samples' finite numbers, of those that have any."""
    return {
        name: float(np.median(values))
        for name, sample in samples.items()
        if len(values := np.asarray(sample, dtype=np.float64)[np.isfinite(sample)])
    }


def _draw_row(axes: Axes, row: Ridge, place: int, straight: float | None, style: SetStyle) -> None:
    axes.axhline(place, color="0.8", linewidth=0.6, zorder=0)
    if len(row.bars):
        axes.stairs(
            place + row.bars,
            row.edges,
            baseline=place,
            fill=True,
            facecolor=style.color,
            edgecolor="black",
            hatch=style.hatch,
            alpha=0.75,
            linewidth=0.5,
        )
    if len(row.values):
        bottom, top = row.reach
        axes.vlines(row.median, place + bottom, place + top, color="black", linewidth=1.4)
    axes.plot(
        row.values,
        place + row.offsets,
        style.marker,
        color=style.color,
        markeredgecolor="black",
        markeredgewidth=0.4,
        markersize=3.6,
    )
    if straight is not None:
        axes.plot(
            [straight],
            [place + row.middle],
            "v",
            color="black",
            markerfacecolor="white",
            markersize=5,
        )
