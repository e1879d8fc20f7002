"""A physics-informed network, u'' = −u with u(0) = 0 and u(π/2) = 1: autograd in the objective."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

import lowroad


class Solution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1))

    def forward(self, t: Tensor) -> Tensor:
        return self.body(t)


def residual(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    t = batch["inside"].clone().requires_grad_()
    u = model(t)
    (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), t, create_graph=True)
    misfit = model(batch["boundary"]) - batch["values"]
    return (curvature + u).square().mean() + misfit.square().mean()


points = {
    "inside": torch.linspace(0, math.pi / 2, 40)[:, None],
    "boundary": torch.tensor([[0.0], [math.pi / 2]]),
    "values": torch.tensor([[0.0], [1.0]]),
}

# begin glue
problem = lowroad.network_problem(Solution, points, objective=residual)
# end glue
a, b = lowroad.train(problem, "lbfgs", seeds=2, iterations=100)
path = lowroad.FourierPathFinder(steps=20, points=9).find(
    problem.train, a.point, b.point, torch.Generator().manual_seed(0)
)
print(f"losses {a.value:.3g} and {b.value:.3g}, path height {path.height:.3g}")
