"""How much is evaluated at once: what stays in a processor's cache, or fills a part of a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# On a CPU: gradients of LSTM and LeNet take 1.2 to 1.5 times as long by 1,000.
CACHED = 250

# On a GPU a chunk should take much longer than its launches, and several processes share a device.
SHARE = 16  # of the device's memory, for a chunk's activations and their gradients
COPIES = 3  # of what is saved for the gradient: that, its gradients, and what is not saved
LINE_SHARE = 8  # of the device's memory, for what a line keeps
FEW, MANY = 2, 32  # samples that are compared, so that parameters do not count


def default_chunk(summed: Callable[[int], Tensor], samples: int, device: torch.device) -> int:
    """Return how many samples are evaluated at once on a device.

    Args:
        summed: the summed loss of so many samples, with its graph.
        samples: how many there are.
        device: where they are.
    """
    if device.type != "cuda" or samples < MANY:
        return CACHED
    try:
        saved = saved_bytes(summed)
    except RuntimeError:  # losses that differentiate by torch.func cannot be watched
        return CACHED
    return fitting(saved, _memory(device))


def fitting(bytes_of_sample: float, memory: int) -> int:
    """Return how many samples of so many saved bytes fit in the share of a device's memory.

    A power of two, so that devices of about the same size have the same chunks.

    >>> fitting(160_000, 80 * 10**9), fitting(10**9, 80 * 10**9)
    (8192, 250)
    """
    most = memory / (SHARE * COPIES * max(bytes_of_sample, 1.0))
    return max(CACHED, 1 << max(0, int(most).bit_length() - 1))


def saved_bytes(summed: Callable[[int], Tensor]) -> float:
    """Return how many bytes a sample's loss keeps for the gradient, by those of 2 and of 32.

    >>> x = torch.ones(32, 10, requires_grad=True)
    >>> saved_bytes(lambda n: x[:n].exp().sum())  # exp keeps its 10 float32 results
    40.0
    """
    return (_kept(summed, MANY) - _kept(summed, FEW)) / (MANY - FEW)


def floats_at_once(device: torch.device, dtype: torch.dtype) -> int:
    """Return how many numbers the outputs of a chunk on a GPU may have."""
    return _memory(device) // (SHARE * COPIES * dtype.itemsize)


def fits_beside(numbers: int, device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether a line may keep so many numbers: on a GPU, if they fit in a part of it.

    On a CPU a line keeps no outputs of a convolution: those of LeNet for 60,000 images are 1.1 GB.
    """
    return device.type == "cuda" and numbers * dtype.itemsize * LINE_SHARE <= _memory(device)


def _memory(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).total_memory


def _kept(summed: Callable[[int], Tensor], samples: int) -> int:
    sizes: dict[int, int] = {}

    def keep(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        summed(samples)
    return sum(sizes.values())
