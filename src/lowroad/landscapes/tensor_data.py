"""Data in two tensors, as a network's landscape reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lowroad.landscapes.losses import (
    NOTHING_COUNTS,
    Loss,
    divisor_of,
    loss_given,
    outputs_or_loss,
    summed_loss,
    weight_of,
)
from lowroad.landscapes.network_data import refuse_misfit
from lowroad.landscapes.repeatable import refuse_no_mean
from lowroad.landscapes.sparse_samples import SparseSamples

Pair = tuple[Tensor, Tensor]


def data_of(inputs: Any, targets: Any, loss: str | Loss | None, device: torch.device) -> TensorData:
    """Return the data that a landscape was given in two tensors.

    Raises:
        TypeError: when they are not tensors.
        ValueError: when there is no loss, the inputs are on another type of device, or numbers of
            inputs and targets differ or are zero.
    """
    if not (isinstance(inputs, Tensor) and isinstance(targets, Tensor)):
        raise TypeError(
            "expected inputs and targets as torch tensors, got "
            f"{type(inputs).__name__} and {type(targets).__name__}"
        )
    if loss is None:
        raise ValueError(
            "expected a loss of the outputs and the targets, such as 'cross_entropy' or "
            "'mean_squared_error', got none"
        )
    if inputs.device.type != device.type:
        raise ValueError(f"expected inputs on the module's device {device}, got {inputs.device}")
    return TensorData(inputs, targets, summed_loss(loss))


class TensorData:
    """Inputs [n, ...] and targets [n, ...] with the loss between outputs and targets.

    Attributes:
        loss: (outputs, targets) → the sum of a batch's losses, in float64.
        samples: n.
        units: how many pieces mini-batches are drawn from: n.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, loss: Loss) -> None:
        if len(inputs) != len(targets) or len(inputs) == 0:
            raise ValueError(
                f"expected as many inputs as targets, at least one, got {len(inputs)} inputs and "
                f"{len(targets)} targets"
            )
        self.loss = loss
        self.samples = self.units = len(inputs)
        self._inputs: Tensor | None = inputs
        self._targets: Tensor | None = targets
        self._chosen: tuple[TensorData, Tensor] | None = None  # the whole data, and the rows
        self._sparse: SparseSamples | None = None
        self._plain: SparseSamples | None = None
        self._weight: float | None = None
        # where nothing is ignored or weighted, samples are all that counts, also in batches
        self._counts_samples = weight_of(loss, targets) == len(targets)
        if not weight_of(loss, targets) > 0:
            raise ValueError(NOTHING_COUNTS.format(self.samples))

    def at(self, rows: Tensor) -> TensorData:
        """Return some rows, which are copied when they are needed."""
        other = object.__new__(TensorData)
        other.__dict__.update(self.__dict__)
        other._chosen, other._sparse, other._weight = (self, rows), None, None
        other._plain = None
        other._inputs, other._targets = None, None
        other.samples = other.units = len(rows)
        return other

    def first(self, samples: int) -> TensorData:
        """Return the first rows."""
        rows = torch.arange(self.samples, device=self.inputs.device)[:samples]
        other = self.at(rows)
        other._inputs, other._targets = self.inputs[:samples], self.targets[:samples]
        return other

    @property
    def inputs(self) -> Tensor:
        """The inputs of the module, [n, ...]."""
        if self._inputs is None:
            assert self._chosen is not None
            whole, rows = self._chosen
            self._inputs = whole.inputs.index_select(0, rows)
        return self._inputs

    @property
    def targets(self) -> Tensor:
        """The targets of the outputs, [n, ...]."""
        if self._targets is None:
            assert self._chosen is not None
            whole, rows = self._chosen
            self._targets = whole.targets.index_select(0, rows)
        return self._targets

    @property
    def weight(self) -> float:
        """What the data counts: the number of samples, or Σ_i w_i of a weighted cross-entropy.

        1 where nothing counts in a part of the data.
        """
        if self._counts_samples:
            return self.samples
        if self._weight is None:
            self._weight = divisor_of(weight_of(self.loss, self.targets))
        return self._weight

    def sparse_samples(self) -> SparseSamples:
        """Return the data in the order used by the shared first layer."""
        if self._sparse is None:
            if self.inputs.is_cuda:  # sorting gains nothing where launches cost more than zeros
                self._sparse = self.samples_as_they_are()
            elif self._chosen is None:
                self._sparse = SparseSamples.of(self.inputs, self.targets)
            else:
                whole, rows = self._chosen
                self._sparse = whole.sparse_samples().at(rows)
        return self._sparse

    def samples_as_they_are(self) -> SparseSamples:
        """Return the data in its own order, with all its features."""
        if self._plain is None:
            self._plain = SparseSamples.as_they_are(self.inputs, self.targets)
        return self._plain

    def chunks(self, size: int) -> Iterator[Pair]:
        """Yield the inputs and targets, `size` samples after another."""
        return zip(self.inputs.split(size), self.targets.split(size), strict=True)

    def some(self, count: int) -> Pair:
        """Return up to `count` samples, evenly spaced in the data."""
        rows = torch.linspace(0, self.samples - 1, min(count, self.samples)).round().long()
        rows = rows.to(self.inputs.device)
        return self.inputs[rows], self.targets[rows]

    def summed(self, module: nn.Module, batch: Pair) -> Tensor:
        """Return the sum of a batch's losses."""
        return self.loss(module(batch[0]), batch[1])

    def refuse_misfit(self, module: nn.Module) -> None:
        """Refuse inputs that the module cannot be called on."""
        refuse_misfit(module, self.some(2)[0])

    def response(self, module: nn.Module, batch: Pair) -> Tensor:
        """Return what the module makes of a batch: its outputs, or [1] if they are several."""
        return outputs_or_loss(module(batch[0]), batch[1], self.loss)

    def content(self, batch: Pair) -> Pair:
        """Return what a function of the user's takes: inputs and targets."""
        return batch

    def outputs_and_losses(
        self, module: nn.Module, size: int
    ) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor]]]:
        """Yield each chunk's outputs and its summed loss as a function of them."""
        for inputs, targets in self.chunks(size):
            yield module(inputs), loss_given(self.loss, targets)

    def weight_of(self, batch: Pair) -> float:
        """Return what a batch counts."""
        return len(batch[1]) if self._counts_samples else weight_of(self.loss, batch[1])

    def check_mean(self, module: nn.Module, batch: Pair, value: float) -> None:
        """Refuse a loss that is no mean over samples, from its sum `value` over a batch."""
        pairs = zip(*(part.split(2) for part in batch), strict=True)
        sums = [float(self.summed(module, pair)) for pair in pairs]
        refuse_no_mean(value, sums, len(batch[1]), next(module.parameters()).dtype)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy or a file: these rows, without derived data."""
        own = {"_inputs": self.inputs, "_targets": self.targets, "_chosen": None, "_sparse": None}
        return {**self.__dict__, **own, "_plain": None}
