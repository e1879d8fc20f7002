"""A device that is not there: what a GPU refuses is refused, what it computes the processor does.

Tensors on it say that they lie on another device, and hold one on the processor. Operations that
mix both devices are refused as CUDA refuses them, and so is making NumPy arrays of them. Numbers
are the processor's own, so that a program that keeps its tensors together gives the same bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from lowroad.landscapes import flat_module

ELSEWHERE = torch.device("lazy")  # PyTorch knows the name, and nothing here has that device
aten = torch.ops.aten


class Elsewhere(torch.Tensor):
    """A tensor on the device; `held` has its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=ELSEWHERE,
        )
        made.held = held
        return made

    @property
    def data(self) -> torch.Tensor:
        return self.detach()

    @data.setter
    def data(self, value: Elsewhere) -> None:
        self.held = value.held

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"Elsewhere({self.held})"

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert a tensor of another device to numpy; use Tensor.cpu()")

    def __array__(self, *arguments: object) -> Any:
        return self.numpy()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return call(function, args, kwargs or {})


def call(function: Any, args: Any, kwargs: Any) -> Any:
    """Do an operation on the tensors that are held."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    there = [x for x in tensors if isinstance(x, Elsewhere)]
    refuse_mixtures(function, args, tensors)
    asked = kwargs.get("device")
    generator = kwargs.get("generator")
    if generator is not None and (there or (asked is not None and is_elsewhere(asked))):
        raise RuntimeError(f"{function}: expected a generator of that device, got a processor's")
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu") if is_elsewhere(asked) else asked}
        stays = is_elsewhere(asked)
    elif function is aten.copy_.default:
        stays = isinstance(args[0], Elsewhere)
    else:
        stays = bool(there)
    known = {id(x.held): x for x in there}  # what works in place returns what it was given

    def wrapped(x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        return known[id(x)] if id(x) in known else Elsewhere(x)

    def held(x: Any) -> Any:
        return x.held if isinstance(x, Elsewhere) else x

    result = function(*tree_map(held, args), **tree_map(held, kwargs))
    return tree_map(wrapped, result) if stays else result


def is_elsewhere(device: Any) -> bool:
    return torch.device(device).type == ELSEWHERE.type


def refuse_mixtures(function: Any, args: Any, tensors: list[torch.Tensor]) -> None:
    """Scalars may come from the processor, and so may the indices of a tensor elsewhere."""
    if function in (aten.copy_.default, aten._to_copy.default):
        return
    if function in (aten.index.Tensor, aten.index_put_.default) and isinstance(args[0], Elsewhere):
        tensors = [args[0], *args[2:3]]
    strict = function in (aten.cat.default, aten.stack.default)
    counted = [x for x in tensors if x.ndim > 0 or strict or isinstance(x, Elsewhere)]
    sides = {isinstance(x, Elsewhere) for x in counted}
    if len(sides) > 1:
        raise RuntimeError(f"{function}: expected all tensors on one device, got them on two")


class PretendDevice(TorchDispatchMode):
    """While it is entered, tensors can be made on the device and moved to it."""

    def __enter__(self):
        torch._C._set_only_lift_cpu_tensors(True)  # what is made of lists is made here, then moved
        return super().__enter__()

    def __exit__(self, *raised):
        torch._C._set_only_lift_cpu_tensors(False)
        return super().__exit__(*raised)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return call(function, args, kwargs or {})


class FlatModule(flat_module.FlatModule):
    """As it is, though backward passes put new gradients in the place of such tensors' old ones."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__(module)
        for p in self.parameters:
            p.register_post_accumulate_grad_hook(lambda p, own=p.grad: self._keep(p, own))

    @staticmethod
    def _keep(p: torch.nn.Parameter, own: torch.Tensor) -> None:
        assert p.grad is not None
        if p.grad is not own:
            own.copy_(p.grad)
            p.grad = own
