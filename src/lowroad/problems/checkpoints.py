"""Points of a landscape from files: vectors and state dicts."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowroad.landscapes import Landscape, NetworkLandscape
from lowroad.landscapes.state_dicts import frozen_of, unusual
from lowroad.problems.checkpoint_files import printable, read_content
from lowroad.problems.problem import Problem

USUAL = ("state_dict", "model_state_dict", "model")  # where training programs put a state dict
BESIDE = frozenset({"n_averaged"})  # what `torch.optim.swa_utils.AveragedModel` writes beside one
DEPTH = 4  # tables within tables that are looked into


class Checkpoint(NamedTuple):
    """What a file holds for a landscape.

    Attributes:
        point: [d].
        frozen: what the module has besides, by name: buffers, such as batch norm's running
            statistics, and frozen parameters. The landscape's own where the file is a vector.
        taken: what was taken of the file, "" where it was all as it is.
    """

    point: Tensor
    frozen: dict[str, Tensor]
    taken: str = ""


def read_point(path: Path, landscape: Landscape) -> Tensor:
    """Return the point [d] that a file holds; see `read_checkpoint`.

    Raises:
        ValueError: as `read_checkpoint`; also when frozen parameters or buffers are not the
            landscape's (see `NetworkLandscape.point_of`).
        OSError: when it cannot be read.
    """
    return _point(read_checkpoint(path, landscape), path, landscape)


def read_checkpoint(path: Path, landscape: Landscape, key: str | None = None) -> Checkpoint:
    """Return the point and the frozen tensors that a file holds.

    The file may be a vector (`.npy`, or a tensor by torch.save) or a state dict of the landscape's
    module (torch.save, safetensors, an index of shards), by itself or anywhere in nested tables;
    its kind is known by its content. Everything that `load_state_dict(strict=True)` or safetensors'
    `load_model` takes is taken, also where all names share a prefix, such as `module.` or
    `_orig_mod.`, that the model's lack, or the other way round, or where one prefix has all that
    the model has, beside others such as a loss's. Nothing in a file is executed.

    Args:
        path: the file.
        landscape: whose module it is.
        key: where the weights are, where the file holds several: "ema", or "ema.model"; also the
            prefix of their names.

    Raises:
        ValueError: when the file is of another kind, is damaged, does not fit the landscape, or
            holds numbers that are not finite where the landscape's are.
        OSError: when it cannot be read.
    """
    path = Path(path)
    try:
        content = read_content(path)
        own = landscape.module.state_dict() if isinstance(landscape, NetworkLandscape) else {}
        if key is not None:
            content = _under(content, key)
        if isinstance(content, Mapping):
            if not isinstance(landscape, NetworkLandscape):
                raise ValueError(
                    f"a state dict needs a NetworkLandscape, got {type(landscape).__name__}; "
                    "give the vector as a .npy file"
                )
            state, taken = _chosen(content, own)
            point, frozen = landscape.read_state(state)
            point = point.to(landscape.device)
        else:
            point, taken = _vector(content, landscape), ""
            frozen = {}
            if isinstance(landscape, NetworkLandscape):
                held = frozen_of(landscape.module)
                frozen = {name: tensor.detach().clone() for name, tensor in held.items()}
        _refuse_infinite(point, frozen, landscape)
    except ValueError as error:
        said = printable(str(error))
        raise ValueError(said if said.startswith(str(path)) else f"{path}: {said}") from None
    return Checkpoint(
        point, frozen, printable(f"{key}: {taken}".removesuffix(": ") if key else taken)
    )


def _point(checkpoint: Checkpoint, path: Path, landscape: Landscape) -> Tensor:
    if isinstance(landscape, NetworkLandscape):
        try:
            landscape.check_frozen(checkpoint.frozen)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return checkpoint.point


def _vector(content: Any, landscape: Landscape) -> Tensor:
    expected = f"a vector of shape [{landscape.dimension}]"
    if not isinstance(content, Tensor | np.ndarray):
        raise ValueError(f"expected {expected}, got {type(content).__name__}")
    if tuple(content.shape) != (landscape.dimension,):
        raise ValueError(f"expected {expected}, got {list(content.shape)}")
    if isinstance(content, np.ndarray):
        if not np.issubdtype(content.dtype, np.floating):
            raise ValueError(f"expected floating-point numbers, got {content.dtype}")
        # torch supports neither other byte orders nor longer types
        content = torch.from_numpy(content.astype(np.float64))
    kind = unusual(content) or ("" if content.is_floating_point() else str(content.dtype))
    if kind:
        raise ValueError(
            f"expected a dense vector of floating-point numbers, got one that is {kind}"
        )
    # a copy: the file may be mapped, and may change
    return content.detach().to(dtype=landscape.dtype, device=landscape.device, copy=True)


def _refuse_infinite(point: Tensor, frozen: Mapping[str, Tensor], landscape: Landscape) -> None:
    """Refuse numbers that are not finite; masks of −∞ that the module has itself may stay."""
    named: dict[str, Tensor] = {"": point}
    if isinstance(landscape, NetworkLandscape):
        own = frozen_of(landscape.module)
        named = landscape.parameters_at(point) | {
            name: tensor for name, tensor in frozen.items() if not torch.equal(tensor, own[name])
        }
    wrong = {name: int((~torch.isfinite(tensor)).sum()) for name, tensor in named.items()}
    names = [name for name, number in wrong.items() if number]
    if names:
        where = f" in {', '.join(names[:3])}{', …' if len(names) > 3 else ''}" if names[0] else ""
        raise ValueError(f"expected finite weights, got {sum(wrong.values())} that are not{where}")


def _tables(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield tensors and tables in nested tables with their keys, each table once."""
    seen: set[int] = set()
    waiting: list[tuple[tuple[str, ...], Any]] = [(path, content)]
    while waiting:
        path, content = waiting.pop(0)
        yield path, content
        if isinstance(content, Mapping) and id(content) not in seen and len(path) < DEPTH:
            seen.add(id(content))
            waiting += [
                ((*path, key), value)
                for key, value in content.items()
                if isinstance(key, str) and isinstance(value, Mapping | Tensor)
            ]


def _under(content: Any, key: str) -> Any:
    found = [
        value for path, value in _tables(content) if path and key in (path[-1], ".".join(path))
    ]
    if isinstance(content, Mapping) and key in content:
        found = [content[key]]
    if not found:
        found = [part for path, part in _parts(content) if key in (path[-1], ".".join(path))]
    if len(found) != 1:
        held = "no table"
        if isinstance(content, Mapping):
            held = ", ".join(str(name)[:100] for name in list(content)[:8])
        raise ValueError(f"expected the key {key!r}{' once' if found else ''}, got {held}")
    return found[0]


def _chosen(content: Mapping[Any, Any], own: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the state dict in nested tables that fits the model best, and what it is."""
    best: list[tuple[str, OrderedDict[str, Any], _Names]] = []
    rank = (-1, 0)
    for path, table in _tables(content):
        if not isinstance(table, Mapping):
            continue
        state: OrderedDict[str, Any] = OrderedDict(
            (name, v) for name, v in table.items() if _is_of_state(name, v)
        )
        if not state:
            continue
        state._metadata = getattr(table, "_metadata", {})  # type: ignore[attr-defined]
        names = _Names.of(state.keys() - BESIDE, own.keys())
        usual = USUAL.index(path[-1]) if path and path[-1] in USUAL else len(USUAL)
        this = (names.matching, -1 if not path else usual)
        if this[0] > rank[0] or (this[0] == rank[0] and this[1] < rank[1]):
            best, rank = [], this
        if this == rank:
            best.append((".".join(path), state, names))
    if not best:
        raise ValueError("expected a state dict of tensors, got other things in it")
    if len(best) > 1 and rank[0] > 0:
        keys = ", ".join(key for key, _, _ in best[:5])
        raise ValueError(
            f"expected one set of weights, got several that fit: choose a key of {keys}"
        )
    key, state, names = best[0]
    if names.matching < len(state.keys() - BESIDE):
        parts = {".".join(path): part for path, part in _parts(content) if _fits(part, own)}
        if len(parts) > 1:
            raise ValueError(
                "expected one set of weights, got several that fit: choose a key of "
                + ", ".join(list(parts)[:5])
            )
        for key, part in parts.items():
            return part, key
    return names.of_model(state), ", ".join(filter(None, (key, names.said)))


def _parts(content: Any) -> Iterator[tuple[tuple[str, ...], OrderedDict[str, Any]]]:
    """Yield state dicts by the prefixes that some of a table's names have, without these."""
    for path, table in _tables(content):
        if not isinstance(table, Mapping):
            continue
        parts: dict[tuple[str, ...], OrderedDict[str, Any]] = {}
        for name, value in table.items():
            if _is_of_state(name, value):
                words = name.split(".")
                for i in range(1, len(words)):
                    if words[i - 1].isdigit():  # a place in a sequence
                        break
                    part = parts.setdefault(tuple(words[:i]), OrderedDict())
                    part[".".join(words[i:])] = value
        for prefix, part in parts.items():
            start = ".".join(prefix)
            part._metadata = {  # type: ignore[attr-defined]
                name[len(start) :].removeprefix("."): version
                for name, version in getattr(table, "_metadata", {}).items()
                if f"{name}.".startswith(f"{start}.")
            }
            yield (*path, *prefix), part


def _fits(state: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Return whether a state dict's names are the model's, all of them, as they are."""
    names = _Names.of(state, own)
    return len(own) <= len(state) == names.matching and not names.less and not names.more


def _is_of_state(name: Any, value: Any) -> bool:
    return isinstance(name, str) and (isinstance(value, Tensor) or name.endswith("_extra_state"))


class _Names(NamedTuple):
    """How a state dict's names become a model's: one prefix less, or one more.

    Attributes:
        less: the prefix that all of the state dict's names have too much.
        more: the prefix that they lack.
        matching: how many are the model's then.
    """

    less: str
    more: str
    matching: int

    @classmethod
    def of(cls, names: Iterable[str], own: Iterable[str]) -> _Names:
        given, wanted = list(names), set(own)
        # what old weight norm wrote for today's parametrizations
        wanted |= {
            name.replace("parametrizations.", "").removesuffix(f".original{i}") + suffix
            for name in wanted
            for i, suffix in enumerate(("_g", "_v"))
            if name.endswith(f".original{i}")
        }
        tries = [
            cls(less, more, sum(more + name.removeprefix(less) in wanted for name in given))
            for less in _shared_prefixes(given)
            for more in _shared_prefixes(list(wanted))
        ]
        return max(tries, key=lambda each: (each.matching, -len(each.less + each.more)))

    def of_model(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state dict by the model's names, with what tells the versions of its parts."""
        versions = {
            f"{self.more}{f'{name}.'.removeprefix(self.less)}".rstrip("."): version
            for name, version in getattr(state, "_metadata", {}).items()
        }
        beside = BESIDE if self.less else frozenset()
        renamed = OrderedDict(
            (self.more + name.removeprefix(self.less), tensor)
            for name, tensor in state.items()
            if name not in beside
        )
        renamed._metadata = versions  # type: ignore[attr-defined]
        return renamed

    @property
    def said(self) -> str:
        """What was done to the names, for a person."""
        less = f'without the prefix "{self.less}" of its names' if self.less else ""
        more = f'with the prefix "{self.more}" before its names' if self.more else ""
        return ", ".join(filter(None, (less, more)))


def _shared_prefixes(names: list[str]) -> list[str]:
    """Return "" and what all names begin with, part by part; numbers are places, no prefixes."""
    prefixes = [""]
    parts = names[0].split(".")[:-1] if names else []
    for part in parts:
        longer = f"{prefixes[-1]}{part}."
        if part.isdigit() or not all(name.startswith(longer) for name in names):
            break
        prefixes.append(longer)
    return prefixes


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
    if digest is not None:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise ValueError(f"{path}: the file has changed since the study was planned")
            file.seek(0)
            if file.read(1) == b"{":  # the digest is the index's, not the shards'
                raise ValueError(f"{path}: expected one file of weights, got an index of shards")
    return _point(read_checkpoint(path, problem.train, key), path, problem.train)
