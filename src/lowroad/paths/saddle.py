"""From a path's peak to the saddle: minimum mode following."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
SHORTEST = 1e-7  # of differences where gradients are curved, and of those that show noise
NOISE_EVERY = 4  # steps: in few dimensions a single difference can be small by chance
LINEAR = 0.5  # of the blur of the curvatures that a difference may err by


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
    values)^⅓ for a noise σ of a component, which third differences at every fourth step show.
    Where differences over twice the length say that gradients are not linear over so much, the
    length is reduced.

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
    noise, difference, longest = 0.0, LEAST * distance, math.inf
    shortest = max(SHORTEST * distance, rounding)
    stepper = ProjectedLbfgs(0.05 * distance)
    outcome = Outcome.BUDGET_SPENT
    for step in range(steps + 1):
        size = float(gradient.norm())
        if step % NOISE_EVERY == 0:
            squares.append(_noise_variance(counted, x, gradient, mode, shortest))
            noise = (sum(squares) / len(squares)) ** 0.5
            wanted = (noise / slope) ** (1 / 3) if slope > 0 else 0.0
            difference = min(distance * min(max(wanted, LEAST), MOST), longest)
        if size <= max(tolerance, 2 * noise * len(x) ** 0.5):  # what noise leaves of the norm
            converged = size <= tolerance
            outcome = Outcome.CONVERGED_GRADIENT if converged else Outcome.CONVERGED_ROUNDING
            break
        if step == steps:
            break
        try:
            modes = _lowest_modes(counted, x, mode, difference)
            while step % NOISE_EVERY == 0:
                less = _linear_step(counted, x, modes, difference, noise, shortest)
                if less == difference:
                    break
                longest = difference = less
                modes = _lowest_modes(counted, x, mode, difference)
        except FloatingPointError:
            outcome = Outcome.DIVERGED
            break
        mode = modes.vectors[0]
        force = 2 * (gradient @ mode) * mode - gradient
        # a step without memory is |force| over the largest curvature
        largest = max(abs(c) for c in modes.curvatures)
        moved = x + stepper.step(force[None], 0.05 * distance * largest)[0]
        there = counted.value_and_gradient(moved)
        if not _is_finite(*there):
            outcome = Outcome.DIVERGED
            break
        x, (value, gradient) = moved, there
    try:
        modes = _all_modes(counted, x, mode, difference, noise)
        while (less := _linear_step(counted, x, modes, difference, noise, shortest)) < difference:
            difference = less
            modes = _all_modes(counted, x, mode, difference, noise)
        curvatures, mode = modes.curvatures, modes.vectors[0]
    except FloatingPointError:
        curvatures = [math.nan, math.nan][: len(x)]
    blurred = _blurred(curvatures, noise, len(x), difference)
    return Saddle(
        point=x,
        value=value,
        gradient_norm=float(gradient.norm()),
        mode=mode,
        curvatures=tuple(curvatures[:2]),
        negative=sum(c < -blurred for c in curvatures),
        evaluations=counted.evaluations,
        outcome=outcome,
    )


def _noise_variance(
    landscape: Landscape, x: Tensor, gradient: Tensor, along: Tensor, step: float
) -> float:
    """Return an estimate of the variance of the noise of a component of the gradient.

    From the third difference over so small a step that only noise is left of it, whose variance is
    20 times the noise's. Source: Moré & Wild 2011.
    """
    places = torch.stack([x + k * step * along for k in (-1, 1, 2)])
    before, after, far = landscape.values_and_gradients(places)[1].double()
    third = far - before + 3 * (gradient.double() - after)
    square = float(third.norm()) ** 2 / (20 * len(x))
    return square if math.isfinite(square) else 0.0


def _blurred(curvatures: Sequence[float], noise: float, dimension: int, step: float) -> float:
    """Return the size below which a curvature's sign is rounding, or noise of the differences.

    The Hessian's error is a random symmetric matrix with elements of noise / 2 step, whose
    eigenvalues are below noise √d / step.
    """
    return 1e-5 * max(abs(c) for c in curvatures) + noise * dimension**0.5 / step


class _Modes(NamedTuple):
    """Curvatures [k], lowest first, their modes [k, d] and the Hessian times these [k, d]."""

    curvatures: list[float]
    vectors: Tensor
    products: Tensor


def _linear_step(
    landscape: Landscape, x: Tensor, modes: _Modes, step: float, noise: float, shortest: float
) -> float:
    """Return `step`, or a shorter one where differences over it err by more than the blur.

    A central difference errs by a third of what it changes by when its step is doubled. That is
    tried along the modes of the lowest and of the highest curvature. Where a shorter step does not
    help, it is noise or a kink that the differences show.
    """
    vectors, products = modes.vectors[[0, -1]], modes.products[[0, -1]]
    error = _error(landscape, x, vectors, products, step)
    while step > shortest:
        allowed = LINEAR * _blurred(modes.curvatures, noise, len(x), step)
        if error <= allowed:
            break
        less = max(shortest, step * min(0.5, max(0.1, (allowed / error) ** 0.5)))
        products = torch.stack([_product(landscape, x, vector, less) for vector in vectors])
        before, error = error, _error(landscape, x, vectors, products, less)
        if error > before / 2:
            break
        step = less
    return step


def _error(
    landscape: Landscape, x: Tensor, vectors: Tensor, products: Tensor, step: float
) -> float:
    """The largest error of products [k, d] that were taken over `step`, by doubling it."""
    try:
        twice = torch.stack([_product(landscape, x, vector, 2 * step) for vector in vectors])
    except FloatingPointError:
        return math.inf
    return float((twice - products).double().norm(dim=1).max()) / 3


def _is_finite(value: float, gradient: Tensor) -> bool:
    return math.isfinite(value) and bool(torch.isfinite(gradient).all())


def _all_modes(landscape: Landscape, x: Tensor, mode: Tensor, step: float, noise: float) -> _Modes:
    if len(x) <= ALL:
        vectors = torch.eye(len(x)).to(x)
        products = torch.stack([_product(landscape, x, vector, step) for vector in vectors])
        values, modes = torch.linalg.eigh((products + products.T).double() / 2)
        return _Modes(values.tolist(), modes.T.to(x), modes.T.to(x) @ products)
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
        found = lanczos.ritz()
        limit = _blurred(found.curvatures, noise, len(x), step)
        negative = sum(value < -limit for value in found.curvatures)
        if negative == before or len(lanczos.vectors) >= min(len(x), MOST_PRODUCTS):
            return found
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


def _lowest_modes(landscape: Landscape, x: Tensor, seed: Tensor, step: float) -> _Modes:
    """Return Ritz values and vectors of the Hessian.

    Ends early when the lowest value no longer changes.
    """
    lanczos = _Lanczos(landscape, x, step)
    lowest, direction = torch.inf, seed
    for _ in range(min(KRYLOV, len(x))):
        product = lanczos.add(direction)
        if product is None:
            break
        direction = product
        curvatures = lanczos.ritz().curvatures
        if abs(curvatures[0] - lowest) <= 1e-3 * abs(curvatures[0]):
            break
        lowest = curvatures[0]
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

    def ritz(self) -> _Modes:
        """Return Ritz values and vectors."""
        basis, products = torch.stack(self.vectors), torch.stack(self._products)
        reduced = basis.double() @ products.double().T
        values, combinations = torch.linalg.eigh((reduced + reduced.T) / 2)
        combinations = combinations.T.to(basis)
        return _Modes(values.tolist(), combinations @ basis, combinations @ products)
