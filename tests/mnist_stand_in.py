"""A tiny set in the form of MNIST, for tests of where the data comes from."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from lowroad.paper.mnist import Mnist


def idx(array: np.ndarray) -> bytes:
    """Return an IDX file of bytes, [n, 28, 28] or [n]."""
    kind = {3: 0x803, 1: 0x801}[array.ndim]
    return struct.pack(f">{1 + array.ndim}i", kind, *array.shape) + array.tobytes()


def make_arrays() -> dict[str, np.ndarray]:
    """Return 60 training images and 30 test images of noise, with their labels."""
    rng = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": rng.integers(0, 256, (60, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": (np.arange(60) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (30, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": (np.arange(30) % 10).astype(np.uint8),
    }


def put(contents: dict[str, bytes], folder: Path, *, gzipped: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if gzipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def check(loaded: Mnist, arrays: dict[str, np.ndarray]) -> None:
    for part, prefix in ((loaded.train, "train"), (loaded.test, "t10k")):
        pixels = arrays[f"{prefix}-images-idx3-ubyte"].reshape(-1, 784)
        np.testing.assert_array_equal(
            part.images.numpy(), pixels.astype(np.float32) / np.float32(255)
        )
        np.testing.assert_array_equal(part.labels.numpy(), arrays[f"{prefix}-labels-idx1-ubyte"])
