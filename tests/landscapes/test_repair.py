"""Between two networks every unit gets back the variance that it loses there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowroad.landscapes import MullerBrown, NetworkLandscape, repair, weight_matching


def landscape_of(*layers, features=6):
    torch.manual_seed(0)
    inputs = torch.randn(70, features, dtype=torch.float64) + 0.5
    module = nn.Sequential(*layers).double().eval()
    return NetworkLandscape(module, inputs, torch.randint(0, 3, (70,)), "cross_entropy", chunk=32)


def convolutional():
    return landscape_of(
        nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Conv1d(4, 5, 2), nn.GELU(),
        nn.Flatten(), nn.Linear(15, 7), nn.Tanh(), nn.Linear(7, 3),
    )  # fmt: skip


def transposed():
    return landscape_of(
        nn.Unflatten(1, (3, 2)), nn.ConvTranspose1d(3, 4, 3), nn.ReLU(),
        nn.ConvTranspose1d(4, 4, 2), nn.ReLU(), nn.ConvTranspose1d(4, 6, 2, groups=2), nn.Tanh(),
        nn.Flatten(), nn.Linear(36, 3),
    )  # fmt: skip


def ends(landscape):
    return torch.randn(2, landscape.dimension, generator=torch.Generator().manual_seed(1)).double()


def statistics(landscape, point):
    """Mean and deviation of every unit before its activation, by plain forward passes."""
    landscape.module.load_state_dict(landscape.parameters_at(point))
    found, x = [], landscape.inputs
    with torch.no_grad():
        for layer in landscape.module:
            x = layer(x)
            if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
                found.append((x.mean((0, 2)), x.std((0, 2), correction=0)))
            elif isinstance(layer, nn.Linear):
                found.append((x.mean(0), x.std(0, correction=0)))
    return found[:-1]


@pytest.mark.parametrize("t", [0.25, 0.5])
@pytest.mark.parametrize("network", [convolutional, transposed])
def test_means_and_deviations_are_those_between_the_ends(network, t):
    landscape = network()
    start, end = ends(landscape)
    point = repair(landscape, start, end, t)
    for own, first, second in zip(
        *(statistics(landscape, p) for p in (point, start, end)), strict=True
    ):
        for found, a, b in zip(own, first, second, strict=True):
            torch.testing.assert_close(found, torch.lerp(a, b, t), rtol=1e-9, atol=1e-11)


def test_the_ends_stay():
    landscape = convolutional()
    start, end = ends(landscape)
    torch.testing.assert_close(repair(landscape, start, end, 0.0), start, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(repair(landscape, start, end, 1.0), end, rtol=1e-9, atol=1e-11)


def test_the_function_of_one_network_is_kept():
    """Between two numberings of one network, aligned, there is nothing to repair."""
    landscape = landscape_of(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3))
    start = landscape.initial_point()
    order = torch.randperm(9)
    own = landscape.parameters_at(start)
    end = torch.cat([own["0.weight"][order].flatten(), own["0.bias"][order],
                     own["2.weight"][:, order].flatten(), own["2.bias"]])  # fmt: skip
    aligned = weight_matching(landscape, start, end).point
    repaired = landscape.outputs(repair(landscape, start, aligned))
    torch.testing.assert_close(repaired, landscape.outputs(start), rtol=1e-9, atol=1e-11)


def test_what_cannot_be_repaired_is_refused():
    plain = landscape_of(nn.Linear(6, 9, bias=False), nn.ReLU(), nn.Linear(9, 3))
    norm = landscape_of(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Linear(9, 3))
    for landscape, message in (
        (plain, "trainable weight and bias of 0"),
        (norm, "use a BatchNormLandscape"),
    ):
        with pytest.raises(ValueError, match=message):
            repair(landscape, *ends(landscape))
    with pytest.raises(ValueError, match="t from 0 to 1"):
        repair(convolutional(), *ends(convolutional()), 1.5)
    with pytest.raises(TypeError, match="got MullerBrown"):
        repair(MullerBrown(), *MullerBrown().ends)
