"""Paths of a fixed family, start + t (end − start) + Σ_j φ_j(t) b_j, moved by Adam on the b_j."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Landscape
from lowroad.outcome import Outcome
from lowroad.paths.basis import Basis
from lowroad.paths.finder import Callback, PathFinder, Record, Search
from lowroad.paths.path import Path


@dataclass(frozen=True, kw_only=True)
class CurveFinder(PathFinder):
    """Minimizes the total loss of Eq. (4) over the coefficients of a family of curves.

    Σ_i L(θ(t_i)) + λ Σ_i |θ(t_{i+1}) − θ(t_i)|², t on `points` equally spaced values, by Adam.
    The penalty is a closed form: λ (|end − start|²/(T−1) + Σ_jk A_jk b_j·b_k) with
    A_jk = Σ_i Δφ_j(t_i) Δφ_k(t_i). The path of the lowest cumulative loss Σ_i L(θ(t_i)) seen *on
    the full landscape* is kept: with full-batch steps every step's path is a candidate; with
    mini-batches the candidates are the paths at the start, at the end of every pass over the data
    and at the end, each evaluated on the full landscape, since a low loss on a lucky batch means
    nothing.

    Attributes:
        smoothness: λ.
        steps: Adam's steps, at most.
        learning_rate: Adam's.
        batch_size: items of data a step; all when None.
        noise: standard deviation of normal noise added to the gradient by every b.
        until: "budget" for all the steps; "settled" to stop once the height has settled.
        settle_tolerance: the relative change of the height (above the lower end) that counts as
            settled.
        settle_steps: over how many steps.
    """

    smoothness: float = 0.01
    steps: int = 100
    learning_rate: float = 1e-3
    batch_size: int | None = None
    noise: float = 0.0
    until: Literal["budget", "settled"] = "budget"
    settle_tolerance: float = 1e-3
    settle_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("smoothness", "noise", "settle_tolerance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"expected {name} >= 0, got {getattr(self, name)}")
        for name in ("steps", "settle_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} >= 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"expected a learning_rate > 0, got {self.learning_rate}")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"expected batches of at least one item, got {self.batch_size}")
        if self.until not in ("budget", "settled"):
            raise ValueError(f'expected until="budget" or "settled", got {self.until!r}')
        if self.basis.terms < 1:
            raise ValueError(f"expected at least one term, got {self.basis.terms}")

    @property
    @abstractmethod
    def basis(self) -> Basis:
        """The family of curves."""

    @property
    def draws(self) -> bool:
        """Whether mini-batches or noise are drawn."""
        return self.batch_size is not None or self.noise > 0

    def _search(
        self,
        landscape: CountingLandscape,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator | None,
        callback: Callback | None,
        initial: Path | None,
    ) -> Search:
        path = Path.straight(start, end, self.basis)
        if initial is not None:
            path = initial.in_basis(self.basis)
        t = torch.linspace(0, 1, self.points, dtype=torch.float64, device=start.device)
        coordinates = path.coordinates(t).to(start)
        inner = coordinates[1:-1]
        at_ends = landscape.restrict(path.subspace).heights(coordinates[[0, -1]])
        pull = penalty_matrix(self.basis, t).to(start) * (2 * self.smoothness)

        record = Record(landscape.evaluations, self.settle_tolerance, self.settle_steps)
        coefficients = path.coefficients.clone()
        adam = torch.optim.Adam([coefficients], lr=self.learning_rate)
        best, lowest_total = path, torch.inf
        batches = _Batches(landscape, self.batch_size, generator)

        def consider(step: int, heights: Tensor) -> bool:
            """Record a path measured on the full landscape; return whether it is finite."""
            nonlocal best, lowest_total
            heights = torch.cat([at_ends[:1], heights, at_ends[1:]])
            record.add(step, heights)
            total = float(heights.sum())
            if total < lowest_total:
                best, lowest_total = path.with_coefficients(coefficients.clone()), total
            return bool(torch.isfinite(heights).all())

        def on_full_landscape() -> Tensor:
            subspace = path.with_coefficients(coefficients).subspace
            return landscape.restrict(subspace).heights(inner)

        outcome = None
        for step in range(self.steps):
            batch, is_full = batches.next()
            if batches.begins_pass and not is_full and not consider(step, on_full_landscape()):
                outcome = Outcome.DIVERGED
                break
            subspace = path.with_coefficients(coefficients).subspace
            heights, by_subspace = batch.restrict(subspace).heights_and_subspace_gradients(inner)
            finite = bool(torch.isfinite(heights).all() and torch.isfinite(by_subspace).all())
            if (is_full and not consider(step, heights)) or not finite:
                outcome = Outcome.DIVERGED
                break
            height = float(heights.max())
            if is_full:
                height = max(height, float(at_ends.max()))
            if callback is not None and callback(step, height):
                outcome = Outcome.STOPPED
                break
            if self.until == "settled" and record.settled:
                outcome = Outcome.SETTLED
                break
            gradient = by_subspace[2:] + pull @ coefficients
            if self.noise > 0:
                noise = torch.randn(gradient.shape, generator=generator, dtype=gradient.dtype)
                gradient += self.noise * noise.to(gradient)
            coefficients.grad = gradient
            adam.step()
        else:
            finite = consider(self.steps, on_full_landscape())
            outcome = Outcome.BUDGET_SPENT if finite else Outcome.DIVERGED
            if finite and record.settled:
                outcome = Outcome.SETTLED
        return Search(best, record.history(), outcome)


class _Batches:
    """The landscapes of the steps: the full one every time, or pass after pass of mini-batches."""

    def __init__(
        self, landscape: Landscape, size: int | None, generator: torch.Generator | None
    ) -> None:
        self._landscape, self._size, self._generator = landscape, size, generator
        self._rest: Iterator[Landscape] = iter(())
        self.begins_pass = False
        if size is not None and generator is not None:
            landscape.minibatches(size, generator)  # raises early where there is no data

    def next(self) -> tuple[Landscape, bool]:
        """Return the next step's landscape and whether it is the full one."""
        if self._size is None or self._generator is None:
            return self._landscape, True
        batch = next(self._rest, None)
        self.begins_pass = batch is None
        if batch is None:
            self._rest = iter(self._landscape.minibatches(self._size, self._generator))
            batch = next(self._rest)
        return batch, False


def penalty_matrix(basis: Basis, t: Tensor) -> Tensor:
    """Return A [m, m] with Σ_i |θ(t_{i+1}) − θ(t_i)|² = |end − start|²/(T−1) + Σ_jk A_jk b_j·b_k.

    For sines on a uniform grid A is diagonal, 2 (T−1) sin²(nπ / (2 (T−1))). The line and the
    shapes do not mix, since every φ_j vanishes at both ends and the grid is uniform.

    Args:
        basis: the shapes φ.
        t: equally spaced values from 0 to 1, [T].

    >>> from lowroad.paths.basis import SineBasis
    >>> penalty_matrix(SineBasis(1), torch.linspace(0, 1, 3))  # 2 · 2 sin²(π/4)
    tensor([[2.0000]])
    """
    changes = basis.values(t).diff(dim=0)
    return changes.T @ changes
