"""The paper's figures in matplotlib: pure functions from results to figures.

No function here leaves a trace in matplotlib's global state, needs a display, or saves a file.
The four weight sets have fixed colours, markers and hatches in every figure (see `style`).
"""

from __future__ import annotations

from lowroad.plotting.curves import LossCurve, loss_curves
from lowroad.plotting.ensembles import distance_histograms, kernel_projections
from lowroad.plotting.paths import (
    SurfacePath,
    SurfacePaths,
    path_height_histograms,
    path_profiles,
    surface_paths,
)

__all__ = [
    "LossCurve",
    "SurfacePath",
    "SurfacePaths",
    "distance_histograms",
    "kernel_projections",
    "loss_curves",
    "path_height_histograms",
    "path_profiles",
    "surface_paths",
]
