"""Sharpness-aware minimization as a class that a study names: method = "sam.SAM"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class SAM(torch.optim.Optimizer):
    """SGD with the gradient at the highest point nearby (Foret et al. 2021, arXiv:2010.01412).

    ε = ρ ∇L(w) / |∇L(w)|, then w ← w − η ∇L(w + ε): each step calls its closure twice.

    Args:
        params: the parameters.
        lr: η.
        rho: ρ.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 0.1, rho: float = 0.05) -> None:
        super().__init__(params, {"lr": lr, "rho": rho})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Do one step; `closure` sets the gradients and returns the loss."""
        with torch.enable_grad():
            loss = closure()
        parameters = [
            (p, group) for group in self.param_groups for p in group["params"] if p.grad is not None
        ]
        norm = torch.stack([p.grad.norm() for p, _ in parameters]).norm()
        before = [p.clone() for p, _ in parameters]
        for p, group in parameters:
            p.add_(p.grad, alpha=float(group["rho"] / (norm + 1e-12)))
        with torch.enable_grad():
            closure()
        for (p, group), old in zip(parameters, before, strict=True):
            p.copy_(old - group["lr"] * p.grad)
        return loss
