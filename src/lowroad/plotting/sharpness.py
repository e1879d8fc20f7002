"""Sharpness of minima: the largest eigenvalue of the Hessian and its trace."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lowroad.plotting.paths import draw_ridges
from lowroad.plotting.style import drawing, new_figure

__all__ = ["sharpness_histograms"]

Samples = Mapping[str, Mapping[str, ArrayLike]]


def sharpness_histograms(largest: Samples, traces: Samples) -> Figure:
    """Largest eigenvalues and traces of each weight set, a row for each network.

    Args:
        largest: The largest eigenvalue at each minimum [n], by network and by weight set.
        traces: The traces, by the same keys.
    """
    with drawing():
        rows = max(len(largest), 1)
        figure, axes = new_figure(rows, 2, 7.0, 0.2 + 2.3 * rows)
        for row, network in enumerate(largest):
            pair = axes[2 * row : 2 * row + 2]
            for panel, samples, label in zip(
                pair, (largest, traces), ("largest eigenvalue", "trace"), strict=True
            ):
                panel.set_title(network, loc="left")
                draw_ridges(panel, samples[network], label)
        return figure
