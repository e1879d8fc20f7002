"""Writing safetensors files of large tensors part by part."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lowroad.study.files import replacing

TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}


class Parts(NamedTuple):
    """A tensor that is made part by part along its first axis.

    Attributes:
        dtype: its type.
        shape: its shape.
        parts: the parts in their order.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    parts: Iterable[Tensor]

    @property
    def bytes(self) -> int:
        """How much room it takes."""
        count = self.dtype.itemsize
        for size in self.shape:
            count *= size
        return count


def write_tensors(path: Path, tensors: Mapping[str, Parts], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file; it is there as a whole or not at all.

    Raises:
        OSError: when it cannot be written.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    place = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + tensor.bytes],
        }
        place += tensor.bytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            for part in tensor.parts:
                own = part.detach().to("cpu", tensor.dtype).contiguous()
                file.write(own.view(torch.uint8).reshape(-1).numpy().data)


def check_room(path: Path, needed: int) -> None:
    """Refuse to write more bytes than the disk has room for.

    Raises:
        ValueError: naming both numbers.
    """
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(f"{path} needs {needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free")
