"""Files of weights, recognized by their content: what they hold, before it is fitted to a model."""

from __future__ import annotations

import json
import math
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

KINDS = "a .npy vector, a file of torch.save, a .safetensors file or the index of a sharded one"
IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")
AGAIN = "copy the file again, or save the weights again"
INDEX_AT_MOST = 2**26  # bytes


def read_content(path: Path) -> Any:
    """Return what a file holds: a NumPy array (mapped, not read), a tensor, or nested tables.

    The kind of file is known by its first bytes, whatever its name. A folder, or its index in JSON,
    stands for the shards that the index names. Nothing in a file is executed.

    Raises:
        ValueError: when it is of another kind, damaged, or holds what cannot be read safely.
        OSError: when it cannot be read.
    """
    if path.is_dir():
        return read_content(_in_folder(path))
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if not path.is_file():
        raise ValueError(f"{path}: expected a regular file")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise ValueError(f"{path}: the file is empty; expected {KINDS}")
    if head.startswith(b"\x93NUMPY"):
        return _numpy(path, size)
    if head.startswith(b"PK"):
        return _zipped(path)
    if head[8:9] == b"{":
        if struct.unpack("<Q", head[:8])[0] > size - 8:
            raise ValueError(f"{path}: the .safetensors file is cut short; {AGAIN}")
        return _safetensors(path)
    if head.lstrip().startswith(b"{"):
        return _sharded(path, size)
    if head.startswith(b"\x80"):
        return _pickled(path, mapped=False)
    if head[257:262] == b"ustar":
        raise ValueError(f"{path}: a tar archive; unpack it and name the file of weights in it")
    raise ValueError(f"{path}: expected {KINDS}, got a file of another kind, or a damaged one")


def _in_folder(path: Path) -> Path:
    found = sorted(path.glob("*.index.json")) or [
        path / name for name in IN_FOLDERS if (path / name).is_file()
    ]
    if len(found) != 1:
        names = ", ".join(each.name for each in found) or "none"
        raise ValueError(
            f"{path}: expected a folder with one *.index.json or {' or '.join(IN_FOLDERS)}, "
            f"got {names}: name the file"
        )
    return found[0]


def _numpy(path: Path, size: int) -> NDArray[Any]:
    again = "save the vector again by numpy.save"
    header = np.lib.format
    try:
        with path.open("rb") as file:
            first = header.read_magic(file) == (1, 0)
            read = header.read_array_header_1_0 if first else header.read_array_header_2_0
            shape, _, dtype = read(file)
            held = size - file.tell()
            needed = math.prod(shape) * dtype.itemsize
            damaged = any(n < 0 for n in shape)
    except OSError:
        raise
    except Exception:  # whatever NumPy's parser makes of damaged bytes
        damaged = True
    if damaged:
        raise ValueError(f"{path}: the header of the .npy file is damaged; {again}")
    if dtype.hasobject:
        raise ValueError(
            f"{path}: the .npy file holds Python objects, which are not read, since that can run "
            "code; save a vector of numbers by numpy.save"
        )
    if needed > held:
        raise ValueError(
            f"{path}: the .npy file is cut short or damaged: its header tells of "
            f"{_of(needed)} bytes of numbers, and {held} are there; {again}"
        )
    if needed == 0:
        return np.zeros(shape, dtype)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _of(count: int) -> str:
    return str(count) if count < 10**15 else "more than 1e15"


def _zipped(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, EOFError):
        raise ValueError(f"{path}: cut short or damaged; {AGAIN}") from None
    names = [entry.filename for entry in entries]
    if names and all(name.endswith(".npy") for name in names):
        raise ValueError(
            f"{path}: an .npz archive of {len(names)} arrays; save the vector alone by numpy.save"
        )
    if any(name.endswith("/constants.pkl") for name in names):
        raise ValueError(
            f"{path}: holds a torch.jit.ScriptModule (TorchScript), which is code; save its "
            f"weights: torch.save(torch.jit.load({path.name!r}).state_dict(), 'weights.pt')"
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError(f"{path}: expected an archive as torch.save writes it, got a packed one")
    return _pickled(path, mapped=True)


def _pickled(path: Path, mapped: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old and new pickles: they are read or refused
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except OSError:
        raise
    except Exception as error:
        classes = re.findall(r"GLOBAL ([\w.]+)", str(error))
        if not classes:
            raise ValueError(
                f"{path}: cannot be read as tensors; cut short, damaged, or not a file of "
                f"torch.save; {AGAIN}"
            ) from None
        try:
            classes = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        except Exception:  # it looks only into files of the present kind
            classes = classes[:1]
        named = ", ".join(classes[:3]) + (", …" if len(classes) > 3 else "")
        raise ValueError(
            f"{path}: holds objects of {named[:200]}, which are not read, since that can run "
            "code. Where you trust the file, save its weights alone: content = torch.load("
            f"{path.name!r}, weights_only=False) and then torch.save(content.state_dict(), "
            "'weights.pt') for a model or torch.save(content['state_dict'], 'weights.pt') for a "
            "table, by the key under which it has them"
        ) from None


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except OSError:
        raise
    except Exception as error:
        if isinstance(error, SafetensorError) or "dtype" in str(error):
            raise ValueError(f"{path}: a damaged .safetensors file; {AGAIN}") from None
        raise


def _sharded(path: Path, size: int) -> dict[str, Any]:
    """Return the tensors of the shards that an index names, which lie beside it."""
    if size > INDEX_AT_MOST:
        raise ValueError(f"{path}: expected the index of a sharded checkpoint, got {size} bytes")
    try:
        places = json.loads(path.read_bytes())["weight_map"]
        shards = {name: Path(shard) for name, shard in places.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(
            f"{path}: expected the index of a sharded checkpoint, JSON with "
            '{"weight_map": {name: file}}'
        ) from None
    tensors: dict[str, Any] = {}
    files = sorted(set(shards.values()))
    for shard in files:
        if shard.name != str(shard) or shard.name in ("", "..", path.name):
            raise ValueError(f"{path}: expected shards beside the index, got {str(shard)[:100]!r}")
    for shard in files:
        content = read_content(path.parent / shard)
        for name in [name for name, own in shards.items() if own == shard]:
            if not isinstance(content, dict) or name not in content:
                raise ValueError(f"{path}: {shard} lacks {name[:100]!r}, which the index names")
            tensors[name] = content[name]
    return tensors


def printable(message: str, most: int = 800) -> str:
    """Return a message that quotes a file as one line that any terminal takes."""
    line = "".join(c if c.isprintable() else " " for c in message)
    return line if len(line) <= most else f"{line[:most]} …"
