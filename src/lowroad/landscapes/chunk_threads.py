"""Chunks of data, or points, evaluated side by side, each on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from lowroad.landscapes.flat_module import FlatModule
from lowroad.landscapes.landscape import PointwiseLandscape

if TYPE_CHECKING:
    from lowroad.landscapes.network import NetworkLandscape

Task = tuple["NetworkLandscape", Tensor]
R = TypeVar("R")
C = TypeVar("C")
AT_ONCE = 8  # chunks at most: each needs memory
WAITING = 4  # results for each thread that may wait to be taken
UNITS = 64  # of a recurrent layer, at most: with 128, threads of their own gain nothing
CHANNELS = 16  # of a convolution, at most, on images of at most
PIXELS = 1024  # in each channel: 250 of them are 16 MB in each layer


def gains_from_threads(module: nn.Module, inputs: Tensor) -> bool:
    """Return whether a module's chunks of `inputs` [n, ...] are better evaluated side by side.

    Measured: on a CPU, with narrow recurrent layers and with convolutions of few channels on small
    images, whose steps are too small for several threads. Hooks may not be called from several
    threads.
    """
    parts = list(module.modules())
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in parts)
    widths = [m.hidden_size for m in parts if isinstance(m, nn.RNNBase)]
    convolutions = [m for m in parts if isinstance(m, nn.Conv2d)]
    channels = [max(m.in_channels, m.out_channels) for m in convolutions]
    narrow = max(widths, default=0) <= UNITS and max(channels, default=0) <= CHANNELS
    small = not channels or inputs[0].numel() <= PIXELS * convolutions[0].in_channels
    plain = inputs.device.type == "cpu" and not hooked
    return plain and bool(widths + channels) and narrow and small


def on_threads(
    model: FlatModule, chunks: Sequence[C], evaluate: Callable[[FlatModule, C], R]
) -> Iterator[R]:
    """Yield `evaluate(model, chunk)` of each chunk, in their order, at the model's point.

    Several chunks share the threads that PyTorch would use for one, at most 8. Each thread has a
    copy of the model and works alone, so the result is that of one thread, whatever their number.
    """
    allowed = torch.get_num_threads()
    threads = min(allowed, len(chunks), AT_ONCE)
    if threads < 2 or torch.is_inference_mode_enabled() or torch.is_autocast_enabled("cpu"):
        yield from (evaluate(model, chunk) for chunk in chunks)
        return
    free: SimpleQueue[FlatModule] = SimpleQueue()
    for copy in model.copies(threads):
        copy.move_to(model.vector)
        free.put(copy)

    def on_a_copy(chunk: C) -> R:
        copy = free.get()
        try:
            return evaluate(copy, chunk)
        finally:
            free.put(copy)

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for first in range(0, len(chunks), WAITING * threads):
                yield from pool.map(on_a_copy, chunks[first : first + WAITING * threads])
    finally:
        torch.set_num_threads(allowed)  # the pool's has become that of new threads


class PointsOnThreads(PointwiseLandscape):
    """A landscape whose i-th point is evaluated on the i-th of several, points side by side."""

    def __init__(self, model: FlatModule, landscapes: Sequence[NetworkLandscape]) -> None:
        super().__init__(landscapes)
        self._model, self._own = model, landscapes

    def values(self, points: Tensor) -> Tensor:
        """Return L_i(x_i) [n]."""
        return torch.cat(list(on_threads(self._model, self._tasks(points), _value)))

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i(x_i) [n] and their gradients [n, d]."""
        pairs = list(on_threads(self._model, self._tasks(points), _value_and_gradient))
        return torch.cat([h for h, _ in pairs]), torch.cat([g for _, g in pairs])

    def _tasks(self, points: Tensor) -> list[Task]:
        self.check_points(points)
        return list(zip(self._own, points, strict=True))


def _value(model: FlatModule, task: Task) -> Tensor:
    landscape, point = task
    return landscape.evaluated_by(model).values(point[None])


def _value_and_gradient(model: FlatModule, task: Task) -> tuple[Tensor, Tensor]:
    landscape, point = task
    return landscape.evaluated_by(model).values_and_gradients(point[None])
