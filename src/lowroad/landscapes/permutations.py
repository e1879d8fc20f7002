"""Which axes of a network's parameters number the same hidden units.

Renumbering the units of a hidden layer permutes that layer's rows and the next layer's columns and
does not change the network's function (Hecht-Nielsen 1990).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lowroad.landscapes.network import NetworkLandscape

Axis = str | tuple[int | str, ...] | None
Axes = Mapping[str, Sequence[Axis]]

NAME_THEM = (
    "name the axes that share a permutation: axes={'fc1.weight': ('hidden', None), "
    "'fc1.bias': ('hidden',), 'fc2.weight': (None, 'hidden')}, as an argument or as the module's "
    "attribute permutation_axes"
)


class _Units(NamedTuple):
    """An axis of length outer · (the group's units) · inner."""

    group: str
    outer: int
    inner: int


class PermutationSpec:
    """Which axes of which parameters share a permutation of hidden units.

    Args:
        axes: from the name of a parameter (or of a buffer, such as a running mean) to one entry
            for each of its axes: the name of the group of units that the axis numbers, or None for
            an axis that stays. An axis may hold a group's units several times: `(4, "hidden")` is
            four blocks of all units (an LSTM's gates), `("channels", 25)` are 25 consecutive
            numbers for each unit (the pixels of a flattened image). Axes that are not named stay.
        tensors: the network's parameters and buffers by name.

    Attributes:
        sizes: how many units each group has.

    Raises:
        ValueError: when a name is not a tensor's, or its axes are not as many or as long as the
            tensor's; all are named.

    >>> spec = PermutationSpec({"w": (None, "hidden")}, {"w": torch.zeros(2, 3)})
    >>> spec.sizes
    {'hidden': 3}
    >>> spec.permute({"w": torch.tensor([[1, 2, 3]])}, {"hidden": torch.tensor([2, 0, 1])})["w"]
    tensor([[3, 1, 2]])
    """

    def __init__(self, axes: Axes, tensors: Mapping[str, Tensor]) -> None:
        self._units: dict[str, dict[int, _Units]] = {}
        self.sizes: dict[str, int] = {}
        for name, entries in axes.items():
            if name not in tensors:
                raise ValueError(
                    f"{name} is not a trainable parameter or buffer of the network; it has "
                    f"{', '.join(tensors)}"
                )
            shape = tensors[name].shape
            if isinstance(entries, str) or len(entries) != len(shape):
                raise ValueError(
                    f"{name} has {len(shape)} axes {list(shape)}: expected as many entries, got "
                    f"{entries!r}"
                )
            parsed = (_parsed(name, entry) for entry in entries)
            self._units[name] = {i: units for i, units in enumerate(parsed) if units is not None}
            for i, (group, outer, inner) in self._units[name].items():
                size, rest = divmod(shape[i], outer * inner)
                if rest or size != self.sizes.setdefault(group, size):
                    raise ValueError(
                        f"axis {i} of {name} has length {shape[i]}, which is not {outer * inner} × "
                        f"the {self.sizes.get(group, 'whole number of')} units of {group!r}"
                    )

    @classmethod
    def of(cls, landscape: NetworkLandscape, axes: Axes | None = None) -> PermutationSpec:
        """Return the spec of a landscape's network: of the given axes, or of `traced_axes`."""
        module = landscape.module
        tensors = landscape.parameters_at(landscape.initial_point())
        return cls(
            traced_axes(module) if axes is None else axes, tensors | dict(module.named_buffers())
        )

    def permute(
        self,
        tensors: Mapping[str, Tensor],
        permutations: Mapping[str, Tensor],
        fixed: tuple[str, int] | None = None,
    ) -> dict[str, Tensor]:
        """Return the tensors with unit i of each group being what was unit permutations[group][i].

        Args:
            tensors: by name; those that the spec does not name stay.
            permutations: [units] for some of the groups; the other groups stay.
            fixed: a name and an axis to leave out.
        """
        permuted = dict(tensors)
        for name in self._units.keys() & tensors.keys():
            for i, (group, outer, inner) in self._units[name].items():
                if group in permutations and (name, i) != fixed:
                    size = (outer, self.sizes[group], inner)
                    numbers = torch.arange(tensors[name].shape[i], device=tensors[name].device)
                    order = numbers.view(size)[:, permutations[group].to(numbers.device)]
                    permuted[name] = permuted[name].index_select(i, order.flatten())
        return permuted

    def places(self, group: str) -> Iterator[tuple[str, int]]:
        """Yield the names and axes that number the units of `group`."""
        for name, units in self._units.items():
            yield from ((name, i) for i, each in units.items() if each.group == group)

    def rows(self, tensor: Tensor, name: str, axis: int) -> Tensor:
        """Return all numbers of `tensor` along one of its named axes as [units, rest]."""
        group, outer, inner = self._units[name][axis]
        blocks = tensor.movedim(axis, 0).reshape(outer, self.sizes[group], inner, -1)
        return blocks.movedim(1, 0).flatten(1)

    def check(self, landscape: NetworkLandscape, point: Tensor) -> None:
        """Check on one chunk of the data that each group can be renumbered at `point` [d].

        Exchanging the first two units and shifting all by one generate every permutation.

        Raises:
            ValueError: when one of the two changes the network's outputs.
        """
        inputs, parameters = landscape.inputs[: landscape.chunk], landscape.parameters_at(point)
        outputs = landscape.outputs(point, inputs)
        allowed = torch.finfo(point.dtype).eps ** 0.5 * outputs.abs().max()
        for group, size in self.sizes.items():
            shifted = torch.arange(size).roll(1)
            exchanged = torch.tensor([1, 0, *range(2, size)])
            for order in (shifted, exchanged) if size > 1 else ():
                renumbered = as_point(self.permute(parameters, {group: order}))
                change = (landscape.outputs(renumbered, inputs) - outputs).abs().max()
                if not change <= allowed:
                    raise ValueError(
                        f"renumbering the units of {group!r} changes the network's outputs (by up "
                        f"to {float(change):.3g}), so its axes are not as assumed; {NAME_THEM}. "
                        "With batch norm, whose running statistics belong to fixed units, use a "
                        "BatchNormLandscape (lowroad connect --reestimate-batch-norm)"
                    )


def as_point(parameters: Mapping[str, Tensor]) -> Tensor:
    """Return the point [d] of what `NetworkLandscape.parameters_at` made."""
    return torch.cat([p.reshape(-1) for p in parameters.values()])


def _parsed(name: str, entry: Axis) -> _Units | None:
    if entry is None:
        return None
    parts = (entry,) if isinstance(entry, str) else tuple(entry)
    groups = [i for i, part in enumerate(parts) if isinstance(part, str)]
    counts = [part for part in parts if isinstance(part, int) and part > 0]
    if len(groups) != 1 or len(counts) != len(parts) - 1 or len(parts) > 3:
        raise ValueError(
            f"{name}: expected a group's name, None, (blocks, name) or (name, consecutive), got "
            f"{entry!r}"
        )
    numbers = torch.Size(1 if isinstance(part, str) else part for part in parts)
    place = groups[0]
    return _Units(str(parts[place]), numbers[:place].numel(), numbers[place:].numel())


def traced_axes(module: nn.Module) -> dict[str, tuple[Axis, ...]]:
    """Return the axes of a chain of layers, a group for each layer but the last.

    The layers with parameters (Linear, Conv1d to Conv3d, LSTM, batch and layer norm) are taken to
    follow each other in the order in which the module registers them, with nothing between them
    that mixes units; where images are flattened, a channel's pixels are consecutive.
    `PermutationSpec.check` checks this assumption. Other modules name their axes in an
    attribute `permutation_axes`.

    Raises:
        ValueError: for other layers with parameters.

    >>> traced_axes(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1, bias=False)))
    {'0.weight': ('0', None), '0.bias': ('0',), '2.weight': (None, '0')}
    """
    named: Any = getattr(module, "permutation_axes", None)
    if named is not None:
        return dict(named)
    axes: dict[str, tuple[Axis, ...]] = {}
    group, size = None, 0
    for name, layer in module.named_modules():
        own = dict(layer.named_parameters(recurse=False)) | dict(layer.named_buffers(recurse=False))
        prefix = f"{name}." if name else ""
        kind = f"{type(layer).__name__} ({name or 'the module itself'})"
        if isinstance(layer, nn.Linear) or (
            isinstance(layer, nn.modules.conv._ConvNd) and layer.groups == 1 > layer.transposed
        ):
            inputs = _inputs(kind, group, size, layer.weight.shape[1])
            group, size = name, layer.weight.shape[0]
            axes[f"{prefix}weight"] = (name, inputs, *[None] * (layer.weight.ndim - 2))
            axes |= {f"{prefix}bias": (name,)} if layer.bias is not None else {}
        elif isinstance(layer, nn.LSTM) and not (layer.bidirectional or layer.proj_size):
            for k in range(layer.num_layers):
                inputs = _inputs(kind, group, size, own[f"weight_ih_l{k}"].shape[1])
                group, size = f"{name} {k}", layer.hidden_size
                gates = (4, group)
                axes[f"{prefix}weight_ih_l{k}"] = (gates, inputs)
                axes[f"{prefix}weight_hh_l{k}"] = (gates, group)
                if layer.bias:
                    axes |= {f"{prefix}bias_{x}_l{k}": (gates,) for x in ("ih", "hh")}
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm | nn.LayerNorm):
            entries = {f"{prefix}{x}": v for x, v in own.items() if v.ndim > 0}
            if any(v.shape != (size,) for v in entries.values()):
                raise ValueError(f"{kind} does not follow a layer of its width; {NAME_THEM}")
            axes |= dict.fromkeys(entries, (group,))
        elif any(isinstance(v, nn.Parameter) for v in own.values()):
            raise ValueError(f"{kind} cannot be traced; {NAME_THEM}")
    return {  # the last layer's units are the network's outputs
        name: tuple(None if _is_of(entry, group) else entry for entry in entries)
        for name, entries in axes.items()
        if not all(entry is None or _is_of(entry, group) for entry in entries)
    }


def _inputs(kind: str, group: str | None, size: int, features: int) -> Axis:
    if group is None or features == size:
        return group
    if features % size:
        raise ValueError(
            f"{kind} has {features} inputs, no multiple of the {size} units before it; {NAME_THEM}"
        )
    return (group, features // size)


def _is_of(entry: Axis, group: str | None) -> bool:
    return entry is not None and (entry == group or (isinstance(entry, tuple) and group in entry))
