"""Energies and test surfaces as problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lowroad.landscapes import AseLandscape, Landscape, LennardJones, MullerBrown, aligned
from lowroad.problems.problem import Metric, Problem, Start

SAME_VALUE, SAME_PLACE = 1e-6, 1e-2  # relative values and distances per atom of one solution
APART = 0.7  # least distance of two atoms at a start, in σ


def energy_problem(
    landscape: Landscape,
    start: Start | tuple[Sequence[float], Sequence[float]],
    *,
    metrics: Mapping[str, Metric] | None = None,
    align: Callable[[Tensor, Tensor, torch.Generator], Tensor] | None = None,
    same: Callable[[Tensor, Tensor], bool] | float | None = None,
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
        same: whether two solutions are one up to symmetry, as a function of both, or the distance
            below which they are. Where starts come from a box, a thousandth of its diagonal when
            not given; 0 takes all solutions apart.
        quantity: what a value is.
        unit: its unit.
        lower_bound: the number that no value is below.

    Raises:
        TypeError: as `Problem`; when the start is neither a function nor two corners.
        ValueError: as `Problem`; when the corners do not fit the landscape or are
            in the wrong order.

    >>> from lowroad.landscapes import AnaPot
    >>> problem = energy_problem(AnaPot(), ([-2.0, -2.0], [3.0, 5.0]))
    >>> problem.start(torch.Generator().manual_seed(0)).shape
    torch.Size([2])
    """
    if isinstance(landscape, Landscape) and not callable(start):
        low, high = _corners(landscape, start)
        start = _box(low, high)
        same = float((high - low).norm()) / 1000 if same is None else same
    return Problem(
        train=landscape,
        start=start,
        metrics=metrics or {},
        align=align,
        same=same if same is None or callable(same) else _within(same),
        quantity=quantity,
        unit=unit,
        lower_bound=lower_bound,
    )


def _within(distance: Any) -> Callable[[Tensor, Tensor], bool] | None:
    """Whether two points are nearer than a distance; nothing for 0."""
    if not isinstance(distance, int | float) or not 0 <= distance < float("inf"):
        raise ValueError(f"same: expected a function or a distance >= 0, got {distance!r}")
    return (lambda one, two: float((one - two).norm()) < distance) if distance else None


def _corners(landscape: Landscape, corners: Any) -> tuple[Tensor, Tensor]:
    """The corners of the box of starts."""
    if not (isinstance(corners, Sequence) and len(corners) == 2):
        raise TypeError(
            "start: expected a function of a generator or the two corners of a box, got "
            f"{type(corners).__name__}"
        )
    low, high = (
        torch.as_tensor(corner, dtype=landscape.dtype, device=landscape.device)
        for corner in corners
    )
    if low.shape != (landscape.dimension,) or high.shape != low.shape:
        raise ValueError(
            f"start: expected two corners of {landscape.dimension} numbers each, got "
            f"{list(low.shape)} and {list(high.shape)}"
        )
    if not ((low < high) & torch.isfinite(high - low)).all():
        raise ValueError(
            "start: expected finite corners, the lower numbers first, got "
            f"{low.tolist()} and {high.tolist()}"
        )
    return low, high


def _box(low: Tensor, high: Tensor) -> Start:
    """Starts that are equally likely between two corners."""

    def start(generator: torch.Generator) -> Tensor:
        part = torch.rand(len(low), dtype=torch.float64, generator=generator)
        return low + part.to(low) * (high - low)

    return start


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
        radius: of the ball, in σ; 0.9 ∛atoms when not given.

    Raises:
        ValueError: for fewer than two atoms, or a ball that is too small for them.

    >>> problem = lennard_jones(3)
    >>> x = problem.start(torch.Generator().manual_seed(0))
    >>> turned = x.view(3, 3)[:, [1, 2, 0]][[2, 0, 1]].reshape(-1) + 1.0
    >>> problem.same(x, turned)
    True
    """
    landscape = LennardJones(atoms)
    size, least = 0.9 * atoms ** (1 / 3) if radius is None else radius, 0.6 * atoms ** (1 / 3)
    if not least <= size < float("inf"):
        raise ValueError(
            f"radius: expected at least {least:.3g}, so that {atoms} atoms find places {APART} "
            f"apart, got {radius}"
        )

    def start(generator: torch.Generator) -> Tensor:
        # the atoms are kept apart: energies and forces of two that nearly coincide are huge
        places: list[Tensor] = []
        while len(places) < atoms:
            place = (2 * torch.rand(3, dtype=torch.float64, generator=generator) - 1) * size
            near = any(float((place - other).norm()) < APART for other in places)
            if float(place.norm()) <= size and not near:
                places.append(place)
        return torch.stack(places).reshape(-1).to(landscape.dtype)

    return energy_problem(
        landscape,
        start,
        align=lambda point, reference, generator: aligned(reference, point, generator),
        same=lambda x, y: same_atoms(landscape, x, y),
        unit="ε",
    )


def atoms_problem(
    atoms: Any, calculator: Any = None, *, rattle: float = 0.1, unit: str = "eV"
) -> Problem:
    """Atoms with an ASE calculator as a problem, started from randomly displaced positions.

    Solutions that differ by exchanged like atoms, periodic images and, where nothing holds the
    atoms, motions of the whole are the same; the alignment takes one in its image nearest to
    another, see `AseLandscape.symmetric_image`.

    Args:
        atoms: an `ase.Atoms`; fixed atoms stay where they are.
        calculator: an ASE calculator; the atoms' own when not given.
        rattle: standard deviation of the displacements, in Å.
        unit: of the energies.

    Raises:
        ModuleNotFoundError: when ASE is not installed.
        TypeError: when `atoms` is not an `ase.Atoms`.
        ValueError: as `AseLandscape`; when `rattle` is not positive.
    """
    from ase import Atoms

    if not isinstance(atoms, Atoms):
        raise TypeError(f"atoms: expected an ase.Atoms, got {type(atoms).__name__}")
    if not 0 < rattle < float("inf"):
        raise ValueError(f"rattle: expected a positive standard deviation in Å, got {rattle}")
    if calculator is not None:
        atoms = atoms.copy()
        atoms.calc = calculator
    landscape = AseLandscape(atoms)
    origin = landscape.point(atoms)

    def start(generator: torch.Generator) -> Tensor:
        noise = torch.randn(len(origin), dtype=torch.float64, generator=generator)
        return origin + rattle * noise.to(origin)

    return energy_problem(
        landscape,
        start,
        align=lambda point, reference, generator: aligned(
            reference, point, generator, landscape=landscape
        ),
        same=lambda x, y: same_atoms(landscape, x, y),
        unit=unit,
    )


def same_atoms(landscape: Landscape, one: Tensor, two: Tensor) -> bool:
    """Whether two solutions are one state of the atoms up to the landscape's symmetries.

    Their values agree to `SAME_VALUE`, and a symmetry brings the atoms to within `SAME_PLACE`
    (root mean square, in units of length).
    """
    first, second = landscape.value(one), landscape.value(two)
    if not abs(first - second) <= SAME_VALUE * max(abs(first), abs(second), 1e-12):
        return False
    near = aligned(one, two, torch.Generator(), landscape=landscape)
    return float((near - one).norm()) <= SAME_PLACE * (len(one) / 3) ** 0.5
