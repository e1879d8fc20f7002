"""The maximum-flux objective: a soft maximum of the height along a path of constant speed."""

from __future__ import annotations

import torch
from torch import Tensor

from lowroad.landscapes import Landscape
from lowroad.paths.path import Path
from lowroad.paths.total import Slope


class FluxLoss:
    """β⁻¹ log ∫ exp(β L) |dθ| + μ mean_i (|Δθ_i| / mean|Δθ| − 1)².

    The first term tends to the path's highest height as β grows. Without the second term a path
    could jump over a peak between two evaluation points: it keeps the speed constant, so that |dθ|
    is length · dt, and depends only on the coefficients (no value is evaluated for it). The
    integral is a trapezoidal sum over `t`, which may be anywhere: few points suffice if they lie
    close around the peak. Source: Koda & Saito 2024 (direct MaxFlux).

    Args:
        path: any path of the family, for its basis and device.
        t: where values are evaluated, increasing in (0, 1), [p].
        beta: β, in units of one over the value.
        speed_weight: μ, in units of the value.
    """

    def __init__(self, path: Path, t: Tensor, beta: float, speed_weight: float) -> None:
        self._beta, self._speed_weight = beta, speed_weight
        self._coordinates = path.coordinates(t)
        self._weights = trapezoid_weights(t)
        steps = max(60, 6 * path.basis.terms)
        even = torch.linspace(0, 1, steps + 1, dtype=torch.float64, device=path.start.device)
        self._changes = path.coordinates(even).diff(dim=0)

    def slope(self, landscape: Landscape, path: Path) -> Slope:
        """Return objective, gradient and landscape values at `path`, on all data or a batch."""
        subspace = path.subspace

        def point_weights(values: Tensor) -> Tensor:
            return torch.softmax(self._beta * values + self._weights.log(), dim=0)

        restricted = landscape.restrict(subspace)
        coordinates = self._coordinates.to(path.start)
        values, by_subspace = restricted.values_and_subspace_gradients(coordinates, point_weights)
        geometry, by_gram = self._geometry(subspace.directions)
        gradient = by_subspace[1:] + by_gram.to(path.start) @ subspace.directions
        return Slope(self._soft_maximum(values) + geometry, gradient[1:], values)

    def value(self, landscape: Landscape, path: Path) -> tuple[float, Tensor]:
        """Return the objective and the landscape values at `path`, without gradients."""
        subspace = path.subspace
        values = landscape.restrict(subspace).values(self._coordinates.to(path.start))
        geometry, _ = self._geometry(subspace.directions)
        return self._soft_maximum(values) + geometry, values

    def _soft_maximum(self, values: Tensor) -> float:
        powers = self._beta * values + self._weights.log()
        return float(torch.logsumexp(powers, dim=0)) / self._beta

    def _geometry(self, directions: Tensor) -> tuple[float, Tensor]:
        """Return β⁻¹ log length + μ · (unevenness), and twice its gradient by the Gram matrix.

        With D the directions and G = D Dᵀ, a step is s_i² = Δc_i G Δc_iᵀ, so ∂F/∂D = 2 (∂F/∂G) D.
        """
        gram = (directions @ directions.T).double()
        steps = ((self._changes @ gram) * self._changes).sum(1).clamp(min=1e-300).sqrt()
        length, count = steps.sum(), len(steps)
        speeds = steps * count / length
        value = torch.log(length) / self._beta + self._speed_weight * ((speeds - 1) ** 2).mean()
        by_speed = 2 * self._speed_weight * (speeds - 1) / count
        by_step = 1 / (self._beta * length)
        by_step = by_step + (count * by_speed - (by_speed * speeds).sum()) / length
        by_gram = self._changes.T @ ((by_step / steps)[:, None] * self._changes)
        return float(value), by_gram


def trapezoid_weights(t: Tensor) -> Tensor:
    """Return weights [p] of a trapezoidal sum over [0, 1] with the ends' values left out.

    >>> trapezoid_weights(torch.tensor([0.25, 0.5, 0.75]))
    tensor([0.2500, 0.2500, 0.2500])
    """
    whole = torch.cat([t.new_zeros(1), t, t.new_ones(1)])
    return (whole[2:] - whole[:-2]) / 2


def evaluation_points(t: Tensor, profile: Tensor, beta: float, points: int) -> Tensor:
    """Return where to evaluate next: evenly, and more densely where the path is high, [points].

    Quantiles of the density 0.3 + 0.7 exp(0.3 β (L(t) − max L)) (normalized), with L interpolated
    linearly between the profile's points. The power 0.3 keeps enough points around for the peak to
    move.

    Args:
        t: increasing, from 0 to 1, [n].
        profile: values at `t`, [n].
        beta: the β of the next round.
        points: how many.
    """
    fine = torch.linspace(0, 1, 2001, dtype=torch.float64, device=t.device)
    right = torch.searchsorted(t, fine).clamp(1, len(t) - 1)
    fraction = ((fine - t[right - 1]) / (t[right] - t[right - 1]))[:, None]
    values = torch.lerp(profile[right - 1, None], profile[right, None], fraction)[:, 0]
    density = torch.exp(0.3 * beta * (values - values.max()))
    density = 0.3 + 0.7 * density / density.mean()
    mass = torch.cat([density.new_zeros(1), ((density[1:] + density[:-1]) / 2).cumsum(0)])
    mass = mass / mass[-1]
    wanted = torch.linspace(0, 1, points + 2, dtype=torch.float64, device=t.device)[1:-1]
    right = torch.searchsorted(mass, wanted).clamp(1, len(mass) - 1)
    fraction = (wanted - mass[right - 1]) / (mass[right] - mass[right - 1])
    return torch.lerp(fine[right - 1], fine[right], fraction)


def interpolated_maximum(t: Tensor, profile: Tensor) -> tuple[float, float]:
    """Return the top of the parabola through a profile's highest point and its neighbours.

    As (t, value).

    Args:
        t: increasing, [n].
        profile: values at `t`, [n].

    >>> t = torch.tensor([0.0, 0.2, 0.7, 1.0])
    >>> top, value = interpolated_maximum(t, 1 - (t - 0.5) ** 2)
    >>> round(top, 6), round(value, 6)
    (0.5, 1.0)
    """
    top = int(profile.argmax())
    highest = float(profile[top])
    place = float(t[top])
    if top in (0, len(t) - 1):
        return place, highest
    x = (t[top - 1 : top + 2] - t[top]).tolist()
    y = (profile[top - 1 : top + 2] - profile[top]).tolist()
    if 0.0 in (x[0], x[2]):  # the same point twice
        return place, highest
    left, right = y[0] / x[0], y[2] / x[2]
    bend = (right - left) / (x[2] - x[0])  # y = slope x + bend x²
    slope = left - bend * x[0]
    if not bend < 0:
        return place, highest
    return place - slope / (2 * bend), highest - slope**2 / (4 * bend)
