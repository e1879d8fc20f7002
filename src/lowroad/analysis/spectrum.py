"""The spectral density of a network's curvature, by stochastic Lanczos quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lowroad.analysis.curvature import CurvatureProduct, Matrix
from lowroad.analysis.lanczos import lanczos, outside
from lowroad.analysis.sharpness import SMALL, all_eigenvalues, largest_eigenpairs, random_signs
from lowroad.landscapes import NetworkLandscape

__all__ = ["SpectralDensity", "spectral_density"]


@dataclass(frozen=True)
class SpectralDensity:
    """An estimate of how the eigenvalues λ of a matrix C [d, d] are distributed.

    For each random vector v_i a Lanczos iteration gives nodes θ_ij and weights ω_ij with
    Σ_j ω_ij f(θ_ij) ≈ v_iᵀ f(C) v_i, whose mean over v is the trace of f(C) outside of the
    eigenvectors that are known exactly; for polynomials f of a degree below twice the steps it is
    exact.

    Attributes:
        outliers: The eigenvalues of largest size, each known by itself [k], the largest first.
        nodes: θ [vectors, steps].
        weights: ω [vectors, steps]; each row sums to about d − k.
        dimension: d.
        products: How many products of the matrix with a vector were taken.
    """

    outliers: NDArray[np.float64]
    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]
    dimension: int
    products: int

    def moment(self, power: int) -> tuple[float, float]:
        """Return Σ λ^power, the trace of the matrix's power, and its standard error.

        The error is that of the mean over the vectors, widened by Student's distribution so that
        twice the error holds the exact moment in 98% of cases however few vectors there are; 0
        where all eigenvalues are known.

        >>> known = SpectralDensity(np.array([3.0, 1.0]), np.empty((0, 0)), np.empty((0, 0)), 2, 2)
        >>> known.moment(1), known.moment(2)
        ((4.0, 0.0), (10.0, 0.0))
        """
        exact = float(np.sum(self.outliers**power))
        if not len(self.nodes):
            return exact, 0.0
        estimates = np.sum(self.weights * self.nodes**power, axis=1)
        count = len(estimates)
        widening = float(scipy.stats.t.ppf(0.99, count - 1)) / 2
        error = float(np.std(estimates, ddof=1) / np.sqrt(count)) * widening
        return exact + float(estimates.mean()), error

    def density(self, grid: ArrayLike, width: float) -> NDArray[np.float64]:
        """Return p(x) = 1/d Σ_λ N(x; λ, width²) on a grid [n].

        Args:
            grid: x [n].
            width: the standard deviation of the normal distribution that stands for an eigenvalue.

        Raises:
            ValueError: if the width is not positive.
        """
        if not width > 0:
            raise ValueError(f"expected a positive width, got {width}")
        x = np.asarray(grid, dtype=np.float64)[:, None]
        places = np.concatenate([self.outliers, self.nodes.ravel()])
        counts = np.concatenate(
            [np.ones(len(self.outliers)), self.weights.ravel() / max(1, len(self.weights))]
        )
        bumps = np.exp(-(((x - places) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
        return np.asarray(bumps @ counts / self.dimension)


def spectral_density(
    landscape: NetworkLandscape,
    point: Tensor,
    *,
    outliers: int = 5,
    vectors: int = 6,
    steps: int = 10,
    matrix: Matrix = "hessian",
    generator: torch.Generator,
) -> SpectralDensity:
    """Estimate the distribution of the curvature's eigenvalues.

    The `outliers` eigenvalues of largest size are found first and taken out (in networks a few
    stand far out and would dominate the error of all moments); the rest is sampled by `vectors`
    Lanczos iterations of `steps` products each, with full reorthogonalization, from random signs.
    Networks of up to 100 parameters get all eigenvalues.

    Args:
        landscape: The network's loss, see `CurvatureProduct`.
        point: Where [d].
        outliers: k, at least one.
        vectors: How many random vectors, at least two.
        steps: Products for each; more show finer structure.
        matrix: "hessian" or "gauss_newton".
        generator: Where the vectors come from.

    Raises:
        TypeError: As `CurvatureProduct`.
        ValueError: As `CurvatureProduct`, and for too few outliers, vectors or steps.
        ArithmeticError: If the iteration for the outliers does not converge, or second derivatives
            are not finite.

    Source: Ghorbani, Krishnan & Xiao 2019, "An investigation into neural net optimization via
    Hessian eigenvalue density"; Ubaru, Chen & Saad 2017 (the quadrature).

    >>> from torch import nn
    >>> inputs = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    >>> model = nn.Linear(2, 1, bias=False).double()
    >>> bowl = NetworkLandscape(model, inputs, torch.zeros(2, 1).double(), "mean_squared_error")
    >>> spectral_density(bowl, torch.zeros(2).double(), generator=torch.Generator()).moment(2)
    (82.0, 0.0)
    """
    product = CurvatureProduct(landscape, point, matrix)
    d = landscape.dimension
    for name, given, least in (
        ("outliers", outliers, 1),
        ("vectors", vectors, 2),
        ("steps", steps, 2),
    ):
        if given < least:
            raise ValueError(f"{name}: expected at least {least}, got {given}")
    if d <= SMALL or outliers >= d:
        empty = np.empty((0, 0))
        return SpectralDensity(all_eigenvalues(product), empty, empty, d, product.count)
    values, directions = largest_eigenpairs(product, outliers, generator, which="LM")
    rows = [_quadrature(product, directions, steps, generator) for _ in range(vectors)]
    nodes, weights = (np.stack(part) for part in zip(*rows, strict=True))
    return SpectralDensity(values, nodes, weights, d, product.count)


def _quadrature(
    product: CurvatureProduct,
    known: NDArray[np.float64],
    steps: int,
    generator: torch.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights [steps] for a random vector outside of the known ones [d, k]."""
    v = outside(random_signs(product.dimension, generator), known)
    krylov = lanczos(product, v, known, steps)
    nodes, weights = np.zeros(steps), np.zeros(steps)
    count = len(krylov.places)
    nodes[:count] = krylov.places
    weights[:count] = float(v @ v) * krylov.columns[0] ** 2
    return nodes, weights
