"""How many samples are evaluated at once: what stays in a processor's cache, or fills a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# On a CPU: gradients of LSTM and LeNet take 1.2 to 1.5 times as long by 1,000.
CACHED = 250

# On a GPU a chunk should take much longer than its launches, and several processes share a device.
SHARE = 16  # of the device's memory, for a chunk's activations and their gradients
COPIES = 3  # of what is saved for the gradient: that, its gradients, and what is not saved

_SAMPLES = 2, 32  # compared, so that parameters do not count


MOST_OUTPUTS = 400_000_000  # of a first convolution for all samples, of which a line keeps two


def shares_convolutions(device: torch.device) -> bool:
    """Return whether the outputs of a first convolution are kept along lines.

    On a CPU they would not fit beside the caches: 60,000 images take LeNet's 1.1 GB twice.
    """
    return device.type == "cuda"


def default_chunk(summed: Callable[[int], Tensor], device: torch.device) -> int:
    """Return how many samples are evaluated at once on a device.

    Args:
        summed: the summed loss of so many samples, with its graph.
        device: where they are.
    """
    if device.type != "cuda":
        return CACHED
    memory = torch.cuda.get_device_properties(device).total_memory
    return fitting(saved_bytes(summed), memory)


def fitting(bytes_of_sample: float, memory: int) -> int:
    """Return how many samples of so many saved bytes fit in the share of a device's memory.

    >>> fitting(160_000, 80 * 10**9), fitting(10**9, 80 * 10**9)
    (5208, 250)
    """
    return max(CACHED, int(memory / (SHARE * COPIES * max(bytes_of_sample, 1.0))))


def saved_bytes(summed: Callable[[int], Tensor]) -> float:
    """Return how many bytes a sample's loss keeps for the gradient, by those of 2 and of 32.

    >>> x = torch.ones(32, 10, requires_grad=True)
    >>> saved_bytes(lambda n: x[:n].exp().sum())  # exp keeps its 10 float32 results
    40.0
    """
    few, many = (_kept(summed, samples) for samples in _SAMPLES)
    return (many - few) / (_SAMPLES[1] - _SAMPLES[0])


def _kept(summed: Callable[[int], Tensor], samples: int) -> int:
    sizes: dict[int, int] = {}

    def keep(saved: Tensor) -> Tensor:
        sizes[saved.data_ptr()] = saved.numel() * saved.element_size()
        return saved

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        summed(samples)
    return sum(sizes.values())
