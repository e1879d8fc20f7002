"""Subspace gradients whose weights are computed from the values, in both forms, counted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowroad.landscapes import (
    AffineSubspace,
    CountingLandscape,
    MullerBrown,
    NetworkLandscape,
    RestrictedLandscape,
)


@pytest.fixture(scope="module")
def network():
    g = torch.Generator().manual_seed(0)
    inputs = torch.randn(30, 4, generator=g, dtype=torch.float64)
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    targets = torch.randint(3, (30,), generator=g)
    return NetworkLandscape(module, inputs, targets, "cross_entropy")


def softmax(values):
    return torch.softmax(3 * values, dim=0)


def test_same_in_both_forms_and_counted(network):
    g = torch.Generator().manual_seed(1)
    rows = torch.randn(4, network.dimension, generator=g, dtype=torch.float64)
    subspace = AffineSubspace(rows[0], rows[1:])
    coordinates = torch.randn(6, 3, generator=g, dtype=torch.float64)
    generic = RestrictedLandscape(network, subspace)
    values, gradients = generic.values_and_subspace_gradients(coordinates, softmax)
    expected = generic.values_and_subspace_gradients(coordinates, softmax(values)).gradients
    assert torch.equal(gradients, expected)
    counted = CountingLandscape(network)
    shared = counted.restrict(subspace).values_and_subspace_gradients(coordinates, softmax)
    assert torch.allclose(shared.gradients, gradients, rtol=1e-12, atol=1e-14)
    assert torch.allclose(shared.values, values, rtol=1e-12)
    assert counted.evaluations.gradients == counted.evaluations.values == 6


def test_a_plain_function_needs_no_values_first():
    counted = CountingLandscape(MullerBrown())
    subspace = AffineSubspace.line(*MullerBrown.ends)
    coordinates = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    counted.restrict(subspace).values_and_subspace_gradients(coordinates, softmax)
    assert (counted.evaluations.gradients, counted.evaluations.values) == (5, 0)
