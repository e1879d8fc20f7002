"""State dicts, read into a module exactly as PyTorch reads them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

SHOWN = 3  # differences of a kind that a message names


class State(NamedTuple):
    """What a state dict holds for a module.

    Attributes:
        trainable: its trainable parameters [d], in the order of `module.parameters()`.
        frozen: its other parameters and its persistent buffers by name.
    """

    trainable: Tensor
    frozen: dict[str, Tensor]


def read_state(module: nn.Module, state: Mapping[str, Tensor]) -> State:
    """Return what `module.load_state_dict(state, strict=True)` would set.

    As safetensors' `load_model` does, this takes a tensor that the module has under several names
    also where the state dict has it under one of them. The module is left as it is, but for its
    trainable parameters.

    Raises:
        ValueError: when the state dict does not fit (the first differences are named), when a
            tensor is sparse, complex, quantized or without numbers, or when a tensor that the
            module has under two names has two values.
    """
    own = _tensors(module)
    names: dict[int, list[str]] = {}
    for name, tensor in own.items():
        names.setdefault(id(tensor), []).append(name)
    _refuse_unusual(state, own)
    whole = dict(state)
    for same in names.values():
        given = [name for name in same if name in state]
        whole |= {name: state[given[0]] for name in same if given and name not in state}
        for other in given[1:]:
            if not torch.equal(state[given[0]].to(own[other]), state[other].to(own[other])):
                raise ValueError(
                    f"{other} and {given[0]} are one tensor in the model, but differ in what was "
                    "given"
                )
    frozen = frozen_of(module)
    before = {name: tensor.detach().clone() for name, tensor in frozen.items()}
    loadable = OrderedDict(whole)
    loadable._metadata = getattr(state, "_metadata", {})  # type: ignore[attr-defined]
    try:
        with torch.no_grad():
            module.load_state_dict(loadable, strict=True)
            free = [p for p in module.parameters() if p.requires_grad]
            return State(
                torch.cat([p.detach().reshape(-1) for p in free]),
                {name: tensor.detach().clone() for name, tensor in frozen.items()},
            )
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        differences = _differences(whole, module.state_dict(), str(error))
        raise ValueError(f"the tensors do not fit the model: {differences}") from None
    finally:
        with torch.no_grad():
            for name, tensor in frozen.items():
                tensor.copy_(before[name])


def frozen_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's own frozen parameters and persistent buffers, each under one name."""
    once = {id(tensor): name for name, tensor in reversed(_tensors(module).items())}
    return {
        name: tensor
        for name, tensor in _tensors(module).items()
        if once[id(tensor)] == name
        and not (isinstance(tensor, nn.Parameter) and tensor.requires_grad)
    }


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    state = module.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}


def _refuse_unusual(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse tensors that PyTorch does not copy, or copies in part."""
    for name, tensor in state.items():
        if isinstance(tensor, Tensor):
            kind = unusual(tensor)
            if kind and not (kind == "complex" and name in own and own[name].is_complex()):
                raise ValueError(f"{name} is {kind}: expected a dense tensor of real numbers")


def unusual(tensor: Tensor) -> str:
    """Return what keeps a tensor from being dense real numbers, "" where nothing does."""
    if tensor.is_meta:
        return "without numbers (on the meta device)"
    if tensor.is_nested:
        return "nested"
    if tensor.is_quantized:
        return "quantized"
    if tensor.layout != torch.strided:
        return f"sparse ({tensor.layout})"
    return "complex" if tensor.is_complex() else ""


def _differences(state: Mapping[str, Tensor], own: Mapping[str, Tensor], said: str) -> str:
    """Return the first differences of each kind, among the names that PyTorch's message has."""

    def named(names: Iterable[str]) -> list[str]:
        return sorted(n for n in names if f'"{n}"' in said or f"for {n}:" in said)

    kinds = [
        [f"{name} is missing" for name in named(own.keys() - state.keys())],
        [f"{name} is not in the model" for name in named(state.keys() - own.keys())],
        [
            f"{name} has shape {list(state[name].shape)}, the model's is {list(own[name].shape)}"
            for name in named(own.keys() & state.keys())
            if isinstance(state[name], Tensor) and state[name].shape != own[name].shape
        ],
    ]
    shown = [
        "; ".join(lines[:SHOWN])
        + (f"; and {len(lines) - SHOWN} more like this" if len(lines) > SHOWN else "")
        for lines in kinds
        if lines
    ]
    return "; ".join(shown) or " ".join(said.split())[:300]


def differing(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that differ in a number that a module's outputs may show.

    Batch norm's count of batches is none.
    """
    return [
        name
        for name in first.keys() & second.keys()
        if not name.endswith("num_batches_tracked") and not _same(first[name], second[name])
    ]


def _same(first: Tensor, second: Tensor) -> bool:
    if torch.equal(first, second):
        return True
    if first.shape != second.shape or not first.is_floating_point():
        return False
    return bool(((first == second) | (first.isnan() & second.isnan())).all())
