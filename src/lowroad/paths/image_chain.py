"""Chains of images: what the elastic band and the string share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape
from lowroad.optimizers.curvature import CurvatureMemory
from lowroad.outcome import Outcome
from lowroad.paths.basis import SplineBasis
from lowroad.paths.finder import Callback, PathFinder, Record, Search
from lowroad.paths.path import Path


@dataclass(frozen=True, kw_only=True)
class ImageChainFinder(PathFinder):
    """Moves images along the force across the chain until none is left.

    All scales come from the problem, so that nothing changes when heights or lengths are measured
    in other units: forces are compared with the largest one of the first chain, steps with the
    distance of the ends. The path is a cubic spline through the images, at equally spaced t; the
    history's heights are the images' own, those of the found path are the spline's.

    Attributes:
        images: how many, ends included.
        steps: at most; each evaluates every inner image once.
        tolerance: stop when every image's force is below this share of the first chain's largest.
        climb_below: the highest image climbs once every force is below this share of the first
            chain's largest; 0 for never, 1 for at once.
        optimizer: "lbfgs" (projected, no line search) or "fire", one state for the whole chain.
        max_step: the longest step of the whole chain, as a share of the ends' distance.
        until: "converged" to stop at the tolerance, "settled" to stop also once the height has
            settled.
        settle_tolerance: as in `CurveFinder`.
        settle_steps: as in `CurveFinder`.
    """

    images: int = 11
    steps: int = 200
    tolerance: float = 1e-4
    climb_below: float = 0.5
    optimizer: Literal["lbfgs", "fire"] = "lbfgs"
    max_step: float = 0.2
    until: Literal["converged", "settled"] = "converged"
    settle_tolerance: float = 1e-3
    settle_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images < 3:
            raise ValueError(f"expected at least 3 images, got {self.images}")
        for name in ("steps", "settle_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} >= 1, got {getattr(self, name)}")
        for name in ("tolerance", "climb_below", "settle_tolerance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"expected {name} >= 0, got {getattr(self, name)}")
        if not self.max_step > 0:
            raise ValueError(f"expected max_step > 0, got {self.max_step}")
        if self.optimizer not in ("lbfgs", "fire"):
            raise ValueError(f'expected optimizer "lbfgs" or "fire", got {self.optimizer!r}')
        if self.until not in ("converged", "settled"):
            raise ValueError(f'expected until="converged" or "settled", got {self.until!r}')

    @abstractmethod
    def _forces(self, chain: Chain) -> Tensor:
        """Return the force on every inner image [m, d], without climbing."""

    def _respace(self, chain: Tensor, climber: int | None) -> Tensor:
        """Return the chain [m + 2, d] with its images moved along it; by default as it is."""
        return chain

    def _search(
        self,
        landscape: CountingLandscape,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator | None,
        callback: Callback | None,
        initial: Path | None,
    ) -> Search:
        path = (
            Path.straight(start, end, SplineBasis(self.images - 2)) if initial is None else initial
        )
        x = path(torch.linspace(0, 1, self.images, dtype=torch.float64, device=start.device))
        x[0], x[-1] = start, end
        at_ends = landscape.heights(x[[0, -1]])
        record = Record(landscape.evaluations, self.settle_tolerance, self.settle_steps)
        stepper = _stepper(self.optimizer, self.max_step * float((end - start).norm()))
        best, lowest = x.clone(), torch.inf
        first_force, climbs = None, False

        outcome = None
        for step in range(self.steps + 1):
            heights, gradients = landscape.heights_and_gradients(x[1:-1])
            heights = torch.cat([at_ends[:1], heights, at_ends[1:]])
            record.add(step, heights)
            if not bool(torch.isfinite(heights).all() and torch.isfinite(gradients).all()):
                outcome = Outcome.DIVERGED
                break
            chain = Chain(x, heights, gradients)
            forces = self._forces(chain)
            largest = float(forces.norm(dim=1).max())
            first_force = largest if first_force is None else first_force
            climber = int(heights[1:-1].argmax())
            # a chain whose end is highest has no pass to climb to
            climbs = climbs or largest <= self.climb_below * first_force
            climbing = climbs and self.climb_below > 0 and climber_is_peak(heights, climber)
            if climbing:
                forces[climber] = chain.climbing_force(climber)
                largest = float(forces.norm(dim=1).max())
            # a climbing chain may rise: its last state is the answer, not its lowest
            if climbing or float(heights.max()) < lowest:
                best, lowest = x.clone(), float(heights.max())
            if callback is not None and callback(step, float(heights.max())):
                outcome = Outcome.STOPPED
            elif largest <= self.tolerance * first_force:
                outcome = Outcome.CONVERGED_GRADIENT
            elif self.until == "settled" and record.settled:
                outcome = Outcome.SETTLED
            elif step == self.steps:
                outcome = Outcome.SETTLED if record.settled else Outcome.BUDGET_SPENT
            if outcome is not None:
                break
            moved = torch.cat([x[:1], x[1:-1] + stepper.step(forces), x[-1:]])
            x = self._respace(moved, climber if climbing else None)
        assert outcome is not None
        return Search(through_images(best), record.history(), outcome)


def climber_is_peak(heights: Tensor, climber: int) -> bool:
    """Return whether the highest inner image is higher than both ends."""
    return bool(heights[climber + 1] > heights[[0, -1]].max())


def through_images(chain: Tensor) -> Path:
    """Return the spline through images [m + 2, d] at equally spaced t."""
    t = torch.linspace(0, 1, len(chain), dtype=chain.dtype, device=chain.device)[1:-1, None]
    line = torch.lerp(chain[0], chain[-1], t)
    return Path(chain[0], chain[-1], chain[1:-1] - line, SplineBasis(len(chain) - 2))


class Chain:
    """Images, heights, gradients, and tangents by the improved rule.

    The tangent points to the higher neighbour; at an extremum it is the mixture of both sides
    weighted by the height differences. Source: Henkelman & Jónsson 2000, Eqs. (8) to (11).

    Args:
        x: images [m + 2, d], ends included.
        heights: [m + 2], ends included.
        gradients: of the inner images [m, d].
    """

    def __init__(self, x: Tensor, heights: Tensor, gradients: Tensor) -> None:
        self.x, self.heights, self.gradients = x, heights, gradients
        steps = x.diff(dim=0)
        self.lengths = steps.norm(dim=1).clamp(min=torch.finfo(x.dtype).tiny)
        back, ahead = steps[:-1], steps[1:]
        down = (heights[1:-1] - heights[:-2]).abs()
        up = (heights[2:] - heights[1:-1]).abs()
        larger, smaller = torch.maximum(down, up), torch.minimum(down, up)
        next_higher = heights[2:] > heights[:-2]
        rising = (heights[2:] > heights[1:-1]) & (heights[1:-1] > heights[:-2])
        falling = (heights[2:] < heights[1:-1]) & (heights[1:-1] < heights[:-2])
        ahead_share = torch.where(next_higher, larger, smaller)
        back_share = torch.where(next_higher, smaller, larger)
        flat = larger == 0
        ahead_share = torch.where(rising | flat, 1.0, torch.where(falling, 0.0, ahead_share))
        back_share = torch.where(falling | flat, 1.0, torch.where(rising, 0.0, back_share))
        tangents = ahead_share[:, None].to(x) * ahead + back_share[:, None].to(x) * back
        norms = tangents.norm(dim=1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
        self.tangents = tangents / norms

    def across(self) -> Tensor:
        """Return −∇L without its part along the tangent, [m, d]."""
        along = (self.gradients * self.tangents).sum(1, keepdim=True)
        return along * self.tangents - self.gradients

    def climbing_force(self, i: int) -> Tensor:
        """Return −∇L of inner image i with its part along the tangent reversed, [d]."""
        along = self.gradients[i] @ self.tangents[i]
        return 2 * along * self.tangents[i] - self.gradients[i]


class _Fire:
    """The fast inertial relaxation engine, one state for the whole chain.

    Velocities turn towards the forces while they go along, and stop where they go against. The
    first time step moves by the longest allowed step. Source: Bitzek et al. 2006.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._time_step = self._longest_time_step = 0.0
        self._velocity: Tensor | None = None
        self._mix, self._good = 0.1, 0

    def step(self, forces: Tensor) -> Tensor:
        size = float(forces.norm())
        if self._velocity is None:
            self._velocity = torch.zeros_like(forces)
            self._time_step = (self._longest / size) ** 0.5 if size > 0 else 1.0
            self._longest_time_step = 10 * self._time_step
        elif float((forces * self._velocity).sum()) > 0:
            speed = float(self._velocity.norm())
            self._velocity = (1 - self._mix) * self._velocity + self._mix * speed / size * forces
            if self._good > 5:
                self._time_step = min(1.1 * self._time_step, self._longest_time_step)
                self._mix *= 0.99
            self._good += 1
        else:
            self._velocity = torch.zeros_like(forces)
            self._mix, self._good = 0.1, 0
            self._time_step *= 0.5
        self._velocity = self._velocity + self._time_step * forces
        return _shortened(self._time_step * self._velocity, self._longest)


class ProjectedLbfgs:
    """L-BFGS on the projected forces, which have no height: steps are limited, not searched.

    Where the forces have grown to twice the smallest so far, the memory has led astray: it is
    dropped and the limit halved.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._memory = CurvatureMemory(20)
        self._last: tuple[Tensor, Tensor] | None = None
        self._smallest = torch.inf

    def step(self, forces: Tensor) -> Tensor:
        """Return how far to move, for `forces` at the point that the last step led to."""
        flat = -forces.reshape(-1)
        size = float(flat.norm())
        if size > 2 * self._smallest:
            self._memory.clear()
            self._longest, self._smallest = self._longest / 2, size
        elif self._last is not None:
            self._memory.add(self._last[0], flat - self._last[1])
        self._smallest = min(self._smallest, size)
        if len(self._memory) > 0:
            step = self._memory.direction(flat)
        else:
            step = -flat * (self._longest / size if size > 0 else 0.0)
        step = _shortened(step, self._longest)
        self._last = step, flat
        return step.view(forces.shape)


def _stepper(name: str, longest: float) -> _Fire | ProjectedLbfgs:
    return _Fire(longest) if name == "fire" else ProjectedLbfgs(longest)


def _shortened(step: Tensor, longest: float) -> Tensor:
    length = float(step.norm())
    return step * (longest / length) if length > longest else step
