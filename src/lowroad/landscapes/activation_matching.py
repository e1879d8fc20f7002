"""Renumbering one network's hidden units so that they do what another's do."""

from __future__ import annotations

import operator
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, fx

from lowroad.landscapes.axis_factors import Factor, leaves
from lowroad.landscapes.network import NetworkLandscape
from lowroad.landscapes.permutations import PermutationSpec, tensors_of, traced
from lowroad.landscapes.symmetry_trace import SymmetryTrace
from lowroad.landscapes.weight_matching import Alignment, alignment_by, refuse_unmatchable


@torch.no_grad()
def activation_matching(
    landscape: NetworkLandscape, first: Tensor, second: Tensor, samples: int = 250
) -> Alignment:
    """Permute the hidden units of `second` so that each responds to the data as one of `first`.

    For each group of units, the permutation maximizes the correlations between the units'
    activations, Σ_i corr(a_i, b_π(i)), summed over all operations whose results they number: one
    linear assignment per group. The distance between the points need not become smaller.
    Units that only occur together with those of another group on one axis, such as those within an
    attention head, keep their order.

    Source: Li et al. 2016, "Convergent learning", arXiv:1511.07543; Ainsworth, Hayase and
    Srinivasa 2023, "Git Re-Basin", arXiv:2209.04836, Section 3.1.

    Args:
        landscape: of the network, for its module and data.
        first: the point [d] that stays.
        second: the point [d] that is permuted.
        samples: how many inputs, evenly spaced in the data, the activations are taken on.

    Raises:
        ValueError: when the points are not finite, or no units that can be renumbered are found.
        TypeError: when the landscape is not that of a network.

    >>> from torch import nn
    >>> chain = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Tanh(), nn.Linear(2, 1, bias=False))
    >>> inputs = torch.tensor([[-1.0], [0.5], [2.0]])
    >>> loss = NetworkLandscape(chain, inputs, torch.ones(3, 1), "mean_squared_error")
    >>> first, second = torch.tensor([1.0, -2, 3, 4]), torch.tensor([-2.0, 1, 4, 3])
    >>> activation_matching(loss, first, second).distance
    0.0
    """
    refuse_unmatchable(landscape, first, second)
    first, second = first.detach(), second.detach()
    trace = traced(landscape, samples)
    spec = PermutationSpec.traced(trace, landscape)
    spec.check(landscape, second)
    names: dict[Factor, str] = {}
    for name, entries in spec.axes.items():
        for entry, axis in zip(entries, trace.axes[name], strict=True):
            groups = (
                [entry] if isinstance(entry, str) else [p for p in entry or () if p in spec.sizes]
            )
            names |= dict(zip((f for f in leaves(axis) if not f.fixed), groups, strict=True))
    gains = _correlations(trace, names, *(tensors_of(landscape, p) for p in (first, second)))
    permutations = {
        group: torch.from_numpy(linear_sum_assignment(gain.cpu().numpy(), maximize=True)[1])
        for group, gain in gains.items()
    }
    return alignment_by(spec, permutations, landscape, first, second)


def _correlations(
    trace: SymmetryTrace, names: dict[Factor, str], *tensors: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return for each group [units of the first, units of the second], summed over operations."""
    gains = {
        name: torch.zeros(factor.size, factor.size, dtype=torch.float64)
        for factor, name in names.items()
    }
    values: list[dict[fx.Node, Any]] = [{}, {}]
    last_use = {used: node for node in trace.graph.graph.nodes for used in node.all_input_nodes}
    follows_data: set[fx.Node] = set()
    for node in trace.graph.graph.nodes:
        if node.op == "output":
            break
        for own, given in zip(values, tensors, strict=True):
            own[node] = _result(node, own, given, trace)
        if node.op == "get_attr" or not follows_data.isdisjoint(node.all_input_nodes):
            follows_data.add(node)
            if node.op == "call_function" and isinstance(values[0][node], Tensor):
                _add_correlations(trace, names, node, values, gains)
        for used in [*node.all_input_nodes, node]:
            if last_use.get(used, used) is node:
                for own in values:
                    own.pop(used, None)
    return gains


def _result(
    node: fx.Node, known: dict[fx.Node, Any], tensors: dict[str, Tensor], trace: SymmetryTrace
) -> Any:
    if node.op == "placeholder":
        return tensors[trace.names[node]]
    if node.op == "get_attr":
        return operator.attrgetter(str(node.target))(trace.graph)
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda used: known[used])
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _add_correlations(
    trace: SymmetryTrace,
    names: dict[Factor, str],
    node: fx.Node,
    values: list[dict[fx.Node, Any]],
    gains: dict[str, Tensor],
) -> None:
    first, second = (own[node] for own in values)
    axes = [leaves(axis) for axis in trace.labels[node]]
    numbered = [(i, f) for i, axis in enumerate(axes) for f in axis if f in names]
    if len(numbered) != 1 or not first.is_floating_point():
        return
    ((i, factor),) = numbered
    place = axes[i].index(factor)
    outer = 1
    for each in axes[i][:place]:
        outer *= each.size
    rows = [
        x.movedim(i, 0).reshape(outer, factor.size, -1).movedim(1, 0).flatten(1).double()
        for x in (first, second)
    ]
    centred = [x - x.mean(1, keepdim=True) for x in rows]
    norms = [x.norm(dim=1, keepdim=True) for x in centred]
    if all(bool(torch.isfinite(n).all()) for n in norms):
        a, b = (x / n.clamp_min(1e-300) for x, n in zip(centred, norms, strict=True))
        gains[names[factor]] += (a @ b.T).cpu()
