"""Landscapes from NumPy functions, ASE calculators and negated landscapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import rosen, rosen_der
from torch import nn

from lowroad.landscapes import (
    AseLandscape,
    LennardJones,
    MullerBrown,
    NegatedLandscape,
    NetworkLandscape,
    NumpyLandscape,
)
from lowroad.landscapes.landscape import RestrictedLandscape
from lowroad.landscapes.shared_first_layer import SharedFirstLayerRestriction
from lowroad.landscapes.subspace import AffineSubspace


def test_numpy_landscape():
    landscape = NumpyLandscape(rosen, rosen_der, dimension=3)
    points = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values, gradients = landscape.values_and_gradients(points)
    assert np.allclose(values, [rosen(p) for p in points.numpy()])
    assert np.allclose(gradients, [rosen_der(p) for p in points.numpy()])
    assert landscape.values(points[:0]).shape == (0,)


def test_numpy_landscape_refuses():
    point = torch.zeros(1, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"to a number, it returned an array of shape \[2\]"):
        NumpyLandscape(lambda x: x, lambda x: x, 2).values(point)
    with pytest.raises(ValueError, match=r"it returned \[3\]"):
        NumpyLandscape(lambda x: 0.0, lambda x: np.zeros(3), 2).values_and_gradients(point)
    with pytest.raises(ValueError, match="dimension of at least 1"):
        NumpyLandscape(rosen, rosen_der, 0)


def test_numpy_landscape_hands_out_copies():
    def spoil(x):
        x[:] = 7.0
        return 0.0

    point = torch.ones(1, 2, dtype=torch.float64)
    NumpyLandscape(spoil, rosen_der, 2).values(point)
    assert torch.equal(point, torch.ones(1, 2, dtype=torch.float64))


def test_negated():
    surface = MullerBrown()
    negated = NegatedLandscape(surface)
    points = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values, gradients = surface.values_and_gradients(points)
    assert torch.equal(negated.values(points), -values)
    assert torch.equal(negated.values_and_gradients(points)[1], -gradients)


def test_negated_minibatches():
    inputs, targets = torch.arange(6.0)[:, None], torch.zeros(6, 1)
    network = NetworkLandscape(nn.Linear(1, 1), inputs, targets, "mean_squared_error")
    point = torch.tensor([1.0, 0.0])
    batches = list(NegatedLandscape(network).minibatches(2, torch.Generator().manual_seed(0)))
    assert [batch.samples for batch in batches] == [2, 2, 2]
    total = sum(batch.value(point) * batch.samples for batch in batches) / 6
    assert total == pytest.approx(-(inputs**2).mean().item())


def test_ase_lennard_jones_equals_ours():
    pytest.importorskip("ase")
    from ase import Atoms
    from ase.calculators.lj import LennardJones as Calculator

    atoms = Atoms("Ar4", positions=np.diag([1.2, 1.3, 1.4, 1.5])[:, :3])
    atoms.calc = Calculator(sigma=1.0, epsilon=1.0, rc=1e6)
    landscape = AseLandscape(atoms)
    points = landscape.point(atoms) + 0.1 * torch.randn(
        3, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    values, gradients = landscape.values_and_gradients(points)
    ours, our_gradients = LennardJones(4).values_and_gradients(points)
    assert torch.allclose(values, ours, rtol=1e-9)
    assert torch.allclose(gradients, our_gradients, rtol=1e-9, atol=1e-9)
    assert torch.allclose(landscape.values(points), values)


def test_ase_emt_with_fixed_atoms():
    pytest.importorskip("ase")
    from ase.build import add_adsorbate, fcc100
    from ase.calculators.emt import EMT
    from ase.constraints import FixAtoms

    slab = fcc100("Al", size=(2, 2, 2))
    add_adsorbate(slab, "Au", 1.7, "hollow")
    slab.center(axis=2, vacuum=4.0)
    slab.set_constraint(FixAtoms(mask=[atom.tag > 1 for atom in slab]))
    slab.calc = EMT()
    landscape = AseLandscape(slab)
    assert landscape.dimension == 3 * 5  # one layer of four and the gold atom
    point = landscape.point(slab)
    value, gradient = landscape.value_and_gradient(point)
    assert value == pytest.approx(slab.get_potential_energy())
    free = slab.get_forces(apply_constraint=False)[landscape.free]
    assert np.allclose(gradient.numpy(), -free.reshape(-1))
    h = 1e-4 * torch.eye(15, dtype=torch.float64)
    numeric = (landscape.values(point + h) - landscape.values(point - h)) / 2e-4
    assert torch.allclose(numeric, gradient, atol=1e-5)
    moved = landscape.atoms(point + 0.1)
    assert np.allclose(moved.positions[landscape.free], slab.positions[landscape.free] + 0.1)
    fixed = np.setdiff1d(np.arange(len(slab)), landscape.free)
    assert np.array_equal(moved.positions[fixed], slab.positions[fixed])


def test_ase_refuses():
    pytest.importorskip("ase")
    from ase import Atoms
    from ase.calculators.emt import EMT
    from ase.constraints import FixAtoms, FixBondLength

    atoms = Atoms("Cu2", positions=[[0, 0, 0], [2.5, 0, 0]])
    with pytest.raises(ValueError, match="calculator"):
        AseLandscape(atoms)
    atoms.calc = EMT()
    landscape = AseLandscape(atoms)
    with pytest.raises(ValueError, match="expected the atoms Cu2 in the same order, got Au2"):
        landscape.point(Atoms("Au2", positions=atoms.positions))
    atoms.set_constraint(FixBondLength(0, 1))
    with pytest.raises(ValueError, match="FixBondLength"):
        AseLandscape(atoms)
    atoms.set_constraint(FixAtoms([0, 1]))
    with pytest.raises(ValueError, match="at least one free atom"):
        AseLandscape(atoms)


def test_a_negated_network_keeps_its_shared_first_layer():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(30, 5, generator=generator, dtype=torch.float64)
    module = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    targets = torch.randint(0, 3, (30,), generator=generator)
    network = NetworkLandscape(module, inputs, targets, "cross_entropy")
    negated = NegatedLandscape(network)
    directions = torch.randn(2, network.dimension, generator=generator, dtype=torch.float64)
    subspace = AffineSubspace(network.initial_point(), directions)
    fast, plain = negated.restrict(subspace), RestrictedLandscape(negated, subspace)
    assert isinstance(fast._restricted, SharedFirstLayerRestriction)
    c = torch.randn(4, 2, generator=generator, dtype=torch.float64)

    def numbers(restricted):
        value, gradient = restricted.value_and_gradient(c[0])
        return [
            restricted.values(c),
            *restricted.values_and_gradients(c),
            *restricted.values_and_subspace_gradients(c),
            *restricted.values_and_subspace_gradients(c, lambda values: values.softmax(0)),
            torch.tensor(value),
            gradient,
            restricted.rebased(c[1], directions[:1]).values(c[:, :1]),
        ]

    for one, other in zip(numbers(fast), numbers(plain), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13, check_dtype=False)
