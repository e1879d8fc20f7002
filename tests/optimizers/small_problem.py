"""A small regression and the closures of a training loop."""

from __future__ import annotations

import torch
from torch import nn


def small_problem(dtype=torch.float64):
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(60, 4, generator=generator, dtype=dtype)
    targets = torch.sin(inputs.sum(1, keepdim=True))
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).to(dtype)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=dtype) / 2)
    return module, inputs, targets


def loss_only(module, inputs, targets):
    return lambda: nn.functional.mse_loss(module(inputs), targets)


def usual(optimizer, module, inputs, targets):
    def closure():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(module(inputs), targets)
        loss.backward()
        return loss

    return closure


def flat(module):
    return torch.cat([p.detach().reshape(-1) for p in module.parameters()])
