"""Counting what a search costs, the same way for every optimizer and path finder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowroad.landscapes.landscape import (
    Landscape,
    RestrictedLandscape,
    SubspaceGradients,
    Weights,
)
from lowroad.landscapes.subspace import AffineSubspace


@dataclass
class Evaluations:
    """How many points were evaluated, in units of the full landscape.

    A point evaluated on a mini-batch of a tenth of the data counts as a tenth.

    Attributes:
        heights: points whose height alone was evaluated.
        gradients: points whose height and gradient were evaluated.
    """

    heights: float = 0.0
    gradients: float = 0.0


class CountingLandscape(Landscape):
    """A landscape that counts its evaluations, those of its restrictions and mini-batches too.

    Args:
        landscape: what is evaluated.

    Attributes:
        evaluations: the count so far.

    >>> from lowroad.landscapes.function import FunctionLandscape
    >>> counted = CountingLandscape(FunctionLandscape(lambda x: (x**2).sum(1), dimension=1))
    >>> _ = counted.heights(torch.zeros(5, 1, dtype=torch.float64))
    >>> counted.evaluations
    Evaluations(heights=5.0, gradients=0.0)
    """

    def __init__(
        self,
        landscape: Landscape,
        evaluations: Evaluations | None = None,
        share: float = 1.0,
    ) -> None:
        self.landscape = landscape
        self.dimension = landscape.dimension
        self.dtype, self.device = landscape.dtype, landscape.device
        self.items, self.batched = landscape.items, landscape.batched
        self.evaluations = evaluations if evaluations is not None else Evaluations()
        self._share = share

    def count_heights(self, points: int) -> None:
        """Add `points` evaluations of heights."""
        self.evaluations.heights += points * self._share

    def count_gradients(self, points: int) -> None:
        """Add `points` evaluations of heights with gradients."""
        self.evaluations.gradients += points * self._share

    def heights(self, points: Tensor) -> Tensor:
        """Return the heights [n] and count them."""
        self.count_heights(len(points))
        return self.landscape.heights(points)

    def heights_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return heights [n] and gradients [n, d] and count them."""
        self.count_gradients(len(points))
        return self.landscape.heights_and_gradients(points)

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Landscape]:
        """Yield the landscape's mini-batches, each counted as its share of the data."""
        return map(self._counted, self.landscape.minibatches(size, generator))

    def ensemble_minibatches(
        self, size: int, generators: Sequence[torch.Generator]
    ) -> Iterator[Landscape]:
        """Yield the landscape's ensemble mini-batches, counted."""
        return map(self._counted, self.landscape.ensemble_minibatches(size, generators))

    def _counted(self, batch: Landscape) -> Landscape:
        share = self._share * batch.items / self.items
        return CountingLandscape(batch, self.evaluations, share)

    def restrict(self, subspace: AffineSubspace) -> RestrictedLandscape:
        """Return the restriction, counted."""
        return _CountingRestriction(self, self.landscape.restrict(subspace))


class _CountingRestriction(RestrictedLandscape):
    def __init__(self, counter: CountingLandscape, restricted: RestrictedLandscape) -> None:
        self.landscape = counter
        self.subspace = restricted.subspace
        self.heights_first = restricted.heights_first
        self._counter = counter
        self._restricted = restricted

    def heights(self, coordinates: Tensor) -> Tensor:
        self._counter.count_heights(len(coordinates))
        return self._restricted.heights(coordinates)

    def heights_and_gradients(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        self._counter.count_gradients(len(coordinates))
        return self._restricted.heights_and_gradients(coordinates)

    def heights_and_subspace_gradients(
        self, coordinates: Tensor, weights: Weights | None = None
    ) -> SubspaceGradients:
        if callable(weights) and self.heights_first:
            self._counter.count_heights(len(coordinates))
        self._counter.count_gradients(len(coordinates))
        return self._restricted.heights_and_subspace_gradients(coordinates, weights)

    def height_and_gradient(self, coordinates: Tensor) -> tuple[float, Tensor]:
        self._counter.count_gradients(1)
        return self._restricted.height_and_gradient(coordinates)

    def trial(self, coordinates: Tensor) -> tuple[float, Tensor, Callable[[], Tensor]]:
        self._counter.count_gradients(1)
        return self._restricted.trial(coordinates)

    def moved(self, coordinates: Tensor, directions: Tensor) -> RestrictedLandscape:
        return _CountingRestriction(self._counter, self._restricted.moved(coordinates, directions))
