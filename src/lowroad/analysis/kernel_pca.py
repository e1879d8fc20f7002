"""Kernel principal component analysis of sets of long vectors, from their Gram matrix."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from lowroad.analysis.checks import as_vectors, as_weight_sets

__all__ = [
    "KERNELS",
    "choose_gamma",
    "gram_matrix",
    "kernel_pca",
    "roc_auc",
    "shifted_kernel_matrix",
]

KERNELS = ("rbf", "polynomial", "sigmoid", "linear")

# scikit-learn's defaults, so that the results can be compared with its own.
DEGREE = 3
COEF0 = 1.0

_BLOCK = 4096


def gram_matrix(
    vectors: ArrayLike, origin: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Scalar products of all pairs of vectors, G_ij = (x_i - o) . (x_j - o), in float64.

    The components are taken in blocks, so 96 vectors of 60,000 float32 numbers need a few
    megabytes beside themselves.

    Args:
        vectors: Vectors [n, d].
        origin: o [d]; zero when not given.

    Returns:
        The symmetric matrix [n, n].

    Raises:
        ValueError: If `vectors` is not [n, d] or not finite.

    >>> gram_matrix([[3.0, 4.0], [1.0, 0.0]]).tolist()
    [[25.0, 3.0], [3.0, 1.0]]
    """
    rows = as_vectors(vectors, "vectors")
    gram = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], _BLOCK):
        block = rows[:, start : start + _BLOCK].astype(np.float64)
        if origin is not None:
            block -= origin[start : start + _BLOCK]
        gram += block @ block.T
    return (gram + gram.T) / 2


def centre_of(vectors: ArrayLike) -> NDArray[np.float64]:
    """The mean of the vectors [n, d], in float64."""
    return np.mean(as_vectors(vectors, "vectors"), axis=0, dtype=np.float64)


def squared_distances(vectors: ArrayLike) -> NDArray[np.float64]:
    """Squared distances |x_i - x_j|^2 of all pairs of vectors [n, d], in float64.

    They are G_ii + G_jj - 2 G_ij with products about the vectors' mean, so that a common offset
    costs no digits; pairs that lie near each other for their distance from the mean, where this
    difference would lose digits, are subtracted component by component.

    >>> squared_distances([[3.0, 4.0], [0.0, 0.0]]).tolist()
    [[0.0, 25.0], [25.0, 0.0]]
    """
    rows = as_vectors(vectors, "vectors")
    gram = gram_matrix(rows, centre_of(rows))
    lengths = np.diag(gram)
    sums = lengths[:, None] + lengths[None, :]
    squares: NDArray[np.float64] = np.maximum(sums - 2 * gram, 0.0)
    near = np.triu(squares < 1e-3 * sums, 1)
    for i in np.flatnonzero(near.any(axis=1)):
        others = np.flatnonzero(near[i])
        exact = np.zeros(len(others))
        for start in range(0, rows.shape[1], _BLOCK):
            part = rows[:, start : start + _BLOCK]
            exact += np.sum((part[others].astype(np.float64) - part[i]) ** 2, axis=1)
        squares[i, others] = squares[others, i] = exact
    np.fill_diagonal(squares, 0.0)
    return squares


def choose_gamma(gamma: str | float, squares: NDArray[np.float64], dimension: int) -> float:
    """The number that a name for gamma stands for.

    - `"1/D"`: one over the dimension, scikit-learn's default.
    - `"median"`: 1 / (2 m^2), m the median distance of two vectors that differ, so that the RBF
      kernel of a typical pair is exp(-1/2).
    - a positive number: itself.

    Args:
        gamma: The name or number.
        squares: `squared_distances` of the vectors [n, n].
        dimension: D.

    Raises:
        ValueError: If gamma is not one of these, or all vectors are equal, which have no m.

    >>> squares = squared_distances([[0.0, 1.0], [0.0, 3.0]])
    >>> choose_gamma("1/D", squares, 2), choose_gamma("median", squares, 2)
    (0.5, 0.125)
    """
    if gamma == "1/D":
        return 1.0 / dimension
    if gamma == "median":
        pairs = squares[np.triu_indices(len(squares), 1)]
        if not pairs.any():
            raise ValueError("gamma 'median' needs vectors that differ: all of them are equal")
        return 1.0 / (2.0 * float(np.median(np.sqrt(pairs[pairs > 0]))) ** 2)
    if isinstance(gamma, str) or not np.isfinite(gamma) or gamma <= 0:
        raise ValueError(f"gamma must be '1/D', 'median' or a positive number; got {gamma!r}")
    return float(gamma)


def shifted_kernel_matrix(vectors: ArrayLike, kernel: str, gamma: float) -> NDArray[np.float64]:
    """Kernel values of all pairs of vectors [n, d], less one number, which centring removes.

    rbf: exp(-gamma |x - y|^2) - 1; polynomial: (gamma x.y + 1)^3; sigmoid: tanh(gamma x.y + 1);
    linear: x.y. From the last three the value of the vectors' mean with itself is taken (from the
    linear kernel also what depends on one of the vectors alone). The differences are not taken of
    the values, so that small vectors and a common offset cost no digits.

    Raises:
        ValueError: If the kernel is not one of `KERNELS`.

    >>> vectors = [[1.0, 0.0], [3.0, 0.0]]  # of mean 2: (0.5 · 4 + 1)³ = 27
    >>> shifted_kernel_matrix(vectors, "polynomial", 0.5).tolist()  # [[3.375, 15.625], ...] - 27
    [[-23.625, -11.375], [-11.375, 139.375]]
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}; got {kernel!r}")
    if kernel == "rbf":
        return np.expm1(-gamma * squared_distances(vectors))
    middle = centre_of(vectors)
    centred = gram_matrix(vectors, middle)
    if kernel == "linear":
        return centred
    along = np.array([(row - middle) @ middle for row in as_vectors(vectors, "vectors")])
    # x.y = m.m + (x - m).(y - m) + (x - m).m + (y - m).m
    rest = gamma * (centred + along[:, None] + along[None, :])
    start = gamma * float(middle @ middle) + COEF0
    if kernel == "polynomial":
        return np.asarray(rest * (3 * start**2 + 3 * start * rest + rest**2))
    # tanh(a + b) - tanh(a) = 2 (1 - exp(-2b)) / ((1 + exp(-2a)) (exp(-2b) + exp(2a)))
    size = np.abs(rest)
    rise = 1 / (np.exp(-2 * size) + np.exp(2 * start))
    fall = -1 / (1 + np.exp(2 * (start - size)))
    change = -np.expm1(-2 * size) * np.where(rest > 0, rise, fall)
    return np.asarray(2 * change / (1 + np.exp(-2 * start)))


def roc_auc(first: ArrayLike, second: ArrayLike) -> float:
    """Chance that a number of `second` exceeds one of `first`, ties counted half (area under ROC).

    >>> roc_auc([1.0, 2.0], [2.0, 3.0])
    0.875
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    difference = two[None, :] - one[:, None]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def kernel_pca(
    sets: Mapping[str, ArrayLike],
    kernel: str = "rbf",
    gamma: str | float = "1/D",
    components: int = 2,
) -> xr.Dataset:
    """Project the joined sets onto their first kernel principal components.

    The kernel matrix K is centred, K' = K - 1K - K1 + 1K1 with 1 the matrix of 1/n, and the
    projection of vector i on component a is sqrt(l_a) v_ia, l_a and v_a the eigenvalues and
    unit eigenvectors of K', largest first (scikit-learn's KernelPCA, precomputed kernel).

    An eigenvector's sign is free. Here a component points from the first named set to the
    others: the mean projection of the first set is the lower one. (With one set: the projection
    of the largest size is positive.) Projections are rounded to 12 digits of the component's
    largest, so that those of equal vectors are equal.

    Where two eigenvalues are equal to rounding, as where gamma makes all RBF values of different
    vectors 0, their components are any orthogonal ones of one plane: they have no area. Where the
    values overflow, or are all equal though the vectors differ, as where tanh is 1 everywhere,
    nothing is known: projections and areas are NaN, fractions 0.

    Args:
        sets: Named sets of vectors, each [n, d]; together at least three vectors.
        kernel: One of `KERNELS`, see `shifted_kernel_matrix`.
        gamma: `"1/D"`, `"median"` or a positive number, see `choose_gamma`.
        components: How many components.

    Returns:
        A dataset with `projection` over (`vector`, `component`), `explained` over `component`
        (the eigenvalue as a fraction of the sum of all eigenvalues' sizes) and, with two sets,
        `auc` over `component`: max(A, 1 - A) where A is `roc_auc` of the two sets'
        projections; 0.5 means no separation, 1 a perfect one, NaN a component that is not
        determined. `vector` has coordinates `set` and
        `run`, `component` counts from 1. Attributes: `kernel`, `gamma` (the number used, NaN
        for the linear kernel, which has none), `gamma_rule`, `dimension`, and for the
        polynomial `degree` and `coef0`.

    Raises:
        ValueError: If a set is bad, there are fewer than three vectors, the kernel or gamma is
            unknown, or there are not as many components as asked.

    Source: Yu & Morozov 2026, section II.4, Figs. 6 and S4; Schölkopf et al. 1998.

    >>> line = {"left": [[0.0, 0.0], [0.0, 1.0]], "right": [[9.0, 0.0], [9.0, 1.0]]}
    >>> found = kernel_pca(line, "linear")
    >>> found["projection"].sel(component=1).values.round(6).tolist()
    [-4.5, -4.5, 4.5, 4.5]
    >>> found["auc"].sel(component=1).item()
    1.0
    """
    checked = as_weight_sets(sets)
    vectors = np.concatenate(list(checked.values()))
    count, dimension = vectors.shape
    if count < 3:
        raise ValueError(f"kernel PCA needs at least three vectors; got {count}")
    if not 1 <= components < count:
        raise ValueError(
            f"components must be 1 to {count - 1} for {count} vectors, not {components}"
        )
    number = float("nan")
    with np.errstate(over="ignore", invalid="ignore"):
        if kernel != "linear":
            squares = squared_distances(vectors) if gamma == "median" else np.zeros((0, 0))
            number = choose_gamma(gamma, squares, dimension)
        matrix = shifted_kernel_matrix(vectors, kernel, number)
    projection = np.full((count, components), np.nan)
    explained, alone = np.zeros(components), np.zeros(components, dtype=bool)
    same = bool((vectors == vectors[0]).all())
    if np.isfinite(matrix).all() and (same or np.ptp(matrix) > 0):
        projection, explained, alone = _projected(matrix, components)

    names = np.repeat(list(checked), [len(rows) for rows in checked.values()])
    in_first = names == next(iter(checked))
    for column in projection.T:
        if in_first.all():
            backwards = column[np.abs(column).argmax()] < 0
        else:
            backwards = column[in_first].mean() > column[~in_first].mean()
        if backwards:
            column *= -1

    attributes: dict[str, object] = {
        "kernel": kernel,
        "gamma": number,
        "gamma_rule": str(gamma),
        "dimension": dimension,
    }
    if kernel == "polynomial":
        attributes["degree"] = DEGREE
    if kernel in ("polynomial", "sigmoid"):
        attributes["coef0"] = COEF0
    table = xr.Dataset(
        {
            "projection": (("vector", "component"), projection),
            "explained": ("component", explained),
        },
        coords={
            "set": ("vector", names),
            "run": ("vector", np.concatenate([np.arange(len(r)) for r in checked.values()])),
            "component": np.arange(1, components + 1),
        },
        attrs=attributes,
    )
    if len(checked) == 2:
        areas = [roc_auc(column[in_first], column[~in_first]) for column in projection.T]
        areas = [max(area, 1 - area) for area in areas]
        table["auc"] = "component", np.where(alone, areas, np.nan)
    return table


def _projected(
    matrix: NDArray[np.float64], components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Projections, fractions of the eigenvalues, and which eigenvalues differ from their next."""
    from sklearn.decomposition import KernelPCA  # here: it takes a second

    model = KernelPCA(n_components=components, kernel="precomputed", eigen_solver="dense")
    projection = model.fit_transform(matrix)
    sizes = np.abs(projection).max(axis=0, initial=0.0)
    sizes[sizes == 0] = 1.0
    projection = np.round(projection / sizes, 12) * sizes

    centred = matrix - matrix.mean(axis=0) - matrix.mean(axis=1)[:, None] + matrix.mean()
    values = np.linalg.eigvalsh(centred)[::-1]
    total = float(np.abs(values).sum())
    explained = model.eigenvalues_ / total if total > 0 else np.zeros(components)
    steps = -np.diff(values) > 1e-12 * np.abs(values).max()
    alone = np.append(steps, True) & np.append(True, steps)
    return projection, explained, alone[:components] | (explained == 0)
