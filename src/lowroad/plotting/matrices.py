"""Heat maps of one number for each two sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lowroad.plotting.paths import panel_grid
from lowroad.plotting.style import NAME_WIDTH, drawing, shorter, wrapped

__all__ = ["set_matrices"]


def set_matrices(
    panels: Mapping[str, tuple[Sequence[str], ArrayLike]], label: str, log: bool = False
) -> Figure:
    """Numbers of all pairs of sets as heat maps, one panel for each name.

    Args:
        panels: Names [s] of the sets and numbers [s, s], by panel; NaN where nothing is known.
        label: What the numbers are.
        log: Whether the colours follow the logarithm. Each panel has a colour scale of its own.

    Raises:
        ValueError: If the numbers of a panel are not a square with one row for each name.

    >>> figure = set_matrices({"mlp": (["SGD", "Adam"], [[0.1, 0.4], [0.4, 0.2]])}, "barrier")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.1', '0.4', '0.4', '0.2']
    """
    most = max((len(names) for names, _ in panels.values()), default=2)
    with drawing():
        figure, axes = panel_grid(len(panels), row_height=1.2 + 0.36 * most)
        for panel, (title, (names, numbers)) in zip(axes, panels.items(), strict=False):
            values = np.asarray(numbers, dtype=np.float64)
            if values.shape != (len(names), len(names)):
                raise ValueError(
                    f"{title}: expected one row and one column for each of {len(names)} names, "
                    f"got an array of shape {values.shape}"
                )
            known = np.isfinite(values) & ((values > 0) | (not log))
            shown = np.where(known, values, np.nan)
            shown = np.log10(shown) if log else shown
            middle = (np.nanmin(shown) + np.nanmax(shown)) / 2 if known.any() else 0.0
            panel.imshow(shown, cmap="cividis", aspect="auto")
            for row, column in np.argwhere(np.isfinite(values)).tolist():
                dark = known[row, column] and shown[row, column] <= middle
                panel.text(
                    column, row, shorter(float(values[row, column])), ha="center", va="center",
                    fontsize=6.5, color="white" if dark else "black",
                )  # fmt: skip
            labels = ["\n".join(wrapped(name, NAME_WIDTH)) for name in names]
            panel.set_xticks(range(len(names)), labels, rotation=40, ha="right")
            panel.set_yticks(range(len(names)), labels)
            panel.tick_params(length=0)
            panel.set_title(f"{title}: {label}", loc="left")
        return figure
