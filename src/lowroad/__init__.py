"""Low-height paths and wide valleys in loss and energy landscapes.

The names below are the public API; each is imported from its module when it is first used, so that
the command line answers without loading PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    # modules: the four networks, and what is measured on solutions
    from lowroad import analysis as analysis
    from lowroad import models as models

    # landscapes: differentiable functions of flat vectors, some with known answers
    from lowroad.landscapes import AffineSubspace as AffineSubspace
    from lowroad.landscapes import AnaPot as AnaPot
    from lowroad.landscapes import AseLandscape as AseLandscape
    from lowroad.landscapes import BatchNormLandscape as BatchNormLandscape
    from lowroad.landscapes import CountingLandscape as CountingLandscape
    from lowroad.landscapes import CurvyValley as CurvyValley
    from lowroad.landscapes import FunctionLandscape as FunctionLandscape
    from lowroad.landscapes import Landscape as Landscape
    from lowroad.landscapes import LennardJones as LennardJones
    from lowroad.landscapes import MullerBrown as MullerBrown
    from lowroad.landscapes import NegatedLandscape as NegatedLandscape
    from lowroad.landscapes import NetworkLandscape as NetworkLandscape
    from lowroad.landscapes import NumpyLandscape as NumpyLandscape
    from lowroad.landscapes import SeparableValley as SeparableValley
    from lowroad.landscapes import TwoWells as TwoWells
    from lowroad.landscapes import weight_matching as weight_matching

    # data
    from lowroad.mnist import load_mnist as load_mnist

    # optimizers, from a start to a minimum, and their line searches
    from lowroad.optimizers import LBFGS as LBFGS
    from lowroad.optimizers import Backtracking as Backtracking
    from lowroad.optimizers import Brent as Brent
    from lowroad.optimizers import GoldenSection as GoldenSection
    from lowroad.optimizers import HagerZhang as HagerZhang
    from lowroad.optimizers import OptimizationResult as OptimizationResult
    from lowroad.optimizers import Progress as Progress
    from lowroad.optimizers import StrongWolfe as StrongWolfe
    from lowroad.optimizers import Tolerance as Tolerance
    from lowroad.optimizers import lbfgs as lbfgs
    from lowroad.optimizers import sgd as sgd

    # how a search ended
    from lowroad.outcome import Outcome as Outcome

    # paths: what lies between two minima
    from lowroad.paths import BezierPathFinder as BezierPathFinder
    from lowroad.paths import ElasticBandFinder as ElasticBandFinder
    from lowroad.paths import FoundPath as FoundPath
    from lowroad.paths import FourierPathFinder as FourierPathFinder
    from lowroad.paths import PolygonalChainFinder as PolygonalChainFinder
    from lowroad.paths import StraightLine as StraightLine
    from lowroad.paths import StringFinder as StringFinder
    from lowroad.paths import refine_saddle as refine_saddle

_MODULES = {
    "lowroad": ("analysis", "models"),
    "lowroad.landscapes": (
        "AffineSubspace",
        "BatchNormLandscape",
        "CountingLandscape",
        "FunctionLandscape",
        "Landscape",
        "NegatedLandscape",
        "NetworkLandscape",
        "NumpyLandscape",
        "AseLandscape",
        "AnaPot",
        "CurvyValley",
        "LennardJones",
        "MullerBrown",
        "SeparableValley",
        "TwoWells",
        "weight_matching",
    ),
    "lowroad.mnist": ("load_mnist",),
    "lowroad.optimizers": (
        "LBFGS",
        "OptimizationResult",
        "Progress",
        "Tolerance",
        "lbfgs",
        "sgd",
        "Backtracking",
        "Brent",
        "GoldenSection",
        "HagerZhang",
        "StrongWolfe",
    ),
    "lowroad.paths": (
        "BezierPathFinder",
        "ElasticBandFinder",
        "FoundPath",
        "FourierPathFinder",
        "PolygonalChainFinder",
        "StraightLine",
        "StringFinder",
        "refine_saddle",
    ),
    "lowroad.outcome": ("Outcome",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lowroad' has no attribute {name!r}")
    if _MODULE_OF[name] == "lowroad":
        return importlib.import_module(f"lowroad.{name}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
