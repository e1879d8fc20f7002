"""Path heights against the number of steps, and disconnectivity graphs of the minima."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lowroad.analysis import MergeTree
from lowroad.plotting.paths import panel_grid
from lowroad.plotting.ridges import log_ticks, wants_log_axis
from lowroad.plotting.style import SetStyle, draw_legend, drawing, say_nothing_here, set_styles

__all__ = [
    "convergence_curves",
    "disconnectivity_graphs",
    "median_curve",
    "tree_lines",
    "wants_log_heights",
]


def median_curve(curve: xr.Dataset) -> NDArray[np.float64]:
    """Median over the paths at each step [h] of `heights_by_step`, NaN where there is none."""
    lowest = curve["lowest"].values
    known = np.isfinite(lowest).any(axis=0)
    median = np.full(len(known), np.nan)
    median[known] = np.nanmedian(lowest[:, known], axis=0)
    return median


def convergence_curves(
    curves: Mapping[str, Mapping[str, xr.Dataset]], styles: Mapping[str, SetStyle] | None = None
) -> Figure:
    """Lowest height of each path so far against steps: paths thin, a set's median thick.

    Args:
        curves: Results of `heights_by_step` by panel and by set.
        styles: Looks of the sets; assigned in their order where they are not given.
    """
    looks = styles or set_styles(name for sets in curves.values() for name in sets)
    with drawing():
        figure, axes = panel_grid(len(curves))
        labels: dict[str, Artist] = {}
        for panel, (network, sets) in zip(axes, curves.items(), strict=False):
            panel.set_title(network, loc="left")
            filled = [c["lowest"].values for c in sets.values() if np.isfinite(c["lowest"]).any()]
            if not filled:
                say_nothing_here(panel, "nothing measured yet")
                continue
            for name, curve in sets.items():
                style, steps = looks[name], curve["step"].values
                panel.plot(
                    steps, curve["lowest"].values.T, style.dash, color=style.color, alpha=0.25,
                    linewidth=0.5,
                )  # fmt: skip
                panel.plot(
                    steps, median_curve(curve), style.dash, color=style.color,
                    marker=style.marker, markersize=3, markevery=max(1, len(steps) // 8),
                    label=style.label,
                )  # fmt: skip
            panel.set(xlabel="step", ylabel="path height")
            _scale(panel, wants_log_axis(filled))
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
                labels.setdefault(label, handle)
        draw_legend(figure, labels)
        return figure


def disconnectivity_graphs(
    trees: Mapping[str, Mapping[str, MergeTree]], styles: Mapping[str, SetStyle] | None = None
) -> Figure:
    """Merge trees of minima: each ends below in a minimum, two join at their level.

    Lines join where a chain of measured paths first connects two groups of minima; the levels are
    upper bounds. What no measured pair connects stays apart.

    Args:
        trees: Results of `merge_tree` by panel (a network) and by weight set, or any other name.
        styles: Looks of the sets; assigned in their order where they are not given.

    Source: Becker & Karplus 1997, Fig. 2; Wales 2003, Section 5.1.

    >>> from lowroad.analysis import merge_tree
    >>> tree = merge_tree([0.1, 0.3, 0.2], [(0, 1), (1, 2)], [0.9, 0.5])
    >>> figure = disconnectivity_graphs({"three minima": {"minima": tree}})
    >>> figure.axes[0].get_title(loc="left")
    'three minima'
    """
    looks = styles or set_styles(name for sets in trees.values() for name in sets)
    with drawing():
        figure, axes = panel_grid(len(trees))
        labels: dict[str, Artist] = {}
        for panel, (network, sets) in zip(axes, trees.items(), strict=False):
            panel.set_title(network, loc="left")
            if not any(tree.heights for tree in sets.values()):
                say_nothing_here(panel, "nothing measured yet")
                continue
            first = 0.0
            for name, tree in sets.items():
                style = looks[name]
                places, x, y = tree_lines(tree, first)
                panel.plot(x, y, "-", color=style.color, linewidth=0.9)
                panel.plot(
                    places, tree.heights, style.marker, color=style.color, markersize=3.6,
                    markeredgecolor="black", markeredgewidth=0.4, label=style.label,
                )  # fmt: skip
                first += len(places) + 1
            panel.set(xticks=[], ylabel="height", xlim=(-1, first - 1))
            _scale(panel, wants_log_heights(sets))
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
                labels.setdefault(label, handle)
        draw_legend(figure, labels)
        return figure


def wants_log_heights(trees: Mapping[str, MergeTree]) -> bool:
    """Whether a log axis shows the trees better; see `wants_log_axis`."""
    levels = [merge.level for tree in trees.values() for merge in tree.merges]
    return wants_log_axis([*(tree.heights for tree in trees.values()), levels])


def tree_lines(
    tree: MergeTree, first: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Places and lines of a merge tree in the plane.

    Args:
        tree: The tree.
        first: Place of its first minimum; the others follow at distance 1, the largest part first.

    Returns:
        The places of the minima [n], and x and y of the branches, with NaN between them: each
        merge is a bracket from one child up to the level, across, and down to the other.

    >>> from lowroad.analysis import merge_tree
    >>> places, x, y = tree_lines(merge_tree([1.0, 2.0], [(0, 1)], [5.0]))
    >>> places.tolist(), x[:4].tolist(), y[:4].tolist()
    ([0.0, 1.0], [0.0, 0.0, 1.0, 1.0], [1.0, 5.0, 5.0, 2.0])
    """
    parts = sorted((tree.leaves(root) for root in tree.roots), key=len, reverse=True)
    order = [leaf for part in parts for leaf in part]
    n = len(tree.heights)
    places = np.empty(n + len(tree.merges))
    places[order] = first + np.arange(n)
    tops = [*tree.heights]
    corners: list[tuple[float, float]] = []
    for k, merge in enumerate(tree.merges):
        left, right = sorted(merge.children, key=lambda child: places[child])
        places[n + k] = (places[left] + places[right]) / 2
        tops.append(merge.level)
        corners += [
            (places[left], tops[left]), (places[left], merge.level),
            (places[right], merge.level), (places[right], tops[right]), (np.nan, np.nan),
        ]  # fmt: skip
    x, y = np.array(corners, dtype=np.float64).reshape(-1, 2).T
    return places[:n], x, y


def _scale(axes: Axes, log: bool) -> None:
    if log:
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.set_yticks(*log_ticks(*axes.get_ylim()))
