"""Modules called with other tensors than their own."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call


def called_with(module: nn.Module, tensors: Mapping[str, Tensor], *arguments: Any) -> Any:
    """Return `module(*arguments)` with other parameters and buffers, and leave it as it was.

    `torch.func.functional_call` would leave the other tensors in a part that the module has under
    two names, so here every place of a tensor is named once.

    Args:
        module: any module.
        tensors: by the names of `named_parameters` and `named_buffers`, where a tensor has one name
            wherever it is used.
        arguments: what the module takes.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> own, twice = layer.weight, nn.Sequential(layer, layer)
    >>> called_with(twice, {"0.weight": Tensor([[3.0]])}, Tensor([1.0]))
    tensor([9.])
    >>> layer.weight is own
    True
    """
    names = {
        id(tensor): name
        for name, tensor in chain(module.named_parameters(), module.named_buffers())
    }
    places = {}
    for path, part in module.named_modules():
        own = chain(
            part.named_parameters(recurse=False, remove_duplicate=False),
            part.named_buffers(recurse=False, remove_duplicate=False),
        )
        for place, tensor in own:
            if names[id(tensor)] in tensors:
                places[f"{path}.{place}" if path else place] = tensors[names[id(tensor)]]
    return functional_call(module, places, arguments, tie_weights=False)
