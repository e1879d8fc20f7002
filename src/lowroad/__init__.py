"""Low-height paths and wide valleys in loss and energy landscapes.

The names below are the front door; each is imported from its module when it is first used, so that
the command line answers without loading PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    # landscapes: differentiable heights over flat vectors
    from lowroad.landscapes import AffineSubspace as AffineSubspace
    from lowroad.landscapes import FunctionLandscape as FunctionLandscape
    from lowroad.landscapes import Landscape as Landscape
    from lowroad.landscapes import NetworkLandscape as NetworkLandscape

    # data
    from lowroad.mnist import load_mnist as load_mnist

    # optimizers: from a start to a minimum
    from lowroad.optimizers import LBFGS as LBFGS
    from lowroad.optimizers import Backtracking as Backtracking
    from lowroad.optimizers import Brent as Brent
    from lowroad.optimizers import GoldenSection as GoldenSection
    from lowroad.optimizers import HagerZhang as HagerZhang
    from lowroad.optimizers import Minimum as Minimum
    from lowroad.optimizers import Progress as Progress
    from lowroad.optimizers import StrongWolfe as StrongWolfe
    from lowroad.optimizers import Tolerance as Tolerance
    from lowroad.optimizers import lbfgs as lbfgs
    from lowroad.optimizers import sgd as sgd
    from lowroad.outcome import Outcome as Outcome

_HOMES = {
    "lowroad.landscapes": (
        "AffineSubspace",
        "FunctionLandscape",
        "Landscape",
        "NetworkLandscape",
    ),
    "lowroad.mnist": ("load_mnist",),
    "lowroad.optimizers": (
        "LBFGS",
        "Backtracking",
        "Brent",
        "GoldenSection",
        "HagerZhang",
        "Minimum",
        "Progress",
        "StrongWolfe",
        "Tolerance",
        "lbfgs",
        "sgd",
    ),
    "lowroad.outcome": ("Outcome",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lowroad' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
