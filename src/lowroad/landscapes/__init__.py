"""Landscapes: differentiable functions of flat vectors, and what can be evaluated of them."""

from lowroad.landscapes.activation_matching import activation_matching
from lowroad.landscapes.ase import AseLandscape
from lowroad.landscapes.batch_norm import BatchNormLandscape
from lowroad.landscapes.clusters import LENNARD_JONES_7, LennardJones, aligned
from lowroad.landscapes.counting import CountingLandscape, Evaluations
from lowroad.landscapes.function import FunctionLandscape
from lowroad.landscapes.landscape import Landscape, RestrictedLandscape, SubspaceGradients
from lowroad.landscapes.negated import NegatedLandscape
from lowroad.landscapes.network import NetworkLandscape
from lowroad.landscapes.numpy_landscape import NumpyLandscape
from lowroad.landscapes.permutations import PermutationSpec
from lowroad.landscapes.repair import repair
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
from lowroad.landscapes.symmetry import SymmetricImage
from lowroad.landscapes.weight_matching import Alignment, weight_matching

__all__ = [
    "LENNARD_JONES_7",
    "AffineSubspace",
    "Alignment",
    "AnaPot",
    "AseLandscape",
    "BatchNormLandscape",
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
    "PermutationSpec",
    "RestrictedLandscape",
    "SeparableValley",
    "StationaryPoint",
    "SubspaceGradients",
    "Surface",
    "SymmetricImage",
    "TwoWells",
    "activation_matching",
    "aligned",
    "repair",
    "weight_matching",
]
