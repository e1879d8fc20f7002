"""Sharpness by ascent: how far the value rises within a ball around a point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lowroad.landscapes import Landscape

__all__ = ["AscentSharpness", "ascent_sharpness"]


@dataclass(frozen=True)
class AscentSharpness:
    """The largest rise that was found.

    Attributes:
        rise: max L(x + ε) − L(x) over the perturbations tried; a lower bound of the maximum.
        perturbation: the ε where it is [d].
        gradients: how many gradients were taken.
    """

    rise: float
    perturbation: Tensor
    gradients: int


def ascent_sharpness(
    landscape: Landscape,
    point: Tensor,
    radius: float = 0.05,
    *,
    adaptive: bool = False,
    steps: int = 20,
    generator: torch.Generator,
) -> AscentSharpness:
    """Seek the largest rise of the value within a ball, max L(x + ε) − L(x) over |ε| ≤ radius.

    Each step goes to where the linear form of the last point is largest in the ball,

        ε ← ρ T² g / |T g|,    g = ∇L(x + ε),

    with T the identity, or with `adaptive` T = diag(|x_i|): the ball is then |T⁻¹ ε| ≤ radius,
    which scales with the parameters, so that networks whose units are rescaled with their function
    unchanged are equally sharp. The first step is that of sharpness-aware minimization. Where L is
    convex no step goes down. At a stationary point the first direction is random.

    Args:
        landscape: any landscape; for a network over much data, one over a part of it.
        point: x [d].
        radius: ρ.
        adaptive: whether the ball scales with the parameters (Kwon et al.).
        steps: how many gradients, at least one.
        generator: draws the direction at a stationary point.

    Raises:
        ValueError: when the point does not fit or its value is not finite, the radius is not a
            positive finite number, or there are no steps.
        TypeError: when the point is of another type.

    Source: Foret et al. 2021, "Sharpness-aware minimization", Eq. (2); Kwon et al. 2021, "ASAM",
    Eq. (3).

    >>> from lowroad.landscapes import FunctionLandscape
    >>> bowl = FunctionLandscape(lambda x: (x**2 * torch.tensor([1.0, 9.0])).sum(1), dimension=2)
    >>> flat = torch.zeros(2, dtype=torch.float64)
    >>> found = ascent_sharpness(bowl, flat, 0.1, generator=torch.Generator().manual_seed(0))
    >>> round(found.rise, 6)  # 9 · 0.1²
    0.09
    """
    landscape.check_points(point[None])
    if not 0 < radius < math.inf:
        raise ValueError(f"expected a positive finite radius, got {radius}")
    if steps < 1:
        raise ValueError(f"expected at least one step, got {steps}")
    x = point.detach()
    value, gradient = landscape.value_and_gradient(x)
    if not math.isfinite(value):
        raise ValueError(f"expected a point of finite value, got {value}")
    scale = x.double().abs() if adaptive else torch.ones_like(x, dtype=torch.float64)
    best, perturbation, taken = 0.0, torch.zeros_like(x), 1
    for _ in range(steps):
        along = scale * gradient.double()
        if not float(along.norm()) > 0:
            drawn = torch.randn(len(x), generator=generator, device=generator.device)
            along = scale * drawn.to(along)
        length = float(along.norm())
        if not (math.isfinite(length) and length > 0):
            break
        moved = (radius * scale * along / length).to(x)
        risen, gradient = landscape.value_and_gradient(x + moved)
        taken += 1
        if not math.isfinite(risen):
            break
        if risen - value > best:
            best, perturbation = risen - value, moved
    return AscentSharpness(best, perturbation, taken)
