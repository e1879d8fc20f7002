"""Training curves (Figs. 2 and S1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lowroad.analysis.losses import representative_run
from lowroad.plotting.ridges import log_ticks
from lowroad.plotting.style import (
    OPTIMIZERS,
    WEIGHT_STYLES,
    drawing,
    new_figure,
    say_nothing_here,
)

__all__ = ["STEP_NAMES", "LossCurve", "loss_curves", "pick_representative"]

STEP_NAMES = {"sgd": "epoch", "lbfgs": "iteration"}


class LossCurve(Protocol):
    """A training run's losses [r] at its steps [r], with the lowest of each kind and its step."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """Epochs or iterations [r] at which the losses were taken."""
        ...

    @property
    def train_heights(self) -> NDArray[np.float64]:
        """Training losses [r]."""
        ...

    @property
    def test_heights(self) -> NDArray[np.float64]:
        """Test losses [r]."""
        ...

    @property
    def train_height(self) -> float:
        """Lowest training loss."""
        ...

    @property
    def test_height(self) -> float:
        """Lowest test loss."""
        ...

    @property
    def train_step(self) -> int:
        """Step of the lowest training loss."""
        ...

    @property
    def test_step(self) -> int:
        """Step of the lowest test loss."""
        ...


def loss_curves(runs: Mapping[str, Mapping[str, Sequence[LossCurve]]]) -> Figure:
    """Training and test loss against epochs (SGD) or iterations (L-BFGS), for each network.

    All runs are thin lines; the run whose lowest training loss is the median one is thick, with
    its two minima marked. The losses are on a log axis that both optimizers share.

    Args:
        runs: The kept runs by network and by optimizer ("sgd", "lbfgs"); either may be missing.

    Returns:
        A figure with a row for each network.

    Source: Yu & Morozov 2026, Figs. 2 and S1.
    """
    with drawing():
        rows = max(len(runs), 1)
        figure, axes = new_figure(rows, 2, 6.8, 0.5 + 2.1 * rows)
        for row, (network, by_optimizer) in enumerate(runs.items()):
            pair = axes[2 * row], axes[2 * row + 1]
            for panel, optimizer in zip(pair, OPTIMIZERS, strict=True):
                _draw_curves(panel, optimizer, by_optimizer.get(optimizer, ()))
                panel.set_title(f"{network}, {OPTIMIZERS[optimizer]}", loc="left")
            pair[0].set_ylabel("loss")
            filled = [panel for panel in pair if panel.get_yscale() == "log"]
            ends = [end for panel in filled for end in panel.get_ylim()]
            for panel in filled:
                panel.set_ylim(min(ends), max(ends))
                panel.set_yticks(*log_ticks(min(ends), max(ends)))
        if not runs:
            for panel in axes:
                say_nothing_here(panel, "no training run yet")
        handles: dict[str, Artist] = {}
        for panel in axes:
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        if handles:
            figure.legend(
                list(handles.values()),
                list(handles),
                loc="outside upper center",
                ncols=len(handles),
            )
        return figure


def pick_representative(runs: Sequence[LossCurve]) -> int | None:
    """Index of the run with the median lowest training loss; None where no loss is finite."""
    heights = [run.train_height for run in runs]
    return representative_run(heights) if np.isfinite(heights).any() else None


def _draw_curves(axes: Axes, optimizer: str, runs: Sequence[LossCurve]) -> None:
    axes.set_xlabel(STEP_NAMES[optimizer])
    chosen = pick_representative(runs)
    if chosen is None:
        say_nothing_here(axes, "no finished run" if not runs else "no finite loss")
        return
    axes.set_yscale("log")
    axes.minorticks_off()
    for side in ("train", "test"):
        style = WEIGHT_STYLES[f"{optimizer}_{side}"]
        for run in runs:
            heights = getattr(run, f"{side}_heights")
            axes.plot(run.steps, heights, style.dash, color=style.color, alpha=0.3, linewidth=0.6)
        run = runs[chosen]
        heights = getattr(run, f"{side}_heights")
        axes.plot(run.steps, heights, style.dash, color=style.color, linewidth=1.6)
        axes.plot(
            [getattr(run, f"{side}_step")],
            [getattr(run, f"{side}_height")],
            linestyle=style.dash,
            marker=style.marker,
            color=style.color,
            markeredgecolor="black",
            markersize=6,
            zorder=3,
            label=style.label,
        )
