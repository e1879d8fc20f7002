"""Distances from the common origin (Figs. 5 and S3) and kernel PCA (Figs. 6 and S4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lowroad.plotting.paths import draw_ridges, panel_grid
from lowroad.plotting.style import WEIGHT_STYLES, drawing, say_nothing_here, shorter

__all__ = ["distance_histograms", "kernel_projections", "samples_of"]


def samples_of(table: xr.Dataset, variable: str) -> dict[str, np.ndarray]:
    """A variable over `vector` as one array for each of the table's sets, in their order."""
    names = table["set"].values
    return {
        str(name): table[variable].values[names == name] for name in dict.fromkeys(names.tolist())
    }


def distance_histograms(distances: Mapping[str, xr.Dataset | None]) -> Figure:
    """Distance of every vector from the common origin, one panel for each network.

    The dotted line is at the centroids' distance from the origin, which is the same for both.

    Args:
        distances: Results of `centroid_distances` by network, None where they are missing; the
            sets' names are those of weight sets.

    Source: Yu & Morozov 2026, Figs. 5 and S3.
    """
    with drawing():
        figure, axes = panel_grid(len(distances), row_height=1.7)
        for panel, (network, table) in zip(axes, distances.items(), strict=False):
            panel.set_title(network, loc="left")
            if table is None:
                say_nothing_here(panel, "nothing measured yet")
                continue
            draw_ridges(
                panel,
                samples_of(table, "distance"),
                "distance from the common origin",
                log=False,
            )
            panel.axvline(table["centroid_distance"].values[0], color="black", linestyle=":")
            panel.set_xlim(left=0)
        return figure


def kernel_projections(projections: Mapping[str, xr.Dataset | None], columns: int = 2) -> Figure:
    """First two kernel principal components, one panel for each name (a network or a kernel).

    Args:
        projections: Results of `kernel_pca` with two components, None where they are missing;
            the sets' names are those of weight sets.
        columns: How many panels stand in a row; more than two leave no room for ticks.

    Source: Yu & Morozov 2026, Figs. 6 and S4.
    """
    with drawing():
        figure, axes = panel_grid(len(projections), columns=columns)
        labels: dict[str, Artist] = {}
        for panel, (name, table) in zip(axes, projections.items(), strict=False):
            if table is None:
                panel.set_title(name, loc="left")
                say_nothing_here(panel, "nothing measured yet")
                continue
            area = shorter(float(table["auc"].values[0])) if "auc" in table else "–"
            panel.set_title(f"{name}\nROC area {area}", loc="left")
            _draw_projection(panel, table)
            if columns > 2:
                panel.set(xticks=[], yticks=[])
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
                labels.setdefault(label, handle)
        if labels:
            figure.legend(list(labels.values()), list(labels), loc="outside upper center", ncols=2)
        return figure


def _draw_projection(axes: Axes, table: xr.Dataset) -> None:
    names = table["set"].values
    for name in dict.fromkeys(names.tolist()):
        style = WEIGHT_STYLES[name]
        points = table["projection"].values[names == name]
        axes.plot(
            points[:, 0],
            points[:, 1],
            style.marker,
            color=style.color,
            markeredgecolor="black",
            markeredgewidth=0.4,
            markersize=4.5,
            label=style.label,
        )
    shares = table["explained"].values
    axes.set(xlabel=f"component 1 ({shares[0]:.0%})", ylabel=f"component 2 ({shares[1]:.0%})")
    axes.ticklabel_format(axis="both", scilimits=(-2, 3))
