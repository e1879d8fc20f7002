"""The finders and landscapes of the conformance tests: one line each."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from lowroad.landscapes import (
    LENNARD_JONES_7,
    AnaPot,
    AseLandscape,
    BatchNormLandscape,
    CurvyValley,
    FunctionLandscape,
    Landscape,
    LennardJones,
    MullerBrown,
    NegatedLandscape,
    NetworkLandscape,
    NumpyLandscape,
    SeparableValley,
    TwoWells,
    aligned,
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
TOTAL = {"learning_rate": 0.01, "points": 31, "steps": 40}

# name: (finder, whether it finds the lowest pass of every landscape below with a known one)
FINDERS = {
    "straight line": (StraightLine(), False),
    "Fourier, total": (FourierPathFinder(**TOTAL), False),
    "Fourier, total by L-BFGS": (FourierPathFinder(**TOTAL, optimizer="lbfgs"), False),
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
    "elastic band, images inserted": (ElasticBandFinder(images=5, insertions=8), True),
    "string": (StringFinder(), True),
    "string by FIRE": (StringFinder(optimizer="fire"), True),
}


def small_network() -> NetworkLandscape:
    """A classifier in float32 with two trained ends, as attributes like a surface's."""
    g = torch.Generator().manual_seed(5)
    inputs = torch.randn(200, 6, generator=g)
    targets = ((inputs[:, 0] * inputs[:, 1] > 0) ^ (inputs[:, 2] > 0)).long()
    module = nn.Sequential(nn.Linear(6, 12), nn.Softplus(), nn.Linear(12, 2))
    return trained(NetworkLandscape(module, inputs, targets, "cross_entropy"), g)


def batch_norm_network() -> BatchNormLandscape:
    """A classifier whose batch norm's statistics are re-estimated at every point."""
    g = torch.Generator().manual_seed(6)
    inputs = torch.randn(60, 4, generator=g)
    targets = (inputs[:, 0] * inputs[:, 1] > 0).long()
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Softplus(), nn.Linear(6, 2))
    network = NetworkLandscape(module.eval(), inputs, targets, "cross_entropy")
    return trained(BatchNormLandscape(network), g)


def trained(landscape: NetworkLandscape, g: torch.Generator) -> NetworkLandscape:
    """The landscape with two trained points as its ends."""
    ends = []
    for _ in range(2):
        x = torch.randn(landscape.dimension, generator=g)
        for _ in range(200):
            x = x - 0.5 * landscape.value_and_gradient(x)[1]
        ends.append(x)
    landscape.ends = tuple(ends)
    return landscape


def with_ends(landscape: Landscape, ends: tuple, lowest: float | None = None) -> Landscape:
    landscape.ends = ends
    if lowest is not None:
        landscape.lowest_height = lowest
    return landscape


def numpy_function() -> Landscape:
    """AnaPot without torch."""

    def value(p: np.ndarray) -> float:
        x, y = p
        return 4 + 4.5 * x - 4 * y + x**2 + 2 * y**2 - 2 * x * y + x**4 - 2 * x**2 * y

    def gradient(p: np.ndarray) -> np.ndarray:
        x, y = p
        return np.array([4.5 + 2 * x - 2 * y + 4 * x**3 - 4 * x * y, -4 + 4 * y - 2 * x - 2 * x**2])

    return with_ends(NumpyLandscape(value, gradient, 2), AnaPot.ends, AnaPot.lowest_height)


def fitness() -> Landscape:
    """Minus Müller-Brown, negated again."""
    surface = MullerBrown()
    upside_down = FunctionLandscape(lambda x: -surface.function(x), dimension=2)
    return with_ends(NegatedLandscape(upside_down), surface.ends, surface.lowest_height)


def seven_atoms_ends() -> tuple:
    start = LENNARD_JONES_7[0].point
    return start, aligned(start, LENNARD_JONES_7[1].point, torch.Generator().manual_seed(0))


def seven_atoms() -> Landscape:
    """The lowest known pass between the two lowest minima of LJ7."""
    return with_ends(LennardJones(7), seven_atoms_ends(), -15.444734)


def seven_atoms_by_ase() -> Landscape:
    from ase import Atoms
    from ase.calculators.lj import LennardJones as Calculator

    atoms = Atoms("Ar7", positions=LENNARD_JONES_7[0].point.view(7, 3).numpy())
    atoms.calc = Calculator(sigma=1.0, epsilon=1.0, rc=1e6)
    return with_ends(AseLandscape(atoms), seven_atoms_ends())


LANDSCAPES = {
    "two wells": TwoWells,
    "Müller-Brown": MullerBrown,
    "curvy valley": CurvyValley,
    "AnaPot": AnaPot,
    "valley in 20 dimensions": lambda: SeparableValley(20),
    "valley in float32": lambda: SeparableValley(20, dtype=torch.float32),
    "network": small_network,
    "network with batch norm": batch_norm_network,
    "NumPy function": numpy_function,
    "fitness": fitness,
    "seven atoms": seven_atoms,
    "seven atoms by ASE": seven_atoms_by_ase,
}
