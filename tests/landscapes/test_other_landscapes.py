"""Landscapes from NumPy functions and negated landscapes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import rosen, rosen_der
from torch import nn

from lowroad.landscapes import (
    FunctionLandscape,
    MullerBrown,
    NegatedLandscape,
    NetworkLandscape,
    NumpyLandscape,
)
from lowroad.landscapes.landscape import RestrictedLandscape
from lowroad.landscapes.shared_first_layer import SharedFirstLayerRestriction
from lowroad.landscapes.subspace import AffineSubspace
from lowroad.paths import StraightLine


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


@pytest.mark.parametrize("value", [None, 1 + 2j])
def test_a_value_that_is_no_number_is_named(value):
    point = torch.zeros(1, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="to a number, it returned"):
        NumpyLandscape(lambda x: value, rosen_der, 2).values(point)


def test_a_function_that_works_in_place_leaves_the_points():
    landscape = FunctionLandscape(lambda x: x.sub_(1).square().sum(1), 2)
    points = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    assert [landscape.values(points).item() for _ in range(2)] == [4.0, 4.0]
    assert points.tolist() == [[1.0, 3.0]]


@pytest.mark.parametrize("single", [True, False])
def test_values_without_a_graph_have_no_gradient(single):
    """A gradient of zeros would say that every point is stationary."""
    points = torch.ones(1 if single else 3, 2, dtype=torch.float64)
    difference = FunctionLandscape(lambda x: torch.from_numpy(np.diff(x.detach())[:, 0]), 2)
    assert difference.values(points).tolist() == [0.0] * len(points)
    with pytest.raises(ValueError, match="autograd cannot follow"):
        difference.values_and_gradients(points)
    constant = FunctionLandscape(lambda x: torch.full((len(x),), 5.0), 2)
    values, gradients = constant.values_and_gradients(points)
    assert values.tolist() == [5.0] * len(points)
    assert not gradients.any()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x - x.mean(0)).square().sum(1),
        lambda x: (x / x.norm(dim=0)).sum(1),
        lambda x: x.sum(1) + torch.randn(len(x)),
        lambda x: x.cumsum(0).sum(1),
    ],
)
def test_a_function_whose_rows_depend_on_each_other_or_on_chance_is_refused(function):
    start, end = torch.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match="row i"):
        StraightLine().find(FunctionLandscape(function, 2), start, end)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_where_values_vanish_is_neither(dtype):
    """Values alone and among others differ in their last digits."""
    surface = FunctionLandscape(lambda x: (x.exp().sum(1) - 7 * math.e).square(), 7, dtype)
    surface.check_repeatable(torch.ones(7, dtype=dtype))
    shifted = FunctionLandscape(lambda x: x.cos().sum(1) - 1e6, 7, dtype)
    shifted.check_repeatable(torch.ones(7, dtype=dtype))
    bounded = FunctionLandscape(lambda x: torch.where(x > 1, torch.nan, x).sum(1), 7, dtype)
    bounded.check_repeatable(torch.ones(7, dtype=dtype))


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
