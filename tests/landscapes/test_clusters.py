"""Lennard-Jones clusters against published values and ASE, and alignment against known motions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from lowroad.landscapes import LENNARD_JONES_7, LennardJones, aligned
from lowroad.optimizers import StrongWolfe, Tolerance, lbfgs


def relaxed(atoms, positions):
    start = torch.as_tensor(np.asarray(positions), dtype=torch.float64).reshape(-1)
    return lbfgs(
        LennardJones(atoms),
        start,
        line_search=StrongWolfe(),
        tolerance=Tolerance(gradient=1e-9),
    ).value


def test_seven_atoms():
    cluster = LennardJones(7)
    values = [-16.505384, -15.935043, -15.593211, -15.533060]
    for known, published in zip(LENNARD_JONES_7, values, strict=True):
        value, gradient = cluster.value_and_gradient(known.point)
        assert known.value == published
        assert value == pytest.approx(published, abs=5.1e-7)
        assert gradient.norm() < 1e-6  # ten digits, stiffnesses of hundreds


def test_icosahedron_of_thirteen():
    golden = (1 + 5**0.5) / 2
    corners = [[0, 0, 0]]
    for a, b in itertools.product((1, -1), repeat=2):
        corners += [[0, a, b * golden], [a, b * golden, 0], [b * golden, 0, a]]
    assert relaxed(13, 0.58 * np.array(corners)) == pytest.approx(-44.326801, abs=5.1e-7)


def test_truncated_octahedron_of_thirty_eight():
    # the face-centred lattice around an octahedral hole: 6 + 8 + 24 sites
    sites = [
        p
        for p in itertools.product(np.arange(-3, 4), repeat=3)
        if sum(p) % 2 and sum(abs(c) for c in p) <= 4 and max(map(abs, p)) <= 3
    ]
    sites = sorted(sites, key=lambda p: sum(c * c for c in p))[:38]
    assert relaxed(38, 0.78 * np.array(sites)) == pytest.approx(-173.928427, abs=5.1e-7)


def test_against_ase():
    pytest.importorskip("ase")
    from ase import Atoms
    from ase.calculators.lj import LennardJones as Calculator

    g = torch.Generator().manual_seed(0)
    points = 2.2 * torch.randn(3, 15, generator=g, dtype=torch.float64)
    values, gradients = LennardJones(5).values_and_gradients(points)
    for point, value, gradient in zip(points, values, gradients, strict=True):
        atoms = Atoms("Ar5", positions=point.view(5, 3).numpy())
        atoms.calc = Calculator(sigma=1.0, epsilon=1.0, rc=1e6)
        assert atoms.get_potential_energy() == pytest.approx(float(value), rel=1e-9)
        assert np.allclose(atoms.get_forces().reshape(-1), -gradient.numpy(), rtol=1e-9, atol=1e-9)


def test_coinciding_atoms_are_infinitely_high():
    assert LennardJones(2).value(torch.zeros(6, dtype=torch.float64)) == math.inf
    with pytest.raises(ValueError, match="at least two atoms"):
        LennardJones(1)


@pytest.mark.parametrize("mirror", [False, True])
def test_aligned_undoes_motions(mirror):
    g = torch.Generator().manual_seed(4)
    start = LENNARD_JONES_7[1].point
    turn = torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=torch.float64))[0]
    if (torch.det(turn) < 0) != mirror:
        turn = -turn
    moved = (start.view(7, 3) @ turn)[torch.randperm(7, generator=g)] + 3.0
    back = aligned(start, moved.reshape(-1), g, reflect=mirror)
    assert torch.allclose(back, start, atol=1e-8)


def test_aligned_finds_any_rotation_and_mirror_image():
    # seven atoms anywhere: no symmetry brings a mirror image back by a rotation
    g = torch.Generator().manual_seed(0)
    start = torch.randn(7, 3, generator=g, dtype=torch.float64)
    start = start - start.mean(0)
    for _ in range(10):
        q, r = torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=torch.float64))
        turn = q * r.diagonal().sign()
        moved = (start @ turn)[torch.randperm(7, generator=g)].reshape(-1)
        back = aligned(start.reshape(-1), moved, g)
        assert torch.allclose(back, start.reshape(-1), atol=1e-8)
        if torch.det(turn) < 0:
            without = aligned(start.reshape(-1), moved, g, reflect=False)
            assert float((without - start.reshape(-1)).norm()) > 0.1


def test_aligned_without_permutation_is_scipys_rotation():
    from scipy.spatial.transform import Rotation

    g = torch.Generator().manual_seed(4)
    start, end = torch.randn(2, 15, generator=g, dtype=torch.float64)
    found = aligned(start, end, g, tries=1, permute=False, reflect=False)
    a, b = (x.view(5, 3).numpy() - x.view(5, 3).numpy().mean(0) for x in (start, end))
    rotation, distance = Rotation.align_vectors(a, b)
    centre = start.view(5, 3).numpy().mean(0)
    assert np.allclose(found.view(5, 3).numpy(), rotation.apply(b) + centre, atol=1e-8)
    assert float((found - start).norm()) == pytest.approx(distance, rel=1e-8)


def test_aligned_refuses():
    g = torch.Generator()
    with pytest.raises(ValueError, match="three to an atom"):
        aligned(torch.zeros(6), torch.zeros(9), g)
    places = torch.randn(6, generator=g, dtype=torch.float64)
    with pytest.raises(ValueError, match="expected finite positions"):
        aligned(places, places * torch.nan, g)
    with pytest.raises(ValueError, match="expected finite positions"):
        LennardJones(2).symmetric_image(places, places * torch.nan)
