"""Images on a path: their tangents, their forces, and the spline through them."""

from __future__ import annotations

import torch
from torch import Tensor

from lowroad.paths.basis import SplineBasis
from lowroad.paths.path import Path


def through_images(chain: Tensor, gaps: Tensor | None = None) -> Path:
    """Return the spline through images [m + 2, d].

    Args:
        chain: the images, ends included.
        gaps: from image to image in t, up to a factor, [m + 1]; equal when not given.
    """
    gaps = chain.new_ones(len(chain) - 1) if gaps is None else gaps
    t = (gaps.double().cumsum(0) / gaps.double().sum())[:-1]
    line = torch.lerp(chain[0], chain[-1], t[:, None].to(chain))
    return Path(chain[0], chain[-1], chain[1:-1] - line, SplineBasis(tuple(t.tolist())))


def rise(values: Tensor) -> float:
    """Return how far values [n] rise above the higher of the first and the last, or their range.

    >>> rise(torch.tensor([-100.0, 1.0, 0.0])), rise(torch.tensor([0.0, 1.0, 3.0]))
    (1.0, 3.0)
    """
    top = float(values.max() - values[[0, -1]].max())
    return top if top > 0 else float(values.max() - values.min())


class Chain:
    """Images, values, gradients, and tangents by the improved rule.

    The tangent points to the higher neighbour; at an extremum it is the mixture of both sides
    weighted by the differences in value. Source: Henkelman & Jónsson 2000, Eqs. (8) to (11).

    Args:
        x: images [m + 2, d], ends included.
        values: [m + 2], ends included.
        gradients: of the inner images [m, d].
        gaps: the wanted distances between images, in units of the first chain's, [m + 1]; equal
            when not given.
    """

    def __init__(
        self, x: Tensor, values: Tensor, gradients: Tensor, gaps: Tensor | None = None
    ) -> None:
        self.x, self.values, self.gradients = x, values, gradients
        self.gaps = x.new_ones(len(x) - 1) if gaps is None else gaps
        steps = x.diff(dim=0)
        self.lengths = steps.norm(dim=1).clamp(min=torch.finfo(x.dtype).tiny)
        back, ahead = steps[:-1], steps[1:]
        down = (values[1:-1] - values[:-2]).abs()
        up = (values[2:] - values[1:-1]).abs()
        larger, smaller = torch.maximum(down, up), torch.minimum(down, up)
        next_higher = values[2:] > values[:-2]
        rising = (values[2:] > values[1:-1]) & (values[1:-1] > values[:-2])
        falling = (values[2:] < values[1:-1]) & (values[1:-1] < values[:-2])
        ahead_fraction = torch.where(next_higher, larger, smaller)
        back_fraction = torch.where(next_higher, smaller, larger)
        flat = larger == 0
        ahead_fraction = torch.where(rising | flat, 1.0, torch.where(falling, 0.0, ahead_fraction))
        back_fraction = torch.where(falling | flat, 1.0, torch.where(rising, 0.0, back_fraction))
        tangents = ahead_fraction[:, None].to(x) * ahead + back_fraction[:, None].to(x) * back
        norms = tangents.norm(dim=1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
        self.tangents = tangents / norms

    @property
    def slope(self) -> float:
        """The range of the values over the chain's length: what forces are small or large for."""
        spread = float(self.values.max() - self.values.min())
        return spread / float(self.lengths.double().sum())

    @property
    def rise(self) -> float:
        """How far the values rise above the higher end; their range where they do not.

        What a barrier is near or far for: an end may lie much deeper than the barrier is high.
        """
        return rise(self.values)

    @property
    def rounding(self) -> float:
        """The rounding of the values over the chain's length: smaller forces change no value."""
        largest = float(self.values.abs().max())
        eps = torch.finfo(self.values.dtype).eps
        return eps * largest / float(self.lengths.double().sum())

    @property
    def height(self) -> float:
        """The largest value of an image."""
        return float(self.values.max())

    def across(self) -> Tensor:
        """Return −∇L without its part along the tangent, [m, d]."""
        along = (self.gradients * self.tangents).sum(1, keepdim=True)
        return along * self.tangents - self.gradients

    def climbing_force(self, i: int) -> Tensor:
        """Return −∇L of inner image i with its part along the tangent reversed, [d]."""
        along = self.gradients[i] @ self.tangents[i]
        return 2 * along * self.tangents[i] - self.gradients[i]
