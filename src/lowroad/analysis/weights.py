"""Statistics of sets of weight vectors: their components, and their distances from a centroid."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from lowroad.analysis.checks import as_weight_sets
from lowroad.analysis.kernel_pca import squared_distances

__all__ = ["centroid_distances", "weight_statistics"]


def weight_statistics(sets: Mapping[str, ArrayLike]) -> xr.Dataset:
    """Mean and standard deviation of all components of each set, pooled (Table S1).

    With x the n * d numbers of a set in one row,

        mean = sum(x) / (n d),    standard_deviation = sqrt(sum((x - mean)^2) / (n d)),

    so the deviation is the population's (ddof = 0), in float64 by two passes.

    Args:
        sets: Named sets of vectors, each [n, d]; n may differ from set to set.

    Returns:
        A dataset over `set` with `mean`, `standard_deviation` and `vectors` (n); the attribute
        `ddof` is 0.

    Raises:
        ValueError: If a set is empty, not [n, d], not finite, or differs from the others in d.

    Source: Yu & Morozov 2026, Table S1.

    >>> table = weight_statistics({"a": [[1.0, 2.0], [3.0, 4.0]], "b": [[0.0, 0.0]]})
    >>> table["mean"].sel(set="a").item()
    2.5
    >>> round(table["standard_deviation"].sel(set="a").item() ** 2, 12)
    1.25
    """
    checked = as_weight_sets(sets)
    means, deviations = [], []
    for vectors in checked.values():
        mean = float(np.mean(vectors, dtype=np.float64))
        # A row at a time: a float64 copy of a whole set would double the memory for nothing.
        squares = sum(float(np.sum((row.astype(np.float64) - mean) ** 2)) for row in vectors)
        means.append(mean)
        deviations.append(np.sqrt(squares / vectors.size))
    return xr.Dataset(
        {
            "mean": ("set", means),
            "standard_deviation": ("set", deviations),
            "vectors": ("set", [len(vectors) for vectors in checked.values()]),
        },
        coords={"set": list(checked)},
        attrs={"ddof": 0, "dimension": next(iter(checked.values())).shape[1]},
    )


def centroid_distances(
    first: ArrayLike,
    second: ArrayLike,
    names: tuple[str, str] = ("first", "second"),
    starts: tuple[ArrayLike, ArrayLike] | None = None,
) -> xr.Dataset:
    """Distance of every vector from the mean of the two sets' centroids.

    With the centroids c1 and c2 of the sets, the common origin is o = (c1 + c2) / 2 and

        distance(x) = |x - o|.

    Both centroids are equally far from o, by half of their separation |c1 - c2|. In many
    dimensions a centroid of n vectors keeps about 1/n of their spread as noise, so |c1 - c2| is
    far from zero even for two samples of one population. Therefore the squared separation is
    also given without that bias,

        unbiased = mean |x - y|^2 - s1^2 - s2^2,    s^2 = sum |x - c|^2 / (n - 1),

    the mean over x of the first and y of the second set that are independent: with `starts`,
    those that began at different weights. It may be negative. It is given relative to the spread
    too, `unbiased / ((s1^2 + s2^2) / 2)`, with the jackknife's standard error (one start left out
    at a time, with its vectors in both sets), which is too large rather than too small where the
    centres coincide. These last need two vectors in each set, their error
    three; they are NaN with fewer.

    Args:
        first: Vectors [n1, d].
        second: Vectors [n2, d].
        names: What the sets are called.
        starts: Where each vector [n1] and [n2] began, as integers; equal ones began at the same
            weights. Without it all vectors are independent.

    Returns:
        A dataset with `distance` over `vector` (coordinates `set` and `run`, the row in its set),
        `centroid_distance` and `spread` (s) over `group`, the scalars `separation`,
        `separation_squared_unbiased`, `relative` and `relative_error`, the jackknife's
        pseudovalues `relative_by_start` over `start` that the error is the standard error of, and
        `same_start` and `other_start`, root-mean-square distances of the first set's vectors from
        the second's that began at the same and at other weights (NaN where there are none).

    Raises:
        ValueError: If the sets are not two, empty, not finite, or differ in d, or the starts do
            not fit them.

    Source: Yu & Morozov 2026, section III.3, Figs. 5 and S3; the jackknife: Efron & Tibshirani
    1993, chapter 11.

    >>> found = centroid_distances([[1.0, 0.0], [-1.0, 0.0]], [[4.0, 3.0], [4.0, -3.0]])
    >>> found["separation"].item()
    4.0
    >>> (found["distance"] ** 2).round(12).values.tolist()
    [1.0, 9.0, 13.0, 13.0]
    >>> found["separation_squared_unbiased"].item()  # 26 - 2 - 18
    6.0
    """
    if len(set(names)) != 2:
        raise ValueError(f"the two sets need two different names; got {names}")
    checked = as_weight_sets(dict(zip(names, (first, second), strict=True)))
    one, two = (checked[name] for name in names)
    centroid_one = np.mean(one, axis=0, dtype=np.float64)
    centroid_two = np.mean(two, axis=0, dtype=np.float64)
    origin = (centroid_one + centroid_two) / 2
    distances = [float(np.linalg.norm(row - origin)) for row in (*one, *two)]
    separation = float(np.linalg.norm(centroid_one - centroid_two))

    squares = squared_distances(np.concatenate([one, two]))
    labels = np.repeat([0, 1], [len(one), len(two)])
    units = _units(starts, len(one), len(two))
    spreads, unbiased, relative = _separation(squares, labels, units)
    pseudovalues = _pseudovalues(squares, labels, units, relative)
    between = squares[: len(one), len(one) :]
    same = units[: len(one), None] == units[None, len(one) :]
    return xr.Dataset(
        {
            "distance": ("vector", distances),
            "centroid_distance": ("group", [separation / 2] * 2),
            "spread": ("group", spreads),
            "separation": separation,
            "separation_squared_unbiased": unbiased,
            "relative": relative,
            "relative_error": _error_of_mean(pseudovalues),
            "relative_by_start": ("start", pseudovalues),
            "same_start": float(np.sqrt(_mean(between[same]))),
            "other_start": float(np.sqrt(_mean(between[~same]))),
        },
        coords={
            "set": ("vector", [names[label] for label in labels]),
            "run": ("vector", [*range(len(one)), *range(len(two))]),
            "group": list(names),
        },
    )


def _units(starts: tuple[ArrayLike, ArrayLike] | None, first: int, second: int) -> NDArray[np.int_]:
    if starts is None:
        return np.arange(first + second)
    one, two = (np.asarray(each) for each in starts)
    if one.shape != (first,) or two.shape != (second,):
        raise ValueError(
            f"expected a start for each of the {first} and {second} vectors, got shapes "
            f"{one.shape} and {two.shape}"
        )
    return np.concatenate([one, two])


def _separation(
    squares: NDArray[np.float64], labels: NDArray[np.int_], units: NDArray[np.int_]
) -> tuple[list[float], float, float]:
    """Spread of both sets, unbiased squared separation, and that relative to the spread."""
    one, two = labels == 0, labels == 1
    variances = []
    for mask in (one, two):
        count = int(mask.sum())
        # Half the mean squared distance of two different vectors is s^2.
        inside = squares[np.ix_(mask, mask)].sum()
        variances.append(inside / (2 * count * (count - 1)) if count > 1 else np.nan)
    independent = units[one, None] != units[None, two]
    unbiased = _mean(squares[np.ix_(one, two)][independent]) - variances[0] - variances[1]
    spread = (variances[0] + variances[1]) / 2
    relative = unbiased / spread if spread > 0 else np.nan
    return [float(np.sqrt(v)) for v in variances], float(unbiased), float(relative)


def _pseudovalues(
    squares: NDArray[np.float64],
    labels: NDArray[np.int_],
    units: NDArray[np.int_],
    relative: float,
) -> NDArray[np.float64]:
    """The jackknife's n r − (n − 1) r_i of the relative separation r, a start i left out each."""
    names = np.unique(units)
    if min(np.sum(labels == 0), np.sum(labels == 1)) < 3:
        return np.full(len(names), np.nan)
    left_out = []
    for name in names:
        rest = units != name
        left_out.append(_separation(squares[np.ix_(rest, rest)], labels[rest], units[rest])[2])
    return len(names) * relative - (len(names) - 1) * np.array(left_out)


def _error_of_mean(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.var(values, ddof=1) / len(values))) if len(values) > 1 else float("nan")


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
