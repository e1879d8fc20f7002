"""The operations of a traced network: their arguments, and what is written into later."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx

from lowroad.landscapes.axis_factors import Label


class Call:
    """One operation of the traced network; `written` says whether its result is changed later."""

    def __init__(self, node: fx.Node, labels: Mapping[fx.Node, Any], written: bool) -> None:
        self.node, self._labels, self.written = node, labels, written
        schema = node.target._schema  # type: ignore[union-attr]
        self.given = dict(zip((a.name for a in schema.arguments), node.args, strict=False))
        self.given |= node.kwargs
        self.defaults = {a.name: a.default_value for a in schema.arguments}

    def get(self, name: str) -> Any:
        """Return an argument that is not a tensor."""
        return self.given.get(name, self.defaults.get(name))

    def label(self, name: str) -> Label | None:
        """Return the axes of a tensor argument, None where it is not given."""
        given = self.given.get(name)
        return self._labels[given] if isinstance(given, fx.Node) else None

    def label_of(self, node: fx.Node) -> Label:
        """Return the axes of a tensor."""
        label: Label = self._labels[node]
        return label

    def labels(self, name: str) -> list[Label]:
        """Return the axes of the tensors in a list."""
        return [self._labels[node] for node in self.given[name]]

    def shape_of(self, name: str) -> list[int]:
        """Return the shape of a tensor argument."""
        return list(value_of(self.given[name]).shape)

    def tensors(self) -> list[Label]:
        """Return the axes of all tensor arguments."""
        return [
            self._labels[n] for n in self.node.all_input_nodes if isinstance(value_of(n), Tensor)
        ]

    @property
    def shapes(self) -> list[list[int]]:
        """The shapes of all that comes out."""
        value = value_of(self.node)
        return [list(v.shape) for v in (value if isinstance(value, (tuple, list)) else (value,))]

    def dim(self, label: Label, name: str = "dim") -> int:
        """Return the number of an axis, counted from the front."""
        return int(self.get(name) or 0) % max(len(label), 1)


def value_of(node: fx.Node) -> Any:
    """Return what came out of an operation when it was traced."""
    return node.meta["val"]


def written(graph: fx.Graph) -> set[fx.Node]:
    """Return what is written into later, directly or through a view of it."""
    found = set()
    for node in graph.nodes:
        if node.op == "call_function" and _aliases(node, write=True):
            base = node.args[0]
            while base.op == "call_function" and _aliases(base, write=False):
                base = base.args[0]
            found.add(base)
    return found


def _aliases(node: fx.Node, write: bool) -> bool:
    """Whether an operation returns its first argument, changed, or a view of it."""
    if node.target is operator.getitem:
        return not write
    alias = [r.alias_info for r in node.target._schema.returns]  # type: ignore[union-attr]
    return any(a is not None and (a.is_write or not write) for a in alias)
