"""The negative of a landscape."""

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
from lowroad.landscapes.symmetry import SymmetricImage


class NegatedLandscape(Landscape):
    """−L(x): for a fitness or a reward, of which a path should avoid low values.

    Args:
        landscape: L.

    >>> from lowroad.landscapes.function import FunctionLandscape
    >>> fitness = FunctionLandscape(lambda x: -(x**2).sum(1), dimension=1)
    >>> NegatedLandscape(fitness).value(torch.tensor([3.0], dtype=torch.float64))
    9.0
    """

    def __init__(self, landscape: Landscape) -> None:
        self.landscape = landscape
        self.dimension, self.samples = landscape.dimension, landscape.samples
        self.batched = landscape.batched
        self.dtype, self.device = landscape.dtype, landscape.device
        self.free_gradients = landscape.free_gradients
        self.gradient_tolerance = landscape.gradient_tolerance

    def values(self, points: Tensor) -> Tensor:
        """Return −L [n] at `points` [n, d]."""
        return -self.landscape.values(points)

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return −L [n] and −∇L [n, d]."""
        values, gradients = self.landscape.values_and_gradients(points)
        return -values, -gradients

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Landscape]:
        """Yield the negated mini-batches of one shuffled epoch."""
        return map(NegatedLandscape, self.landscape.minibatches(size, generator))

    def symmetric_image(self, reference: Tensor, point: Tensor) -> SymmetricImage | None:
        """Return that of the landscape."""
        return self.landscape.symmetric_image(reference, point)

    def restrict(self, subspace: AffineSubspace) -> RestrictedLandscape:
        """Return the negated restriction: as cheap as that of the landscape."""
        return _NegatedRestriction(self, self.landscape.restrict(subspace))


class _NegatedRestriction(RestrictedLandscape):
    def __init__(self, landscape: NegatedLandscape, restricted: RestrictedLandscape) -> None:
        self.landscape, self.subspace = landscape, restricted.subspace
        self.values_first = restricted.values_first
        self._negated, self._restricted = landscape, restricted

    def values(self, coordinates: Tensor) -> Tensor:
        return -self._restricted.values(coordinates)

    def values_and_gradients(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        values, gradients = self._restricted.values_and_gradients(coordinates)
        return -values, -gradients

    def values_and_subspace_gradients(
        self, coordinates: Tensor, weights: Weights | None = None
    ) -> SubspaceGradients:
        own = (lambda values: weights(-values)) if callable(weights) else weights
        values, gradients = self._restricted.values_and_subspace_gradients(coordinates, own)
        return SubspaceGradients(-values, -gradients)

    def value_and_gradient(self, coordinates: Tensor) -> tuple[float, Tensor]:
        value, gradient = self._restricted.value_and_gradient(coordinates)
        return -value, -gradient

    def value_and_slope(self, coordinates: Tensor) -> tuple[float, Tensor, Callable[[], Tensor]]:
        value, slopes, gradient = self._restricted.value_and_slope(coordinates)
        return -value, -slopes, lambda: -gradient()

    def rebased(self, coordinates: Tensor, directions: Tensor) -> RestrictedLandscape:
        return _NegatedRestriction(self._negated, self._restricted.rebased(coordinates, directions))
