"""How sharp a minimum is: the largest eigenvalues of the loss's curvature, and its trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor

from lowroad.analysis.curvature import CurvatureProduct, Matrix
from lowroad.analysis.lanczos import lanczos
from lowroad.landscapes import NetworkLandscape

__all__ = ["Sharpness", "largest_eigenpairs", "sharpness"]

SMALL = 100  # parameters up to which the whole Hessian is made
TOLERANCE = 1e-4  # relative, of the eigenvalues
STEPS = 20  # products between restarts of an iteration that seeks equal eigenvalues
ENOUGH = 3  # restarts after which there is nothing larger, where none was seen
PASSES = 50  # restarts at most


@dataclass(frozen=True)
class Sharpness:
    """Curvature of a network's loss at a point.

    Attributes:
        eigenvalues: The k largest eigenvalues of the Hessian [k], the largest first.
        trace: Its trace, the sum of all eigenvalues: exact for small networks, else an estimate.
        trace_error: The estimate's standard error; 0 where the trace is exact.
        products: How many products of the Hessian with a vector were taken.
    """

    eigenvalues: NDArray[np.float64]
    trace: float
    trace_error: float
    products: int


def sharpness(
    landscape: NetworkLandscape,
    point: Tensor,
    *,
    eigenvalues: int = 5,
    samples: int = 30,
    matrix: Matrix = "hessian",
    generator: torch.Generator,
) -> Sharpness:
    """Return the largest eigenvalues and the trace of the curvature C of a network's mean loss.

    The eigenvalues come from ARPACK's Lanczos iteration, and from further ones outside of what it
    found, since it finds one of several equal eigenvalues. The trace is their sum plus Hutchinson's
    mean of vᵀ P C P v over random signs v, where P projects out their eigenvectors (the deflation
    of Hutch++): where few eigenvalues stand out, its error is small. A product C v costs two to
    four gradients; five eigenvalues take several dozen of them, more where some are equal. Networks
    of up to 100 parameters get all of C and the exact trace. For a part of the data, make the
    landscape of that part.

    Args:
        landscape: The network's loss. Its module must be one that PyTorch differentiates twice.
            Where batch norm's statistics follow the weights, they are those of the point, held
            fixed.
        point: Where [d], usually a minimum.
        eigenvalues: k, how many.
        samples: How many random vectors the trace takes, at least two.
        matrix: "hessian", or "gauss_newton" for the generalized Gauss–Newton matrix: see
            `CurvatureProduct`.
        generator: Where they come from, and the first vector of the iteration.

    Raises:
        TypeError: If the landscape is not a network's, or the point is of another type.
        ValueError: If the point does not fit or is not finite, fewer than one eigenvalue or more
            than d are asked for, or there are fewer than two samples.
        ArithmeticError: If the iteration does not converge, or second derivatives are not finite.

    Source: Ghorbani, Krishnan & Xiao 2019 (Hessians of networks); Meyer et al. 2021, Hutch++.

    >>> from torch import nn
    >>> inputs = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    >>> targets = torch.zeros(2, 1, dtype=torch.float64)
    >>> model = nn.Linear(2, 1, bias=False).double()
    >>> bowl = NetworkLandscape(model, inputs, targets, "mean_squared_error")
    >>> found = sharpness(bowl, torch.zeros(2).double(), eigenvalues=2, generator=torch.Generator())
    >>> found.eigenvalues.tolist(), found.trace  # of 2/n XᵀX
    ([9.0, 1.0], 10.0)
    """
    product = CurvatureProduct(landscape, point, matrix)
    d = landscape.dimension
    if not 1 <= eigenvalues <= d:
        raise ValueError(
            f"expected 1 to {d} eigenvalues, the parameters' number; got {eigenvalues}"
        )
    if samples < 2:
        raise ValueError(f"expected at least two samples, got {samples}")
    if d <= SMALL or eigenvalues == d:
        values = all_eigenvalues(product)
        return Sharpness(values[:eigenvalues], float(values.sum()), 0.0, product.count)
    values, vectors = largest_eigenpairs(product, eigenvalues, generator)
    estimates = []
    for _ in range(samples):
        v = random_signs(d, generator)
        v -= vectors @ (vectors.T @ v)
        estimates.append(float(v @ product(v)))
    return Sharpness(
        eigenvalues=values,
        trace=float(values.sum() + np.mean(estimates)),
        trace_error=float(np.std(estimates, ddof=1) / np.sqrt(samples)),
        products=product.count,
    )


def all_eigenvalues(product: CurvatureProduct) -> NDArray[np.float64]:
    """Return all d eigenvalues of a small matrix, the largest first."""
    whole = np.stack([product(column) for column in np.eye(product.dimension)])
    return np.linalg.eigvalsh((whole + whole.T) / 2)[::-1].astype(np.float64)


def largest_eigenpairs(
    product: CurvatureProduct,
    count: int,
    generator: torch.Generator,
    which: Literal["LA", "LM"] = "LA",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues [k], the largest first, and unit eigenvectors [d, k].

    Args:
        product: the matrix.
        count: k.
        generator: draws the first vector.
        which: "LA" for the largest, "LM" for those of largest size.

    Raises:
        ArithmeticError: if the iteration does not converge.
    """
    d = product.dimension
    v = _random_normal(d, generator)
    image = product(v)
    if not image.any():  # a random vector in the kernel: the matrix is zero
        return np.zeros(count), np.linalg.qr(np.eye(d, count))[0]
    # ARPACK takes eigenvalues below 4e-11 for zero; a power of two changes no digits
    unit = 2.0 ** np.clip(np.frexp(np.abs(image).max())[1], -1000, 1000)
    try:
        values, vectors = eigsh(
            LinearOperator((d, d), matvec=lambda x: product(x) / unit, dtype=np.float64),
            k=count, which=which, v0=v, tol=TOLERANCE,
        )  # fmt: skip
    except ArpackError as error:
        raise ArithmeticError(f"the eigenvalues did not converge: {error}") from error
    order = np.argsort(values)[::-1]
    # those of equal eigenvalues come orthogonal only within the tolerance
    vectors = np.linalg.qr(vectors[:, order])[0]
    return _completed(product, values[order] * unit, vectors, generator, which)


def _completed(
    product: CurvatureProduct,
    values: NDArray[np.float64],
    vectors: NDArray[np.float64],
    generator: torch.Generator,
    which: Literal["LA", "LM"],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenpairs [k], [d, k] with those of equal eigenvalues, the largest first.

    The iteration that found them began at one vector, which reaches one direction for each
    eigenvalue, however many there are. So others begin at new vectors, outside of the directions
    known by then, until one finds nothing larger than the k-th. The generator stays where it is.

    Raises:
        ArithmeticError: if one does not converge.
    """

    def size(eigenvalues: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.abs(eigenvalues) if which == "LM" else eigenvalues

    count, own = len(values), generator.clone_state()
    rounding = 100 * product.precision * float(np.abs(values).max())
    while len(values) < product.dimension:
        least = float(np.sort(size(values))[-count])
        least += TOLERANCE * abs(least) + rounding
        start = _random_normal(product.dimension, own)
        for passed in range(1, PASSES + 1):
            krylov = lanczos(product, start, vectors, STEPS)
            best = int(np.argmax(size(krylov.places)))
            place, residual = krylov.places[best], krylov.beyond * abs(krylov.columns[-1, best])
            start = krylov.columns[:, best] @ krylov.basis
            larger = bool(size(place) > least)
            if residual <= max(TOLERANCE * abs(place), rounding) or (
                not larger and (size(place) + residual <= least or passed == ENOUGH)
            ):
                break
        else:
            raise ArithmeticError(f"the eigenvalues did not converge in {product.count} products")
        if not larger:
            break
        values = np.append(values, place)
        vectors = np.column_stack([vectors, start / np.linalg.norm(start)])
    chosen = np.argsort(-size(values), kind="stable")[:count]
    chosen = chosen[np.argsort(-values[chosen], kind="stable")]
    return values[chosen].astype(np.float64), np.linalg.qr(vectors[:, chosen])[0]


def _random_normal(dimension: int, generator: torch.Generator) -> NDArray[np.float64]:
    drawn = torch.randn(
        dimension, dtype=torch.float64, generator=generator, device=generator.device
    )
    return np.asarray(drawn.cpu().numpy())


def random_signs(dimension: int, generator: torch.Generator) -> NDArray[np.float64]:
    """Return a vector [d] of random signs ±1."""
    signs = torch.randint(2, (dimension,), generator=generator, device=generator.device)
    return np.asarray(2.0 * signs.cpu().numpy() - 1.0)
