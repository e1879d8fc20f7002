from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowroad.study.selection import kept_seeds, random_pairs


def test_the_lowest_are_kept_lowest_first() -> None:
    assert kept_seeds({0: 3.0, 1: 1.0, 2: 2.0, 3: 0.5}, 3) == [3, 1, 2]


def test_losses_that_are_not_finite_come_last_and_ties_go_by_seed() -> None:
    heights = {5: float("nan"), 4: 1.0, 3: float("inf"), 2: 1.0, 1: -float("inf")}
    assert kept_seeds(heights, 5) == [2, 4, 1, 3, 5]


@given(st.sets(st.integers(0, 200), min_size=2, max_size=12), st.data())
def test_pairs_are_distinct_and_a_larger_number_keeps_the_earlier_ones(
    seeds: set[int], data: st.DataObject
) -> None:
    possible = set(combinations(sorted(seeds), 2))
    count = data.draw(st.integers(1, len(possible)))
    chosen = random_pairs(seeds, count, 7, "FCP")
    assert len(set(chosen)) == count
    assert set(chosen) <= possible
    assert random_pairs(seeds, len(possible), 7, "FCP")[:count] == chosen


def test_a_run_more_leaves_the_order_of_the_other_pairs() -> None:
    before = random_pairs(range(9), 36, 7, "FCP")
    after = random_pairs(range(10), 45, 7, "FCP")
    assert [pair for pair in after if 9 not in pair] == before


def test_pairs_depend_on_the_studys_seed_and_the_network() -> None:
    choices = {
        tuple(random_pairs(range(10), 5, seed, network))
        for seed in (0, 1)
        for network in ("FCP", "LSTM")
    }
    assert len(choices) == 4


def test_all_pairs_are_equally_likely() -> None:
    # 2,000 draws of one of 10 pairs: 200 each, with a standard deviation of 13.4
    counts = Counter(random_pairs(range(5), 1, seed, "FCP")[0] for seed in range(2000))
    assert len(counts) == 10
    assert max(abs(count - 200) for count in counts.values()) < 4 * 13.4


@pytest.mark.parametrize("keep", [2, 5])
def test_fewer_runs_than_to_keep_keeps_all(keep: int) -> None:
    assert kept_seeds({0: 2.0, 1: 1.0}, keep) == [1, 0]
