"""The statistic, with its interval and its test, that each of the questions measures."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from lowroad.analysis.checks import as_sample
from lowroad.analysis.comparisons import (
    Interval,
    bootstrap_interval,
    compare,
    median_interval,
    rank_sum_p,
    signed_rank_p,
)
from lowroad.analysis.heights import lowest_within
from lowroad.analysis.questions_samples import Asked, PathSamples, SetSamples

__all__ = ["Measured"]

# Thresholds for words that have no fixed meaning. They were fixed before any result, and the rule
# of each question and claim prints them.
SEPARATED_AUC = 0.9
COMPARABLE_RATIO = 3.0
COMPARABLE_SPREADS = 1.0
STEEP_RISE = 1.5
SMALL_SEPARATION = 0.5
CONVERGED_FALL = 0.05
CONNECTED_FRACTION = 0.05

Numbers = NDArray[np.float64]
NAN = float("nan")
_NO_INTERVAL = Interval(NAN, NAN, NAN)


@dataclass(frozen=True)
class Measured:
    """A statistic with its interval and test.

    Attributes:
        statistic: What the number is.
        interval: The number with its 95% interval.
        p_value: Of the test; NaN where there is none.
        test: The test's name.
        tested: Sizes of the samples that the test ranks: two, or one.
        sizes: Sizes of the two samples, finite numbers only.
        medians: Their medians.
        region: Yes where the interval lies in [low, high), no where outside. None: the numbers
            say which sample is lower.
        mirrored: What becomes of the number when both samples are exchanged.
        paired: p-value of the signed-rank test, where both samples have the same starts, and
            their number.
    """

    statistic: str
    interval: Interval
    p_value: float
    test: str
    tested: tuple[int, ...]
    sizes: tuple[int, ...]
    medians: tuple[float, ...] = (NAN, NAN)
    region: tuple[float, float] | None = None
    mirrored: Callable[[float], float] = float
    paired: tuple[float, int] | None = None


Measure = Callable[[Asked], Measured | None]


def ranks_of_solutions(pick: Callable[[SetSamples], ArrayLike]) -> Measure:
    """Compare a number of each solution of both sets."""

    def measure(asked: Asked) -> Measured | None:
        sets = asked.sets()
        keys = [np.asarray(each.seeds).tolist() for each in sets]
        return _ranks([as_sample(pick(each), "sample") for each in sets], asked, keys)

    return measure


def ranks_of_paths(
    pick: Callable[[PathSamples], ArrayLike], *, only_converged: bool = False
) -> Measure:
    """Compare a number of each path within both sets."""

    def measure(asked: Asked) -> Measured | None:
        paths, samples = asked.paths(), []
        for each in paths:
            sample = as_sample(pick(each), "paths")
            if only_converged and len(sample):
                sample = np.where(_converged(each, asked, len(sample)), sample, np.nan)
            samples.append(sample)
        units = [each.pairs for each in paths]
        return _ranks(samples, asked, [each.keys() for each in paths], units)

    return measure


def ranks_by_step(fraction: float) -> Measure:
    """Compare how low paths had come within a fraction of the steps."""
    return ranks_of_paths(
        lambda paths: () if paths.curves is None else lowest_within(paths.curves, fraction)
    )


def between_and_within(*, same_start: bool) -> Measure:
    """Compare barriers between two sets with those within both."""

    def measure(asked: Asked) -> Measured | None:
        between, within = _between(asked, same_start), asked.paths()
        if between is None:
            return None
        # one code for each run: the second set's are odd
        units: list[NDArray[np.int_] | None] = [
            None if between.pairs is None else 2 * np.asarray(between.pairs) + [0, 1],
            None,
        ]
        if all(each.pairs is not None for each in within):
            units[1] = np.concatenate(
                [2 * np.asarray(each.pairs).reshape(-1, 2) + i for i, each in enumerate(within)]
            )
        pooled = np.concatenate([as_sample(each.barriers, "barriers") for each in within])
        return _ranks([as_sample(between.barriers, "barriers"), pooled], asked, None, units)

    return measure


def connected(*, same_start: bool) -> Measure:
    """The fraction of paths between two sets with almost none of the straight line's barrier."""

    def measure(asked: Asked) -> Measured | None:
        between = _between(asked, same_start)
        if between is None or not np.size(between.straight_barriers):
            return None
        found = as_sample(between.barriers, "barriers")
        lines = as_sample(between.straight_barriers, "straight barriers")
        known = np.isfinite(found) & np.isfinite(lines)
        found, lines = found[known], lines[known]
        # the straight line is a path too
        low = np.minimum(found, lines) <= CONNECTED_FRACTION * np.maximum(lines, 0.0)
        count, total = int(low.sum()), len(low)
        interval, p_value = _NO_INTERVAL, NAN
        if total:
            test = scipy.stats.binomtest(count, total, 0.5)
            exact = test.proportion_ci(0.95, method="exact")
            interval = Interval(count / total, float(exact.low), float(exact.high))
            p_value = float(test.pvalue)
        return Measured(
            "fraction of paths", interval, p_value, "binomial test against one half", (total,),
            (total,), (_median(found), _median(lines)), region=(0.5, np.inf),
        )  # fmt: skip

    return measure


def comparable(asked: Asked) -> Measured | None:
    """Mean test values: their ratio, or their difference in units of the spread."""
    samples = [each.values.get("test", ()) for each in asked.sets()]
    if not all(map(np.size, samples)):
        return None
    mirrored: Callable[[float], float]
    first, second = map(_finite, samples)
    bound, sizes = asked.problem.lower_bound, (len(first), len(second))
    medians = _median(first), _median(second)
    if bound is None:
        name, statistic, mirrored = "difference / spread", _difference_in_spreads, operator.neg
        region = -COMPARABLE_SPREADS, COMPARABLE_SPREADS
        shift = COMPARABLE_SPREADS * _spread(first[None, :], second[None, :])
        limits = second + shift, second - shift
    else:
        name, statistic, mirrored = "ratio", _ratio_of_means, _reciprocal
        region = 1 / COMPARABLE_RATIO, COMPARABLE_RATIO
        first, second = first - bound, second - bound
        limits = COMPARABLE_RATIO * second, second / COMPARABLE_RATIO
    with np.errstate(divide="ignore", invalid="ignore"):
        interval = bootstrap_interval(statistic, first, second, generator=asked.generator)
    p_value = NAN
    if min(sizes) and np.isfinite(limits).all():
        # two one-sided tests: that the first is below the upper limit and above the lower one
        below = rank_sum_p(first, limits[0], "less")
        above = rank_sum_p(first, limits[1], "greater")
        p_value = max(below, above)
    return Measured(
        name, interval, p_value, "two one-sided Mann–Whitney tests", sizes, sizes, medians,
        region, mirrored,
    )  # fmt: skip


def distances(asked: Asked) -> Measured | None:
    """Compare the distances of both sets' vectors from their common origin."""
    table = asked.table(asked.problem.distances)
    if table is None:
        return None
    names = asked.first, asked.second
    samples = [table["distance"].values[table["set"].values == name] for name in names]
    return _ranks(samples, asked, [np.asarray(each.seeds).tolist() for each in asked.sets()])


def centroids(asked: Asked) -> Measured | None:
    """The separation of two sets' centroids, corrected for the noise of few runs."""
    table = asked.table(asked.problem.distances)
    if table is None:
        return None
    # The squared ratio is unbiased and can be negative; its root, cut at zero, is shown.
    middle, error = float(table["relative"]), float(table["relative_error"])
    ends = np.sqrt(np.maximum([middle, middle - 1.96 * error, middle + 1.96 * error], 0.0))
    by_start = _finite(table["relative_by_start"].values)
    sizes = tuple(int((table["set"].values == name).sum()) for name in (asked.first, asked.second))
    return Measured(
        "separation / spread", Interval(*map(float, ends)),
        signed_rank_p(by_start, SMALL_SEPARATION**2), "Wilcoxon’s signed-rank test of starts",
        (len(by_start),), sizes, region=(SMALL_SEPARATION, np.inf),
    )  # fmt: skip


def kernel_area(asked: Asked) -> Measured | None:
    """The area under the ROC curve of the first kernel principal component."""
    table = asked.table(asked.problem.projections, asked.part)
    if table is None:
        return None
    component = table.sel(component=1)
    first = component["projection"].where(component["auc"].notnull()).values
    samples = [first[table["set"].values == name] for name in (asked.first, asked.second)]
    found = compare(*samples, generator=asked.generator)
    # The area under the ROC curve is (delta + 1) / 2, whichever set lies higher.
    sign = -1.0 if found.delta.estimate < 0 else 1.0
    ends = sorted((sign * found.delta.low, sign * found.delta.high))
    area = Interval(*((end + 1) / 2 for end in (sign * found.delta.estimate, *ends)))
    sizes = found.n_first, found.n_second
    return Measured(
        "ROC area", area, found.p_value, "Mann–Whitney test", sizes, sizes,
        region=(SEPARATED_AUC, np.inf),
    )  # fmt: skip


def steep_rise(asked: Asked) -> Measured | None:
    """The median rise of one set's test curves after their minima, as a ratio."""
    rises = _finite(asked.sets()[0].rises)
    if asked.problem.lower_bound is None or not np.size(asked.sets()[0].rises):
        return None
    return Measured(
        "median ratio", median_interval(rises, generator=asked.generator),
        signed_rank_p(np.log(rises), np.log(STEEP_RISE)), "Wilcoxon’s signed-rank test",
        (len(rises),), (len(rises),), (_median(rises),), region=(STEEP_RISE, np.inf),
    )  # fmt: skip


def paths_converged(asked: Asked) -> Measured | None:
    """By which fraction the last half of the steps lowers one set's median path."""
    (paths,) = asked.paths()
    falls = _falls(paths.curves, asked.problem.lower_bound)
    if falls is None:
        return None
    units = paths.pairs if len(falls) else None
    sizes = (int(np.isfinite(falls).sum()),)
    return Measured(
        "median fraction", median_interval(falls, generator=asked.generator, units=units),
        signed_rank_p(falls, CONVERGED_FALL), "Wilcoxon’s signed-rank test", sizes, sizes,
        (_median(_finite(falls)),), region=(-np.inf, CONVERGED_FALL),
    )  # fmt: skip


def _ranks(
    samples: Sequence[Numbers],
    asked: Asked,
    keys: Sequence[list[Hashable]] | None,
    units: Sequence[ArrayLike | None] = (None, None),
) -> Measured | None:
    first, second = samples
    if not len(first) or not len(second):
        return None
    found = compare(
        first, second, generator=asked.generator, first_units=units[0], second_units=units[1]
    )
    sizes = found.n_first, found.n_second
    paired = _paired(samples, keys) if keys and asked.share_starts() else None
    return Measured(
        "Cliff’s δ", found.delta, found.p_value, "Mann–Whitney test", sizes, sizes,
        (found.median_first, found.median_second), mirrored=operator.neg, paired=paired,
    )  # fmt: skip


def _paired(samples: Sequence[Numbers], keys: Sequence[list[Hashable]]) -> tuple[float, int] | None:
    """Signed-rank test where both samples hold one number for each of the same starts."""
    known = []
    for sample, own in zip(samples, keys, strict=True):
        if len(own) != len(sample) or len(set(own)) != len(own):
            return None
        numbers = zip(own, sample.tolist(), strict=True)
        known.append({key: number for key, number in numbers if np.isfinite(number)})
    first, second = known
    if not first or first.keys() != second.keys():
        return None
    return signed_rank_p([first[key] - second[key] for key in first], 0.0), len(first)


def _between(asked: Asked, same_start: bool) -> PathSamples | None:
    """Paths between both sets that have one start, or two; None where there is none."""
    known = asked.problem.between
    paths = (asked.table(known) or {}).get(asked.part)
    if paths is None:
        return None
    barriers, lines = as_sample(paths.barriers, "barriers"), np.asarray(paths.straight_barriers)
    shared = np.asarray(paths.same_start, dtype=bool)
    chosen = (shared if len(shared) else np.zeros(len(barriers), dtype=bool)) == same_start
    if not chosen.any():
        return None
    pairs = None if paths.pairs is None else np.asarray(paths.pairs)[chosen]
    if pairs is not None and (asked.first, asked.second) not in known:
        pairs = pairs[:, ::-1]
    return PathSamples(
        barriers=barriers[chosen],
        straight_barriers=lines[chosen] if len(lines) else (),
        pairs=pairs,
    )


def _converged(paths: PathSamples, asked: Asked, number: int) -> NDArray[np.bool_]:
    """Which paths stopped by their finder's criterion, or fell no more in the last half."""
    flags = np.asarray(paths.converged, dtype=bool)
    if not len(flags):
        flags = np.zeros(number, dtype=bool)
    falls = _falls(paths.curves, asked.problem.lower_bound)
    return flags if falls is None else flags | (falls < CONVERGED_FALL)


def _falls(curves: xr.Dataset | None, bound: float | None) -> Numbers | None:
    """By which fraction the last half of the steps lowered each path; NaN where unknown.

    A fraction of the height above the lower bound, or, where there is none, of the whole fall from
    the straight line.
    """
    if curves is None:
        return None
    line, half, end = (lowest_within(curves, fraction) for fraction in (0.0, 0.5, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        of_height = 1 - (end - (bound or 0.0)) / (half - (bound or 0.0))
        falls = (half - end) / (line - end) if bound is None else of_height
    return np.where(half == end, 0.0, falls)


def _ratio_of_means(first: Numbers, second: Numbers) -> Numbers:
    return np.asarray(first.mean(axis=1) / second.mean(axis=1))


def _difference_in_spreads(first: Numbers, second: Numbers) -> Numbers:
    difference = first.mean(axis=1) - second.mean(axis=1)
    return np.where(difference == 0, 0.0, difference / _spread(first, second))


def _spread(first: Numbers, second: Numbers) -> Numbers:
    """Standard deviation within two samples [b, n]; NaN where one has fewer than two numbers."""
    if min(first.shape[1], second.shape[1]) < 2:
        return np.full(len(first), np.nan)
    return np.asarray(np.sqrt((first.var(axis=1, ddof=1) + second.var(axis=1, ddof=1)) / 2))


def _reciprocal(number: float) -> float:
    return 1 / number if number else NAN


def _finite(values: ArrayLike) -> Numbers:
    sample = as_sample(values, "sample")
    return sample[np.isfinite(sample)]


def _median(sample: Numbers) -> float:
    return float(np.median(sample)) if len(sample) else NAN
