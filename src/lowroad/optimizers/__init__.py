"""Optimizers: from a landscape and a start to a minimum."""

from lowroad.optimizers.backtracking import Backtracking
from lowroad.optimizers.brent import Brent
from lowroad.optimizers.ensemble import train
from lowroad.optimizers.golden_section import Bracket, GoldenSection, golden_section
from lowroad.optimizers.hager_zhang import HagerZhang
from lowroad.optimizers.lbfgs import Tolerance, lbfgs
from lowroad.optimizers.line_search import LineFunction, LineSearch, Step
from lowroad.optimizers.method import optimize, settings_of
from lowroad.optimizers.result import History, OptimizationResult, Progress
from lowroad.optimizers.sgd import sgd
from lowroad.optimizers.strong_wolfe import StrongWolfe
from lowroad.optimizers.torch_optimizer import LBFGS

__all__ = [
    "LBFGS",
    "Backtracking",
    "Bracket",
    "Brent",
    "GoldenSection",
    "HagerZhang",
    "History",
    "LineFunction",
    "LineSearch",
    "OptimizationResult",
    "Progress",
    "Step",
    "StrongWolfe",
    "Tolerance",
    "golden_section",
    "lbfgs",
    "optimize",
    "settings_of",
    "sgd",
    "train",
]
