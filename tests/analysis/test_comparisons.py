from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import PermutationMethod, bootstrap, mannwhitneyu, wilcoxon

from lowroad.analysis.comparisons import (
    bootstrap_interval,
    cliffs_delta,
    compare,
    holm,
    median_interval,
    rank_sum_p,
    signed_rank_p,
    smallest_p_value,
)


def generator() -> np.random.Generator:
    return np.random.default_rng(17)


def test_delta_by_counting():
    # 1 > 0; 1 < 2; 3 > 0; 3 > 2: three above, one below, of four.
    assert cliffs_delta([1.0, 3.0], [0.0, 2.0]) == 0.5
    assert cliffs_delta([1.0, 1.0], [1.0]) == 0.0
    assert np.isnan(cliffs_delta([], [1.0]))


def test_delta_is_the_rank_tests_statistic():
    drawn = generator()
    first, second = drawn.normal(size=23), drawn.normal(0.4, 1.0, 31)
    statistic = mannwhitneyu(first, second).statistic
    assert cliffs_delta(first, second) == pytest.approx(2 * statistic / (23 * 31) - 1, abs=1e-12)
    found = compare(first, second, generator=generator())
    assert found.delta.estimate == pytest.approx(cliffs_delta(first, second), abs=1e-12)
    assert found.p_value == mannwhitneyu(first, second, alternative="two-sided").pvalue
    assert (found.median_first, found.n_second) == (np.median(first), 31)


def test_exact_rank_test_of_separated_samples():
    # Of C(8, 4) = 70 orders, two are as extreme.
    found = compare([5, 6, 7, 8], [1, 2, 3, 4], generator=generator())
    assert found.p_value == pytest.approx(2 / 70, rel=1e-12)
    assert smallest_p_value(4, 4) == pytest.approx(2 / 70, rel=1e-12)
    assert smallest_p_value(4, 3) > 0.05 > smallest_p_value(4, 4)
    assert smallest_p_value(0, 9) == 1.0


def test_rank_test_of_equal_numbers_is_that_of_all_permutations():
    drawn = generator()
    for _ in range(20):
        first, second = (drawn.integers(0, 4, size) for size in drawn.integers(2, 6, 2))
        for side in ("two-sided", "less", "greater"):
            oracle = mannwhitneyu(
                first, second, alternative=side, method=PermutationMethod(n_resamples=10_000)
            ).pvalue
            assert rank_sum_p(first, second, side) == pytest.approx(oracle, rel=1e-9)


@pytest.mark.parametrize("sizes", [(4, 4), (3, 4), (5, 3), (1, 8), (6, 6)])
def test_no_p_value_is_below_the_smallest(sizes):
    """Barriers that are all 0 against barriers that are all 1."""
    first, second = (np.full(size, float(number)) for number, size in enumerate(sizes))
    found = compare(first, second, generator=generator())
    assert found.p_value == pytest.approx(smallest_p_value(*sizes), rel=1e-12)
    # 4 of 6 zeros against 6 zeros: C(10, 4) / C(12, 6) for one side
    assert rank_sum_p([0] * 6, [0, 0, 0, 0, 1, 2]) == pytest.approx(2 * 210 / 924, rel=1e-12)


def test_bootstrap_interval_is_scipys():
    sample = generator().exponential(size=40)
    own = bootstrap_interval(
        lambda x: x.mean(axis=1), sample, generator=generator(), resamples=20_000
    )
    theirs = bootstrap(
        (sample,), np.mean, method="percentile", n_resamples=20_000, random_state=generator()
    ).confidence_interval
    assert own.estimate == pytest.approx(sample.mean())
    width = theirs.high - theirs.low
    assert own.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert own.high == pytest.approx(theirs.high, abs=0.03 * width)


def test_bootstrap_of_little():
    def mean(rows):
        return rows.mean(axis=1)

    one = bootstrap_interval(mean, [3.0, np.nan], generator=generator())
    assert one.estimate == 3.0
    assert np.isnan([one.low, one.high]).all()
    none = bootstrap_interval(mean, [], generator=generator())
    assert np.isnan([none.estimate, none.low, none.high]).all()


def test_same_generator_same_interval():
    first, second = [1.0, 2.0, 5.0, 3.0], [2.0, 2.5, 4.0]
    one = compare(first, second, generator=generator())
    two = compare(first, second, generator=generator())
    assert one == two


def test_delta_interval_against_explicit_resampling():
    drawn = np.random.default_rng(4)
    first, second = drawn.normal(0.8, 1.0, 15), drawn.normal(0.0, 1.0, 12)
    found = compare(first, second, generator=generator(), resamples=20_000)
    deltas = []
    for _ in range(4000):
        one, two = drawn.choice(first, 15), drawn.choice(second, 12)
        deltas.append(np.sign(one[:, None] - two[None, :]).mean())
    low, high = np.quantile(deltas, [0.025, 0.975])
    assert found.delta.low == pytest.approx(low, abs=0.03)
    assert found.delta.high == pytest.approx(high, abs=0.03)


def test_units_against_explicit_resampling_of_runs():
    # Paths between all pairs of six runs; a run's own part makes its paths alike.
    drawn = np.random.default_rng(9)
    pairs = np.array([(i, j) for i in range(6) for j in range(i + 1, 6)])
    samples = []
    for shift in (0.5, 0.0):
        parts = drawn.normal(shift, 1.0, 6)
        samples.append(parts[pairs].sum(axis=1))
    found = compare(
        *samples, generator=generator(), first_units=pairs, second_units=pairs, resamples=20_000
    )
    deltas = []
    for _ in range(4000):
        resampled = []
        for sample in samples:
            runs = drawn.integers(0, 6, 6)
            copies = [
                value
                for value, (i, j) in zip(sample, pairs, strict=True)
                for _ in range(int(np.sum(runs == i) * np.sum(runs == j)))
            ]
            resampled.append(np.array(copies))
        if all(len(sample) for sample in resampled):
            deltas.append(np.sign(resampled[0][:, None] - resampled[1][None, :]).mean())
    low, high = np.quantile(deltas, [0.025, 0.975])
    assert found.delta.low == pytest.approx(low, abs=0.05)
    assert found.delta.high == pytest.approx(high, abs=0.05)
    independent = compare(*samples, generator=generator(), resamples=20_000)
    assert found.delta.high - found.delta.low > independent.delta.high - independent.delta.low


def test_compare_of_little():
    none = compare([], [1.0], generator=generator())
    assert np.isnan([none.delta.estimate, none.p_value, none.median_first]).all()
    assert (none.n_first, none.n_second) == (0, 1)
    one = compare([2.0], [1.0], generator=generator())
    assert one.delta.estimate == 1.0
    assert np.isnan(one.delta.low)
    ties = compare([1.0] * 5, [1.0] * 5, generator=generator())
    assert (ties.delta.estimate, ties.p_value) == (0.0, 1.0)
    with_nan = compare([1.0, np.nan], [2.0, np.inf], generator=generator())
    assert (with_nan.n_first, with_nan.n_second) == (1, 1)


def test_units_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"units of the first sample must be \[2\]"):
        compare([1.0, 2.0], [3.0], generator=generator(), first_units=[1])


def test_large_samples_have_a_smallest_p_value():
    assert smallest_p_value(1500, 1500) == 0.0  # 2 / C(3000, 1500) is below the smallest double


def test_median_interval_is_scipys_where_numbers_are_independent():
    sample = generator().exponential(size=24)
    own = median_interval(sample, generator=generator(), resamples=20_000)
    theirs = bootstrap(
        (sample,), np.median, method="percentile", n_resamples=20_000, random_state=generator()
    ).confidence_interval
    assert own.estimate == np.median(sample)
    assert own.low == pytest.approx(theirs.low, abs=0.03)
    assert own.high == pytest.approx(theirs.high, abs=0.03)


def test_median_of_pairs_draws_their_runs():
    """66 pairs of twelve runs: a run's part makes its pairs alike, and the interval wide."""
    drawn = np.random.default_rng(3)
    pairs = np.array([(i, j) for i in range(12) for j in range(i + 1, 12)])
    values = drawn.normal(size=12)[pairs].sum(axis=1)
    found = median_interval(values, generator=generator(), units=pairs, resamples=20_000)
    medians = []
    for _ in range(4000):
        runs = drawn.integers(0, 12, 12)
        copies = [int(np.sum(runs == i) * np.sum(runs == j)) for i, j in pairs]
        medians.append(np.median(np.repeat(values, copies)))
    low, high = np.quantile(medians, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.1)
    assert found.high == pytest.approx(high, abs=0.1)
    alone = median_interval(values, generator=generator())
    assert alone.high - alone.low < 0.8 * (found.high - found.low)
    assert np.isnan(median_interval([1.0], generator=generator()).low)
    assert np.isnan(median_interval([np.nan], generator=generator()).estimate)


def test_signed_ranks():
    sample = generator().normal(0.5, 1.0, 14)
    assert signed_rank_p(np.append(sample, np.nan), 0.2) == wilcoxon(sample - 0.2).pvalue
    assert signed_rank_p([1.0, 1.0], 1.0) == 1.0
    assert np.isnan(signed_rank_p([], 0.0))
    assert smallest_p_value(5) > 0.05 > smallest_p_value(6)
    assert signed_rank_p(np.arange(1.0, 7.0), 0.0) == smallest_p_value(6)
    # zeros say nothing: 5 equal signs remain
    assert signed_rank_p([0.0] * 20 + [1.0] * 5, 0.0) == smallest_p_value(5)


def test_holm_by_hand():
    """4 × 0.005, 3 × 0.01, 2 × 0.03, and 0.04 that may not come below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.7, 0.9]).tolist() == [1.0, 1.0, 1.0]
    assert holm([0.02, 0.02]).tolist() == [0.04, 0.04]
    assert holm([]).tolist() == []
    assert holm([np.nan, 0.03, np.nan, 0.01]).tolist() == pytest.approx(
        [np.nan, 0.03, np.nan, 0.02], nan_ok=True
    )


def test_holm_rejects_what_the_step_down_procedure_does():
    for p_values in generator().uniform(0, 0.1, (200, 5)):
        rejected, order = np.zeros(5, dtype=bool), np.argsort(p_values)
        for step, place in enumerate(order):
            if p_values[place] > 0.05 / (5 - step):
                break
            rejected[place] = True
        assert np.array_equal(holm(p_values) <= 0.05, rejected)
