"""Training curves (Figs. 2 and S1)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lowroad.analysis.losses import representative_run
from lowroad.plotting.paths import panel_grid
from lowroad.plotting.ridges import log_ticks, wants_log_axis
from lowroad.plotting.style import (
    TITLE_WIDTH,
    SetStyle,
    draw_legend,
    drawing,
    say_nothing_here,
    wrapped,
)

__all__ = ["AXIS_NAMES", "abscissa", "pick_representative", "training_curves"]

AXIS_NAMES = {
    "step": "epochs or iterations",
    "evaluations": "evaluations of the training landscape",
    "elapsed": "seconds",
}
"""What curves can be drawn against."""


def abscissa(runs: xr.Dataset, against: str) -> NDArray[np.float64]:
    """Where each recorded value [run, step] stands, NaN beyond a run's end."""
    if against == "step":
        return np.where(np.isfinite(runs["train_values"].values), runs["step"].values, np.nan)
    return np.asarray(runs[against].values, dtype=np.float64)


def pick_representative(runs: xr.Dataset) -> int | None:
    """Row of the run with the median lowest training value; None where no value is finite."""
    values = runs["train_value"].values
    return representative_run(values) if np.isfinite(values).any() else None


def training_curves(
    panels: Mapping[str, xr.Dataset],
    styles: Mapping[str, Mapping[str, SetStyle]],
    quantity: str = "loss",
    against: str = "step",
    columns: int = 2,
) -> Figure:
    """Training and held-out values along training, one panel for each name.

    All runs are thin lines; the run whose lowest training value is the median one is thick, with
    its minima marked. The value axis is logarithmic where the values want it, and shared.

    Args:
        panels: Tables of runs with `train_values` and, where there is one, `test_values` or
            `validation_values` over (`run`, `step`).
        styles: By panel, the look of each split's curve.
        quantity: What a value is.
        against: One of `AXIS_NAMES`.
        columns: How many panels stand in a row.

    Source: Yu & Morozov 2026, Figs. 2 and S1.
    """
    with drawing():
        figure, axes = panel_grid(len(panels), columns=columns)
        curves = [runs[f"{k}_values"].values for n, runs in panels.items() for k in styles[n]]
        log = wants_log_axis(curves)
        for axis, (name, runs) in zip(axes, panels.items(), strict=False):
            axis.set_title("\n".join(wrapped(name, TITLE_WIDTH)), loc="left")
            _draw(axis, runs, styles[name], against)
            axis.set(xlabel=AXIS_NAMES[against], ylabel=quantity)
        drawn = [axis for axis in axes if axis.lines]
        if log and drawn:
            for axis in drawn:
                axis.set_yscale("log")
                axis.minorticks_off()
            ends = [end for axis in drawn for end in axis.get_ylim()]
            for axis in drawn:
                axis.set_ylim(min(ends), max(ends))
                axis.set_yticks(*log_ticks(min(ends), max(ends)))
        handles = {
            label: handle
            for axis in axes
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        draw_legend(figure, handles)
        return figure


def _draw(axes: Axes, runs: xr.Dataset, styles: Mapping[str, SetStyle], against: str) -> None:
    chosen = pick_representative(runs)
    if chosen is None:
        say_nothing_here(axes, "no finished run" if not runs.sizes["run"] else "no finite value")
        return
    x = abscissa(runs, against)
    for split, style in styles.items():
        y = runs[f"{split}_values"].values
        for row in range(len(y)):
            axes.plot(x[row], y[row], style.dash, color=style.color, alpha=0.35, linewidth=0.6)
        axes.plot(x[chosen], y[chosen], style.dash, color=style.color, linewidth=1.6)
        lowest = int(np.nanargmin(np.where(np.isfinite(y[chosen]), y[chosen], np.nan)))
        axes.plot(
            [x[chosen, lowest]], [y[chosen, lowest]], linestyle=style.dash, marker=style.marker,
            color=style.color, markeredgecolor="black", markersize=6, zorder=3, label=style.label,
        )  # fmt: skip
