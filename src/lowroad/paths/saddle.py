"""From a path's peak to the saddle: minimum mode following."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Evaluations, Landscape
from lowroad.outcome import Outcome
from lowroad.paths.found_path import FoundPath
from lowroad.paths.projected_steps import ProjectedLbfgs

KRYLOV = 12  # Hessian products for the lowest mode at each step, at most
FINAL_KRYLOV = 60  # for counting negative curvatures at the end, at most
DIFFERENCE = 1e-4  # length of a difference, as a fraction of the ends' distance


@dataclass(frozen=True)
class Saddle:
    """A stationary point, sought as one with a single negative curvature.

    Attributes:
        point: [d].
        value: the landscape's value there.
        gradient_norm: |∇L| there.
        mode: the direction of the lowest curvature, of unit length, [d].
        curvatures: the lowest two curvatures, lowest first (one in one dimension).
        negative: how many curvatures are negative beyond rounding: 1 at a saddle. For d up to 60
            all are counted; beyond, among the 60 of a Lanczos process, which finds the extreme ones
            first.
        evaluations: the evaluations of the search.
        outcome: whether the gradient fell below the tolerance; where the search left the domain of
            finite values, the rest is that of the last point inside.
    """

    point: Tensor
    value: float
    gradient_norm: float
    mode: Tensor
    curvatures: tuple[float, ...]
    negative: int
    evaluations: Evaluations
    outcome: Outcome


def refine_saddle(
    landscape: Landscape,
    found: FoundPath,
    *,
    tolerance: float = 1e-6,
    steps: int = 200,
) -> Saddle:
    """Climb from a found path's refined peak to the stationary point nearby.

    At each step the mode v of the lowest curvature is found by Lanczos on differences of gradients,
    beginning with the last step's (the path's tangent at first); the point then follows the force
    −∇L + 2 (∇L·v) v, up along v and down across it, by L-BFGS with limited steps. Sources:
    Henkelman & Jónsson 1999 (dimer), Malek & Mousseau 2000 (Lanczos).

    Args:
        landscape: the landscape that the path lies on.
        found: a path whose peak lies near a pass.
        tolerance: the gradient's norm at which the search ends.
        steps: at most.

    Raises:
        ValueError: when the tolerance is not positive, `steps` is below 1, or the landscape has no
            finite value or gradient at the path's peak.

    >>> from lowroad.landscapes import MullerBrown
    >>> from lowroad.paths import ElasticBandFinder
    >>> surface = MullerBrown()
    >>> found = ElasticBandFinder().find(surface, *surface.ends)
    >>> saddle = refine_saddle(surface, found)
    >>> saddle.point.round(decimals=8), saddle.negative
    (tensor([-0.8220,  0.6243], dtype=torch.float64), 1)
    """
    if not tolerance > 0:
        raise ValueError(f"expected a tolerance > 0, got {tolerance}")
    if steps < 1:
        raise ValueError(f"expected steps >= 1, got {steps}")
    counted = CountingLandscape(landscape)
    t = torch.tensor([found.refined_t - 1e-3, found.refined_t, found.refined_t + 1e-3])
    before, x, after = found.path(t.clamp(0, 1))
    mode = (after - before) / (after - before).norm()
    distance = float((found.path.end - found.path.start).norm())
    stepper = ProjectedLbfgs(0.05 * distance)
    outcome = Outcome.BUDGET_SPENT
    value, gradient = counted.value_and_gradient(x)
    if not _is_finite(value, gradient):
        raise ValueError(
            f"expected a finite value and gradient at the path's highest point, at t = "
            f"{found.refined_t:.4g}, got the value {value}: there is no slope to climb"
        )
    for step in range(steps + 1):
        if float(gradient.norm()) <= tolerance:
            outcome = Outcome.CONVERGED_GRADIENT
        if step == steps or outcome is Outcome.CONVERGED_GRADIENT:
            break
        _, modes = _lowest_modes(counted, x, mode, DIFFERENCE * distance, KRYLOV)
        mode = modes[0]
        force = 2 * (gradient @ mode) * mode - gradient
        moved = x + stepper.step(force[None])[0]
        there = counted.value_and_gradient(moved)
        if not _is_finite(*there):
            outcome = Outcome.DIVERGED
            break
        x, (value, gradient) = moved, there
    # the mode with a small part of all others; a fixed vector, so no random numbers are drawn
    seed = (
        mode
        + 0.1
        * torch.randn(len(x), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(x)
        / len(x) ** 0.5
    )
    curvatures, modes = _lowest_modes(counted, x, seed, DIFFERENCE * distance, FINAL_KRYLOV)
    noise = 1e-5 * max(abs(c) for c in curvatures)
    return Saddle(
        point=x,
        value=value,
        gradient_norm=float(gradient.norm()),
        mode=modes[0],
        curvatures=tuple(curvatures[:2]),
        negative=sum(c < -noise for c in curvatures),
        evaluations=counted.evaluations,
        outcome=outcome,
    )


def _is_finite(value: float, gradient: Tensor) -> bool:
    return math.isfinite(value) and bool(torch.isfinite(gradient).all())


def _lowest_modes(
    landscape: Landscape, x: Tensor, seed: Tensor, step: float, most: int
) -> tuple[list[float], Tensor]:
    """Return Ritz values of the Hessian, lowest first, and the Ritz vectors [k, d].

    Lanczos with full orthogonalization on central differences of gradients; ends early when the
    lowest value no longer changes (for short runs) or the space is exhausted.
    """
    vectors = [seed / seed.norm()]
    products: list[Tensor] = []
    lowest = torch.inf
    while True:
        basis = torch.stack(vectors)
        probes = torch.stack([x + step * basis[-1], x - step * basis[-1]])
        _, gradients = landscape.values_and_gradients(probes)
        products.append((gradients[0] - gradients[1]) / (2 * step))
        reduced = basis.double() @ torch.stack(products).double().T
        values, combinations = torch.linalg.eigh((reduced + reduced.T) / 2)
        same = abs(float(values[0]) - lowest) <= 1e-3 * abs(float(values[0]))
        lowest = float(values[0])
        if len(vectors) >= min(most, len(x)) or (same and most == KRYLOV):
            break
        rest = products[-1]
        for _ in range(2):  # twice, against rounding
            rest = rest - basis.T @ (basis @ rest)
        size = float(rest.norm())
        if not size > 1e-7 * float(products[-1].norm()):
            break
        vectors.append(rest / size)
    return values.tolist(), combinations.T.to(x) @ torch.stack(vectors)
