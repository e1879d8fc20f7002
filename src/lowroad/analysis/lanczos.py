"""Lanczos iterations with full reorthogonalization."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

Array = NDArray[np.float64]
SPANNED = 1e-10  # the part of the matrix's size below which a new direction is rounding


class Krylov(NamedTuple):
    """A symmetric matrix C within the span of v, C v, C² v and so on.

    Attributes:
        places: Ritz values [m], ascending.
        columns: Ritz vectors by the basis [m, m], one in each column.
        basis: orthonormal [m, d].
        beyond: the length of the next direction, 0 where the basis holds all that v reaches: the
            residual |C y − θ y| of a Ritz pair is this times the last entry of its column.
    """

    places: Array
    columns: Array
    basis: Array
    beyond: float


def outside(vector: Array, known: Array) -> Array:
    """Return the part of a vector [d] that is orthogonal to the columns of `known` [d, k]."""
    return vector - known @ (known.T @ vector)


def lanczos(product: Callable[[Array], Array], start: Array, known: Array, steps: int) -> Krylov:
    """Return the Krylov space of a matrix outside of known directions.

    Args:
        product: v ↦ C v.
        start: v [d], whose part outside of the known directions is not zero.
        known: orthonormal columns [d, k], which are projected out of C.
        steps: the most products.
    """
    v = outside(start, known)
    basis = [v / np.sqrt(float(v @ v))]
    diagonal: list[float] = []
    beside: list[float] = []
    for k in range(steps):
        w = outside(product(basis[k]), known)
        diagonal.append(float(basis[k] @ w))
        for _ in range(2):  # once more, for what rounding left
            for each in basis:
                w -= (each @ w) * each
        length = float(np.linalg.norm(w))
        if length <= SPANNED * max(map(abs, [*diagonal, *beside])):
            length = 0.0
        if k + 1 == steps or length == 0.0:
            break
        beside.append(length)
        basis.append(w / length)
    found = eigh_tridiagonal(np.array(diagonal), np.array(beside))
    places, columns = (np.asarray(each, dtype=np.float64) for each in found)
    return Krylov(places, columns, np.stack(basis), length)
