"""Axes of tensors as products of factors, and what it means that two axes number the same units."""

from __future__ import annotations

from collections.abc import Sequence


class Factor:
    """A factor of an axis: `size` units, or two factors once it has been split."""

    def __init__(self, size: int, fixed: bool = False) -> None:
        self.size, self.fixed = size, fixed
        self.same: Factor | None = None  # the factor that this one has been found equal to
        self.parts: tuple[Factor, Factor] | None = None


Axis = list[Factor]
Label = list[Axis]
"""One axis for each dimension of a tensor; an axis along which all is alike has no factors."""


def new_axis(size: int, fixed: bool = False) -> Axis:
    """Return an axis of one factor, of none where there is nothing to renumber."""
    return [Factor(size, fixed)] if size > 1 else []


def leaves(axis: Sequence[Factor]) -> Axis:
    """Return the factors that an axis has by now."""
    found: Axis = []
    for factor in axis:
        while factor.same is not None:
            factor = factor.same
        found += [factor] if factor.parts is None else leaves(factor.parts)
    return found


def fix(*axes: Axis) -> None:
    """Note that the order of these axes matters."""
    for axis in axes:
        for factor in leaves(axis):
            factor.fixed = True


def split(factor: Factor, outer: int) -> None:
    """Make a factor a product of `outer` and the rest."""
    factor.parts = (Factor(outer, factor.fixed), Factor(factor.size // outer, factor.fixed))


def join(first: Axis, second: Axis) -> Axis:
    """Note that two axes of one length number the same units, and return them."""
    if not (first and second):
        return first or second
    a, b = leaves(first), leaves(second)
    while a and b:
        x, y = a[0], b[0]
        small, large = (x, y) if x.size <= y.size else (y, x)
        if x.size == y.size:
            if x is not y:
                y.fixed = y.fixed or x.fixed
                x.same = y
            a, b = leaves(a[1:]), leaves(b[1:])
        elif large.size % small.size == 0:
            split(large, small.size)
            a, b = leaves(a), leaves(b)
        else:
            fix(a, b)
            break
    return first


def viewed(label: Label, shape: Sequence[int]) -> Label:
    """Return the axes of a tensor that is viewed in another shape."""
    rest = leaves([factor for axis in label for factor in axis])
    result: Label = []
    for size in shape:
        axis: Axis = []
        while size > 1 and rest:
            factor = rest.pop(0)
            if factor.size > size and factor.size % size == 0:
                split(factor, size)
                rest = leaves([factor, *rest])
                factor = rest.pop(0)
            if size % factor.size:
                fix(*label, axis, rest)
                return [new_axis(length, fixed=True) for length in shape]
            axis.append(factor)
            size //= factor.size
            rest = leaves(rest)
        result.append(axis)
    return result


def part_of(axis: Axis, size: int, length: int, start: int = 0) -> Axis:
    """Return the axis of one of the equal parts, `length` of `size`, that an axis is cut into."""
    if length == size or not axis:
        return axis
    if length < 1 or size % length or start % length:
        fix(axis)
        return new_axis(length, fixed=True)
    blocks, part = new_axis(size // length, fixed=True), new_axis(length)
    join(axis, blocks + part)
    return part
