"""From a path's peak to the saddle: minimum mode following."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Evaluations, Landscape
from lowroad.outcome import Outcome
from lowroad.paths.found_path import FoundPath
from lowroad.paths.projected_steps import ProjectedLbfgs

KRYLOV = 12  # Hessian products for the lowest mode at each step, at most
ALL = 60  # dimensions up to which all curvatures are taken; Hessian products of a process beyond
MOST_PRODUCTS = 300  # of all processes
LEAST, MOST = 1e-4, 1e-2  # lengths of differences, as fractions of the ends' distance
NOISE_STEP = 1e-7  # of the second difference that shows noise, as a fraction of that distance
NOISE_EVERY = 4  # steps: in few dimensions a single difference can be small by chance


@dataclass(frozen=True)
class Saddle:
    """A stationary point, sought as one with a single negative curvature.

    Attributes:
        point: [d].
        value: the landscape's value there.
        gradient_norm: |∇L| there.
        mode: the direction of the lowest curvature, of unit length, [d].
        curvatures: the lowest two curvatures, lowest first (one in one dimension).
        negative: how many curvatures are negative beyond rounding and noise: 1 at a saddle. For d
            up to 60 all are counted, from the whole Hessian; beyond, those that Lanczos processes
            of 60 products find, until one finds no more (up to 300 products).
        evaluations: the evaluations of the search.
        outcome: whether the gradient fell below the tolerance, or as far as its noise lets it
            (`CONVERGED_ROUNDING`); where the search left the domain of finite values, the rest is
            that of the last point inside, and curvatures that cannot be had are NaN.
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
    tolerance: float | None = None,
    steps: int = 200,
) -> Saddle:
    """Climb from a found path's refined peak to the stationary point nearby.

    At each step the mode v of the lowest curvature is found by Lanczos on differences of gradients,
    beginning with the last step's (the path's tangent at first); the point then follows the force
    −∇L + 2 (∇L·v) v, up along v and down across it, by L-BFGS with limited steps, the first of them
    |∇L| over the largest curvature. Sources: Henkelman & Jónsson 1999 (dimer), Malek & Mousseau
    2000 (Lanczos).

    Gradients are differenced over 1e-4 of the ends' distance D, and over more, up to 1e-2 of it,
    where they are noisy, as those of quantum-chemical calculators are: (σ D / range of the path's
    values)^⅓ for a noise σ of a component, which second differences at every fourth step show.

    Args:
        landscape: the landscape that the path lies on.
        found: a path whose peak lies near a pass.
        tolerance: the gradient's norm at which the search ends, in the landscape's units; when not
            given, 1e-8 of the range of the path's values over the ends' distance.
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
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"expected a tolerance > 0, got {tolerance}")
    if steps < 1:
        raise ValueError(f"expected steps >= 1, got {steps}")
    counted = CountingLandscape(landscape)
    t = torch.tensor([found.refined_t - 1e-3, found.refined_t, found.refined_t + 1e-3])
    before, x, after = found.path(t.clamp(0, 1))
    mode = (after - before) / (after - before).norm()
    distance = float((found.path.end - found.path.start).norm())
    value, gradient = counted.value_and_gradient(x)
    if not _is_finite(value, gradient):
        raise ValueError(
            f"expected a finite value and gradient at the path's highest point, at t = "
            f"{found.refined_t:.4g}, got the value {value}: there is no slope to climb"
        )
    slope = float(found.profile.max() - found.profile.min()) / distance
    tolerance = 1e-8 * slope if tolerance is None else tolerance
    rounding = 4 * torch.finfo(x.dtype).eps * float(x.abs().max())
    squares: list[float] = []  # estimates of the noise's variance
    noise, difference = 0.0, LEAST * distance
    stepper = ProjectedLbfgs(0.05 * distance)
    outcome = Outcome.BUDGET_SPENT
    for step in range(steps + 1):
        size = float(gradient.norm())
        if step % NOISE_EVERY == 0:
            squares.append(
                _noise_variance(counted, x, gradient, mode, max(NOISE_STEP * distance, rounding))
            )
            noise = (sum(squares) / len(squares)) ** 0.5
            wanted = (noise / slope) ** (1 / 3) if slope > 0 else 0.0
            difference = distance * min(max(wanted, LEAST), MOST)
        if size <= max(tolerance, 2 * noise * len(x) ** 0.5):  # what noise leaves of the norm
            converged = size <= tolerance
            outcome = Outcome.CONVERGED_GRADIENT if converged else Outcome.CONVERGED_ROUNDING
            break
        if step == steps:
            break
        try:
            curvatures, modes = _lowest_modes(counted, x, mode, difference)
        except FloatingPointError:
            outcome = Outcome.DIVERGED
            break
        mode = modes[0]
        force = 2 * (gradient @ mode) * mode - gradient
        # a step without memory is |force| over the largest curvature
        largest = max(abs(c) for c in curvatures)
        moved = x + stepper.step(force[None], 0.05 * distance * largest)[0]
        there = counted.value_and_gradient(moved)
        if not _is_finite(*there):
            outcome = Outcome.DIVERGED
            break
        x, (value, gradient) = moved, there
    try:
        curvatures, modes = _all_curvatures(counted, x, mode, difference, noise)
    except FloatingPointError:
        curvatures, modes = [math.nan, math.nan][: len(x)], mode[None]
    blurred = _blurred(curvatures, noise, len(x), difference)
    return Saddle(
        point=x,
        value=value,
        gradient_norm=float(gradient.norm()),
        mode=modes[0],
        curvatures=tuple(curvatures[:2]),
        negative=sum(c < -blurred for c in curvatures),
        evaluations=counted.evaluations,
        outcome=outcome,
    )


def _noise_variance(
    landscape: Landscape, x: Tensor, gradient: Tensor, along: Tensor, step: float
) -> float:
    """Return an estimate of the variance of the noise of a component of the gradient.

    From the second difference over so small a step that only noise is left of it, whose variance
    is 6 times the noise's. Source: Moré & Wild 2011.
    """
    _, sides = landscape.values_and_gradients(torch.stack([x + step * along, x - step * along]))
    second = (sides[0] - 2 * gradient + sides[1]).double()
    square = float(second.norm()) ** 2 / (6 * len(x))
    return square if math.isfinite(square) else 0.0


def _blurred(curvatures: Sequence[float], noise: float, dimension: int, step: float) -> float:
    """Return the size below which a curvature's sign is rounding, or noise of the differences.

    The Hessian's error is a random symmetric matrix with elements of noise / 2 step, whose
    eigenvalues are below noise √d / step.
    """
    return 1e-5 * max(abs(c) for c in curvatures) + noise * dimension**0.5 / step


def _is_finite(value: float, gradient: Tensor) -> bool:
    return math.isfinite(value) and bool(torch.isfinite(gradient).all())


def _all_curvatures(
    landscape: Landscape, x: Tensor, mode: Tensor, step: float, noise: float
) -> tuple[list[float], Tensor]:
    """Return curvatures, lowest first, and their modes [k, d]."""
    if len(x) <= ALL:
        vectors = torch.eye(len(x)).to(x)
        products = torch.stack([_product(landscape, x, vector, step) for vector in vectors])
        values, modes = torch.linalg.eigh((products + products.T).double() / 2)
        return values.tolist(), modes.T.to(x)
    generator = torch.Generator().manual_seed(0)
    lanczos = _Lanczos(landscape, x, step)
    seed, before = mode, 0
    while True:
        # the last mode with a small part of all others, then random directions: one process finds
        # a curvature once, however many directions have it
        random = torch.randn(len(x), generator=generator, dtype=torch.float64).to(x)
        direction: Tensor | None = seed + 0.1 * random / len(x) ** 0.5
        for _ in range(ALL):
            direction = direction if direction is None else lanczos.add(direction)
        values, modes = lanczos.ritz()
        limit = _blurred(values, noise, len(x), step)
        negative = sum(value < -limit for value in values)
        if negative == before or len(lanczos.vectors) >= min(len(x), MOST_PRODUCTS):
            return values, modes
        seed, before = torch.zeros_like(x), negative


def _product(landscape: Landscape, x: Tensor, vector: Tensor, step: float) -> Tensor:
    """Return the Hessian times a unit vector, by a central difference.

    Raises:
        FloatingPointError: when it is not finite.
    """
    probes = torch.stack([x + step * vector, x - step * vector])
    values, gradients = landscape.values_and_gradients(probes)
    product = (gradients[0] - gradients[1]) / (2 * step)
    if not bool(torch.isfinite(values).all() and torch.isfinite(product).all()):
        raise FloatingPointError
    return product


def _lowest_modes(
    landscape: Landscape, x: Tensor, seed: Tensor, step: float
) -> tuple[list[float], Tensor]:
    """Return Ritz values of the Hessian, lowest first, and the Ritz vectors [k, d].

    Ends early when the lowest value no longer changes.
    """
    lanczos = _Lanczos(landscape, x, step)
    lowest, direction = torch.inf, seed
    for _ in range(min(KRYLOV, len(x))):
        product = lanczos.add(direction)
        if product is None:
            break
        direction = product
        values, _ = lanczos.ritz()
        if abs(values[0] - lowest) <= 1e-3 * abs(values[0]):
            break
        lowest = values[0]
    return lanczos.ritz()


class _Lanczos:
    """Lanczos with full orthogonalization, on central differences of gradients."""

    def __init__(self, landscape: Landscape, x: Tensor, step: float) -> None:
        self._landscape, self._x, self._step = landscape, x, step
        self.vectors: list[Tensor] = []
        self._products: list[Tensor] = []

    def add(self, direction: Tensor) -> Tensor | None:
        """Add the part of a direction across the space, and return its product with the Hessian.

        A process goes on with the product as the next direction. None where nothing is across.
        """
        rest = direction
        if self.vectors:
            basis = torch.stack(self.vectors)
            for _ in range(2):  # twice, against rounding
                rest = rest - basis.T @ (basis @ rest)
        size = float(rest.norm())
        if not size > 1e-7 * float(direction.norm()):
            return None
        self.vectors.append(rest / size)
        self._products.append(_product(self._landscape, self._x, self.vectors[-1], self._step))
        return self._products[-1]

    def ritz(self) -> tuple[list[float], Tensor]:
        """Return Ritz values, lowest first, and Ritz vectors [k, d]."""
        basis = torch.stack(self.vectors)
        reduced = basis.double() @ torch.stack(self._products).double().T
        values, combinations = torch.linalg.eigh((reduced + reduced.T) / 2)
        return values.tolist(), combinations.T.to(basis) @ basis
