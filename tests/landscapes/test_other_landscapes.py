"""Landscapes from NumPy functions and negated landscapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import rosen, rosen_der
from torch import nn

from lowroad.landscapes import (
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
