"""The paper's objective: the cumulative loss on a uniform grid and a penalty on the steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lowroad.landscapes import Landscape
from lowroad.paths.basis import Basis
from lowroad.paths.path import Path


@dataclass(frozen=True)
class Slope:
    """An objective's value and gradient at a path.

    Attributes:
        value: the objective.
        gradient: by the coefficients, [m, d].
        values: the landscape's values at the objective's inner points.
    """

    value: float
    gradient: Tensor
    values: Tensor


class TotalLoss:
    """Σ_i L(θ(t_i)) + λ Σ_i |θ(t_{i+1}) − θ(t_i)|² over the inner points of a grid: Eq. (4).

    The gradient of the first term by b_j is Σ_i φ_j(t_i) ∇L(θ(t_i)). The second term has a closed
    form, λ (|end − start|²/(T−1) + Σ_jk A_jk b_j·b_k). The ends' values are constants and left
    out, and so is the penalty of the line itself.

    Args:
        path: any path of the family, for its basis and device.
        points: T.
        smoothness: λ.
    """

    def __init__(self, path: Path, points: int, smoothness: float) -> None:
        t = torch.linspace(0, 1, points, dtype=torch.float64, device=path.start.device)
        self._inner = path.coordinates(t)[1:-1].to(path.start)
        self._penalty = (smoothness * penalty_matrix(path.basis, t)).to(path.start)

    def slope(self, landscape: Landscape, path: Path) -> Slope:
        """Return objective, gradient and landscape values at `path`, on all data or a batch."""
        restricted = landscape.restrict(path.subspace)
        values, by_subspace = restricted.values_and_subspace_gradients(self._inner)
        half_gradient = self._penalty @ path.coefficients
        penalty = (half_gradient * path.coefficients).sum(dtype=torch.float64)
        return Slope(float(values.sum() + penalty), by_subspace[2:] + 2 * half_gradient, values)

    def value(self, landscape: Landscape, path: Path) -> tuple[float, Tensor]:
        """Return the objective and the landscape values at `path`, without gradients."""
        values = landscape.restrict(path.subspace).values(self._inner)
        half_gradient = self._penalty @ path.coefficients
        penalty = (half_gradient * path.coefficients).sum(dtype=torch.float64)
        return float(values.sum() + penalty), values


def penalty_matrix(basis: Basis, t: Tensor) -> Tensor:
    """Return A [m, m] with Σ_i |θ(t_{i+1}) − θ(t_i)|² = |end − start|²/(T−1) + Σ_jk A_jk b_j·b_k.

    For sines on a uniform grid A is diagonal, 2 (T−1) sin²(nπ / (2 (T−1))). The line and the
    shapes do not mix, since every φ_j vanishes at both ends and the grid is uniform.

    Args:
        basis: the shapes φ.
        t: equally spaced values from 0 to 1, [T].

    >>> from lowroad.paths.basis import SineBasis
    >>> penalty_matrix(SineBasis(1), torch.linspace(0, 1, 3))  # 2 · 2 sin²(π/4)
    tensor([[2.0000]])
    """
    changes = basis.values(t).diff(dim=0)
    return changes.T @ changes
