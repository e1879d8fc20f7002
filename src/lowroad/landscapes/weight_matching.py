"""Renumbering one network's hidden units so that it lies nearest to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from lowroad.landscapes.network import NetworkLandscape
from lowroad.landscapes.permutations import Axes, PermutationSpec, as_point, tensors_of


@dataclass(frozen=True)
class Alignment:
    """A point moved near another one by permuting hidden units.

    Attributes:
        point: the same function with its units renumbered [d].
        permutations: for each group of units, π [units]: unit i was unit π_i.
        raw_distance: the Euclidean distance between the two points as they were.
        distance: the distance now.
    """

    point: Tensor
    permutations: dict[str, Tensor]
    raw_distance: float
    distance: float
    landscape: NetworkLandscape = field(repr=False)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the aligned network for `module.load_state_dict`, buffers included.

        Re-estimated statistics are those of the aligned point, other buffers the landscape's.
        """
        module = self.landscape.module
        own = tensors_of(self.landscape, self.point)
        named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]
        first = {id(tensor): name for name, tensor in reversed(named) if name in own}
        state = {name: own[first[id(t)]] for name, t in named if id(t) in first}
        return {
            name: state.get(name, tensor).detach().clone()
            for name, tensor in module.state_dict().items()
        }


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
    as a whole, its cycles are tried one by one. The ascent starts from the units as they are and
    once more from the assignment of the units' sorted weights, which no renumbering of other units
    changes, so that a renumbered copy is recognised; the nearer result is returned.

    Source: Ainsworth, Hayase and Srinivasa 2023, "Git Re-Basin", arXiv:2209.04836, Section 3.2 and
    Algorithm 1.

    Args:
        landscape: of the network, for its module and data.
        first: the point [d] that stays.
        second: the point [d] that is permuted.
        axes: which axes share a permutation, see `PermutationSpec`; read off the network's
            operations when not given.
        generator: draws the order of the groups in each sweep, as published; the order of the
            layers when not given.

    Raises:
        ValueError: when the points are not finite, the axes do not fit the network, no units that
            can be renumbered are found, or a permutation would change its outputs.
        TypeError: when the landscape is not that of a network.

    >>> from torch import nn
    >>> chain = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Tanh(), nn.Linear(2, 1, bias=False))
    >>> loss = NetworkLandscape(chain, torch.ones(1, 1), torch.ones(1, 1), "mean_squared_error")
    >>> first, second = torch.tensor([1.0, 2, 3, 4]), torch.tensor([2.0, 1, 4, 3])
    >>> weight_matching(loss, first, second)
    Alignment(point=tensor([1., 2., 3., 4.]), permutations={'0': tensor([1, 0])},
              raw_distance=2.0, distance=0.0)
    """
    refuse_unmatchable(landscape, first, second)
    first, second = first.detach(), second.detach()
    spec = PermutationSpec.of(landscape, axes)
    spec.check(landscape, second)
    ascent = _Ascent(spec, landscape.parameters_at(first), landscape.parameters_at(second))
    identity = {group: torch.arange(size) for group, size in spec.sizes.items()}
    _, permutations = max(
        (ascent.climb(start, generator) for start in (identity, ascent.by_sorted_weights())),
        key=lambda reached: reached[0],
    )
    return alignment_by(spec, permutations, landscape, first, second)


class _Ascent:
    """⟨first, π(second)⟩ as a function of the permutations π of all groups."""

    def __init__(
        self, spec: PermutationSpec, first: dict[str, Tensor], second: dict[str, Tensor]
    ) -> None:
        self.spec = spec
        self.fixed = {name: tensor.double() for name, tensor in first.items()}
        self.moved = {name: tensor.double() for name, tensor in second.items()}

    def value(self, permutations: dict[str, Tensor]) -> float:
        permuted = self.spec.permute(self.moved, permutations)
        return sum(float((x * permuted[name]).sum()) for name, x in self.fixed.items())

    def climb(
        self, permutations: dict[str, Tensor], generator: torch.Generator | None
    ) -> tuple[float, dict[str, Tensor]]:
        """Improve one group after the other, until none improves."""
        best, groups, improving = self.value(permutations), list(permutations), True
        while improving:
            improving = False
            if generator is not None:
                order = torch.randperm(len(groups), generator=generator, device=generator.device)
                groups = [groups[i] for i in order.tolist()]
            for group in groups:
                current, proposed = permutations[group], self._proposed(group, permutations)
                for part in _parts(current, proposed):
                    trial = permutations | {group: torch.where(part, proposed, current)}
                    value = self.value(trial)
                    if value > best:
                        permutations, best, improving = trial, value, True
                        current = trial[group]
                        if bool(part.all()):
                            break
        return best, permutations

    def _proposed(self, group: str, permutations: dict[str, Tensor]) -> Tensor:
        """Return the best permutation of a group while the others stay."""
        return self._assigned(
            group,
            lambda name, axis: self.spec.permute(
                {name: self.moved[name]}, permutations, (name, axis, group)
            )[name],
            lambda rows: rows,
        )

    def by_sorted_weights(self) -> dict[str, Tensor]:
        """Return the assignments of units by their sorted weights, which no other group moves."""
        return {
            group: self._assigned(
                group, lambda name, axis: self.moved[name], lambda rows: rows.sort(1).values
            )
            for group in self.spec.sizes
        }

    def _assigned(
        self,
        group: str,
        other: Callable[[str, int], Tensor],
        feature: Callable[[Tensor], Tensor],
    ) -> Tensor:
        size = self.spec.sizes[group]
        gains = torch.zeros(size, size, dtype=torch.float64)
        for name, axis in self.spec.places(group):
            if name in self.fixed:  # buffers are not part of a point
                a, b = (
                    feature(self.spec.rows(tensor, name, axis, group))
                    for tensor in (self.fixed[name], other(name, axis))
                )
                gains += (a @ b.T).cpu()
        return torch.from_numpy(linear_sum_assignment(gains.numpy(), maximize=True)[1])


def refuse_unmatchable(landscape: NetworkLandscape, first: Tensor, second: Tensor) -> None:
    """Refuse what is not a network's landscape and two finite points of it."""
    if not isinstance(landscape, NetworkLandscape):
        raise TypeError(
            "expected the landscape of a network, whose units can be permuted, got "
            f"{type(landscape).__name__}"
        )
    for point in (first, second):
        landscape.check_points(point[None])
        if not bool(torch.isfinite(point).all()):
            raise ValueError("expected two finite points, got components that are not finite")


def alignment_by(
    spec: PermutationSpec,
    permutations: dict[str, Tensor],
    landscape: NetworkLandscape,
    first: Tensor,
    second: Tensor,
) -> Alignment:
    """Return `second` renumbered by the permutations that a method has found."""
    point = as_point(spec.permute(landscape.parameters_at(second), permutations))
    distances = _distance(first, second), _distance(first, point)
    return Alignment(point, permutations, *distances, landscape)


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


def _distance(first: Tensor, second: Tensor) -> float:
    return float(torch.linalg.vector_norm(first.double() - second.double()))
