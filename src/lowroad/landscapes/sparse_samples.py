"""Data in an order in which products with it skip zeros."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

AT_ONCE = 1000  # samples examined together, in cache
BLOCK = 2500  # samples that are multiplied by the same features: with fewer, products are slower
WORTH = 0.9  # of the features that samples reach on average: with more, the order is kept


@dataclass(frozen=True)
class SparseSamples:
    """Samples of data, those with few features first, so that their chunks are narrow.

    Features are sorted by how many samples have them, samples by their last feature: a chunk is
    only as wide as the reach of its last sample. The entries that a product skips are all
    zeros.

    Attributes:
        features: [n, f].
        targets: [n, ...].
        columns: which feature each column of `features` is, [f]; None where they, and the samples,
            are in the order in which they came, since that saves nothing.
        places: where the samples are that came in another order, [n].
        reach: how many of the columns a sample reaches, [n], on the CPU.
    """

    features: Tensor
    targets: Tensor
    columns: Tensor | None
    places: Tensor
    reach: Tensor

    @classmethod
    @torch.inference_mode(False)  # tensors made in inference mode could not be used outside
    def of(cls, inputs: Tensor, targets: Tensor) -> SparseSamples:
        """Return the samples of `inputs` [n, ...], copied where another order pays off."""
        features = inputs.flatten(1)
        width = features.shape[1]
        parts = features.split(AT_ONCE)
        present = torch.stack([part.sign().abs_().sum(0) for part in parts]).sum(0)
        columns = present.argsort(descending=True, stable=True)
        ends = 1 + _inverse(columns).int()
        nowhere = ends.new_zeros(())
        reach = torch.cat([torch.where(part != 0, ends, nowhere).amax(1) for part in parts])
        if float(reach.double().mean()) > WORTH * width:
            return cls.as_they_are(inputs, targets)
        order = reach.argsort(stable=True)
        arranged = features.new_empty(features.shape)
        for rows, made in zip(order.split(AT_ONCE), arranged.split(AT_ONCE), strict=True):
            torch.index_select(features.index_select(0, rows), 1, columns, out=made)
        targets = targets.index_select(0, order)
        return cls(arranged, targets, columns, _inverse(order), reach[order].cpu())

    @classmethod
    def as_they_are(cls, inputs: Tensor, targets: Tensor) -> SparseSamples:
        """Return the samples in the order in which they came, with all their features."""
        features = inputs.flatten(1)
        unmoved = torch.arange(len(features), device=features.device)
        reach = torch.full((len(features),), features.shape[1])
        return cls(features, targets, None, unmoved, reach)

    def at(self, rows: Tensor) -> SparseSamples:
        """Return some of the samples, by their numbers in the order in which they came."""
        places = self.places[rows]
        order = torch.arange(len(rows), device=rows.device)
        if self.columns is not None:
            places, order = places.sort()
        features, targets = self.features.index_select(0, places), self.targets[places]
        reach = self.reach[places.cpu()]
        return SparseSamples(features, targets, self.columns, _inverse(order), reach)

    def chunks(self, size: int) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Yield the features and the targets [m, ...] of `size` samples after another.

        The features come in blocks [m', c], c columns being all that the block's samples reach.
        """
        for first in range(0, len(self.features), size):
            last = min(first + size, len(self.features))
            block = size if self.features.is_cuda else BLOCK  # a launch costs more than zeros there
            bounds = [(i, min(i + block, last)) for i in range(first, last, block)]
            blocks = [self.features[i:j, : int(self.reach[j - 1])] for i, j in bounds]
            yield blocks, self.targets[first:last]

    def arranged(self, weights: Tensor) -> Tensor:
        """Return `weights` [..., f] by the features in the order of the columns."""
        return weights if self.columns is None else weights.index_select(-1, self.columns)

    def rearranged(self, gradients: Tensor) -> Tensor:
        """Return `gradients` [..., f] by the columns in the order of the features."""
        return gradients if self.columns is None else gradients[..., _inverse(self.columns)]


def _inverse(order: Tensor) -> Tensor:
    """Return the permutation [n] that undoes `order` [n]."""
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(len(order), device=order.device)
    return inverse
