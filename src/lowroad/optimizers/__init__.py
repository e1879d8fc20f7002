"""Optimizers: from a landscape and a start to a minimum."""

from lowroad.optimizers.golden_section import Bracket, GoldenSection, golden_section
from lowroad.optimizers.lbfgs import Tolerance, lbfgs
from lowroad.optimizers.line_search import LineSearch, Ray, Step
from lowroad.optimizers.minimum import History, Minimum, Progress
from lowroad.optimizers.sgd import sgd

__all__ = [
    "Bracket",
    "GoldenSection",
    "History",
    "LineSearch",
    "Minimum",
    "Progress",
    "Ray",
    "Step",
    "Tolerance",
    "golden_section",
    "lbfgs",
    "sgd",
]
