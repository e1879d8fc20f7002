"""The L-BFGS iteration itself, shared by `lbfgs` and the torch optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lowroad.optimizers.curvature import CurvatureMemory
from lowroad.optimizers.line_search import LineSearch, Ray, Step
from lowroad.outcome import Outcome

SHRINKS = (1.0, 1e-3, 1e-6, 1e-9)  # how much shorter −g is made when no trial along it is lower
TINY = 1e-300  # keeps a division by a vanishing length finite


class Surface(Protocol):
    """What the iteration moves over: a landscape, or a torch module behind a closure.

    Attributes:
        point: where it stands, [d].
    """

    point: Tensor

    def ray(self, direction: Tensor, height: float) -> Ray:
        """Return φ(α) from the present point, whose height is `height`, along `direction` [d]."""
        ...


class MovableSurface(Surface, Protocol):
    """A surface that evaluates the gradient where it moves to."""

    def accept(self, ray: Ray, alpha: float) -> tuple[float, Tensor]:
        """Move to α on the ray; return the height and gradient [d] there."""
        ...


@dataclass
class Iterate:
    """Where the iteration stands.

    Attributes:
        height: L(x).
        gradient: ∇L(x) [d].
        memory: the curvature pairs.
    """

    height: float
    gradient: Tensor
    memory: CurvatureMemory

    def move(self, moved: Tensor, height: float, gradient: Tensor) -> None:
        """Arrive at x + `moved`, and remember the curvature on the way."""
        self.memory.add(moved, gradient - self.gradient)
        self.height, self.gradient = height, gradient


@dataclass(frozen=True)
class Iteration:
    """What one iteration did.

    Attributes:
        outcome: why the search ends here, or None when it goes on.
        length: max_j |α p_j|, how far the point moved.
        decrease: by how much the height fell.
        lowest: a trial lower than the accepted point, with its ray, where the line search passed
            one by; else None.
    """

    outcome: Outcome | None
    length: float = 0.0
    decrease: float = 0.0
    lowest: tuple[Ray, Step] | None = None


def iterate(surface: MovableSurface, at: Iterate, line_search: LineSearch) -> Iteration:
    """Do one L-BFGS iteration in place (Algorithm 1 of Yu & Morozov 2026).

    `descend`, then the gradient at the accepted point. The height never rises.
    """
    ray, step = descend(surface, at, line_search)
    if step.alpha == 0.0:
        return Iteration(Outcome.LINE_SEARCH_FAILED)
    lowest = (ray, ray.best) if ray.best.height < step.height else None
    height, gradient = surface.accept(ray, step.alpha)
    if not (math.isfinite(height) and bool(torch.isfinite(gradient).all())):
        return Iteration(Outcome.DIVERGED, lowest=(ray, ray.best))
    moved = step.alpha * ray.direction
    decrease = at.height - step.height
    at.move(moved, step.height, gradient)
    return Iteration(None, float(moved.abs().max()), decrease, lowest)


def descend(surface: Surface, at: Iterate, line_search: LineSearch) -> tuple[Ray, Step]:
    """Return a lower step along −H g, else along −g, with its ray; α = 0 where there is none.

    Direction by the two-loop recursion, step by the line search. Where no trial is lower, the
    memory is dropped and the search goes along −g, then along shorter and shorter −g.
    """
    direction = at.memory.direction(at.gradient)
    if len(at.memory) > 0:
        ray, step = _search(surface, at, line_search, direction, first=1.0)
        if step.alpha > 0.0:
            return ray, step
        at.memory.clear()
    steepest = _steepest_descent(surface, at)
    first = min(1.0, 1.0 / max(float(steepest.abs().sum(dtype=torch.float64)), TINY))
    for shrink in SHRINKS:
        ray, step = _search(surface, at, line_search, shrink * steepest, first)
        if step.alpha > 0.0:
            break
    return ray, step


def _steepest_descent(surface: Surface, at: Iterate) -> Tensor:
    """Return −g, no longer than max(1, |x|): where a landscape is steep, −g alone leaves it."""
    length, reach = (
        float(torch.linalg.vector_norm(v, dtype=torch.float64))
        for v in (at.gradient, surface.point)
    )
    longest = max(1.0, reach)
    return -at.gradient if length <= longest else -(longest / length) * at.gradient


def _search(
    surface: Surface, at: Iterate, line_search: LineSearch, direction: Tensor, first: float
) -> tuple[Ray, Step]:
    ray = surface.ray(direction, at.height)
    slope = float(direction @ at.gradient)
    if not slope < 0.0:  # the gradient is zero, or too small for its square to be represented
        return ray, Step(0.0, at.height)
    return ray, line_search.search(ray, at.height, slope, first)
