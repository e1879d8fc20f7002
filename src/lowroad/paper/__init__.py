"""Yu & Morozov 2026: its networks, its data, its numbers and its claims."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lowroad.paper.image_problem import problem as problem
    from lowroad.paper.mnist import load_mnist as load_mnist
    from lowroad.paper.networks import FCP as FCP
    from lowroad.paper.networks import LSTM as LSTM
    from lowroad.paper.networks import MODELS as MODELS
    from lowroad.paper.networks import Autoencoder as Autoencoder
    from lowroad.paper.networks import LeNet as LeNet
    from lowroad.paper.paper_claims import claims as claims

_MODULES = {
    "claims": "lowroad.paper.paper_claims",
    "load_mnist": "lowroad.paper.mnist",
    "problem": "lowroad.paper.image_problem",
    **dict.fromkeys(("FCP", "LSTM", "MODELS", "Autoencoder", "LeNet"), "lowroad.paper.networks"),
}

__all__ = ["FCP", "LSTM", "MODELS", "Autoencoder", "LeNet", "claims", "load_mnist", "problem"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'lowroad.paper' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
