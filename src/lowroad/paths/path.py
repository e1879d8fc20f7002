"""A path between two points: a straight line and a combination of shapes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lowroad.landscapes import AffineSubspace, Landscape
from lowroad.paths.basis import Basis


@dataclass(frozen=True)
class Path:
    """θ(t) = start + t (end − start) + Σ_j φ_j(t) b_j for t in [0, 1].

    All of it lies in the affine subspace of the line and the coefficients, to which the landscape
    is restricted.

    Attributes:
        start: θ(0), [d].
        end: θ(1), [d].
        coefficients: b [m, d].
        basis: the shapes φ.

    >>> from lowroad.paths.basis import SineBasis
    >>> zero, one = torch.zeros(2), torch.ones(2)
    >>> path = Path(zero, one, torch.tensor([[0.0, 1.0]]), SineBasis(1))
    >>> path(torch.tensor([0.0, 0.5, 1.0])).round(decimals=4)
    tensor([[0.0000, 0.0000],
            [0.5000, 1.5000],
            [1.0000, 1.0000]])
    """

    start: Tensor
    end: Tensor
    coefficients: Tensor
    basis: Basis

    @classmethod
    def straight(cls, start: Tensor, end: Tensor, basis: Basis) -> Path:
        """Return the straight line, as a path of that family: b = 0."""
        return cls(start, end, start.new_zeros(basis.terms, len(start)), basis)

    @property
    def subspace(self) -> AffineSubspace:
        """The span: origin `start`, directions (end − start, b_1, …, b_m)."""
        return AffineSubspace(
            self.start, torch.cat([(self.end - self.start)[None], self.coefficients])
        )

    def coordinates(self, t: Tensor) -> Tensor:
        """Return (t_i, φ_1(t_i), …, φ_m(t_i)) as [n, 1 + m] float64 for `t` [n]."""
        t = torch.as_tensor(t, dtype=torch.float64, device=self.start.device)
        return torch.cat([t[:, None], self.basis.values(t)], dim=1)

    def __call__(self, t: Tensor) -> Tensor:
        """Return the points θ(t_i) as [n, d] for `t` [n]."""
        return self.subspace.points(self.coordinates(t))

    def values(self, landscape: Landscape, t: Tensor) -> Tensor:
        """Return the profile L(θ(t_i)) as float64 [n] on any grid `t` [n].

        >>> from lowroad.landscapes import CurvyValley
        >>> from lowroad.paths.basis import SineBasis
        >>> surface = CurvyValley()
        >>> Path.straight(*surface.ends, SineBasis(0)).values(surface, torch.tensor([0.0, 0.5]))
        tensor([0., 1.], dtype=torch.float64)
        """
        return landscape.restrict(self.subspace).values(self.coordinates(t).to(self.start))

    def with_coefficients(self, coefficients: Tensor) -> Path:
        """Return the path of the same ends and family with other coefficients [m, d]."""
        return Path(self.start, self.end, coefficients, self.basis)

    def in_basis(self, basis: Basis, samples: int = 201) -> Path:
        """Return the path of another family that is nearest to this one (least squares in t).

        At `samples` equally spaced t, or more where the family has many shapes. By singular values:
        many Bernstein polynomials are nearly dependent.
        """
        t = torch.linspace(0, 1, max(samples, 4 * basis.terms + 1), dtype=torch.float64)
        shapes, wanted = basis.values(t), self.basis.values(t)
        fit = torch.linalg.lstsq(shapes, wanted, driver="gelsd").solution
        return Path(self.start, self.end, fit.to(self.coefficients) @ self.coefficients, basis)

    def step_lengths(self, t: Tensor) -> Tensor:
        """Return |θ(t_{i+1}) − θ(t_i)| as float64 [n − 1] for increasing `t` [n].

        In float64 by the directions' products G: |Δc · directions|² = Δc G Δcᵀ.
        """
        directions = self.subspace.directions.double()
        changes = self.coordinates(t).diff(dim=0)
        squares = ((changes @ (directions @ directions.T)) * changes).sum(1)
        return squares.clamp_min(0.0).sqrt()

    def length(self, points: int = 1001) -> float:
        """Return the length of the polygon through `points` equally spaced t."""
        t = torch.linspace(0, 1, points, dtype=torch.float64)
        return float(self.step_lengths(t).sum())
