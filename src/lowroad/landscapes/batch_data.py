"""Batches and an objective, as a network's landscape reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lowroad.landscapes.batches import (
    AUGMENTED,
    ONCE,
    Batches,
    Stream,
    batches_of,
    leaves,
    mapped,
    sliceable,
)
from lowroad.landscapes.losses import (
    NOTHING_COUNTS,
    Loss,
    divisor_of,
    loss_given,
    outputs_or_loss,
    weight_of,
)
from lowroad.landscapes.network_data import refuse_misfit
from lowroad.landscapes.random_states import random_states
from lowroad.landscapes.repeatable import differ, equal, refuse_no_mean
from lowroad.seeds import derived_seed

Objective = Callable[[nn.Module, Any], Tensor]
Weight = Callable[[Any], Any]


@dataclass(frozen=True)
class Batch:
    """What the module takes, and the number that its randomness is seeded by."""

    content: Any
    key: int


class BatchData:
    """Batches with an objective: the value is Σ_b w_b l_b / Σ_b w_b.

    Attributes:
        samples: how many there are; batches, where a batch cannot be cut into samples.
        units: how many pieces mini-batches are drawn from.
        size: how many of them are in a batch.
        whole: whether such a piece is a batch that cannot be cut.
    """

    def __init__(
        self,
        data: Any,
        size: int,
        device: torch.device,
        *,
        loss: Loss | None,
        objective: Objective | None,
        weight: Weight | None,
        seed: int | None,
    ) -> None:
        self._batches = batches_of(data, size)
        self._device, self._seed = device, seed
        self._loss, self._weigh = loss, weight
        self._objective = objective or (_own_loss if loss is None else None)
        self._kept: list[Batch] | None = None
        self._refuse_changing()
        self._weight, self.samples = self._counted()
        if not self._weight > 0:
            raise ValueError(NOTHING_COUNTS.format(self.samples))
        self._set_units()

    def _set_units(self) -> None:
        self.units, self.size, self.whole = self.samples, 1, False
        if isinstance(self._batches, Batches):
            self.units, self.size = len(self._batches.units), self._batches.size
            self.whole = self._batches.whole

    def _refuse_changing(self) -> None:
        for some in self._probes():
            (first, drawn), (second, again) = (_read_and_drawn(some) for _ in range(2))
            if not first:
                if isinstance(some, Stream):
                    raise TypeError(ONCE.format("data that has no batches or"))
                raise ValueError("expected data, got none")
            if len(first) != len(second):
                raise TypeError(ONCE.format(f"{len(first)} batches and then {len(second)}, data"))
            for one, other in zip(first, second, strict=True):
                if len(one) != len(other) or not all(map(_same, one, other)):
                    raise ValueError(AUGMENTED.format("two passes over the data gave different"))
            if drawn != again:
                raise ValueError(AUGMENTED.format("random numbers are drawn to read the"))

    def _probes(self) -> Iterator[Batches | Stream]:
        """Yield small parts of the data: its first, middle and last samples or batches."""
        if isinstance(self._batches, Stream):
            yield Stream(self._batches.source, most=2)
            return
        units = self._batches.units
        for place in sorted({0, len(units) // 2, len(units) - 1}):
            yield self._batches.at(units[place : place + 4], 4)

    def _counted(self) -> tuple[float, int]:
        """Return Σ_b w_b and the number of samples, reading the data only where that is needed."""
        known = isinstance(self._batches, Batches) and not self._batches.whole
        if known and self._weigh is None and self._loss is None:
            assert isinstance(self._batches, Batches)
            samples = len(self._batches.units)
            return samples, samples
        total, samples = 0.0, 0
        for batch in self.chunks(None):
            total += self.weight_of(batch)
            samples += sliceable(batch.content) or 1
        return total, samples

    @property
    def weight(self) -> float:
        """Σ_b w_b, or 1 where nothing counts in a part of the data."""
        return divisor_of(self._weight)

    def _part(self, batches: Batches | Stream, keep: bool = False) -> BatchData:
        other = object.__new__(BatchData)
        other.__dict__.update(self.__dict__)
        other._batches = batches
        other._kept = None
        if keep:
            other._kept = list(other.chunks(None))
        other._weight, other.samples = other._counted()
        other._set_units()
        return other

    def at(self, rows: Tensor) -> BatchData:
        """Return some of the pieces as one batch, read once; batches that cannot be cut stay apart.

        Raises:
            TypeError: when the data comes in one order only.
        """
        if isinstance(self._batches, Stream):
            raise TypeError(
                "these batches come in one order, so mini-batches cannot be drawn from them: give "
                "a Dataset with __len__ and __getitem__, a DataLoader of one, or a list of batches"
            )
        units = self._batches.units
        chosen = self._batches.at([units[i] for i in rows.tolist()], len(rows))
        return self._part(chosen, keep=True)

    def first(self, samples: int) -> BatchData:
        """Return the first samples, or as many whole batches as hold them."""
        if isinstance(self._batches, Batches) and not self._batches.whole:
            units = self._batches.units[:samples]
            return self._part(self._batches.at(units, self.size))
        count, batches = 0, 0
        for batch in self.chunks(None):
            count, batches = count + (sliceable(batch.content) or 1), batches + 1
            if count >= samples:
                break
        if isinstance(self._batches, Stream):
            return self._part(Stream(self._batches.source, most=batches))
        return self._part(self._batches.at(self._batches.units[:batches], 1))

    def chunks(self, size: int | None) -> Iterator[Batch]:
        """Yield the batches, of `size` pieces where that is not their own size."""
        if self._kept is not None and size in (None, self.size):
            yield from self._kept
            return
        batches = self._batches
        keys: Any = None
        if isinstance(batches, Batches):
            if size not in (None, batches.size):
                batches = batches.at(batches.units, size)
            keys = (group[0] for group in batches.groups)
        for i, content in enumerate(batches):
            yield Batch(self._moved(content), i if keys is None else next(keys))

    def _moved(self, content: Any) -> Any:
        def to_device(value: Any) -> Any:
            return value.to(self._device) if isinstance(value, Tensor) else value

        return mapped(to_device, content)

    def some(self, count: int) -> Batch:
        """Return up to `count` samples, evenly spaced in the data, or the first whole batch."""
        if isinstance(self._batches, Stream) or self._batches.whole:
            return next(iter(self.chunks(None)))
        units = self._batches.units
        rows = torch.linspace(0, len(units) - 1, min(count, len(units))).round().long().tolist()
        return self._batch([units[i] for i in rows])

    def _batch(self, units: list[int]) -> Batch:
        assert isinstance(self._batches, Batches)
        (content,) = self._batches.at(units, len(units))
        return Batch(self._moved(content), units[0])

    def weight_of(self, batch: Batch) -> float:
        """Return w_b, what a batch counts.

        Raises:
            ValueError: when it is not a number above zero, or cannot be told.
        """
        if self._weigh is not None:
            given = self._weigh(batch.content)
            try:
                weight = float(given)
            except (TypeError, ValueError):
                weight = math.nan
            if not 0 < weight < math.inf:
                shown = weight if isinstance(given, int | float | Tensor) else type(given).__name__
                raise ValueError(
                    f"expected weight(batch) to be a number above zero, got {shown} for the batch "
                    f"that begins with sample {batch.key}: leave such batches out of the data"
                )
            return weight
        if self._loss is not None:
            return weight_of(self._loss, _pair(batch.content)[1])
        samples = sliceable(batch.content)
        if samples is not None:
            return samples
        if isinstance(self._batches, Batches) and len(self._batches.units) == 1:
            return 1  # whatever it counts, it is all
        raise ValueError(
            "expected batches of tensors with one number of samples, [n, ...] each, got others: "
            "say what a batch counts by weight=lambda batch: …"
        )

    def summed(self, module: nn.Module, batch: Batch) -> Tensor:
        """Return w_b l_b, as float64.

        Raises:
            TypeError: when the objective does not return a tensor.
            ValueError: when it is not one number, or there is no objective.
        """
        if self._loss is not None:
            inputs, targets = _pair(batch.content)
            return self._loss(module(inputs), targets)
        return self._mean(module, batch).double() * self.weight_of(batch)

    def _mean(self, module: nn.Module, batch: Batch) -> Tensor:
        assert self._objective is not None
        with self._seeded(batch.key):
            value = self._objective(module, batch.content)
        if not isinstance(value, Tensor) or value.is_complex():
            raise TypeError(
                "expected the objective to return the batch's mean loss as a real tensor, got "
                f"{getattr(value, 'dtype', type(value).__name__)}: "
                "return it without .item() or float()"
            )
        if value.numel() != 1:
            raise ValueError(
                "expected the objective to return one number, the batch's mean loss, got a tensor "
                f"of shape {list(value.shape)}: return loss.mean()"
            )
        return value.reshape(())

    @contextmanager
    def _seeded(self, key: int) -> Iterator[None]:
        """Give the objective the same random numbers for this batch at every point."""
        if self._seed is None:
            yield
            return
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(derived_seed(self._seed, key))
            yield

    def refuse_misfit(self, module: nn.Module) -> None:
        """Refuse inputs that the module cannot be called on; an objective is the user's own."""
        if self._loss is None:
            return
        inputs, _ = _pair(self.some(2).content)
        refuse_misfit(module, inputs)

    def response(self, module: nn.Module, batch: Batch) -> Tensor:
        """Return what the module makes of a batch: its outputs, or the objective's value [1]."""
        if self._loss is not None:
            inputs, targets = _pair(batch.content)
            return outputs_or_loss(module(inputs), targets, self._loss)
        return self._mean(module, batch).reshape(1)

    def outputs_and_losses(
        self, module: nn.Module, size: int | None
    ) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor]]]:
        """Yield each chunk's outputs and its summed loss as a function of them."""
        if self._loss is None:
            raise TypeError(
                "an objective is no function of outputs alone: take matrix='hessian', or give "
                "batches (inputs, targets) and loss=…"
            )
        for batch in self.chunks(size):
            inputs, targets = _pair(batch.content)
            yield module(inputs), loss_given(self._loss, targets)

    def content(self, batch: Batch) -> Any:
        """Return what a function of the user's takes: the batch as it was read."""
        return batch.content

    def check_mean(self, module: nn.Module, batch: Batch, value: float) -> None:
        """Refuse a loss that is no mean over samples, from w_b l_b of one batch.

        An objective may treat the samples of a batch together, but may not be their sum.
        """
        if isinstance(self._batches, Stream) or self._batches.whole or self._kept is not None:
            return
        units = self._batches.units
        count = len(leaves(batch.content)[0])
        rows = torch.linspace(0, len(units) - 1, count).round().long().tolist()
        units = [units[i] for i in rows]
        if self._loss is not None:
            pairs = [self._batch(units[i : i + 2]) for i in range(0, count, 2)]
            sums = [float(self.summed(module, pair).detach()) for pair in pairs]
            refuse_no_mean(value, sums, count, next(module.parameters()).dtype)
        elif count > 1:
            halves = [self._batch(part) for part in (units[: count // 2], units[count // 2 :])]
            means = [float(self._mean(module, half).detach()) for half in halves]
            mean = value / self.weight_of(batch)
            weighed = [self.weight_of(half) * m for half, m in zip(halves, means, strict=True)]
            if differ(value, sum(weighed), 1e-2) and not differ(mean, sum(means), 1e-3):
                raise ValueError(
                    f"expected the objective to return a batch's mean loss, but that of {count} "
                    f"samples, {mean:.6g}, is the sum of those of its halves: return the mean"
                )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}


def _pair(content: Any) -> tuple[Any, Any]:
    if isinstance(content, tuple | list) and len(content) == 2:
        if isinstance(content[1], int | float) or getattr(content[1], "ndim", None) == 0:
            raise ValueError(
                "expected batches (inputs [n, …], targets [n, …]), got one sample in each: a list "
                "holds batches, so give torch.utils.data.DataLoader(samples, batch_size=…)"
            )
        return content[0], content[1]
    got = f"a {type(content).__name__}"
    if isinstance(content, Mapping):
        got += f" of {', '.join(map(repr, content))}"
    elif isinstance(content, tuple | list):
        got += f" of {len(content)}"
    raise TypeError(
        f"a loss of outputs and targets needs batches (inputs, targets), got {got}: give "
        "objective=lambda module, batch: …, the mean loss of the batch"
    )


def _own_loss(module: nn.Module, content: Any) -> Tensor:
    """Return the loss that a module computes itself, in the convention of Hugging Face."""
    if isinstance(content, Mapping):
        try:
            output = module(**content)
        except TypeError as error:
            raise TypeError(
                f"{type(module).__name__} does not take a batch as keywords ({error}): give "
                "objective=lambda module, batch: …, the mean loss of the batch"
            ) from error
        loss = named(output, "loss")
        if isinstance(loss, Tensor):
            return loss
        advice = (
            f"{type(module).__name__} returned no loss for a batch of "
            f"{', '.join(map(repr, content))}: put the labels into the batch, or give"
        )
    else:
        advice = "expected a loss, such as 'cross_entropy' for batches (inputs, targets), or"
    raise ValueError(f"{advice} objective=lambda module, batch: …, the mean loss of the batch")


def named(output: Any, name: str) -> Any:
    """Return what a module returned by a name, as an entry or as an attribute; None without it."""
    return output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)


def _read_and_drawn(some: Batches | Stream) -> tuple[list[list[Any]], list[bytes]]:
    """Return what batches consist of, and how far random generators have gone when they are read.

    Two passes leave the same states where nothing is drawn, or where each sample seeds the
    generators for itself. A transform that changes a sample once in a thousand times draws every
    time. PyTorch's generator is left out for streams, since loaders within them draw from it.
    """
    content = [leaves(batch) for batch in some]
    if isinstance(some, Stream):
        return content, random_states(some.source, torchs=False)
    return content, random_states(some.read, torchs=True)


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return equal(first, second)
    try:
        return bool(first == second)
    except (RuntimeError, TypeError, ValueError):  # objects that cannot be compared
        return True
