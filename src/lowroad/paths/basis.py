"""Families of curves: the shapes φ_j(t) that a path adds to the straight line.

Each vanishes at t = 0 and t = 1, so the ends stay fixed whatever the coefficients are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor


class Basis(Protocol):
    """Functions φ_1 … φ_m on [0, 1] that vanish at both ends."""

    @property
    def terms(self) -> int:
        """m, how many functions."""
        ...

    def values(self, t: Tensor) -> Tensor:
        """Return φ_j(t_i) as [n, m] for `t` [n]."""
        ...


@dataclass(frozen=True)
class SineBasis:
    """φ_n(t) = sin(nπt), n = 1 … terms: Eq. (3) of Yu & Morozov 2026.

    >>> SineBasis(2).values(torch.tensor([0.5]))
    tensor([[ 1.0000e+00, -8.7423e-08]])
    """

    terms: int

    def values(self, t: Tensor) -> Tensor:
        """Return sin(nπt_i) as [n, terms]."""
        numbers = torch.arange(1, self.terms + 1, dtype=t.dtype, device=t.device)
        return torch.sin(torch.pi * t[:, None] * numbers)


@dataclass(frozen=True)
class BernsteinBasis:
    """φ_j(t) = C(m+1, j) t^j (1 − t)^(m+1−j): the inner control points of a Bézier curve.

    A coefficient is a control point's displacement from its place on the straight line, since
    equally spaced control points on a line give the line. Source: Garipov et al. 2018.

    >>> BernsteinBasis(1).values(torch.tensor([0.5]))  # 2 t (1 − t)
    tensor([[0.5000]])
    """

    terms: int

    def values(self, t: Tensor) -> Tensor:
        """Return the Bernstein polynomials 1 … terms of degree terms + 1 as [n, terms]."""
        degree = self.terms + 1
        j = torch.arange(1, degree, dtype=t.dtype, device=t.device)
        n = torch.tensor(float(degree), dtype=t.dtype, device=t.device)
        log_binomial = torch.lgamma(n + 1) - torch.lgamma(j + 1) - torch.lgamma(n - j + 1)
        return torch.exp(log_binomial) * t[:, None] ** j * (1 - t[:, None]) ** (degree - j)


@dataclass(frozen=True)
class HatBasis:
    """Hat functions on equally spaced knots: a polygonal chain.

    φ_j is 1 at t = j / (terms + 1) and falls linearly to 0 at the neighbouring knots.

    >>> HatBasis(1).values(torch.tensor([0.25, 0.5]))
    tensor([[0.5000],
            [1.0000]])
    """

    terms: int

    def values(self, t: Tensor) -> Tensor:
        """Return max(0, 1 − |(terms + 1) t_i − j|) as [n, terms]."""
        j = torch.arange(1, self.terms + 1, dtype=t.dtype, device=t.device)
        return (1 - ((self.terms + 1) * t[:, None] - j).abs()).clamp(min=0)


@dataclass(frozen=True)
class SplineBasis:
    """Natural cubic splines: a smooth curve through images.

    φ_j is 1 at the knot j and 0 at the other knots and both ends.

    Attributes:
        knots: the inner knots, increasing in (0, 1).

    >>> SplineBasis.even(1).values(torch.tensor([0.25, 0.5]))
    tensor([[0.6875],
            [1.0000]])
    """

    knots: tuple[float, ...]

    @classmethod
    def even(cls, terms: int) -> SplineBasis:
        """Return the splines of `terms` equally spaced inner knots."""
        return cls(tuple(np.linspace(0, 1, terms + 2)[1:-1].tolist()))

    @property
    def terms(self) -> int:
        """How many inner knots."""
        return len(self.knots)

    def values(self, t: Tensor) -> Tensor:
        """Return the cardinal splines as [n, terms]."""
        return torch.from_numpy(_cardinal_splines(self.knots)(t.cpu().numpy())).to(t)


# measuring a path takes some twenty calls, and many paths have the same knots
@lru_cache(maxsize=64)
def _cardinal_splines(inner: tuple[float, ...]) -> CubicSpline:
    knots = np.array([0.0, *inner, 1.0])
    return CubicSpline(knots, np.eye(len(knots))[:, 1:-1], bc_type="natural")
