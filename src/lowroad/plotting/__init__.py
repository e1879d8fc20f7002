"""Figures of studies, and pictures of paths on any landscape: pure functions from results.

A `…_figure` is matplotlib's, a `…_chart` and, in space, a `…_scene` plotly's. No function here
leaves a trace in matplotlib's global state, needs a display, or saves a file. Weight sets and paths
get colours, markers, dashes and hatches in their order, the same in every figure (see `style`).
"""

from __future__ import annotations

from lowroad.plotting.barriers import convergence_curves, disconnectivity_graphs
from lowroad.plotting.curves import training_curves
from lowroad.plotting.ensembles import kernel_projections
from lowroad.plotting.landscape_charts import (
    plane_chart,
    plane_scene,
    profile_chart,
    surface_chart,
    surface_scene,
)
from lowroad.plotting.landscape_figures import plane_figure, profile_figure, surface_figure
from lowroad.plotting.matrices import set_matrices
from lowroad.plotting.paths import (
    SurfacePath,
    SurfacePaths,
    path_profiles,
    sample_rows,
    surface_paths,
)
from lowroad.plotting.style import SetStyle, set_styles

__all__ = [
    "SetStyle",
    "SurfacePath",
    "SurfacePaths",
    "convergence_curves",
    "disconnectivity_graphs",
    "kernel_projections",
    "path_profiles",
    "plane_chart",
    "plane_figure",
    "plane_scene",
    "profile_chart",
    "profile_figure",
    "sample_rows",
    "set_matrices",
    "set_styles",
    "surface_chart",
    "surface_figure",
    "surface_paths",
    "surface_scene",
    "training_curves",
]
