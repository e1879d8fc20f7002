"""Densities of eigenvalues, in matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from lowroad.plotting.style import drawing, new_figure

if TYPE_CHECKING:
    from lowroad.analysis import SpectralDensity

__all__ = ["spectrum_figure"]

SMALLEST = 1e-7  # of the density's highest value: what is drawn


def spectrum_figure(spectrum: SpectralDensity, width: float | None = None) -> Figure:
    """The density of the eigenvalues on a logarithmic scale; the known ones are ticks below.

    Args:
        spectrum: From `lowroad.analysis.spectral_density`.
        width: Standard deviation of the bump that stands for an eigenvalue; a hundredth of the
            range of the eigenvalues when not given.

    >>> from lowroad.analysis import SpectralDensity
    >>> known = SpectralDensity(np.array([3.0, 1.0]), np.empty((0, 0)), np.empty((0, 0)), 2, 2)
    >>> spectrum_figure(known).axes[0].get_xlabel()
    'eigenvalue'
    """
    places = np.concatenate([spectrum.outliers, spectrum.nodes[spectrum.weights > 0]])
    low, high = float(places.min()), float(places.max())
    width = width or (high - low) / 100 or 1.0
    grid = np.linspace(low - 6 * width, high + 6 * width, 1500)
    density = spectrum.density(grid, width)
    with drawing():
        figure, [axes] = new_figure(1, 1, 4.8, 3.2)
        axes.semilogy(grid, density)
        axes.plot(
            spectrum.outliers, np.zeros(len(spectrum.outliers)), "|", markersize=9,
            transform=axes.get_xaxis_transform(), label="known eigenvalues", clip_on=False,
        )  # fmt: skip
        axes.set(xlabel="eigenvalue", ylabel="density", ylim=(SMALLEST * density.max(), None))
        axes.legend(loc="upper right")
        return figure
