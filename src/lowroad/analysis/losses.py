"""Losses reached in training: their table, their curves' rise after the minimum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from lowroad.analysis.checks import as_sample

__all__ = ["loss_table", "representative_run", "rise_after_minimum"]


def loss_table(minima: Mapping[str, Mapping[str, ArrayLike]]) -> xr.Dataset:
    """Mean over runs of the lowest loss of each run (Table 1).

    The standard deviation is the sample's (ddof = 1), NaN for one run. Minima that are not
    finite are counted in `not_finite` and left out. A set without runs has n = 0 and NaN.

    Args:
        minima: For each network, the lowest losses [n] of the kept runs by weight set.

    Returns:
        A dataset over (`network`, `weights`) with `mean`, `standard_deviation`, `n` and
        `not_finite`.

    Raises:
        ValueError: If a sample is not [n].

    Source: Yu & Morozov 2026, Table 1.

    >>> table = loss_table({"FCP": {"sgd_train": [1.0, 3.0], "sgd_test": [5.0]}})
    >>> table["mean"].sel(network="FCP").values.tolist()
    [2.0, 5.0]
    >>> round(table["standard_deviation"].sel(network="FCP", weights="sgd_train").item() ** 2, 12)
    2.0
    """
    weights = list(dict.fromkeys(name for sets in minima.values() for name in sets))
    shape = (len(minima), len(weights))
    mean, deviation = np.full(shape, np.nan), np.full(shape, np.nan)
    count, not_finite = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, (network, sets) in enumerate(minima.items()):
        for name, values in sets.items():
            at = row, weights.index(name)
            sample = as_sample(values, f"minima of {network}, {name}")
            finite = sample[np.isfinite(sample)]
            count[at], not_finite[at] = len(finite), len(sample) - len(finite)
            if len(finite):
                mean[at] = finite.mean()
            if len(finite) > 1:
                deviation[at] = finite.std(ddof=1)
    axes = ("network", "weights")
    return xr.Dataset(
        {
            "mean": (axes, mean),
            "standard_deviation": (axes, deviation),
            "n": (axes, count),
            "not_finite": (axes, not_finite),
        },
        coords={"network": list(minima), "weights": weights},
        attrs={"ddof": 1},
    )


def rise_after_minimum(values: ArrayLike, lower_bound: float | None = 0.0) -> float:
    """How far the last value lies above the lowest one, as a ratio: 1 where the curve ends there.

    Values count from their lower bound; without one, the difference takes the ratio's place, 0
    where the curve ends at its minimum. Values that are not finite are passed over.

    Args:
        values: A curve [r] of values.
        lower_bound: The least value that is possible; None where there is none.

    Returns:
        The rise; NaN where no value is left, or the lowest one is at the bound.

    >>> rise_after_minimum([3.0, 0.5, 1.0, 2.0]), rise_after_minimum([3.0, 0.5, 2.0], None)
    (4.0, 1.5)
    """
    curve = as_sample(values, "values")
    finite = curve[np.isfinite(curve)]
    if not len(finite):
        return float("nan")
    last, lowest = float(finite[-1]), float(finite.min())
    if lower_bound is None:
        return last - lowest
    return (last - lower_bound) / (lowest - lower_bound) if lowest > lower_bound else float("nan")


def representative_run(values: ArrayLike) -> int:
    """Index of the run whose value is nearest to the median, the first of several.

    Raises:
        ValueError: If no value is finite.

    >>> representative_run([5.0, 1.0, 2.0, 9.0, 2.5])
    4
    """
    sample = as_sample(values, "values")
    if not np.isfinite(sample).any():
        raise ValueError("a representative run needs at least one finite value")
    median = np.median(sample[np.isfinite(sample)])
    return int(np.nanargmin(np.where(np.isfinite(sample), np.abs(sample - median), np.nan)))
