"""Batches of any form, read again and again in one order: lists, data sets, loaders."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, default_collate

Groups = list[list[int]]

ONCE = (
    "expected data that can be read again and again, got {}, which can be read once: give a list "
    "of batches, a Dataset or a DataLoader"
)
AUGMENTED = (
    "{} samples, so the value at a point depends on more than the point: give the data without "
    "random augmentation, or a list of augmented batches made once"
)


@dataclass(frozen=True)
class Batches:
    """Pieces of data that can be chosen from, and which of them go together.

    Attributes:
        read: yields what the module takes for each group of pieces.
        groups: the numbers of the pieces in each batch.
        whole: whether a piece is a batch that cannot be cut; else it is a sample.
    """

    read: Callable[[Groups], Iterator[Any]]
    groups: Groups
    whole: bool = False

    @cached_property  # mini-batches are drawn from them again and again
    def units(self) -> list[int]:
        """The numbers of all pieces, in their order."""
        return [unit for group in self.groups for unit in group]

    @property
    def size(self) -> int:
        """The number of pieces in the largest batch."""
        return max(map(len, self.groups))

    def at(self, units: Sequence[int], size: int) -> Batches:
        """Return some of the pieces, `size` in a batch; whole batches stay by themselves."""
        size = 1 if self.whole else size
        groups = [list(units[i : i + size]) for i in range(0, len(units), size)]
        return replace(self, groups=groups)

    def __iter__(self) -> Iterator[Any]:
        return self.read(self.groups)


@dataclass(frozen=True)
class Stream:
    """Batches that come in one order and cannot be chosen from."""

    source: Iterable[Any]
    most: int | None = None
    """How many batches are read; all by default."""

    def __iter__(self) -> Iterator[Any]:
        with torch.random.fork_rng(devices=[]):  # loaders draw a seed for their workers
            batches = iter(self.source)
        for i, batch in enumerate(batches):
            if i == self.most:
                return
            yield batch


def batches_of(data: Any, size: int) -> Batches | Stream:
    """Return the batches of what a user gives.

    Args:
        data: a tensor, tuple or mapping of tensors [n, ...] (all of the data); a list of batches; a
            `torch.utils.data.Dataset`; a `DataLoader`; anything else that can be iterated again.
        size: samples in a batch where the data has no batches of its own.

    Raises:
        TypeError: for data of another kind, or data that can be read only once.
        ValueError: for no data, or a sampler that draws other samples each time.
    """
    if isinstance(data, DataLoader):
        return _of_loader(data)
    if isinstance(data, Tensor | tuple | Mapping):
        samples = sliceable(data)
        if samples is None:
            return Batches(_Pieces([data], [1], whole=True), [[0]], whole=True)
        return Batches(_Pieces([data], [samples]), _consecutive(samples, size))
    if isinstance(data, list):
        if not data:
            raise ValueError("expected batches, got an empty list")
        counts = [sliceable(batch) for batch in data]
        # such as token sequences that are padded in each batch to its longest
        differ = len({_kind_of_sample(batch) for batch in data}) > 1
        if differ or any(count is None for count in counts):
            ones = [1] * len(data)
            groups = [[i] for i in range(len(data))]
            return Batches(_Pieces(data, ones, whole=True), groups, whole=True)
        sizes = [count for count in counts if count is not None]
        ends = torch.tensor(sizes).cumsum(0).tolist()
        return Batches(
            _Pieces(data, sizes),
            [list(range(end - n, end)) for end, n in zip(ends, sizes, strict=True)],
        )
    if isinstance(data, IterableDataset):
        return _of_loader(DataLoader(data, batch_size=size))
    if (
        not isinstance(data, str | bytes)
        and hasattr(data, "__getitem__")
        and hasattr(data, "__len__")
    ):
        return _of_loader(DataLoader(data, batch_size=size))
    if isinstance(data, Iterator):
        raise TypeError(ONCE.format(type(data).__name__))
    if isinstance(data, Iterable) and not isinstance(data, str | bytes):
        return Stream(data)
    raise TypeError(
        f"expected tensors, a list of batches, a Dataset or a DataLoader, got {type(data).__name__}"
    )


def _consecutive(samples: int, size: int) -> Groups:
    return [list(range(i, min(i + size, samples))) for i in range(0, samples, size)]


def _of_loader(loader: DataLoader[Any]) -> Batches | Stream:
    if isinstance(loader.dataset, IterableDataset):
        return Stream(loader)
    if len(loader.dataset) == 0:  # type: ignore[arg-type]
        raise ValueError("expected data, got a data set of length 0")
    reader = _Loader(loader)
    if loader.batch_sampler is None:  # without batching: every item is a batch
        return Batches(reader, [[unit] for unit in _fixed(loader, loader.sampler)], whole=True)
    if loader.batch_size is not None:  # drop_last leaves out others at every shuffle: none here
        units = _fixed(loader, loader.sampler)
        return Batches(reader, [units]).at(units, loader.batch_size)
    groups = _fixed(loader, loader.batch_sampler)
    if isinstance(groups[0], int):  # they were shuffled
        with _kept_generators(loader):
            size = max(len(group) for group in loader.batch_sampler)
        return Batches(reader, [groups]).at(groups, size)
    return Batches(reader, groups)


def _fixed(loader: DataLoader[Any], sampler: Iterable[Any]) -> list[Any]:
    """Return what a sampler draws, if it is always the same, or the same samples sorted."""
    with _kept_generators(loader):
        first, second = list(sampler), list(sampler)
    if first == second:
        return first
    drawn, again = (sorted(_flat(each)) for each in (first, second))
    if drawn != again:
        raise ValueError(
            f"{type(loader.sampler).__name__} draws other samples each time, so there is no fixed "
            "set of data: give a loader that reads each sample once, and weights by weight=…"
        )
    warnings.warn(
        "the loader shuffles; a landscape reads all of its samples in their fixed order",
        stacklevel=6,  # the caller of NetworkLandscape
    )
    return drawn


def _flat(drawn: list[Any]) -> list[int]:
    return [unit for each in drawn for unit in (each if isinstance(each, list | tuple) else [each])]


@contextmanager
def _kept_generators(loader: DataLoader[Any]) -> Iterator[None]:
    """Put back the random generators that samplers draw from."""
    inner = getattr(loader.batch_sampler, "sampler", None)
    own = (loader.generator, *(getattr(s, "generator", None) for s in (loader.sampler, inner)))
    states = [(g, g.get_state()) for g in own if isinstance(g, torch.Generator)]
    with torch.random.fork_rng(devices=[]):
        yield
    for generator, state in states:
        generator.set_state(state)


@dataclass(frozen=True)
class _Pieces:
    """Reads groups of samples from batches that are in memory."""

    batches: Sequence[Any]
    sizes: Sequence[int]
    whole: bool = False

    def __call__(self, groups: Groups) -> Iterator[Any]:
        if self.whole:
            yield from (self.batches[unit] for group in groups for unit in group)
            return
        ends = torch.tensor(self.sizes).cumsum(0)
        for group in groups:
            units = torch.tensor(group)
            owners, counts = torch.bucketize(units, ends, right=True).unique_consecutive(
                return_counts=True
            )
            parts = []
            for k, own in zip(owners.tolist(), units.split(counts.tolist()), strict=True):
                rows = own - (int(ends[k]) - self.sizes[k])
                parts.append(_rows(self.batches[k], rows))
            yield parts[0] if len(parts) == 1 else _joined(parts)


@dataclass(frozen=True)
class _Loader:
    """Reads groups of samples as a loader does: its data set, its collation, its workers."""

    loader: DataLoader[Any]

    def __call__(self, groups: Groups) -> Iterator[Any]:
        own = self.loader
        dataset, collate = own.dataset, own.collate_fn or default_collate
        if own.batch_sampler is None:
            yield from (collate(dataset[unit]) for group in groups for unit in group)
        elif not own.num_workers or len(groups) == 1:
            yield from (_fetched(dataset, group, collate) for group in groups)
        else:
            yield from DataLoader(
                dataset,
                batch_sampler=groups,
                collate_fn=collate,
                num_workers=own.num_workers,
                prefetch_factor=own.prefetch_factor,
                timeout=own.timeout,
                worker_init_fn=own.worker_init_fn,
                multiprocessing_context=own.multiprocessing_context,
                generator=torch.Generator().manual_seed(0),
            )


def _fetched(dataset: Any, group: list[int], collate: Callable[[list[Any]], Any]) -> Any:
    if hasattr(dataset, "__getitems__"):
        return collate(dataset.__getitems__(group))
    return collate([dataset[unit] for unit in group])


def sliceable(batch: Any) -> int | None:
    """Return the number of samples of a batch of tensors [n, ...]; None if it is no such batch."""
    counts: set[int | None] = set()

    def count(value: Any) -> Any:
        counts.add(len(value) if isinstance(value, Tensor) and value.ndim else None)
        return value

    mapped(count, batch)
    return counts.pop() if len(counts) == 1 else None


def _kind_of_sample(batch: Any) -> Any:
    """Return what the samples of batches have in common that can be put together."""
    return tuple(
        (value.shape[1:], value.dtype) if isinstance(value, Tensor) else None
        for value in leaves(batch)
    )


def _rows(batch: Any, rows: Tensor) -> Any:
    first, last = int(rows[0]), int(rows[-1])
    if bool((rows == torch.arange(first, first + len(rows))).all()):  # a view, not a copy
        return mapped(lambda value: value[first : last + 1], batch)
    return mapped(lambda value: value.index_select(0, rows.to(value.device)), batch)


def _joined(parts: list[Any]) -> Any:
    others = [iter(leaves(part)) for part in parts[1:]]
    return mapped(lambda value: torch.cat([value, *(next(other) for other in others)]), parts[0])


def leaves(batch: Any) -> list[Any]:
    """Return what a batch consists of, in order."""
    found: list[Any] = []

    def add(value: Any) -> Any:
        found.append(value)
        return value

    mapped(add, batch)
    return found


def mapped(function: Callable[[Any], Any], batch: Any) -> Any:
    """Return the batch with a function applied to all that it consists of.

    Mappings, tuples and lists of any depth keep their types.
    """
    if isinstance(batch, Mapping):
        values = {key: mapped(function, value) for key, value in batch.items()}
        if type(batch) is dict or not hasattr(batch, "update"):
            return values
        made = copy.copy(batch)
        made.update(values)
        return made
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(mapped(function, value) for value in batch))
    if isinstance(batch, tuple | list):
        return type(batch)(mapped(function, value) for value in batch)
    return function(batch)
