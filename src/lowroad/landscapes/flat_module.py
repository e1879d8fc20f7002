"""A module whose parameters are views of one flat vector."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn


class FlatModule:
    """A private copy of a module whose trainable parameters are views of one flat vector.

    Setting `vector` moves the module to another point, and a backward pass leaves the gradient in
    `gradient`, in the order of `module.parameters()`: no concatenation and no functional calls.

    Args:
        module: any module; it is copied and left as it is.

    Attributes:
        module: the copy, its activations not in place, its recurrent layers ready for gradients,
            its attention the same with and without them.
        vector: the parameters [d].
        gradient: where backward passes accumulate [d].

    Raises:
        ValueError: when the module has no trainable parameters, or they differ in type or device,
            are complex or sparse, or when it holds a view of one.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = copy.deepcopy(module, _shared(module))
        for part in self.module.modules():
            if getattr(part, "inplace", False):  # it would overwrite inputs and leaves of autograd
                part.inplace = False  # type: ignore[assignment]
            if isinstance(part, nn.RNNBase):
                prepare_recurrent(part, next(part.parameters()).device.type)
            if isinstance(part, nn.Embedding):
                part.sparse = False  # sparse gradients have no second derivatives
            prepare_attention(part)
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        _check(self.parameters, type(module).__name__)
        self._gradients: list[Tensor] = []
        with torch.no_grad():
            self.vector = torch.cat([p.reshape(-1) for p in self.parameters])
            self.gradient = torch.zeros_like(self.vector)
            first = 0
            for p in self.parameters:
                last = first + p.numel()
                p.data = self.vector[first:last].view(p.shape)
                self._gradients.append(self.gradient[first:last].view(p.shape))
                first = last
        self.zero_gradient()
        self._copies: list[FlatModule] = []

    def __reduce__(self) -> tuple[type[FlatModule], tuple[nn.Module]]:
        return FlatModule, (self.module,)  # for copies and files: the views are made anew

    def copies(self, count: int) -> list[FlatModule]:
        """Return copies that are kept, at any point."""
        while len(self._copies) < count:
            self._copies.append(FlatModule(self.module))
        return self._copies[:count]

    def zero_gradient(self) -> None:
        """Set `gradient` to zero; parameters whose own gradient was taken away get it back."""
        self.gradient.zero_()
        for p, own in zip(self.parameters, self._gradients, strict=True):
            if p.grad is not own:
                p.grad = own

    def parameters_at(self, point: Tensor) -> dict[str, Tensor]:
        """Return the trainable parameters by their names at `point` [d], as views of it."""
        named = [(name, p) for name, p in self.module.named_parameters() if p.requires_grad]
        parts = point.split([p.numel() for _, p in named])
        return {name: part.view(p.shape) for (name, p), part in zip(named, parts, strict=True)}

    def with_buffers(self, buffers: Mapping[str, Tensor]) -> FlatModule:
        """Return a copy with other buffers or frozen parameters.

        Raises:
            ValueError: when the module has none of such a name, or one of another shape.
        """
        other = copy.deepcopy(self)
        own = dict(other.module.named_buffers())
        own |= {n: p.data for n, p in other.module.named_parameters() if not p.requires_grad}
        for name, value in buffers.items():
            if name not in own or own[name].shape != value.shape:
                raise ValueError(
                    f"expected buffers of the model, got {name} {list(value.shape)}; the model's "
                    f"are {', '.join(f'{n} {list(b.shape)}' for n, b in own.items()) or 'none'}"
                )
            own[name].copy_(value)
        return other

    def with_trainable(self, patterns: Sequence[str]) -> FlatModule:
        """Return a copy where only parameters whose names match a shell pattern are trainable.

        Raises:
            ValueError: when a pattern matches none of them.
        """
        module = copy.deepcopy(self.module)
        named = module.named_parameters(remove_duplicate=False)
        free = [(name, p) for name, p in named if p.requires_grad]
        for _, p in free:
            p.requires_grad_(False)
        for pattern in patterns:
            chosen = [p for name, p in free if fnmatchcase(name, pattern)]
            if not chosen:
                known = ", ".join(name for name, _ in free[:5]) + (", …" if len(free) > 5 else "")
                raise ValueError(
                    f"expected patterns of names of trainable parameters ({known}), got {pattern!r}"
                )
            for p in chosen:
                p.requires_grad_(True)
        return FlatModule(module)

    def move_to(self, point: Tensor) -> None:
        """Set the parameters to `point` [d]."""
        with torch.no_grad():
            self.vector.copy_(point)


def _shared(module: nn.Module) -> dict[int, Any]:
    """Return a memo for `copy.deepcopy` of what a module holds that cannot be copied.

    Tensors with a history (old-style weight norm, cached activations) are copied without it; locks,
    open files and the like are shared.
    """
    memo: dict[int, Any] = {}
    parameters = list(module.parameters())
    for part in module.modules():
        for name, value in vars(part).items():
            if name.startswith("_") and name in vars(nn.Module()):
                continue
            for each in _contents(value):
                if isinstance(each, Tensor):
                    if any(each._base is p for p in parameters):
                        raise ValueError(
                            f"{type(part).__name__}.{name} is a view of a parameter, which would "
                            "stay as it is where the parameter moves: take it in forward()"
                        )
                    if not each.is_leaf:
                        memo[id(each)] = each.detach().clone()
                elif not isinstance(each, nn.Module):
                    try:
                        copy.deepcopy(each, dict(memo))
                    except Exception:
                        memo[id(each)] = each
    return memo


def _contents(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set):
        yield value
        return
    for each in value:
        yield from _contents(each)


def prepare_recurrent(layer: nn.RNNBase, device: str) -> None:
    """Let a recurrent layer use its weights where they are, and have gradients by them.

    cuDNN would move the weights to memory of its own, and has gradients in training mode alone,
    where a layer without dropout does the same.

    >>> layer = nn.LSTM(3, 4, num_layers=2, dropout=0.5).eval()
    >>> prepare_recurrent(layer, "cuda")
    >>> layer.training, layer.dropout
    (True, 0.0)
    """
    layer.flatten_parameters = _leave_weights  # type: ignore[method-assign]
    if device == "cuda" and not layer.training:
        layer.dropout = 0.0
        layer.train()


def prepare_attention(layer: nn.Module) -> None:
    """Let attention compute without gradients what it computes with them.

    PyTorch's kernels for inference return zeros where sequences are padded, and NaN for sequences
    that are padding throughout. In training mode, without dropout, attention does not use them.

    >>> layer = nn.MultiheadAttention(4, 2, dropout=0.5).eval()
    >>> prepare_attention(layer)
    >>> layer.training, layer.dropout
    (True, 0.0)
    """
    if isinstance(layer, nn.TransformerEncoder):
        layer.use_nested_tensor = False
    elif isinstance(layer, nn.TransformerEncoderLayer):
        # says which kernel can be used, and is not used elsewhere
        layer.activation_relu_or_gelu = 0
    elif type(layer) is nn.MultiheadAttention and not layer.training:
        layer.dropout, layer.training = 0.0, True


def _leave_weights() -> None:
    """Stand for `flatten_parameters`, with which cuDNN packs weights."""


def _check(parameters: list[nn.Parameter], name: str) -> None:
    if not parameters:
        raise ValueError(f"expected a module with trainable parameters, {name} has none")
    kinds = {(p.dtype, p.device) for p in parameters}
    if len(kinds) > 1:
        raise ValueError(
            f"expected all trainable parameters of {name} to be of one type on one device, "
            f"got {sorted(f'{dtype} on {device}' for dtype, device in kinds)}"
        )
    ((dtype, _),) = kinds
    if not dtype.is_floating_point or any(p.layout != torch.strided for p in parameters):
        raise ValueError(
            f"expected dense real floating-point parameters in {name}, got {dtype}, "
            f"{ {str(p.layout) for p in parameters} }"
        )
