"""What every finder and every landscape is tried with: one line each."""

from __future__ import annotations

import torch
from torch import nn

from lowroad.landscapes import (
    AnaPot,
    CurvyValley,
    MullerBrown,
    NetworkLandscape,
    SeparableValley,
    TwoWells,
)
from lowroad.paths import (
    BezierPathFinder,
    ElasticBandFinder,
    FourierPathFinder,
    PolygonalChainFinder,
    StraightLine,
    StringFinder,
)

FLUX = {"objective": "max_flux"}
TOTAL = {"learning_rate": 0.01, "points": 31}

# name: (finder, whether it finds the lowest pass of every landscape below with a known one)
FINDERS = {
    "straight line": (StraightLine(), False),
    "Fourier, total": (FourierPathFinder(**TOTAL), False),
    "Fourier, total by L-BFGS": (FourierPathFinder(**TOTAL, optimizer="lbfgs", steps=30), False),
    "Fourier, max flux": (FourierPathFinder(**FLUX), True),
    "Fourier, max flux by Adam": (
        FourierPathFinder(**FLUX, optimizer="adam", learning_rate=0.02, steps=60),
        False,
    ),
    "Bézier, total": (BezierPathFinder(terms=10, **TOTAL), False),
    "Bézier, max flux": (BezierPathFinder(terms=10, **FLUX), True),
    "chain, total": (PolygonalChainFinder(terms=12, **TOTAL), False),
    "chain, max flux": (PolygonalChainFinder(terms=12, **FLUX), True),
    "elastic band": (ElasticBandFinder(), True),
    "elastic band by FIRE": (ElasticBandFinder(optimizer="fire"), True),
    "string": (StringFinder(), True),
    "string by FIRE": (StringFinder(optimizer="fire"), True),
}


def small_network() -> NetworkLandscape:
    """A classifier in float32 with two trained ends, as attributes like a surface's."""
    g = torch.Generator().manual_seed(5)
    inputs = torch.randn(200, 6, generator=g)
    targets = ((inputs[:, 0] * inputs[:, 1] > 0) ^ (inputs[:, 2] > 0)).long()
    module = nn.Sequential(nn.Linear(6, 12), nn.Softplus(), nn.Linear(12, 2))
    landscape = NetworkLandscape(module, inputs, targets, "cross_entropy")
    ends = []
    for _ in range(2):
        x = torch.randn(landscape.dimension, generator=g)
        for _ in range(200):
            x = x - 0.5 * landscape.height_and_gradient(x)[1]
        ends.append(x)
    landscape.ends = tuple(ends)
    return landscape


LANDSCAPES = {
    "two wells": TwoWells,
    "Müller-Brown": MullerBrown,
    "curvy valley": CurvyValley,
    "AnaPot": AnaPot,
    "valley in 20 dimensions": lambda: SeparableValley(20),
    "valley in float32": lambda: SeparableValley(20, dtype=torch.float32),
    "network": small_network,
}
