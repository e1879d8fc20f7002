"""Energies as problems: boxes, clusters against ASE, and solutions that are the same."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from lowroad.landscapes import LENNARD_JONES_7, MullerBrown
from lowroad.optimizers import StrongWolfe, lbfgs
from lowroad.problems import atoms_problem, energy_problem, lennard_jones, mueller_brown


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def moved(point, seed):
    """A cluster turned by any rotation or reflection, shifted and renumbered."""
    g = seeded(seed)
    q, r = torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=torch.float64))
    x = point.view(-1, 3) @ (q * r.diagonal().sign())
    return (x[torch.randperm(len(x), generator=g)] + torch.randn(3, generator=g)).reshape(-1)


def minimum(problem, seed):
    return lbfgs(
        problem.train, problem.start(seeded(seed)), line_search=StrongWolfe(), iterations=2000
    ).point


def test_starts_fill_the_box():
    problem = energy_problem(MullerBrown(), ([-1.0, 5.0], [0.0, 9.0]), unit="kT")
    generator = seeded(0)
    points = torch.stack([problem.start(generator) for _ in range(2000)])
    low, high = torch.tensor([-1.0, 5.0]), torch.tensor([0.0, 9.0])
    assert (points >= low).all()
    assert (points <= high).all()
    assert torch.allclose(points.mean(0), torch.tensor([-0.5, 7.0]).double(), atol=0.1)
    assert torch.allclose(points.std(0) * 12**0.5, (high - low).double(), rtol=0.05)
    assert (problem.quantity, problem.unit, problem.lower_bound) == ("energy", "kT", None)
    assert torch.equal(problem.start(seeded(3)), problem.start(seeded(3)))


def test_mueller_brown():
    problem = mueller_brown()
    lowest = problem.train.value(torch.tensor([-0.558, 1.442], dtype=torch.float64))
    assert lowest == pytest.approx(-146.70, abs=0.01)  # Müller & Brown 1979
    assert problem.start(seeded(0)).shape == (2,)


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        (None, TypeError, "start: expected a function of a generator or the two corners"),
        (([0.0, 0.0],), TypeError, "start: expected a function"),
        (([0.0], [1.0]), ValueError, r"two corners of 2 numbers each, got \[1\] and \[1\]"),
        (([0.0, 0.0], [1.0]), ValueError, r"got \[2\] and \[1\]"),
        (([0.0, 1.0], [1.0, 0.0]), ValueError, "the lower numbers first"),
        (([0.0, 0.0], [1.0, math.inf]), ValueError, "finite corners"),
        (([0.0, 0.0], [1.0, math.nan]), ValueError, "finite corners"),
    ],
)
def test_refused_boxes(start, error, message):
    with pytest.raises(error, match=message):
        energy_problem(MullerBrown(), start)


def test_what_is_not_a_landscape_is_refused():
    with pytest.raises(TypeError, match="train: expected a landscape"):
        energy_problem(torch.nn.Linear(2, 2), ([0.0, 0.0], [1.0, 1.0]))


@pytest.mark.parametrize("atoms", [2, 3, 13, 38])
def test_lennard_jones_starts_and_ases_energies(atoms):
    pytest.importorskip("ase")
    from ase import Atoms
    from ase.calculators.lj import LennardJones as Calculator

    problem = lennard_jones(atoms)
    for seed in range(3):
        start = problem.start(seeded(seed))
        x = start.view(atoms, 3)
        assert float(x.norm(dim=1).max()) <= 0.9 * atoms ** (1 / 3)
        assert float(torch.pdist(x).min()) >= 0.7
        structure = Atoms(f"Ar{atoms}", positions=x.numpy())
        structure.calc = Calculator(sigma=1.0, epsilon=1.0, rc=1e6)
        energy = structure.get_potential_energy()
        assert problem.train.value(start) == pytest.approx(energy, rel=1e-9)


def test_the_published_lowest_energy_of_thirteen_atoms_is_found():
    problem = lennard_jones(13)
    points = [minimum(problem, seed) for seed in range(12)]
    assert min(map(problem.train.value, points)) == pytest.approx(-44.326801, abs=1e-6)


@pytest.mark.parametrize("atoms", [2, 3, 5, 8, 13])
def test_motions_of_a_cluster_are_the_same_solution(atoms):
    problem = lennard_jones(atoms)
    for seed in range(4):
        point = minimum(problem, seed)
        for turn in range(5):
            assert problem.same(point, moved(point, turn))
            assert problem.same(moved(point, turn), point)


def test_equal_energies_of_independent_runs_are_the_same_solution():
    problem = lennard_jones(13)
    points = [minimum(problem, seed) for seed in range(40)]
    values = [problem.train.value(point) for point in points]
    equal = [
        (i, j)
        for i, j in itertools.combinations(range(len(points)), 2)
        if abs(values[i] - values[j]) < 1e-6 * abs(values[i])
    ]
    # its lowest four minima are far apart in energy: -44.327, -41.472, -41.445, -41.394
    low = [(i, j) for i, j in equal if values[i] < -41.3]
    assert len({round(values[i], 3) for i, _ in low}) > 1
    assert all(problem.same(points[i], points[j]) for i, j in low)


def test_other_minima_are_other_solutions():
    problem = lennard_jones(7)
    points = [known.point for known in LENNARD_JONES_7]
    for (i, one), (j, two) in itertools.product(enumerate(points), repeat=2):
        assert problem.same(one, moved(two, 3)) == (i == j)


def test_equal_energies_at_other_shapes_are_other_solutions():
    # atoms too far apart to attract: a value alone does not tell the shapes apart
    problem = lennard_jones(4)
    corner = torch.tensor([0.0, 0, 0, 1e3, 0, 0, 0, 1e3, 0, 0, 0, 1e3], dtype=torch.float64)
    line = torch.tensor([0.0, 0, 0, 1e3, 0, 0, 2e3, 0, 0, 3e3, 0, 0], dtype=torch.float64)
    assert problem.train.value(corner) == pytest.approx(problem.train.value(line), abs=1e-12)
    assert not problem.same(corner, line)
    assert problem.same(line, moved(line, 1))


def test_alignment_undoes_motions():
    problem = lennard_jones(7)
    for seed, known in itertools.product(range(4), LENNARD_JONES_7):
        back = problem.align(moved(known.point, seed), known.point, seeded(0))
        assert torch.allclose(back, known.point, atol=1e-6)


def test_refused_clusters():
    with pytest.raises(ValueError, match="at least two atoms, got 1"):
        lennard_jones(1)
    for radius in (1.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"radius: expected at least 1\.41"):
            lennard_jones(13, radius=radius)
    lennard_jones(13, radius=1.42).start(seeded(0))


def test_atoms_with_a_calculator():
    pytest.importorskip("ase")
    from ase.build import bulk
    from ase.calculators.emt import EMT
    from ase.constraints import FixAtoms

    atoms = bulk("Cu", cubic=True)
    atoms.set_constraint(FixAtoms([0]))
    problem = atoms_problem(atoms, EMT(), rattle=0.05)
    assert atoms.calc is None  # the caller's atoms stay as they are
    generator = seeded(0)
    starts = torch.stack([problem.start(generator) for _ in range(500)])
    assert starts.shape == (500, 9)
    shifts = starts - torch.from_numpy(atoms.positions[1:].reshape(-1))
    assert float(shifts.std()) == pytest.approx(0.05, rel=0.05)
    assert abs(float(shifts.mean())) < 0.005
    other = atoms.copy()
    other.positions[1:] = starts[0].view(-1, 3).numpy()
    other.calc = EMT()
    value, gradient = problem.train.value_and_gradient(starts[0])
    assert value == pytest.approx(other.get_potential_energy(), rel=1e-12)
    assert np.allclose(gradient, -other.get_forces(apply_constraint=False)[1:].reshape(-1))
    assert (problem.unit, problem.lower_bound) == ("eV", None)


def test_refused_atoms():
    ase = pytest.importorskip("ase")
    with pytest.raises(TypeError, match=r"atoms: expected an ase.Atoms, got str"):
        atoms_problem("Cu")
    with pytest.raises(ValueError, match="calculator"):
        atoms_problem(ase.Atoms("Ar2"))
    for rattle in (0.0, -0.1, math.nan):
        with pytest.raises(ValueError, match="rattle: expected a positive"):
            atoms_problem(ase.Atoms("Ar2"), rattle=rattle)


def test_solutions_nearer_than_a_distance_are_one():
    def problem(**more):
        return energy_problem(MullerBrown(), ([0.0, 0.0], [3.0, 4.0]), **more)  # diagonal 5

    near = torch.zeros(2, dtype=torch.float64), torch.tensor([0.0, 0.004], dtype=torch.float64)
    far = near[0], torch.tensor([0.0, 0.006], dtype=torch.float64)
    assert problem().same(*near)
    assert not problem().same(*far)
    assert problem(same=0.01).same(*far)
    assert problem(same=0).same is None
    for bad in (-1.0, float("nan"), "near"):
        with pytest.raises(ValueError, match="same: expected a function or a distance >= 0"):
            problem(same=bad)
