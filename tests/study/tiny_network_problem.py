"""A network on random data: the problem of the tests' tiny study."""

from __future__ import annotations

import torch
from torch import nn

import lowroad


def net(hidden: int = 4000) -> lowroad.Problem:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(60, 4, generator=generator)
    y = (x[:, 0] * x[:, 1] > 0).long()
    return lowroad.network_problem(
        lambda: nn.Sequential(nn.Linear(4, hidden), nn.Tanh(), nn.Linear(hidden, 2)),
        (x[:40], y[:40]),
        (x[40:], y[40:]),
        metrics=["error"],
    )
