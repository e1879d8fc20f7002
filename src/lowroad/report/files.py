"""The figures as PDF and PNG files."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from lowroad.plotting import (
    disconnectivity_graphs,
    distance_histograms,
    height_courses,
    kernel_projections,
    loss_curves,
    path_height_histograms,
    path_profiles,
    sharpness_histograms,
    surface_paths,
)
from lowroad.plotting.style import drawing
from lowroad.report.paper import PAIRS
from lowroad.report.summary import LANDSCAPES, Summary
from lowroad.report.tables import kernel_labels
from lowroad.study.results import WEIGHT_SETS
from lowroad.study.store import write_atomically

__all__ = ["save_figures"]


def save_figures(summary: Summary, directory: Path, style: str = "screen") -> list[Path]:
    """Write every figure as PDF and PNG and return the paths; equal results give equal files.

    Raises:
        ValueError: for a style that `lowroad.plotting.style.drawing` does not know.
    """
    written = []
    with drawing(style):
        for name, figure in _figures(summary).items():
            # Lay out once for both files: it takes most of the time.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            for ending in ("pdf", "png"):
                content = io.BytesIO()
                # Without a date a PDF does not change from one time to the next.
                metadata = {"CreationDate": None} if ending == "pdf" else None
                figure.savefig(content, format=ending, metadata=metadata)
                path = directory / f"{name}.{ending}"
                write_atomically(path, content.getvalue())
                written.append(path)
    return written


def _figures(summary: Summary) -> dict[str, Figure]:
    """All figures by file name."""
    networks = summary.networks
    figures = {
        "figure-2-S1-curves": loss_curves({n.name: n.runs for n in networks}),
        "figure-3a-surface": surface_paths(summary.surface),
        "figure-3b-profiles": path_profiles(summary.surface),
    }
    for side, number in zip(LANDSCAPES, ("4", "S2"), strict=True):
        figures[f"figure-{number}-heights-{side}"] = path_height_histograms(
            {n.name: {str(s): n.heights(s, side) for s in WEIGHT_SETS} for n in networks},
            {n.name: {str(s): n.straight_heights(s, side) for s in WEIGHT_SETS} for n in networks},
        )
        figures[f"heights-by-steps-{side}"] = height_courses(
            {n.name: {str(s): n.courses[s, side] for s in WEIGHT_SETS} for n in networks}
        )
        figures[f"disconnectivity-{side}"] = disconnectivity_graphs(
            {n.name: {str(s): n.trees[s, side] for s in WEIGHT_SETS} for n in networks}
        )
    if any(found for n in networks for found in n.sharpness.values()):
        figures["sharpness"] = sharpness_histograms(
            {
                n.name: {s: [e.eigenvalues[0] for e in found] for s, found in n.sharpness.items()}
                for n in networks
            },
            {
                n.name: {s: [e.trace for e in found] for s, found in n.sharpness.items()}
                for n in networks
            },
        )
    for pair, (spread, components) in zip(PAIRS, (("5", "6"), ("S3", "S4")), strict=True):
        figures[f"figure-{spread}-distances"] = distance_histograms(
            {n.name: n.distances.get(pair) for n in networks}
        )
        figures[f"figure-{components}-kernel-pca"] = kernel_projections(
            {n.name: n.projections.get((*pair, "rbf")) for n in networks}
        )
        figures[f"figure-{components}-kernels"] = kernel_projections(
            {
                f"{n.name}, {label}": n.projections.get((*pair, kernel))
                for n in networks
                for kernel, label in kernel_labels(summary).items()
                if kernel != "rbf"
            },
            columns=4,
        )
    return figures
