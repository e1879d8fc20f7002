"""Where a task's arithmetic happens: on the processor, or on a CUDA device of its own worker."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lowroad.execution.events import worker_number

Device = Literal["cpu", "auto"]
"""`"cpu"`, or `"auto"`: a CUDA device where there is one."""

CPU = torch.device("cpu")


def device_of(choice: Device) -> torch.device:
    """Return the device of this worker: the k-th local one has the k-th, in turn.

    Other workers have the first one that they see: SLURM and dask's own options say which.
    """
    if choice == "cpu" or not torch.cuda.is_available():
        return CPU
    return torch.device("cuda", worker_number() % torch.cuda.device_count())


def moved(state: Any, device: torch.device) -> Any:
    """Return a snapshot with its points on `device`; states of generators stay where they are.

    >>> moved({"points": [torch.ones(2)], "epoch": 3}, CPU)
    {'points': [tensor([1., 1.])], 'epoch': 3}
    """
    if isinstance(state, Tensor):
        return state.to(device) if state.is_floating_point() else state
    if isinstance(state, dict):
        return {key: moved(value, device) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(moved(value, device) for value in state)
    return state
