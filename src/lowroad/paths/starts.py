"""Several starts of one search: their first paths, and the choice of the lowest result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lowroad.landscapes import Evaluations
from lowroad.paths.basis import SineBasis
from lowroad.paths.found_path import FoundPath
from lowroad.paths.path import Path

WAVES = 3  # sines in a random perturbation


def perturbed(start: Tensor, end: Tensor, fraction: float, generator: torch.Generator) -> Path:
    """Return the straight line with a random perturbation perpendicular to it.

    θ(t) = (1 − t) start + t end + Σ_{n ≤ 3} b_n sin(nπt), with b_n normal, falling as 1/n and
    orthogonal to end − start, all scaled by one factor.

    Args:
        start: [d].
        end: [d].
        fraction: the largest distance from the line, as a fraction of the distance between the
            ends.
        generator: draws b.

    >>> start, end = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    >>> path = perturbed(start, end, 0.5, torch.Generator().manual_seed(0))
    >>> x, y = path(torch.linspace(0, 1, 101)).T
    >>> torch.equal(x, torch.linspace(0, 2, 101)), round(float(y.abs().max()), 4)
    (True, 1.0)
    """
    difference = end - start
    distance = difference.norm()
    along = difference / distance
    normal = torch.randn(
        WAVES, len(start), generator=generator, dtype=start.dtype, device=generator.device
    )
    across = normal.to(start.device)
    across = across - (across @ along)[:, None] * along
    across = across / torch.arange(1, WAVES + 1).to(start)[:, None]
    basis = SineBasis(WAVES)
    shapes = basis.values(torch.linspace(0, 1, 101, dtype=torch.float64)).to(start)
    farthest = ((shapes @ (across @ across.T)) * shapes).sum(1).max().sqrt()
    return Path(start, end, across * (fraction * distance / farthest), basis)


def split_generator(generator: torch.Generator, count: int) -> list[torch.Generator]:
    """Return generators seeded by `generator`, whose draws do not depend on each other's order."""
    seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device)
    return [torch.Generator(generator.device).manual_seed(seed) for seed in seeds.tolist()]


def lowest(found: Sequence[FoundPath]) -> FoundPath:
    """Return the path of the lowest refined height, with the evaluations of all."""
    heights = tuple(each.refined_height for each in found)
    best = min(
        found, key=lambda each: float(torch.tensor(each.refined_height).nan_to_num(torch.inf))
    )
    evaluations = Evaluations(
        sum(each.evaluations.values for each in found),
        sum(each.evaluations.gradients for each in found),
    )
    return replace(best, start_heights=heights, evaluations=evaluations)
