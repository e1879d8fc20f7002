"""Landscapes with known answers: minima, saddles and lowest passes as data.

The stationary points were found by Newton's method in 30-digit arithmetic, independently of the
code here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lowroad.landscapes.function import FunctionLandscape
from lowroad.landscapes.landscape import Landscape


@dataclass(frozen=True)
class StationaryPoint:
    """A point where the gradient vanishes, and its value.

    Attributes:
        coordinates: the point's components.
        value: the landscape's value there.
    """

    coordinates: tuple[float, ...]
    value: float

    @property
    def point(self) -> Tensor:
        """The point [d], float64."""
        return torch.tensor(self.coordinates, dtype=torch.float64)


class Surface(FunctionLandscape):
    """A two-dimensional landscape, float64, whose stationary points are known.

    Attributes:
        minima: the known minima.
        saddles: the known saddles of index one.
        ends: the two points that a path is sought between.
        lowest_height: the lowest height that a path between the ends can have.
        window: (x from, x to, y from, y to), the part to draw.
    """

    minima: tuple[StationaryPoint, ...]
    saddles: tuple[StationaryPoint, ...]
    ends: tuple[Tensor, Tensor]
    lowest_height: float
    window: tuple[float, float, float, float]

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(lambda points: function(points[:, 0], points[:, 1]), dimension=2)


def _gaussian(x: Tensor, y: Tensor, steepness: float, x0: float, y0: float) -> Tensor:
    return torch.exp(-steepness * ((x - x0) ** 2 + (y - y0) ** 2))


class TwoWells(Surface):
    """The paper's surface of Figure 3: two wells and two hills between them.

    f = −e(3; 0.5, 0) − e(3; −0.5, −0.5) + e(15; −0.2, −0.4) + e(15; 0, 0.3) + 1.0190055296306975
    with e(k; a, b) = exp(−k ((x − a)² + (y − b)²)). The ends are the paper's: near the minima, not
    at them. Source: Yu & Morozov 2026, Fig. 3.

    >>> surface = TwoWells()
    >>> round(surface.value(surface.saddles[0].point), 6)
    0.624393
    """

    minima = (
        StationaryPoint((-0.6138016125151, -0.5354155250543), 0.1087071678864),
        StationaryPoint((0.4881002180073, -0.02225546063184), -3.090423056269e-05),
    )
    saddles = (
        StationaryPoint((-0.1647265485404, -0.06991718206188), 0.624393347187),
        StationaryPoint((0.05288953025372, -0.6881582077714), 0.637257237656),
        StationaryPoint((-0.2927095998594, 0.7436239301642), 0.9960671956794),
    )
    ends = (
        torch.tensor([-0.62, -0.54], dtype=torch.float64),
        torch.tensor([0.49, -0.02], dtype=torch.float64),
    )
    lowest_height = saddles[0].value
    window = (-1.2, 1.2, -1.2, 1.0)

    def __init__(self) -> None:
        super().__init__(self._function)

    @staticmethod
    def _function(x: Tensor, y: Tensor) -> Tensor:
        wells = _gaussian(x, y, 3, 0.5, 0) + _gaussian(x, y, 3, -0.5, -0.5)
        hills = _gaussian(x, y, 15, -0.2, -0.4) + _gaussian(x, y, 15, 0, 0.3)
        return hills - wells + 1.0190055296306975


class MullerBrown(Surface):
    """The surface of Müller & Brown (1979), a standard first test of a path finder.

    V = Σ_k A_k exp(a_k (x − X_k)² + b_k (x − X_k)(y − Y_k) + c_k (y − Y_k)²), three minima (A, B
    and C in this order) and the saddles A–C and C–B. Some public pages give other numbers for C
    and for the second saddle; the gradient does not vanish there.

    >>> surface = MullerBrown()
    >>> round(surface.value(surface.minima[0].point), 4)
    -146.6995
    """

    minima = (
        StationaryPoint((-0.558223634633, 1.441725841805), -146.69951721),
        StationaryPoint((0.6234994049309, 0.02803775852869), -108.1667241169),
        StationaryPoint((-0.05001082299821, 0.466694104872), -80.76781812966),
    )
    saddles = (
        StationaryPoint((-0.8220015587327, 0.6243128028149), -40.66484350866),
        StationaryPoint((0.2124865820007, 0.2929883251074), -72.24894011233),
    )
    ends = (minima[0].point, minima[1].point)
    lowest_height = saddles[0].value
    window = (-1.5, 1.2, -0.4, 2.0)

    def __init__(self) -> None:
        super().__init__(self._function)

    @staticmethod
    def _function(x: Tensor, y: Tensor) -> Tensor:
        terms = zip(
            (-200.0, -100.0, -170.0, 15.0),
            (-1.0, -1.0, -6.5, 0.7),
            (0.0, 0.0, 11.0, 0.6),
            (-10.0, -10.0, -6.5, 0.7),
            (1.0, 0.0, -0.5, -1.0),
            (0.0, 0.5, 1.5, 1.0),
            strict=True,
        )
        value = torch.zeros_like(x)
        for scale, a, b, c, x0, y0 in terms:
            u, v = x - x0, y - y0
            value = value + scale * torch.exp(a * u * u + b * u * v + c * v * v)
        return value


class CurvyValley(Surface):
    """A valley along a sine: V = (y − sin x)² + ((x / x₀)² − 1)² with x₀ = 5π/2.

    Minima (±x₀, ±1) at 0, saddle (0, 0) at exactly 1; the straight line between the minima reaches
    2.976668. Source: Draxler et al. 2018 (AutoNEB).

    >>> CurvyValley().value(torch.zeros(2, dtype=torch.float64))
    1.0
    """

    minima = (
        StationaryPoint((-5 * math.pi / 2, -1.0), 0.0),
        StationaryPoint((5 * math.pi / 2, 1.0), 0.0),
    )
    saddles = (StationaryPoint((0.0, 0.0), 1.0),)
    ends = (minima[0].point, minima[1].point)
    lowest_height = 1.0
    window = (-9.5, 9.5, -2.2, 2.2)

    def __init__(self) -> None:
        super().__init__(self._function)

    @staticmethod
    def _function(x: Tensor, y: Tensor) -> Tensor:
        return (y - torch.sin(x)) ** 2 + ((x / (5 * math.pi / 2)) ** 2 - 1) ** 2


class AnaPot(Surface):
    """The quartic V = 4 + 4.5x − 4y + x² + 2y² − 2xy + x⁴ − 2x²y.

    >>> surface = AnaPot()
    >>> round(surface.value(surface.saddles[0].point), 6)
    2.809105
    """

    minima = (
        StationaryPoint((-1.052741308263, 1.02776147693), -0.5134092572838),
        StationaryPoint((1.941010272429, 3.854265575051), 0.9855544212606),
    )
    saddles = (StationaryPoint((0.6117310358346, 1.492972948019), 2.809104836023),)
    ends = (minima[0].point, minima[1].point)
    lowest_height = saddles[0].value
    window = (-2.0, 2.8, 0.0, 5.0)

    def __init__(self) -> None:
        super().__init__(self._function)

    @staticmethod
    def _function(x: Tensor, y: Tensor) -> Tensor:
        return 4 + 4.5 * x - 4 * y + x**2 + 2 * y**2 - 2 * x * y + x**4 - 2 * x**2 * y


class SeparableValley(Landscape):
    """A curved valley in any number of dimensions, separable in u = x_1 and y_i = x_i − a (1 − u²).

    V(x) = B (u² − 1)² + ½ Σ_{i≥2} k_i y_i²  with a = 1/√(d − 1) and k_i from 1 to 10. Minima at
    (±1, 0, …, 0), value 0. Every path between them crosses u = 0, where V ≥ B, and the valley's
    floor y = 0 has its top there: the lowest height is B exactly, at (0, a, …, a). The straight
    line reaches B + ½ mean(k): 2.75 more, for every d.

    Args:
        dimension: d, at least 2.
        barrier: B.
        dtype: the points' type.

    >>> valley = SeparableValley(1000)
    >>> straight = torch.zeros(1, 1000, dtype=torch.float64)
    >>> round(float(valley.values(straight)[0]), 6)
    3.75
    """

    def __init__(
        self, dimension: int, barrier: float = 1.0, dtype: torch.dtype = torch.float64
    ) -> None:
        if dimension < 2:
            raise ValueError(f"expected a dimension of at least 2, got {dimension}")
        if not barrier > 0:
            raise ValueError(f"expected a positive barrier, got {barrier}")
        self.dimension, self.dtype, self.device = dimension, dtype, torch.device("cpu")
        self.lowest_height = barrier
        self._bend = 1 / math.sqrt(dimension - 1)
        self._stiffness = torch.linspace(1, 10, dimension - 1, dtype=dtype)
        first = torch.zeros(dimension, dtype=dtype)
        first[0] = 1
        self.ends = (-first, first)

    @property
    def saddle(self) -> Tensor:
        """The saddle (0, a, …, a) [d]."""
        point = torch.full((self.dimension,), self._bend, dtype=self.dtype)
        point[0] = 0
        return point

    def values(self, points: Tensor) -> Tensor:
        """Return V [n] at `points` [n, d]."""
        self.check_points(points)
        return torch.stack([self._value(point)[0] for point in points])

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return V [n] and its gradients [n, d]."""
        self.check_points(points)
        gradients = torch.empty_like(points)
        values = []
        for point, gradient in zip(points, gradients, strict=True):
            value, forces = self._value(point)
            u = point[0]
            gradient[1:] = forces
            gradient[0] = 4 * self.lowest_height * (u**2 - 1) * u
            gradient[0] += 2 * self._bend * u * forces.sum()
            values.append(value)
        return torch.stack(values), gradients

    def _value(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """Return the value and k_i y_i [d − 1]; one point at a time bounds the memory."""
        u = point[0]
        shifts = point[1:] - self._bend * (1 - u**2)
        forces = self._stiffness * shifts
        value = self.lowest_height * (u.double() ** 2 - 1) ** 2
        return value + 0.5 * (forces * shifts).sum(dtype=torch.float64), forces
