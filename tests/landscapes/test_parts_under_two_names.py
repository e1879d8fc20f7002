"""A part that a module has under two names (ALBERT's blocks, a ModuleList of one layer)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowroad import NetworkLandscape
from lowroad.landscapes import activation_matching, weight_matching
from lowroad.landscapes.flat_module import FlatModule
from lowroad.landscapes.losses import summed_loss
from lowroad.landscapes.vectorized import VectorizedLandscape


class Repeated(nn.Module):
    """One block, applied twice."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.enter, self.first, self.second = nn.Linear(3, 4), block, block
        self.leave = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(self.second(self.first(self.enter(x))))


def block():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4))


@pytest.fixture
def landscape():
    torch.manual_seed(0)
    data = torch.randn(20, 3).double(), torch.randint(0, 2, (20,))
    return NetworkLandscape(Repeated(block()).double(), *data, "cross_entropy")


def in_pytorch(landscape, point):
    module = Repeated(block()).double()
    module.load_state_dict(landscape.parameters_at(point), strict=False)
    module.second = module.first
    return F.cross_entropy(module(landscape.inputs), landscape.targets).item()


@pytest.mark.parametrize("matching", [weight_matching, activation_matching])
def test_matching_leaves_the_landscape_as_it_was(landscape, matching):
    first, second = (torch.randn(landscape.dimension).double() for _ in range(2))
    found = matching(landscape, first, second)
    assert {"enter", "first.0"} == set(found.permutations)
    for point in (first, second, found.point):
        assert landscape.value(point) == pytest.approx(in_pytorch(landscape, point), rel=1e-12)
    assert landscape.value(found.point) == pytest.approx(landscape.value(second), rel=1e-12)
    module = Repeated(block()).double()
    module.load_state_dict(found.state_dict())
    assert torch.equal(module(landscape.inputs), landscape.outputs(found.point))


def test_points_at_once(landscape):
    torch.manual_seed(1)
    points = torch.randn(3, landscape.dimension).double()
    expected = landscape.values(points)
    model = FlatModule(landscape.module)
    pair = (x.expand(3, *x.shape) for x in (landscape.inputs, landscape.targets))
    at_once = VectorizedLandscape(model, summed_loss("cross_entropy"), *pair)
    for _ in range(2):
        torch.testing.assert_close(at_once.values(points), expected, rtol=1e-12, atol=0)
    assert [*model.module.parameters()] == model.parameters
