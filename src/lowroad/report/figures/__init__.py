"""The report's figures: one module for each, and the list of them in the page's order."""

from __future__ import annotations

from lowroad.report.figures import (
    between,
    curves,
    disconnectivity,
    distances,
    finders,
    gradient_norms,
    heights_by_steps,
    kernel_pca,
    metrics,
    path_heights,
    planes,
    sharpness,
)
from lowroad.report.figures.figure import Figure
from lowroad.report.view import View

FIGURES: tuple[Figure, ...] = (
    curves.FIGURE,
    metrics.FIGURE,
    gradient_norms.FIGURE,
    path_heights.FIGURE,
    between.FIGURE,
    heights_by_steps.FIGURE,
    finders.FIGURE,
    disconnectivity.FIGURE,
    planes.FIGURE,
    distances.FIGURE,
    kernel_pca.FIGURE,
    sharpness.FIGURE,
)

__all__ = ["FIGURES", "Figure", "figures_of"]


def figures_of(view: View) -> tuple[Figure, ...]:
    """All figures of a report: those of the study's claims, if it names any, come first."""
    own: tuple[Figure, ...] = () if view.claims is None else view.claims.figures
    return (*own, *FIGURES)
