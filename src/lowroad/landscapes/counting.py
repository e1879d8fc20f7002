"""Counting the evaluations of a search, in the same way for every optimizer and path finder."""

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
from lowroad.landscapes.symmetry import SymmetricImage


@dataclass
class Evaluations:
    """How many points were evaluated, in units of the full landscape.

    A point evaluated on a mini-batch of a tenth of the data counts as a tenth.

    Attributes:
        values: points of which only the value was evaluated.
        gradients: points whose value and gradient were evaluated.
    """

    values: float = 0.0
    gradients: float = 0.0


class CountingLandscape(Landscape):
    """A landscape that counts its evaluations, also of its restrictions and mini-batches.

    Args:
        landscape: the landscape to evaluate.

    Attributes:
        evaluations: the count so far.

    >>> from lowroad.landscapes.function import FunctionLandscape
    >>> counted = CountingLandscape(FunctionLandscape(lambda x: (x**2).sum(1), dimension=1))
    >>> _ = counted.values(torch.zeros(5, 1, dtype=torch.float64))
    >>> counted.evaluations
    Evaluations(values=5.0, gradients=0.0)
    """

    def __init__(
        self,
        landscape: Landscape,
        evaluations: Evaluations | None = None,
        fraction: float = 1.0,
    ) -> None:
        self.landscape = landscape
        self.dimension = landscape.dimension
        self.dtype, self.device = landscape.dtype, landscape.device
        self.free_gradients = landscape.free_gradients
        self.gradient_tolerance = landscape.gradient_tolerance
        self.samples, self.batched = landscape.samples, landscape.batched
        self.evaluations = evaluations if evaluations is not None else Evaluations()
        self._fraction = fraction

    def count_values(self, points: int) -> None:
        """Add `points` evaluations of values."""
        self.evaluations.values += points * self._fraction

    def count_gradients(self, points: int) -> None:
        """Add `points` evaluations of values with gradients."""
        self.evaluations.gradients += points * self._fraction

    def values(self, points: Tensor) -> Tensor:
        """Return the values [n] and count them."""
        self.count_values(len(points))
        return self.landscape.values(points)

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return values [n] and gradients [n, d] and count them."""
        self.count_gradients(len(points))
        return self.landscape.values_and_gradients(points)

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Landscape]:
        """Yield the landscape's mini-batches, each counted as its fraction of the data."""
        return map(self._counted, self.landscape.minibatches(size, generator))

    def ensemble_minibatches(
        self, size: int, generators: Sequence[torch.Generator]
    ) -> Iterator[Landscape]:
        """Yield the landscape's ensemble mini-batches, counted."""
        return map(self._counted, self.landscape.ensemble_minibatches(size, generators))

    def _counted(self, batch: Landscape) -> Landscape:
        fraction = self._fraction * batch.samples / self.samples
        return CountingLandscape(batch, self.evaluations, fraction)

    def symmetric_image(self, reference: Tensor, point: Tensor) -> SymmetricImage | None:
        """Return that of the landscape."""
        return self.landscape.symmetric_image(reference, point)

    def restrict(self, subspace: AffineSubspace) -> RestrictedLandscape:
        """Return the restriction, counted."""
        return _CountingRestriction(self, self.landscape.restrict(subspace))


class _CountingRestriction(RestrictedLandscape):
    def __init__(self, counter: CountingLandscape, restricted: RestrictedLandscape) -> None:
        self.landscape = counter
        self.subspace = restricted.subspace
        self.values_first = restricted.values_first
        self._counter = counter
        self._restricted = restricted

    def values(self, coordinates: Tensor) -> Tensor:
        self._counter.count_values(len(coordinates))
        return self._restricted.values(coordinates)

    def values_and_gradients(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        self._counter.count_gradients(len(coordinates))
        return self._restricted.values_and_gradients(coordinates)

    def values_and_subspace_gradients(
        self, coordinates: Tensor, weights: Weights | None = None
    ) -> SubspaceGradients:
        if callable(weights) and self.values_first:
            self._counter.count_values(len(coordinates))
        self._counter.count_gradients(len(coordinates))
        return self._restricted.values_and_subspace_gradients(coordinates, weights)

    def value_and_gradient(self, coordinates: Tensor) -> tuple[float, Tensor]:
        self._counter.count_gradients(1)
        return self._restricted.value_and_gradient(coordinates)

    def value_and_slope(self, coordinates: Tensor) -> tuple[float, Tensor, Callable[[], Tensor]]:
        self._counter.count_gradients(1)
        return self._restricted.value_and_slope(coordinates)

    def rebased(self, coordinates: Tensor, directions: Tensor) -> RestrictedLandscape:
        return _CountingRestriction(
            self._counter, self._restricted.rebased(coordinates, directions)
        )
