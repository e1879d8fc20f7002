"""The residuals f_i(x) of the Moré–Garbow–Hillstrom problems, from points [n, d] to [n, m].

Equations (1) to (35) of section 3 of the paper, in its numbering; the formulas are the functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_BARD = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
_GAUSSIAN = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989]
_MEYER = [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744]
_MEYER += [8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872]
_KOWALIK_Y = [0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235]
_KOWALIK_Y += [0.0246]
_KOWALIK_U = [4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625]
_OSBORNE_1 = [0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718]
_OSBORNE_1 += [0.685, 0.658, 0.628, 0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467]
_OSBORNE_1 += [0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406]
_OSBORNE_2 = [1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679]
_OSBORNE_2 += [0.608, 0.655, 0.616, 0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644]
_OSBORNE_2 += [0.624, 0.661, 0.612, 0.558, 0.533, 0.495, 0.500, 0.423, 0.395, 0.375, 0.372, 0.391]
_OSBORNE_2 += [0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668]
_OSBORNE_2 += [0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581]
_OSBORNE_2 += [0.428, 0.292, 0.162, 0.098, 0.054]


def _vector(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def _count(first: int, last: int, like: Tensor) -> Tensor:
    return torch.arange(first, last + 1, dtype=like.dtype, device=like.device)


def _columns(x: Tensor) -> tuple[Tensor, ...]:
    """Return the components of the points, each [n, 1]."""
    return x.split(1, dim=1)


def rosenbrock(x: Tensor) -> Tensor:
    """(1)."""
    x1, x2 = _columns(x)
    return torch.cat([10 * (x2 - x1**2), 1 - x1], 1)


def freudenstein_roth(x: Tensor) -> Tensor:
    """(2)."""
    x1, x2 = _columns(x)
    first = -13 + x1 + ((5 - x2) * x2 - 2) * x2
    return torch.cat([first, -29 + x1 + ((x2 + 1) * x2 - 14) * x2], 1)


def powell_badly_scaled(x: Tensor) -> Tensor:
    """(3)."""
    x1, x2 = _columns(x)
    return torch.cat([1e4 * x1 * x2 - 1, torch.exp(-x1) + torch.exp(-x2) - 1.0001], 1)


def brown_badly_scaled(x: Tensor) -> Tensor:
    """(4)."""
    x1, x2 = _columns(x)
    return torch.cat([x1 - 1e6, x2 - 2e-6, x1 * x2 - 2], 1)


def beale(x: Tensor) -> Tensor:
    """(5)."""
    x1, x2 = _columns(x)
    powers = _count(1, 3, x)
    return _vector([1.5, 2.25, 2.625], x) - x1 * (1 - x2**powers)


def jennrich_sampson(x: Tensor) -> Tensor:
    """(6), m = 10."""
    x1, x2 = _columns(x)
    i = _count(1, 10, x)
    return 2 + 2 * i - (torch.exp(i * x1) + torch.exp(i * x2))


def helical_valley(x: Tensor) -> Tensor:
    """(7); the angle runs from −1/4 to 3/4 of a turn."""
    x1, x2, x3 = _columns(x)
    turns = torch.atan2(x2, x1) / (2 * math.pi)
    turns = turns + ((x1 < 0) & (x2 < 0)).to(x)
    return torch.cat([10 * (x3 - 10 * turns), 10 * (torch.hypot(x1, x2) - 1), x3], 1)


def bard(x: Tensor) -> Tensor:
    """(8)."""
    x1, x2, x3 = _columns(x)
    u = _count(1, 15, x)
    v = 16 - u
    return _vector(_BARD, x) - (x1 + u / (v * x2 + torch.minimum(u, v) * x3))


def gaussian(x: Tensor) -> Tensor:
    """(9)."""
    x1, x2, x3 = _columns(x)
    t = (8 - _count(1, 15, x)) / 2
    y = _vector(_GAUSSIAN + _GAUSSIAN[-2::-1], x)
    return x1 * torch.exp(-x2 * (t - x3) ** 2 / 2) - y


def meyer(x: Tensor) -> Tensor:
    """(10)."""
    x1, x2, x3 = _columns(x)
    t = 45 + 5 * _count(1, 16, x)
    return x1 * torch.exp(x2 / (t + x3)) - _vector(_MEYER, x)


def gulf(x: Tensor) -> Tensor:
    """(11), m = 99; the paper's "y_i m i x_2" is a misprint for y_i − x_2."""
    x1, x2, x3 = _columns(x)
    t = _count(1, 99, x) / 100
    y = 25 + (-50 * torch.log(t)) ** (2 / 3)
    return torch.exp(-((y - x2).abs() ** x3) / x1) - t


def box_three_dimensional(x: Tensor) -> Tensor:
    """(12), m = 10."""
    x1, x2, x3 = _columns(x)
    t = _count(1, 10, x) / 10
    return torch.exp(-t * x1) - torch.exp(-t * x2) - x3 * (torch.exp(-t) - torch.exp(-10 * t))


def powell_singular(x: Tensor) -> Tensor:
    """(13) and, for more variables, (22)."""
    x1, x2, x3, x4 = (x[:, i::4] for i in range(4))
    parts = [x1 + 10 * x2, math.sqrt(5) * (x3 - x4), (x2 - 2 * x3) ** 2]
    return torch.cat([*parts, math.sqrt(10) * (x1 - x4) ** 2], 1)


def wood(x: Tensor) -> Tensor:
    """(14)."""
    x1, x2, x3, x4 = _columns(x)
    first = [10 * (x2 - x1**2), 1 - x1, math.sqrt(90) * (x4 - x3**2), 1 - x3]
    return torch.cat([*first, math.sqrt(10) * (x2 + x4 - 2), (x2 - x4) / math.sqrt(10)], 1)


def kowalik_osborne(x: Tensor) -> Tensor:
    """(15)."""
    x1, x2, x3, x4 = _columns(x)
    u = _vector(_KOWALIK_U, x)
    return _vector(_KOWALIK_Y, x) - x1 * (u**2 + u * x2) / (u**2 + u * x3 + x4)


def brown_dennis(x: Tensor) -> Tensor:
    """(16), m = 20."""
    x1, x2, x3, x4 = _columns(x)
    t = _count(1, 20, x) / 5
    return (x1 + t * x2 - torch.exp(t)) ** 2 + (x3 + x4 * torch.sin(t) - torch.cos(t)) ** 2


def osborne_1(x: Tensor) -> Tensor:
    """(17)."""
    x1, x2, x3, x4, x5 = _columns(x)
    t = 10 * _count(0, 32, x)
    return _vector(_OSBORNE_1, x) - (x1 + x2 * torch.exp(-t * x4) + x3 * torch.exp(-t * x5))


def biggs_exp6(x: Tensor) -> Tensor:
    """(18), m = 13."""
    x1, x2, x3, x4, x5, x6 = _columns(x)
    t = _count(1, 13, x) / 10
    y = torch.exp(-t) - 5 * torch.exp(-10 * t) + 3 * torch.exp(-4 * t)
    return x3 * torch.exp(-t * x1) - x4 * torch.exp(-t * x2) + x6 * torch.exp(-t * x5) - y


def osborne_2(x: Tensor) -> Tensor:
    """(19)."""
    x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11 = _columns(x)
    t = _count(0, 64, x) / 10
    model = x1 * torch.exp(-t * x5)
    for height, width, place in ((x2, x6, x9), (x3, x7, x10), (x4, x8, x11)):
        model = model + height * torch.exp(-((t - place) ** 2) * width)
    return _vector(_OSBORNE_2, x) - model


def watson(x: Tensor) -> Tensor:
    """(20)."""
    n = x.shape[1]
    t = _count(1, 29, x)[:, None] / 29
    powers = t ** _count(0, n - 1, x)  # [29, n]
    slopes = x[:, 1:] @ (_count(1, n - 1, x) * powers[:, :-1]).T
    inner = slopes - (x @ powers.T) ** 2 - 1
    return torch.cat([inner, x[:, :1], x[:, 1:2] - x[:, :1] ** 2 - 1], 1)


def extended_rosenbrock(x: Tensor) -> Tensor:
    """(21)."""
    odd, even = x[:, 0::2], x[:, 1::2]
    return torch.cat([10 * (even - odd**2), 1 - odd], 1)


def penalty_1(x: Tensor) -> Tensor:
    """(23)."""
    return torch.cat([math.sqrt(1e-5) * (x - 1), (x**2).sum(1, keepdim=True) - 0.25], 1)


def penalty_2(x: Tensor) -> Tensor:
    """(24)."""
    n = x.shape[1]
    i = _count(2, n, x)
    y = torch.exp(i / 10) + torch.exp((i - 1) / 10)
    grown = torch.exp(x / 10)
    pairs = math.sqrt(1e-5) * (grown[:, 1:] + grown[:, :-1] - y)
    single = math.sqrt(1e-5) * (grown[:, 1:] - math.exp(-0.1))
    last = (_count(1, n, x).flip(0) * x**2).sum(1, keepdim=True) - 1
    return torch.cat([x[:, :1] - 0.2, pairs, single, last], 1)


def variably_dimensioned(x: Tensor) -> Tensor:
    """(25)."""
    total = (_count(1, x.shape[1], x) * (x - 1)).sum(1, keepdim=True)
    return torch.cat([x - 1, total, total**2], 1)


def trigonometric(x: Tensor) -> Tensor:
    """(26)."""
    n = x.shape[1]
    cosines = torch.cos(x)
    i = _count(1, n, x)
    return n - cosines.sum(1, keepdim=True) + i * (1 - cosines) - torch.sin(x)


def brown_almost_linear(x: Tensor) -> Tensor:
    """(27)."""
    n = x.shape[1]
    linear = x[:, :-1] + x.sum(1, keepdim=True) - (n + 1)
    return torch.cat([linear, x.prod(1, keepdim=True) - 1], 1)


def discrete_boundary_value(x: Tensor) -> Tensor:
    """(28)."""
    n = x.shape[1]
    h = 1 / (n + 1)
    t = h * _count(1, n, x)
    padded = torch.nn.functional.pad(x, (1, 1))
    return 2 * x - padded[:, :-2] - padded[:, 2:] + h**2 * (x + t + 1) ** 3 / 2


def discrete_integral_equation(x: Tensor) -> Tensor:
    """(29)."""
    n = x.shape[1]
    h = 1 / (n + 1)
    t = h * _count(1, n, x)
    cubes = (x + t + 1) ** 3
    below = torch.cumsum(t * cubes, 1)
    above = ((1 - t) * cubes).sum(1, keepdim=True) - torch.cumsum((1 - t) * cubes, 1)
    return x + h * ((1 - t) * below + t * above) / 2


def broyden_tridiagonal(x: Tensor) -> Tensor:
    """(30)."""
    padded = torch.nn.functional.pad(x, (1, 1))
    return (3 - 2 * x) * x - padded[:, :-2] - 2 * padded[:, 2:] + 1


def broyden_banded(x: Tensor) -> Tensor:
    """(31); the band reaches 5 below and 1 above the diagonal."""
    n = x.shape[1]
    band = torch.ones(n, n, dtype=x.dtype, device=x.device).tril(1).triu(-5)
    band.fill_diagonal_(0)
    return x * (2 + 5 * x**2) + 1 - (x * (1 + x)) @ band.T


def linear_full_rank(x: Tensor) -> Tensor:
    """(32), m = 20."""
    n = x.shape[1]
    mean = (2 / 20) * x.sum(1, keepdim=True)
    return torch.nn.functional.pad(x, (0, 20 - n)) - mean - 1


def linear_rank_1(x: Tensor) -> Tensor:
    """(33), m = 20."""
    return _count(1, 20, x) * (_count(1, x.shape[1], x) * x).sum(1, keepdim=True) - 1


def linear_rank_1_zeros(x: Tensor) -> Tensor:
    """(34), m = 20."""
    inner = (_count(2, x.shape[1] - 1, x) * x[:, 1:-1]).sum(1, keepdim=True)
    weights = torch.nn.functional.pad(_count(1, 18, x), (1, 1))
    return weights * inner - 1


def chebyquad(x: Tensor) -> Tensor:
    """(35), m = n: means of the shifted Chebyshev polynomials, without their integrals."""
    n = x.shape[1]
    previous, current = torch.ones_like(x), 2 * x - 1
    means = []
    for i in range(1, n + 1):
        integral = -1 / (i**2 - 1) if i % 2 == 0 else 0.0
        means.append(current.mean(1) - integral)
        previous, current = current, 2 * (2 * x - 1) * current - previous
    return torch.stack(means, 1)
