"""Landscapes: differentiable heights over flat vectors, and what can be evaluated of them."""

from lowroad.landscapes.counting import CountingLandscape, Evaluations
from lowroad.landscapes.function import FunctionLandscape
from lowroad.landscapes.landscape import Landscape, RestrictedLandscape, SubspaceGradients
from lowroad.landscapes.network import NetworkLandscape
from lowroad.landscapes.subspace import AffineSubspace

__all__ = [
    "AffineSubspace",
    "CountingLandscape",
    "Evaluations",
    "FunctionLandscape",
    "Landscape",
    "NetworkLandscape",
    "RestrictedLandscape",
    "SubspaceGradients",
]
