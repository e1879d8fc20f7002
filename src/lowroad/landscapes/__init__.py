"""Landscapes: differentiable heights over flat vectors, and what can be evaluated of them."""

from lowroad.landscapes.ase import AseLandscape
from lowroad.landscapes.clusters import LENNARD_JONES_7, LennardJones, aligned
from lowroad.landscapes.counting import CountingLandscape, Evaluations
from lowroad.landscapes.function import FunctionLandscape
from lowroad.landscapes.landscape import Landscape, RestrictedLandscape, SubspaceGradients
from lowroad.landscapes.negated import NegatedLandscape
from lowroad.landscapes.network import NetworkLandscape
from lowroad.landscapes.numpy_landscape import NumpyLandscape
from lowroad.landscapes.subspace import AffineSubspace
from lowroad.landscapes.surfaces import (
    AnaPot,
    CurvyValley,
    MullerBrown,
    SeparableValley,
    StationaryPoint,
    Surface,
    TwoWells,
)

__all__ = [
    "LENNARD_JONES_7",
    "AffineSubspace",
    "AnaPot",
    "AseLandscape",
    "CountingLandscape",
    "CurvyValley",
    "Evaluations",
    "FunctionLandscape",
    "Landscape",
    "LennardJones",
    "MullerBrown",
    "NegatedLandscape",
    "NetworkLandscape",
    "NumpyLandscape",
    "RestrictedLandscape",
    "SeparableValley",
    "StationaryPoint",
    "SubspaceGradients",
    "Surface",
    "TwoWells",
    "aligned",
]
