"""Landscapes: differentiable heights over flat vectors, and what can be evaluated of them."""

from lowroad.landscapes.counting import CountingLandscape, Evaluations
from lowroad.landscapes.function import FunctionLandscape
from lowroad.landscapes.landscape import Landscape, RestrictedLandscape, SubspaceGradients
from lowroad.landscapes.network import NetworkLandscape
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
    "AffineSubspace",
    "AnaPot",
    "CountingLandscape",
    "CurvyValley",
    "Evaluations",
    "FunctionLandscape",
    "Landscape",
    "MullerBrown",
    "NetworkLandscape",
    "RestrictedLandscape",
    "SeparableValley",
    "StationaryPoint",
    "SubspaceGradients",
    "Surface",
    "TwoWells",
]
