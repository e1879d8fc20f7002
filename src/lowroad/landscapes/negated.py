"""A landscape upside down."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lowroad.landscapes.landscape import Landscape


class NegatedLandscape(Landscape):
    """−L(x): for fitness and rewards, where high is good and a path should not dip.

    Args:
        landscape: L.

    >>> from lowroad.landscapes.function import FunctionLandscape
    >>> fitness = FunctionLandscape(lambda x: -(x**2).sum(1), dimension=1)
    >>> NegatedLandscape(fitness).height(torch.tensor([3.0], dtype=torch.float64))
    9.0
    """

    def __init__(self, landscape: Landscape) -> None:
        self.landscape = landscape
        self.dimension, self.items = landscape.dimension, landscape.items
        self.batched = landscape.batched
        self.dtype, self.device = landscape.dtype, landscape.device

    def heights(self, points: Tensor) -> Tensor:
        """Return −L [n] at `points` [n, d]."""
        return -self.landscape.heights(points)

    def heights_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return −L [n] and −∇L [n, d]."""
        heights, gradients = self.landscape.heights_and_gradients(points)
        return -heights, -gradients

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Landscape]:
        """Yield the negated mini-batches of one shuffled epoch."""
        return map(NegatedLandscape, self.landscape.minibatches(size, generator))
