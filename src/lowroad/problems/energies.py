"""Energies and test surfaces as problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lowroad.landscapes import AseLandscape, Landscape, LennardJones, MullerBrown
from lowroad.problems.problem import Metric, Problem, Start

TURNS = 60  # trial rotations of an alignment
SAME_VALUE, SAME_PLACE = 1e-6, 1e-2  # relative values and distances per atom of one solution


def energy_problem(
    landscape: Landscape,
    start: Start | tuple[Sequence[float], Sequence[float]],
    *,
    metrics: Mapping[str, Metric] | None = None,
    align: Callable[[Tensor, Tensor, torch.Generator], Tensor] | None = None,
    same: Callable[[Tensor, Tensor], bool] | None = None,
    quantity: str = "energy",
    unit: str = "",
    lower_bound: float | None = None,
) -> Problem:
    """Any landscape without data as a problem.

    Args:
        landscape: the energy, test surface or fitness (negated).
        start: a function that draws a start from a generator, or the lowest and the highest corner
            of a box in which starts are equally likely.
        metrics: as for `Problem`, like all that follow.
        align: removes symmetries before two solutions are connected.
        same: whether two solutions are one up to symmetry.
        quantity: what a value is.
        unit: its unit.
        lower_bound: the number that no value is below.

    Raises:
        TypeError, ValueError: as `Problem`; when the box has other corners than the landscape has
            components.

    >>> from lowroad.landscapes import AnaPot
    >>> problem = energy_problem(AnaPot(), ([-2.0, -2.0], [3.0, 5.0]))
    >>> problem.start(torch.Generator().manual_seed(0)).shape
    torch.Size([2])
    """
    if not callable(start):
        low, high = (
            torch.as_tensor(corner, dtype=landscape.dtype, device=landscape.device)
            for corner in start
        )
        if low.shape != (landscape.dimension,) or high.shape != low.shape or not (low < high).all():
            raise ValueError(
                f"start: expected two corners of {landscape.dimension} numbers each, the lower "
                f"ones first, got {list(low.shape)} and {list(high.shape)}"
            )

        def drawn(generator: torch.Generator) -> Tensor:
            part = torch.rand(landscape.dimension, dtype=torch.float64, generator=generator)
            return low + part.to(low) * (high - low)

        start = drawn
    return Problem(
        train=landscape,
        start=start,
        metrics=metrics or {},
        align=align,
        same=same,
        quantity=quantity,
        unit=unit,
        lower_bound=lower_bound,
    )


def mueller_brown() -> Problem:
    """The Müller–Brown surface with starts from the box [−1.5, 1.2] × [−0.2, 2].

    >>> mueller_brown().quantity
    'energy'
    """
    return energy_problem(MullerBrown(), ([-1.5, -0.2], [1.2, 2.0]))


def lennard_jones(atoms: int = 13, radius: float | None = None) -> Problem:
    """A Lennard-Jones cluster with ε = σ = 1, started at random places in a ball.

    Solutions that differ by exchanged atoms, rotation, reflection or translation are the same; the
    alignment turns and renumbers one cluster onto another.

    Args:
        atoms: how many.
        radius: the ball's; by default half the atoms' own volume more than they fill.

    Raises:
        ValueError: for fewer than two atoms.

    >>> problem = lennard_jones(3)
    >>> x = problem.start(torch.Generator().manual_seed(0))
    >>> turned = x.view(3, 3)[:, [1, 2, 0]][[2, 0, 1]].reshape(-1) + 1.0
    >>> problem.same(x, turned)
    True
    """
    if atoms < 2:
        raise ValueError(f"expected at least two atoms, got {atoms}")
    landscape = LennardJones(atoms)
    size = 0.9 * atoms ** (1 / 3) if radius is None else radius

    def start(generator: torch.Generator) -> Tensor:
        # the atoms are kept apart, so that no two begin on the wall between them
        places: list[Tensor] = []
        while len(places) < atoms:
            place = (2 * torch.rand(3, dtype=torch.float64, generator=generator) - 1) * size
            near = any(float((place - other).norm()) < 0.7 for other in places)
            if float(place.norm()) <= size and not near:
                places.append(place)
        return torch.stack(places).reshape(-1).to(landscape.dtype)

    return energy_problem(
        landscape,
        start,
        align=lambda x, reference, generator: align_atoms(x, reference, generator),
        same=lambda x, y: same_atoms(landscape, x, y),
        unit="ε",
    )


def atoms_problem(
    atoms: Any, calculator: Any = None, *, rattle: float = 0.1, unit: str = "eV"
) -> Problem:
    """Atoms with an ASE calculator as a problem, started from randomly displaced positions.

    Args:
        atoms: an `ase.Atoms`; fixed atoms stay where they are.
        calculator: an ASE calculator; the atoms' own when not given.
        rattle: standard deviation of the displacements, in Å.
        unit: of the energies.

    Raises:
        ModuleNotFoundError: when ASE is not installed.
        ValueError: as `AseLandscape`.
    """
    if calculator is not None:
        atoms = atoms.copy()
        atoms.calc = calculator
    landscape = AseLandscape(atoms)
    origin = landscape.point(atoms)

    def start(generator: torch.Generator) -> Tensor:
        noise = torch.randn(len(origin), dtype=torch.float64, generator=generator)
        return origin + rattle * noise.to(origin)

    return energy_problem(landscape, start, unit=unit)


def align_atoms(
    point: Tensor, reference: Tensor, generator: torch.Generator, turns: int = TURNS
) -> Tensor:
    """Turn, reflect, shift and renumber equal atoms so that they lie near a reference.

    From random rotations, the assignment of atoms that minimizes the sum of squared distances and
    the best rotation for it (Kabsch 1976) alternate until nothing changes; the nearest result wins.

    Args:
        point: positions [3 n].
        reference: positions [3 n].
        generator: draws the rotations.
        turns: how many.

    Returns:
        The aligned positions [3 n].
    """
    x, y = (p.detach().double().cpu().numpy().reshape(-1, 3) for p in (point, reference))
    centre = y.mean(axis=0)
    x, y = x - x.mean(axis=0), y - centre
    best, nearest = x, np.inf
    for turn in range(turns):
        matrix = np.eye(3)
        if turn:
            normal = torch.randn(3, 3, dtype=torch.float64, generator=generator).numpy()
            matrix = np.linalg.qr(normal)[0]  # rotations and reflections
        moved = x @ matrix
        order = None
        for _ in range(50):
            cost = ((moved[:, None] - y[None]) ** 2).sum(axis=2)
            rows = linear_sum_assignment(cost.T)[1]
            if order is not None and np.array_equal(rows, order):
                break
            order = rows
            u, _, v = np.linalg.svd(x[order].T @ y)
            moved = x @ (u @ v)
        assert order is not None
        away = float(((moved[order] - y) ** 2).sum())
        if away < nearest:
            best, nearest = moved[order], away
        if nearest < 1e-12 * len(y):
            break
    return torch.from_numpy((best + centre).reshape(-1)).to(point)


def same_atoms(landscape: Landscape, one: Tensor, two: Tensor) -> bool:
    """Whether two clusters are the same but for symmetry: alike in value, and once aligned."""
    first, second = landscape.value(one), landscape.value(two)
    if abs(first - second) > SAME_VALUE * max(abs(first), abs(second), 1e-12):
        return False
    aligned = align_atoms(two, one, torch.Generator().manual_seed(0))
    away = float((aligned - one + (one - aligned).view(-1, 3).mean(0).repeat(len(one) // 3)).norm())
    return away <= SAME_PLACE * (len(one) / 3) ** 0.5
