from __future__ import annotations

from collections import Counter
from itertools import combinations, product

from hypothesis import given
from hypothesis import strategies as st

from lowroad.study.measurements.path import _identifying
from lowroad.study.selection import cross_pairs, random_pairs


def test_stored_paths_keep_their_names_when_a_finder_learns_a_setting() -> None:
    """A setting that came later is part of a path's name only where it is not at its default."""
    own = {"steps": 100, "batch_size": 500}
    assert _identifying(own | {"recordings": 0}) == own
    assert _identifying(own | {"recordings": 4}) == own | {"recordings": 4}


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


def test_pairs_depend_on_the_studys_seed_and_the_problem() -> None:
    choices = {
        tuple(random_pairs(range(10), 5, seed, problem))
        for seed in (0, 1)
        for problem in ("FCP", "LSTM")
    }
    assert len(choices) == 4


def test_all_pairs_are_equally_likely() -> None:
    # 2,000 draws of one of 10 pairs: 200 each, with a standard deviation of 13.4
    counts = Counter(random_pairs(range(5), 1, seed, "FCP")[0] for seed in range(2000))
    assert len(counts) == 10
    assert max(abs(count - 200) for count in counts.values()) < 4 * 13.4


def test_pairs_between_two_sources_are_any_of_both_and_keep_their_order() -> None:
    everything = cross_pairs([1, 2, 3], [2, 5], 6, 0, "p", ("a", "b"))
    assert set(everything) == set(product([1, 2, 3], [2, 5]))
    assert cross_pairs([1, 2, 3], [2, 5], 4, 0, "p", ("a", "b")) == everything[:4]
    assert cross_pairs([1, 2, 3], [2, 5], 6, 0, "p", ("a", "c")) != everything
