"""Which axes of a network's parameters number the same hidden units.

Renumbering the units of a hidden layer permutes that layer's rows and the next layer's columns and
does not change the network's function (Hecht-Nielsen 1990).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lowroad.landscapes.axis_factors import Factor, leaves
from lowroad.landscapes.network import NetworkLandscape
from lowroad.landscapes.stateless import called_with
from lowroad.landscapes.symmetry_trace import SymmetryTrace

Axis = str | tuple[int | str, ...] | None
Axes = Mapping[str, Sequence[Axis]]

NAME_THEM = (
    "name the axes that share a permutation: axes={'fc1.weight': ('hidden', None), "
    "'fc1.bias': ('hidden',), 'fc2.weight': (None, 'hidden')}, as an argument or as the module's "
    "attribute permutation_axes"
)

CHECKED = 100
"""How many samples a check is made on."""


class _Units(NamedTuple):
    """A group of units on an axis of length outer · units · inner."""

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
            numbers for each unit (the pixels of a flattened image), `("heads", "size")` numbers
            the units of two groups, the second one within each unit of the first. Axes that are not
            named stay.
        tensors: the network's parameters and buffers by name.
        sizes: how many units a group has, where this does not follow from the lengths of the axes.

    Attributes:
        axes: as given.
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

    def __init__(
        self, axes: Axes, tensors: Mapping[str, Tensor], sizes: Mapping[str, int] | None = None
    ) -> None:
        self.axes, self.sizes = dict(axes), dict(sizes or {})
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
        parsed = [
            (name, i, tensors[name].shape[i], parts)
            for name, entries in axes.items()
            for i, entry in enumerate(entries)
            if (parts := _parsed(name, entry))
        ]
        for name, i, length, parts in sorted(parsed, key=lambda each: _unknown(each[3], sizes)):
            self._infer_size(name, i, length, parts)
        self._units: dict[str, dict[int, list[_Units]]] = {name: {} for name in axes}
        for name, i, _, parts in parsed:
            numbers = [self.sizes[part] if isinstance(part, str) else part for part in parts]
            self._units[name][i] = [
                _Units(part, math.prod(numbers[:k]), math.prod(numbers[k + 1 :]))
                for k, part in enumerate(parts)
                if isinstance(part, str)
            ]

    def _infer_size(self, name: str, i: int, length: int, parts: tuple[int | str, ...]) -> None:
        unknown = [p for p in parts if isinstance(p, str) and p not in self.sizes]
        if len(unknown) > 1:
            raise ValueError(
                f"axis {i} of {name}: the sizes of {' and '.join(map(repr, unknown))} do not "
                f"follow from its length {length}; give them: sizes={{{unknown[0]!r}: …}}"
            )
        known = math.prod(self.sizes.get(p, 1) if isinstance(p, str) else p for p in parts)
        if length % known or (not unknown and length != known):
            group = next(p for p in parts if isinstance(p, str))
            units = self.sizes.get(group, "whole number of")
            raise ValueError(
                f"axis {i} of {name} has length {length}, which is not "
                f"{known // self.sizes.get(group, 1)} × the {units} units of {group!r}"
            )
        for group in unknown:
            self.sizes[group] = length // known

    @classmethod
    def of(cls, landscape: NetworkLandscape, axes: Axes | None = None) -> PermutationSpec:
        """Return the spec of a landscape's network.

        Of the given axes, or of the module's attribute `permutation_axes`, or else read off the
        operations that the network performs on two of its inputs (`SymmetryTrace`): products,
        convolutions, recurrent layers, attention, norms, residual streams, tied weights.

        Raises:
            ValueError: when the axes do not fit, or no hidden units are found.
        """
        module, tensors = landscape.module, tensors_of(landscape)
        axes = getattr(module, "permutation_axes", None) if axes is None else axes
        if axes is not None:
            return cls(axes, tensors)
        return cls.traced(traced(landscape, 2), landscape)

    @classmethod
    def traced(cls, trace: SymmetryTrace, landscape: NetworkLandscape) -> PermutationSpec:
        """Return the groups of units that a trace of the network has found."""
        tensors = tensors_of(landscape)
        names: dict[Factor, str] = {}
        for name in landscape.parameters_at(landscape.initial_point()):
            for axis in trace.axes[name]:
                for factor in leaves(axis):
                    if not factor.fixed and factor not in names:
                        own, taken = name.removesuffix(".weight"), set(names.values())
                        tries = (f"{own} {k}" if k > 1 else own for k in range(1, len(taken) + 2))
                        names[factor] = next(each for each in tries if each not in taken)
        if not names:
            raise ValueError(
                "no hidden units that can be renumbered were found in "
                f"{type(landscape.module).__name__}"
                + (f": what {', '.join(sorted(trace.opaque))} does to them is not known"
                   if trace.opaque else "")
                + f"; {NAME_THEM}"
            )  # fmt: skip
        entries = {
            name: tuple(_entry(leaves(axis), names) for axis in trace.axes[name])
            for name in tensors
        }
        axes = {name: each for name, each in entries.items() if any(e is not None for e in each)}
        return cls(axes, tensors, {name: factor.size for factor, name in names.items()})

    def permute(
        self,
        tensors: Mapping[str, Tensor],
        permutations: Mapping[str, Tensor],
        fixed: tuple[str, int, str] | None = None,
    ) -> dict[str, Tensor]:
        """Return the tensors with unit i of each group being what was unit permutations[group][i].

        Args:
            tensors: by name; those that the spec does not name stay.
            permutations: [units] for some of the groups; the other groups stay.
            fixed: a name, an axis and a group to leave out.
        """
        permuted = dict(tensors)
        for name in self._units.keys() & tensors.keys():
            for i, units in self._units[name].items():
                for group, outer, inner in units:
                    if group in permutations and (name, i, group) != fixed:
                        size = (outer, self.sizes[group], inner)
                        numbers = torch.arange(tensors[name].shape[i], device=tensors[name].device)
                        order = numbers.view(size)[:, permutations[group].to(numbers.device)]
                        permuted[name] = permuted[name].index_select(i, order.flatten())
        return permuted

    def places(self, group: str) -> Iterator[tuple[str, int]]:
        """Yield the names and axes that number the units of `group`."""
        for name, axes in self._units.items():
            for i, units in axes.items():
                if any(each.group == group for each in units):
                    yield name, i

    def rows(self, tensor: Tensor, name: str, axis: int, group: str) -> Tensor:
        """Return all numbers of `tensor` along one of its named axes as [units, rest]."""
        (found,) = (each for each in self._units[name][axis] if each.group == group)
        blocks = tensor.movedim(axis, 0).reshape(found.outer, self.sizes[group], found.inner, -1)
        return blocks.movedim(1, 0).flatten(1)

    @torch.no_grad()
    def check(self, landscape: NetworkLandscape, point: Tensor) -> None:
        """Check on samples from all of the data that each group can be renumbered at `point` [d].

        Exchanging the first two units and shifting all by one generate every permutation.

        Raises:
            ValueError: when one of the two changes the network's outputs.
        """
        response = response_of(landscape, CHECKED)
        tensors = tensors_of(landscape, point)
        moving = {n for n in tensors if n in landscape.reestimated} | set(
            landscape.parameters_at(point)
        )

        def outputs(renumbered: Mapping[str, Tensor]) -> Tensor:
            return response(tensors | {n: x for n, x in renumbered.items() if n in moving})

        before = outputs({})
        allowed = torch.finfo(point.dtype).eps ** 0.5 * before.abs().max()
        for group, size in self.sizes.items():
            shifted = torch.arange(size).roll(1)
            exchanged = torch.tensor([1, 0, *range(2, size)])
            for order in (shifted, exchanged) if size > 1 else ():
                change = (outputs(self.permute(tensors, {group: order})) - before).abs().max()
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


def tensors_of(landscape: NetworkLandscape, point: Tensor | None = None) -> dict[str, Tensor]:
    """Return the trainable parameters and the buffers by name, at a point [d] or at the first."""
    if point is None:
        point = landscape.initial_point()
    else:
        landscape.move_to(point)  # its statistics, if re-estimated
    buffers = {name: b.detach().clone() for name, b in landscape.module.named_buffers()}
    return landscape.parameters_at(point.detach()) | buffers


def traced(landscape: NetworkLandscape, samples: int) -> SymmetryTrace:
    """Return what the network does with some samples of its data, operation by operation."""
    return SymmetryTrace(response_of(landscape, samples), tensors_of(landscape))


class _Response(nn.Module):
    def __init__(self, landscape: NetworkLandscape) -> None:
        super().__init__()
        self.own = landscape.module
        self._response = landscape.response

    def forward(self, batch: Any) -> Tensor:
        return self._response(self.own, batch)


def response_of(
    landscape: NetworkLandscape, samples: int
) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """Return the network's response to some samples as a function of its tensors by name."""
    batch, module = landscape.some(samples), _Response(landscape)

    def response(tensors: Mapping[str, Tensor]) -> Tensor:
        named = {f"own.{name}": tensor for name, tensor in tensors.items()}
        result: Tensor = called_with(module, named, batch)
        return result

    return response


def _parsed(name: str, entry: Axis) -> tuple[int | str, ...]:
    if entry is None:
        return ()
    parts = (entry,) if isinstance(entry, str) else tuple(entry)
    groups = [part for part in parts if isinstance(part, str)]
    counts = [part for part in parts if isinstance(part, int) and part > 0]
    if not groups or len(set(groups)) < len(groups) or len(counts) + len(groups) != len(parts):
        raise ValueError(
            f"{name}: expected a group's name, None, or a tuple of names and of counts such as "
            f"(blocks, name) or (name, consecutive), got {entry!r}"
        )
    return parts


def _unknown(parts: tuple[int | str, ...], sizes: Mapping[str, int] | None) -> int:
    return sum(isinstance(part, str) and part not in (sizes or {}) for part in parts)


def _entry(factors: list[Factor], names: Mapping[Factor, str]) -> Axis:
    parts: list[int | str] = []
    for factor in factors:
        if factor not in names and parts and isinstance(parts[-1], int):
            parts[-1] *= factor.size
        else:
            parts.append(names.get(factor, factor.size))
    if not any(isinstance(part, str) for part in parts):
        return None
    return str(parts[0]) if len(parts) == 1 else tuple(parts)
