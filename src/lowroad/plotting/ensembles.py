"""Kernel PCA of sets of vectors (Figs. 6 and S4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lowroad.plotting.paths import panel_grid
from lowroad.plotting.style import (
    SetStyle,
    draw_legend,
    drawing,
    say_nothing_here,
    set_styles,
    shorter,
)

__all__ = ["kernel_projections", "samples_of"]


def samples_of(table: xr.Dataset, variable: str) -> dict[str, np.ndarray]:
    """A variable over `vector` as one array for each of the table's sets, in their order."""
    names = table["set"].values
    return {
        str(name): table[variable].values[names == name] for name in dict.fromkeys(names.tolist())
    }


def kernel_projections(
    projections: Mapping[str, xr.Dataset | None],
    columns: int = 2,
    styles: Mapping[str, SetStyle] | None = None,
) -> Figure:
    """First two kernel principal components, one panel for each name (a problem or a kernel).

    Args:
        projections: Results of `kernel_pca` with two components, None where they are missing;
            each tells its sets apart by the coordinate `set`.
        columns: How many panels stand in a row; more than two leave no room for ticks.
        styles: Looks of the sets; assigned in their order where they are not given.

    Source: Yu & Morozov 2026, Figs. 6 and S4.
    """
    looks = styles or set_styles(
        str(name)
        for each in projections.values()
        if each is not None
        for name in each["set"].values
    )
    with drawing():
        figure, axes = panel_grid(len(projections), columns=columns)
        labels: dict[str, Artist] = {}
        for panel, (name, table) in zip(axes, projections.items(), strict=False):
            if table is None:
                panel.set_title(name, loc="left")
                say_nothing_here(panel, "nothing measured yet")
                continue
            area = f"\nROC area {shorter(float(table['auc'].values[0]))}" if "auc" in table else ""
            panel.set_title(f"{name}{area}", loc="left")
            _draw_projection(panel, table, looks)
            if columns > 2:
                panel.set(xticks=[], yticks=[])
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
                labels.setdefault(label, handle)
        draw_legend(figure, labels)
        return figure


def _draw_projection(axes: Axes, table: xr.Dataset, styles: Mapping[str, SetStyle]) -> None:
    names = table["set"].values
    for name in dict.fromkeys(names.tolist()):
        style = styles[name]
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
