"""Points of a landscape from files: vectors and state dicts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lowroad.landscapes import Landscape, NetworkLandscape
from lowroad.problems.problem import Problem

NESTED = ("state_dict", "model_state_dict", "model")  # where training programs put a state dict


class Checkpoint(NamedTuple):
    """What a file holds.

    Attributes:
        point: [d].
        buffers: the module's buffers by name, such as batch norm's running statistics: the state
            dict's, or the landscape's own where the file is a vector.
    """

    point: Tensor
    buffers: dict[str, Tensor]


def read_point(path: Path, landscape: Landscape) -> Tensor:
    """Return the point [d] that a file holds.

    A `.npy` file holds a vector. A `.pt`, `.pth` or `.safetensors` file holds a state dict of the
    landscape's module, by itself or under `state_dict`, `model_state_dict` or `model`, or (`.pt`) a
    vector. Nothing in a file is executed.

    Raises:
        ValueError: when the file is of another kind, is damaged, or does not fit the landscape.
        OSError: when it cannot be read.
    """
    return read_checkpoint(path, landscape).point


def read_checkpoint(path: Path, landscape: Landscape, key: str | None = None) -> Checkpoint:
    """Return the point and the buffers that a file holds, under a key; see `read_point`."""
    kind = path.suffix.lower()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    if kind == ".npy":
        content: Any = torch.from_numpy(_numpy(path))
    elif kind in (".pt", ".pth"):
        content = _pickled(path)
    elif kind == ".safetensors":
        content = _safetensors(path)
    else:
        raise ValueError(f"{path}: expected a .npy, .pt, .pth or .safetensors file")
    if key is not None:
        if not isinstance(content, Mapping) or key not in content:
            held = ", ".join(map(str, content)) if isinstance(content, Mapping) else "no table"
            raise ValueError(f"{path}: expected the key {key!r}, got {held[:300]}")
        content = content[key]
    if isinstance(content, Mapping):
        content = next((content[k] for k in NESTED if isinstance(content.get(k), Mapping)), content)
    try:
        point = _point(content, landscape)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    state = content if isinstance(content, Mapping) else {}
    own = landscape.module.named_buffers() if isinstance(landscape, NetworkLandscape) else ()
    return Checkpoint(point, {name: state.get(name, b).to(b).clone() for name, b in own})


def _point(content: Any, landscape: Landscape) -> Tensor:
    if isinstance(content, Mapping):
        if not all(isinstance(value, Tensor) for value in content.values()):
            raise ValueError("expected a state dict of tensors, got other things in it")
        if not isinstance(landscape, NetworkLandscape):
            raise ValueError(
                f"a state dict needs a NetworkLandscape, got {type(landscape).__name__}; "
                "give the vector as a .npy file"
            )
        return landscape.point_of(content)
    if not isinstance(content, Tensor) or content.shape != (landscape.dimension,):
        got = list(content.shape) if isinstance(content, Tensor) else type(content).__name__
        raise ValueError(f"expected a vector of shape [{landscape.dimension}], got {got}")
    return content.detach().to(dtype=landscape.dtype, device=landscape.device)


def _numpy(path: Path) -> np.ndarray:
    try:
        vector = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a .npy file of numbers ({error})") from error
    if not np.issubdtype(vector.dtype, np.floating):
        raise ValueError(f"{path}: expected floating-point numbers, got {vector.dtype}")
    return vector.astype(np.float64)  # torch supports neither other byte orders nor longer types


def _pickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path}: cannot be read as tensors only; save the state dict: "
            f"torch.save(model.state_dict(), ...) ({(str(error).splitlines() or [repr(error)])[0]})"
        ) from error


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: not a .safetensors file, or damaged ({error})") from error


def read_solution(
    problem: Problem, path: Path, key: str | None = None, digest: str | None = None
) -> Tensor:
    """Return the point [d] of a problem's training landscape that a file holds; see `read_point`.

    Args:
        problem: whose point it is.
        path: the file.
        key: under which the file's weights are, where it holds more.
        digest: the file's SHA-256, where it is known.

    Raises:
        ValueError: when the file is another one than `digest` says, is damaged, does not fit the
            problem, or holds numbers that are not finite.
        OSError: when it cannot be read.
    """
    if digest is not None and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise ValueError(f"{path}: the file has changed since the study was planned")
    point = read_checkpoint(path, problem.train, key).point
    wrong = int((~torch.isfinite(point)).sum())
    if wrong:
        raise ValueError(f"{path}: expected finite weights, got {wrong} that are not")
    return point
