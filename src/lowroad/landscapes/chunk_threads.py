"""Chunks of data evaluated side by side, each on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import torch
from torch import Tensor, nn

from lowroad.landscapes.flat_module import FlatModule

R = TypeVar("R")
Chunk = tuple[Tensor, Tensor]
AT_ONCE = 8  # chunks at most: each needs memory
WAITING = 4  # results for each thread that may wait to be taken
UNITS = 64  # of a recurrent layer, at most: with 128, threads of their own gain nothing


def gains_from_threads(module: nn.Module, device: torch.device) -> bool:
    """Return whether a module's chunks are better evaluated side by side.

    Measured: on a CPU, with narrow recurrent layers, whose steps are too small for several threads.
    Hooks may not be called from several threads.
    """
    parts = list(module.modules())
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in parts)
    widths = [m.hidden_size for m in parts if isinstance(m, nn.RNNBase)]
    return device.type == "cpu" and not hooked and 0 < max(widths, default=0) <= UNITS


def on_threads(
    model: FlatModule, chunks: Sequence[Chunk], evaluate: Callable[[FlatModule, Chunk], R]
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

    def on_a_copy(chunk: Chunk) -> R:
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
