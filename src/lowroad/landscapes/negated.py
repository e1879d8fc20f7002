"""A landscape upside down."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lowroad.landscapes.landscape import (
    Landscape,
    RestrictedLandscape,
    SubspaceGradients,
    Weights,
)
from lowroad.landscapes.subspace import AffineSubspace


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

    def restrict(self, subspace: AffineSubspace) -> RestrictedLandscape:
        """Return the negated restriction: as cheap as the landscape's own."""
        return _NegatedRestriction(self, self.landscape.restrict(subspace))


class _NegatedRestriction(RestrictedLandscape):
    def __init__(self, landscape: NegatedLandscape, restricted: RestrictedLandscape) -> None:
        self.landscape, self.subspace = landscape, restricted.subspace
        self.heights_first = restricted.heights_first
        self._negated, self._restricted = landscape, restricted

    def heights(self, coordinates: Tensor) -> Tensor:
        return -self._restricted.heights(coordinates)

    def heights_and_gradients(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        heights, gradients = self._restricted.heights_and_gradients(coordinates)
        return -heights, -gradients

    def heights_and_subspace_gradients(
        self, coordinates: Tensor, weights: Weights | None = None
    ) -> SubspaceGradients:
        own = (lambda heights: weights(-heights)) if callable(weights) else weights
        heights, gradients = self._restricted.heights_and_subspace_gradients(coordinates, own)
        return SubspaceGradients(-heights, -gradients)

    def height_and_gradient(self, coordinates: Tensor) -> tuple[float, Tensor]:
        height, gradient = self._restricted.height_and_gradient(coordinates)
        return -height, -gradient

    def trial(self, coordinates: Tensor) -> tuple[float, Tensor, Callable[[], Tensor]]:
        height, slopes, gradient = self._restricted.trial(coordinates)
        return -height, -slopes, lambda: -gradient()

    def moved(self, coordinates: Tensor, directions: Tensor) -> RestrictedLandscape:
        return _NegatedRestriction(self._negated, self._restricted.moved(coordinates, directions))
