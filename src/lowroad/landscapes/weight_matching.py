"""Renumbering one network's hidden units so that it lies nearest to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from lowroad.landscapes.network import NetworkLandscape
from lowroad.landscapes.permutations import Axes, PermutationSpec, as_point


@dataclass(frozen=True)
class Alignment:
    """A point moved near another one by permuting hidden units.

    Attributes:
        point: the same function with its units renumbered [d].
        permutations: for each group of units, π [units]: unit i was unit π_i.
        raw_distance: the Euclidean distance between the two points as they were.
        distance: the distance now; never larger.
    """

    point: Tensor
    permutations: dict[str, Tensor]
    raw_distance: float
    distance: float


def weight_matching(
    landscape: NetworkLandscape,
    first: Tensor,
    second: Tensor,
    axes: Axes | None = None,
    generator: torch.Generator | None = None,
) -> Alignment:
    """Permute the hidden units of `second` so that it lies nearest to `first`.

    The permutations π maximize ⟨first, π(second)⟩, which minimizes ‖first − π(second)‖. Coordinate
    ascent: one group of units after the other gets the permutation that is best while the others
    stay, a linear assignment between its units' incoming and outgoing weights, until none improves.
    With one hidden layer that is the optimum, with more a local one. Recurrent weights, whose rows
    and columns are permuted alike, make the assignment a linearization: where it does not improve
    as a whole, its cycles are tried one by one.

    Source: Ainsworth, Hayase and Srinivasa 2023, "Git Re-Basin", arXiv:2209.04836, Section 3.2 and
    Algorithm 1.

    Args:
        landscape: of the network, for its module and data.
        first: the point [d] that stays.
        second: the point [d] that is permuted.
        axes: which axes share a permutation, see `PermutationSpec`; traced when not given, see
            `traced_axes`.
        generator: draws the order of the groups in each sweep, as published; the order of the
            layers when not given.

    Raises:
        ValueError: when the points are not finite, the axes do not fit the network, it cannot be
            traced, or a permutation would change its outputs.
        TypeError: when the landscape is not that of a network.

    >>> from torch import nn
    >>> chain = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Tanh(), nn.Linear(2, 1, bias=False))
    >>> loss = NetworkLandscape(chain, torch.ones(1, 1), torch.ones(1, 1), "mean_squared_error")
    >>> first, second = torch.tensor([1.0, 2, 3, 4]), torch.tensor([2.0, 1, 4, 3])
    >>> weight_matching(loss, first, second)
    Alignment(point=tensor([1., 2., 3., 4.]), permutations={'0': tensor([1, 0])},
              raw_distance=2.0, distance=0.0)
    """
    if not isinstance(landscape, NetworkLandscape):
        raise TypeError(
            "expected the landscape of a network, whose units can be permuted, got "
            f"{type(landscape).__name__}"
        )
    spec = PermutationSpec.of(landscape, axes)
    first, second = first.detach(), second.detach()
    for point in (first, second):
        landscape.check_points(point[None])
    if not bool(torch.isfinite(torch.stack([first, second])).all()):
        raise ValueError("expected two finite points, got components that are not finite")
    spec.check(landscape, second)
    fixed = _in_float64(landscape.parameters_at(first))
    moved = _in_float64(landscape.parameters_at(second))

    def agreement(permutations: dict[str, Tensor]) -> float:
        permuted = spec.permute(moved, permutations)
        return sum(float((x * permuted[name]).sum()) for name, x in fixed.items())

    permutations = {group: torch.arange(size) for group, size in spec.sizes.items()}
    best, groups, improving = agreement(permutations), list(permutations), True
    while improving:
        improving = False
        if generator is not None:
            order = torch.randperm(len(groups), generator=generator, device=generator.device)
            groups = [groups[i] for i in order.tolist()]
        for group in groups:
            gains = torch.zeros(spec.sizes[group], spec.sizes[group], dtype=torch.float64)
            for name, axis in spec.places(group):
                if name in fixed:  # buffers are not part of a point
                    other = spec.permute({name: moved[name]}, permutations, (name, axis))[name]
                    rows = spec.rows(fixed[name], name, axis)
                    gains += (rows @ spec.rows(other, name, axis).T).cpu()
            proposed = torch.from_numpy(linear_sum_assignment(gains.numpy(), maximize=True)[1])
            for part in _parts(permutations[group], proposed):
                trial = permutations | {group: torch.where(part, proposed, permutations[group])}
                value = agreement(trial)
                if value > best:
                    permutations, best, improving = trial, value, True
                    if bool(part.all()):
                        break
    point = as_point(spec.permute(landscape.parameters_at(second), permutations))
    return Alignment(point, permutations, _distance(first, second), _distance(first, point))


def _parts(current: Tensor, proposed: Tensor) -> Iterator[Tensor]:
    """Yield the units that move on the way to a proposed permutation: all, then each cycle's."""
    if torch.equal(current, proposed):
        return
    yield torch.ones_like(current, dtype=torch.bool)
    units = len(current)
    edges = (np.ones(units), (np.arange(units), current.argsort()[proposed].numpy()))
    count, cycle = connected_components(csr_array(edges, shape=(units, units)))
    parts = (torch.from_numpy(cycle == i) for i in range(count))
    yield from (part for part in parts if part.sum() > 1)


def _in_float64(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in tensors.items()}


def _distance(first: Tensor, second: Tensor) -> float:
    return float(torch.linalg.vector_norm(first.double() - second.double()))
