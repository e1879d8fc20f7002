"""The paper's figures, and pictures of paths on any landscape: pure functions from results.

A `…_figure` is matplotlib's, a `…_chart` and, in space, a `…_scene` plotly's. No function here
leaves a trace in matplotlib's global state, needs a display, or saves a file. The four weight sets
and the paths have fixed colours, markers, dashes and hatches in every figure (see `style`).
"""

from __future__ import annotations

from lowroad.plotting.barriers import disconnectivity_graphs, height_courses
from lowroad.plotting.curves import LossCurve, loss_curves
from lowroad.plotting.ensembles import distance_histograms, kernel_projections
from lowroad.plotting.landscape_charts import (
    plane_chart,
    plane_scene,
    profile_chart,
    surface_chart,
    surface_scene,
)
from lowroad.plotting.landscape_figures import plane_figure, profile_figure, surface_figure
from lowroad.plotting.paths import (
    SurfacePath,
    SurfacePaths,
    path_height_histograms,
    path_profiles,
    surface_paths,
)
from lowroad.plotting.sharpness import sharpness_histograms

__all__ = [
    "LossCurve",
    "SurfacePath",
    "SurfacePaths",
    "disconnectivity_graphs",
    "distance_histograms",
    "height_courses",
    "kernel_projections",
    "loss_curves",
    "path_height_histograms",
    "path_profiles",
    "plane_chart",
    "plane_figure",
    "plane_scene",
    "profile_chart",
    "profile_figure",
    "sharpness_histograms",
    "surface_chart",
    "surface_figure",
    "surface_paths",
    "surface_scene",
]
