"""Comparing two samples: an effect size, its bootstrap interval, a rank test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
import scipy  # its submodules are imported when they are used
from numpy.typing import ArrayLike, NDArray

from lowroad.analysis.checks import as_sample

__all__ = [
    "Comparison",
    "Interval",
    "bootstrap_interval",
    "cliffs_delta",
    "compare",
    "holm",
    "median_interval",
    "rank_sum_p",
    "signed_rank_p",
    "smallest_p_value",
]

Alternative = Literal["two-sided", "less", "greater"]
_RESAMPLES = 2000
# Sizes of samples up to which the rank test of equal numbers is exact; the first is scipy's.
_EXACT_FEW, _EXACT_MOST = 8, 200


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95% interval; the ends may be NaN where none exists."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """What `compare` found for two samples.

    Attributes:
        delta: Cliff's delta with its bootstrap interval; positive where the first is larger.
        p_value: Two-sided p-value of the Mann-Whitney U test.
        median_first: Median of the first sample.
        median_second: Median of the second sample.
        n_first: Size of the first sample, counting only finite numbers.
        n_second: Size of the second sample.
    """

    delta: Interval
    p_value: float
    median_first: float
    median_second: float
    n_first: int
    n_second: int


def cliffs_delta(first: ArrayLike, second: ArrayLike) -> float:
    """Cliff's delta: P(x > y) - P(x < y) for x of `first` and y of `second`.

    1 where every number of the first sample exceeds every one of the second, 0 where neither
    tends to be larger. NaN when a sample is empty.

    >>> cliffs_delta([2.0, 3.0], [1.0, 2.0])
    0.75
    """
    one, two = as_sample(first, "first sample"), as_sample(second, "second sample")
    if not len(one) or not len(two):
        return float("nan")
    return float(np.sign(one[:, None] - two[None, :]).mean())


def smallest_p_value(n_first: int, n_second: int | None = None) -> float:
    """Smallest two-sided p-value of a rank test, 1 for an empty sample.

    2 / C(n1 + n2, n1) of two samples: with three runs against three it is 0.1, so that no result
    can be significant. 2 / 2^n of the signed ranks of one sample.

    >>> smallest_p_value(3, 3), smallest_p_value(6)
    (0.1, 0.03125)
    """
    if 0 in (n_first, n_second):
        return 1.0
    # of integers, which may be huge
    orders = 2**n_first if n_second is None else comb(n_first + n_second, n_first)
    return min(1.0, 2 / orders)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct p-values for their number, so that the chance of any false one stays bounded.

    The k-th smallest of m is multiplied by m - k + 1, and is never below a smaller one's, never
    above 1. NaN, a test that was not made, stays NaN and does not count.

    Source: Holm 1979, Scand. J. Statist. 6, 65.

    >>> holm([0.01, 0.04, 0.03, 0.005]).round(12).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    corrected = as_sample(p_values, "p-values").copy()
    known = np.flatnonzero(~np.isnan(corrected))
    order = known[np.argsort(corrected[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * corrected[order]), 1.0)
    return corrected


def bootstrap_interval(
    statistic: Callable[..., NDArray[np.float64]],
    *samples: ArrayLike,
    generator: np.random.Generator,
    resamples: int = _RESAMPLES,
) -> Interval:
    """Percentile bootstrap interval (95%) of a statistic of one or more independent samples.

    Args:
        statistic: Takes one array [b, n_i] for each sample and returns [b], row by row.
        samples: The samples, each [n_i]; numbers that are not finite are left out.
        generator: Where the resamples come from.
        resamples: How many.

    Returns:
        The statistic of the samples with the 2.5% and 97.5% quantiles of the resamples; the ends
        are NaN when a sample has fewer than two numbers, everything when one is empty.

    >>> mean = lambda x: x.mean(axis=1)
    >>> bootstrap_interval(mean, [2.0, 2.0, 2.0], generator=np.random.default_rng(0))
    Interval(estimate=2.0, low=2.0, high=2.0)
    """
    arrays = [as_sample(sample, "sample") for sample in samples]
    arrays = [array[np.isfinite(array)] for array in arrays]
    if any(len(array) == 0 for array in arrays):
        return Interval(float("nan"), float("nan"), float("nan"))
    estimate = float(statistic(*(array[None, :] for array in arrays))[0])
    if any(len(array) < 2 for array in arrays):
        return Interval(estimate, float("nan"), float("nan"))
    drawn = [array[generator.integers(0, len(array), (resamples, len(array)))] for array in arrays]
    low, high = np.quantile(statistic(*drawn), [0.025, 0.975])
    return Interval(estimate, float(low), float(high))


def median_interval(
    values: ArrayLike,
    *,
    generator: np.random.Generator,
    units: ArrayLike | None = None,
    resamples: int = _RESAMPLES,
) -> Interval:
    """Median with its percentile bootstrap interval (95%).

    Args:
        values: The sample [n]; numbers that are not finite are left out.
        generator: Where the resamples come from.
        units: Units [n] or [n, k] of each number, which are drawn as in `compare`.
        resamples: How many times to draw.

    Returns:
        The median; the ends are NaN with fewer than two units, everything with no number.

    Raises:
        ValueError: If the units do not fit the sample.

    >>> median_interval([2.0, 2.0, 5.0, 2.0], generator=np.random.default_rng(0)).estimate
    2.0
    """
    sample, owners = _finite_with_units(values, units, "only")
    nan = float("nan")
    if not len(sample):
        return Interval(nan, nan, nan)
    estimate = float(np.median(sample))
    weights = _drawn_weights(owners, generator, resamples)
    if weights is None:
        return Interval(estimate, nan, nan)
    order = np.argsort(sample)
    fractions = weights[:, order].cumsum(axis=1)
    fractions = fractions[fractions[:, -1] > 0]  # a draw can hold no complete pair
    half = fractions[:, -1:] / 2
    medians = (
        sample[order][(fractions >= half).argmax(axis=1)]
        + sample[order][(fractions > half).argmax(axis=1)]
    ) / 2
    if not len(medians):
        return Interval(estimate, nan, nan)
    low, high = np.quantile(medians, [0.025, 0.975])
    return Interval(estimate, float(low), float(high))


def rank_sum_p(
    first: ArrayLike, second: ArrayLike, alternative: Alternative = "two-sided"
) -> float:
    """p-value of the Mann-Whitney U test of two samples of finite numbers.

    Exact where one sample has at most 8 numbers, also where numbers are equal: ranks of equal
    numbers are their mean rank, and the chance is that of all C(n1 + n2, n1) ways to choose the
    first sample's ranks, twice that of the smaller tail for two sides. Else, and where equal
    numbers meet a sample of more than 200, by the normal approximation with both corrections.

    Args:
        first: Sample [n1], n1 >= 1.
        second: Sample [n2], n2 >= 1.
        alternative: "two-sided", or how the first is said to differ: "less", "greater".

    >>> rank_sum_p([0, 0, 0, 0], [0, 1, 1, 1])  # twice 5 of 70
    0.14285714285714285
    """
    one, two = as_sample(first, "first sample"), as_sample(second, "second sample")
    joined = np.concatenate([one, two])
    few, most = sorted((len(one), len(two)))
    if len(np.unique(joined)) == len(joined) or few > _EXACT_FEW or most > _EXACT_MOST:
        return float(scipy.stats.mannwhitneyu(one, two, alternative=alternative).pvalue)
    # Twice the mean ranks are whole numbers. ways[k, s]: of k of the ranks seen so far, with sum s.
    ranks = np.rint(2 * scipy.stats.rankdata(joined)).astype(int)
    swapped = len(two) < len(one)
    ways = np.zeros((few + 1, few * 2 * len(joined) + 1))
    ways[0, 0] = 1.0
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    chances = ways[few] / comb(len(joined), few)
    place = int(ranks[len(one) :].sum() if swapped else ranks[: len(one)].sum())
    below, above = float(chances[: place + 1].sum()), float(chances[place:].sum())
    if swapped:
        below, above = above, below
    by_side = {"less": below, "greater": above, "two-sided": 2 * min(below, above)}
    return min(1.0, by_side[alternative])


def signed_rank_p(values: ArrayLike, middle: float) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test that a sample is centred on `middle`.

    Numbers that are not finite are left out, and those that equal `middle`, before it is decided
    whether so few are left that the test can be exact; NaN without any, 1 where all equal `middle`.

    >>> signed_rank_p([2.0, 3.0, 5.0, 9.0], 1.0)  # 2 / 2⁴
    0.125
    """
    differences = as_sample(values, "sample") - middle
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return float("nan")
    differences = differences[differences != 0]
    return float(scipy.stats.wilcoxon(differences).pvalue) if len(differences) else 1.0


def compare(
    first: ArrayLike,
    second: ArrayLike,
    *,
    generator: np.random.Generator,
    first_units: ArrayLike | None = None,
    second_units: ArrayLike | None = None,
    resamples: int = _RESAMPLES,
) -> Comparison:
    """Compare two samples by Cliff's delta with a bootstrap interval and by a rank test.

    Numbers that come from the same run are not independent: the heights of the paths 1-2 and 1-3
    share run 1. `first_units` says which units (runs) each number came from; the bootstrap then
    draws units, and a number counts as often as the product of its units' draws. Without it every
    number is a unit of its own. The rank test ignores this and treats the numbers as independent,
    so its p-value is too small where pairs share runs.

    Args:
        first: Sample [n1]; numbers that are not finite are left out.
        second: Sample [n2].
        generator: Where the resamples come from.
        first_units: Units [n1] or [n1, k] of each number of the first sample, as integers.
        second_units: The same for the second sample.
        resamples: How many times to draw.

    Returns:
        The comparison. With an empty sample all its numbers are NaN; with fewer than two units
        the interval's ends are.

    Raises:
        ValueError: If the units do not fit their sample.

    >>> found = compare([5, 6, 7, 8], [1, 2, 3, 4], generator=np.random.default_rng(1))
    >>> found.delta, round(found.p_value, 4)
    (Interval(estimate=1.0, low=1.0, high=1.0), 0.0286)
    """
    one, units_one = _finite_with_units(first, first_units, "first")
    two, units_two = _finite_with_units(second, second_units, "second")
    nan = float("nan")
    if not len(one) or not len(two):
        middle = [float(np.median(sample)) if len(sample) else nan for sample in (one, two)]
        nothing = Interval(nan, nan, nan)
        return Comparison(nothing, nan, middle[0], middle[1], len(one), len(two))

    signs = np.sign(one[:, None] - two[None, :])
    estimate = float(signs.mean())
    low = high = nan
    weights_one = _drawn_weights(units_one, generator, resamples)
    weights_two = _drawn_weights(units_two, generator, resamples)
    if weights_one is not None and weights_two is not None:
        totals = weights_one.sum(axis=1) * weights_two.sum(axis=1)
        drawn = np.einsum("bi,bi->b", weights_one @ signs, weights_two)
        # With few runs a draw can hold no complete pair; it says nothing and is passed over.
        deltas = drawn[totals > 0] / totals[totals > 0]
        if len(deltas):
            low, high = (float(q) for q in np.quantile(deltas, [0.025, 0.975]))
    return Comparison(
        delta=Interval(estimate, low, high),
        p_value=rank_sum_p(one, two),
        median_first=float(np.median(one)),
        median_second=float(np.median(two)),
        n_first=len(one),
        n_second=len(two),
    )


def _finite_with_units(
    values: ArrayLike, units: ArrayLike | None, name: str
) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    sample = as_sample(values, f"{name} sample")
    owners = np.arange(len(sample)) if units is None else np.asarray(units)
    if owners.ndim == 1:
        owners = owners[:, None]
    if owners.ndim != 2 or len(owners) != len(sample):
        raise ValueError(
            f"the units of the {name} sample must be [{len(sample)}] or [{len(sample)}, k]; "
            f"got shape {owners.shape}"
        )
    finite = np.isfinite(sample)
    return sample[finite], owners[finite]


def _drawn_weights(
    units: NDArray[np.int_], generator: np.random.Generator, resamples: int
) -> NDArray[np.float64] | None:
    """How often each number counts in each resample of the units, [resamples, n]."""
    names, places = np.unique(units, return_inverse=True)
    if len(names) < 2:
        return None
    chances = np.full(len(names), 1 / len(names))
    draws = generator.multinomial(len(names), chances, size=resamples)
    weights: NDArray[np.float64] = draws[:, places.reshape(units.shape)].prod(axis=2).astype(float)
    return weights
