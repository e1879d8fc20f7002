"""Checks that the analysis functions share: a bad array is refused with what was expected."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["as_sample", "as_vectors", "as_weight_sets"]


def as_sample(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return `values` as a float64 array [n]; n may be 0 and numbers may be non-finite.

    Raises:
        ValueError: If the array has more than one axis.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise ValueError(f"{name} must be a list of numbers, shape [n]; got shape {sample.shape}")
    return sample


def as_vectors(vectors: ArrayLike, name: str) -> NDArray[np.floating]:
    """Return `vectors` as a floating array [n, d] with n >= 1 and finite entries.

    Raises:
        ValueError: If the shape is wrong, there is no vector, or an entry is not finite.
    """
    array = np.asarray(vectors)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must hold vectors as rows, shape [n, d]; got shape {array.shape}")
    if len(array) == 0:
        raise ValueError(f"{name} must hold at least one vector; it holds none")
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        raise ValueError(
            f"{name} must be finite; vectors {bad[:5].tolist()} are not. Leave out the runs that "
            "diverged"
        )
    return array


def as_weight_sets(sets: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.floating]]:
    """Return named sets of vectors, each [n, d] with the same d and n >= 1.

    Raises:
        ValueError: If there is no set, a set is bad, or the sets differ in d.
    """
    if not sets:
        raise ValueError("expected at least one named set of vectors, got none")
    checked = {name: as_vectors(vectors, f"set {name!r}") for name, vectors in sets.items()}
    dimensions = {name: vectors.shape[1] for name, vectors in checked.items()}
    if len(set(dimensions.values())) > 1:
        raise ValueError(f"the sets must share one dimension d; got {dimensions}")
    return checked
