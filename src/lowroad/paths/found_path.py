"""The result of a path finder, measured in the same way for every finder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowroad.landscapes import Evaluations, Landscape, SymmetricImage
from lowroad.outcome import Outcome
from lowroad.paths.path import Path

GOLDEN = (5**0.5 - 1) / 2
REFINEMENTS = 20  # golden sections
PEAKS = 3  # grid maxima refined: the highest ones within a quarter of the range below the top


@dataclass(frozen=True)
class History:
    """The convergence curve of a search, on the full landscape only: one row per measured path.

    With full-batch steps that is every step, at no extra cost; with mini-batch steps it is the
    start, the end of every pass over the data, and the last step, since a value on a batch is
    neither an upper bound nor comparable with that on another batch.

    Attributes:
        steps: steps done before the row, [r].
        heights: max_i L(θ(t_i)), [r].
        totals: Σ_i L(θ(t_i)), the cumulative loss without the penalty, [r].
        gradient_evaluations: points evaluated with gradients before the row, [r].
        value_evaluations: points evaluated without gradients before the row, [r].
    """

    steps: NDArray[np.int64]
    heights: NDArray[np.float64]
    totals: NDArray[np.float64]
    gradient_evaluations: NDArray[np.float64]
    value_evaluations: NDArray[np.float64]


@dataclass(frozen=True)
class FoundPath:
    """A path and its measurements.

    A height is an upper bound on the lowest pass between the ends, and it depends on the budget: it
    falls with further optimization. `outcome` says whether the search had converged. Heights by
    name: `height` on the grid (Eq. 5); `refined_height` between grid points, by evaluations around
    the grid's peaks; `spline_height`, an estimate from the images' forces that bounds nothing;
    `dense_height`, the largest of as many evaluations as one asks for, with their spacing.

    Attributes:
        path: t [n] → points [n, d]; `path.values(landscape, t)` is its profile on any grid.
        t: the grid [T].
        profile: L(θ(t_i)) on the grid, [T].
        refined_height: the maximum of the continuous path near the grid's highest points, by
            golden section; never below `height`. A coarse grid can miss a narrow peak.
        refined_t: the t of that maximum.
        length: the length of the polygon through 1001 equally spaced t.
        history: the convergence curve of the search that found this path, with only its own
            evaluations.
        evaluations: all evaluations, of all starts, measurements included.
        outcome: why the search ended.
        start_heights: the final refined heights of all starts, in order; this path is the lowest.
        spline_height: for chains of images, the maximum of the spline through the images' values
            and tangential forces (see `lowroad.paths.spline_height`); None for other paths.
        symmetry: where a symmetry brings the ends nearer to each other or they are the same state,
            how; None where none is known. Networks are not tried, whose alignment takes long: see
            `Landscape.symmetric_image`.
    """

    path: Path
    t: NDArray[np.float64]
    profile: NDArray[np.float64]
    refined_height: float
    refined_t: float
    length: float
    history: History
    evaluations: Evaluations
    outcome: Outcome
    start_heights: tuple[float, ...]
    spline_height: float | None = None
    symmetry: SymmetricImage | None = None

    @property
    def height(self) -> float:
        """The path height of Eq. (5): max_i L(θ(t_i)) on the grid."""
        return float(self.profile.max())

    @property
    def peak_t(self) -> float:
        """The t of the grid's highest point."""
        return float(self.t[self.profile.argmax()])

    @property
    def peak_point(self) -> Tensor:
        """The grid's highest point [d]."""
        return self.path(torch.tensor([self.peak_t], dtype=torch.float64))[0]

    @property
    def barrier(self) -> float:
        """The height above the higher end: the climb from that end."""
        return self.height - float(max(self.profile[0], self.profile[-1]))

    @property
    def barrier_above_mean(self) -> float:
        """The height above the mean of the two ends.

        On the straight line the error barrier of Frankle et al. 2020 and the loss barrier of
        Ainsworth et al. 2023.
        """
        return self.height - float(self.profile[0] + self.profile[-1]) / 2

    @property
    def barrier_above_line(self) -> float:
        """The largest rise above the line between the ends' values, max_i L_i − lerp(L_0, L_1).

        On the straight line the barrier of Entezari et al. 2022.
        """
        line = (1 - self.t) * self.profile[0] + self.t * self.profile[-1]
        return float((self.profile - line).max())

    def dense_height(self, landscape: Landscape, points: int = 1001) -> DenseHeight:
        """Return the largest of the values at `points` equally spaced t, ends included.

        Raises:
            ValueError: for fewer than two points.

        >>> from lowroad.landscapes import MullerBrown
        >>> from lowroad.paths import StraightLine
        >>> surface = MullerBrown()
        >>> found = StraightLine(points=11).find(surface, *surface.ends)
        >>> dense = found.dense_height(surface)
        >>> round(found.height, 3), round(dense.height, 3), round(dense.spacing, 5)
        (12.605, 12.676, 0.00184)
        """
        if points < 2:
            raise ValueError(f"expected at least 2 points, got {points}")
        t = torch.linspace(0, 1, points, dtype=torch.float64)
        values = self.path.values(landscape, t)
        highest = int(values.argmax())
        lengths = self.path.step_lengths(t)
        return DenseHeight(float(values[highest]), float(t[highest]), float(lengths.max()))


class DenseHeight(NamedTuple):
    """The largest of many values on a path.

    Attributes:
        height: the value.
        t: where it is.
        spacing: the largest distance of neighbouring points, in the landscape's lengths.
    """

    height: float
    t: float
    spacing: float


def measure(
    landscape: Landscape,
    evaluations: Evaluations,
    path: Path,
    points: int,
    refinements: int,
    history: History,
    outcome: Outcome,
    profile: Tensor | None = None,
    spline_height: float | None = None,
) -> FoundPath:
    """Evaluate a path's profile on `points` equally spaced t and refine its maximum.

    Args:
        landscape: the full landscape, counting into `evaluations`.
        evaluations: the count, copied into the result.
        path: the path to measure.
        points: T.
        refinements: golden sections spent on the maximum; 0 for none.
        history: passed on.
        outcome: passed on.
        profile: the values on the grid [T], if they are known already.
        spline_height: passed on.
    """
    t = torch.linspace(0, 1, points, dtype=torch.float64)
    restricted = landscape.restrict(path.subspace)

    def values(t: NDArray[np.float64]) -> NDArray[np.float64]:
        coordinates = path.coordinates(torch.from_numpy(t)).to(path.start)
        return restricted.values(coordinates).cpu().numpy()

    grid = t.numpy()
    on_grid = values(grid) if profile is None else profile.cpu().numpy()
    refined_t, refined_height = refine_maximum(values, grid, on_grid, refinements)
    return FoundPath(
        path=path,
        t=grid,
        profile=on_grid,
        refined_height=refined_height,
        refined_t=refined_t,
        length=path.length(),
        history=history,
        evaluations=Evaluations(evaluations.values, evaluations.gradients),
        outcome=outcome,
        start_heights=(refined_height,),
        spline_height=spline_height,
    )


class ValuesAt(Protocol):
    """A profile's values at any t [n], as float64 [n]."""

    def __call__(self, t: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Return the values [n]."""
        ...


def refine_maximum(
    values: ValuesAt,
    t: NDArray[np.float64],
    profile: NDArray[np.float64],
    refinements: int = REFINEMENTS,
) -> tuple[float, float]:
    """Return where a profile's maximum is and how high, between the grid points too.

    The highest grid maxima (at most `PEAKS`, within the upper quarter of the profile's range) are
    each bracketed by their neighbours and followed by golden section, all in one batch. A peak
    narrower than a grid step that no grid point touches is missed. Where a place has no value, the
    maximum is NaN, as it is where a grid point has none.

    Args:
        values: evaluates the profile at any t.
        t: the grid, increasing, [T].
        profile: the values on the grid, [T].
        refinements: golden sections; 0 return the grid's maximum.

    >>> grid = np.linspace(0, 1, 6)
    >>> t, height = refine_maximum(lambda t: -((t - 0.33) ** 2), grid, -((grid - 0.33) ** 2))
    >>> round(t, 4), abs(height) < 1e-8
    (0.33, True)
    """
    best_t, best = float(t[profile.argmax()]), float(profile.max())
    if refinements == 0 or not np.isfinite(best):
        return best_t, best
    tops = _grid_maxima(profile)
    low, high = t[np.maximum(tops - 1, 0)], t[np.minimum(tops + 1, len(t) - 1)]
    inner, outer = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    both = values(np.concatenate([inner, outer]))
    at_inner, at_outer = both[: len(tops)], both[len(tops) :]
    for _ in range(refinements):
        left = at_inner > at_outer
        for where, found in ((inner, at_inner), (outer, at_outer)):
            top = int(found.argmax())  # a NaN counts as the largest
            if np.isnan(found[top]):
                return float(where[top]), float("nan")
            if found[top] > best:
                best_t, best = float(where[top]), float(found[top])
        low, high = np.where(left, low, inner), np.where(left, outer, high)
        new = np.where(left, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        at_new = values(new)
        inner, outer = np.where(left, new, outer), np.where(left, inner, new)
        at_inner, at_outer = np.where(left, at_new, at_outer), np.where(left, at_inner, at_new)
    return best_t, best


def _grid_maxima(profile: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices of the highest local maxima of the profile."""
    padded = np.concatenate([[-np.inf], profile, [-np.inf]])
    local = (profile >= padded[:-2]) & (profile >= padded[2:])
    floor = profile.max() - (profile.max() - profile.min()) / 4
    chosen = np.flatnonzero(local & (profile >= floor))
    return chosen[np.argsort(-profile[chosen], kind="stable")][:PEAKS]
