"""Which axes of a network's tensors number the same units, read off the operations it performs.

Every axis of every tensor is a list of factors, the outer ones first: 4·H gates are [4, H], the
pixels of C flattened channels [C, 25]. An operation makes factors equal (the columns of a weight
and the units it reads), splits them (a view, a chunk), or fixes them (the pixels of a convolution:
their order matters). What stays free at the end can be renumbered without changing the outputs.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from lowroad.landscapes.axis_factors import Label, fix, new_axis
from lowroad.landscapes.math_kernels import math_kernels
from lowroad.landscapes.symmetry_rules import opaque, rule_of
from lowroad.landscapes.traced_call import Call, value_of, written


class SymmetryTrace:
    """The operations of a network, and what they say of the axes of its tensors.

    Args:
        function: from the tensors by name to the outputs (or to a loss).
        tensors: parameters and buffers by name.

    Attributes:
        graph: the operations; it takes the tensors in their order.
        axes: for each name, one list of factors for each dimension.
        names: which tensor each input of the graph is.
        labels: for each operation, the same of what comes out.
        opaque: the names of operations that are not known and so fix all that they touch.
    """

    def __init__(
        self, function: Callable[[dict[str, Tensor]], Any], tensors: Mapping[str, Tensor]
    ) -> None:
        names = list(tensors)

        def call(*given: Tensor) -> Any:
            return function(dict(zip(names, given, strict=True)))

        # a branch on numbers (are all tokens attended to?) is taken as it is taken on these samples
        with math_kernels(), _compiled_as_written():
            self.graph = make_fx(call, _error_on_data_dependent_ops=False)(*tensors.values())
        self.graph.graph.eliminate_dead_code()
        self.labels: dict[fx.Node, Any] = {}
        self.opaque: set[str] = set()
        self.axes: dict[str, Label] = {}
        self.names: dict[fx.Node, str] = {}
        given, self._written = iter(names), written(self.graph.graph)
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                self.names[node] = name = next(given)
                self.axes[name] = self.labels[node] = [new_axis(n) for n in tensors[name].shape]
                if not (node.users and tensors[name].is_floating_point()):
                    fix(*self.labels[node])
            elif node.op == "get_attr":
                constant = operator.attrgetter(node.target)(self.graph)
                node.meta.setdefault("val", constant)
                self.labels[node] = [new_axis(n, fixed=True) for n in constant.shape]
            elif node.op == "output":
                for result in node.all_input_nodes:
                    if isinstance(value_of(result), Tensor):
                        fix(*self.labels[result])
            elif node.target is operator.getitem:
                self.labels[node] = self.labels[node.args[0]][node.args[1]]
            else:
                self.labels[node] = self._result(node)

    def _result(self, node: fx.Node) -> Any:
        rule, call = rule_of(node.target), Call(node, self.labels, node in self._written)
        if rule is not None:
            return rule(call)
        given = [value_of(used) for used in node.all_input_nodes]
        if any(isinstance(value, Tensor) and value.is_floating_point() for value in given):
            self.opaque.add(node.target._schema.name.removeprefix("aten::"))  # type: ignore
        return opaque(call)


def _compiled_as_written() -> AbstractContextManager[Any]:
    """Let parts that `torch.compile` made run as they are written, which a trace can follow."""
    dynamo: Any = sys.modules.get("torch._dynamo")  # without it nothing is compiled
    return nullcontext() if dynamo is None else dynamo.config.patch(error_on_nested_fx_trace=False)
