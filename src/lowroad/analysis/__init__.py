"""What solutions look like and what lies between them: tables with labelled axes from arrays.

These functions take arrays and dictionaries (planes take a landscape), and return xarray
datasets or small frozen results.
They open no file and print nothing; random numbers come from a generator that the caller passes.
"""

from __future__ import annotations

from lowroad.analysis.ascent import AscentSharpness, ascent_sharpness
from lowroad.analysis.claims import (
    Claim,
    ClaimResult,
    Claims,
    Evidence,
    Expectation,
    Published,
    Verdict,
    judge_claims,
)
from lowroad.analysis.comparisons import (
    Comparison,
    Interval,
    bootstrap_interval,
    cliffs_delta,
    compare,
    holm,
)
from lowroad.analysis.curvature import CurvatureProduct
from lowroad.analysis.directions import random_directions, random_plane, trajectory_plane
from lowroad.analysis.disconnectivity import Merge, MergeTree, merge_tree
from lowroad.analysis.heights import heights_by_step, lowest_within, path_heights
from lowroad.analysis.kernel_pca import KERNELS, kernel_pca
from lowroad.analysis.losses import loss_table, representative_run, rise_after_minimum
from lowroad.analysis.planes import plane_axes, plane_through
from lowroad.analysis.questions import QUESTIONS, Answer, Finding, Question, ask_all
from lowroad.analysis.questions_samples import PathSamples, ProblemSamples, SetSamples
from lowroad.analysis.sharpness import Sharpness, sharpness
from lowroad.analysis.spectrum import SpectralDensity, spectral_density
from lowroad.analysis.weights import centroid_distances, weight_statistics

__all__ = [
    "KERNELS",
    "QUESTIONS",
    "Answer",
    "AscentSharpness",
    "Claim",
    "ClaimResult",
    "Claims",
    "Comparison",
    "CurvatureProduct",
    "Evidence",
    "Expectation",
    "Finding",
    "Interval",
    "Merge",
    "MergeTree",
    "PathSamples",
    "ProblemSamples",
    "Published",
    "Question",
    "SetSamples",
    "Sharpness",
    "SpectralDensity",
    "Verdict",
    "ascent_sharpness",
    "ask_all",
    "bootstrap_interval",
    "centroid_distances",
    "cliffs_delta",
    "compare",
    "heights_by_step",
    "holm",
    "judge_claims",
    "kernel_pca",
    "loss_table",
    "lowest_within",
    "merge_tree",
    "path_heights",
    "plane_axes",
    "plane_through",
    "random_directions",
    "random_plane",
    "representative_run",
    "rise_after_minimum",
    "sharpness",
    "spectral_density",
    "trajectory_plane",
    "weight_statistics",
]
