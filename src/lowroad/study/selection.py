"""Which pairs of kept runs are connected."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from itertools import combinations, product

Pair = tuple[int, int]


def random_pairs(seeds: Iterable[int], count: int, study_seed: int, problem: str) -> list[Pair]:
    """``count`` different random pairs of ``seeds``, each with the lower seed first.

    Every possible pair has a rank drawn by hashing; the lowest ranks win. So more pairs, or more
    seeds, keep earlier pairs, and all weight sets of a problem share pairs where they can.

    >>> random_pairs([4, 7, 9], 2, study_seed=0, problem="FCP")
    [(7, 9), (4, 7)]
    >>> random_pairs([4, 7, 9], 3, study_seed=0, problem="FCP")[:2]
    [(7, 9), (4, 7)]
    """

    def rank(pair: Pair) -> bytes:
        return hashlib.sha256(f"pair {study_seed} {problem} {pair[0]} {pair[1]}".encode()).digest()

    return heapq.nsmallest(count, combinations(sorted(seeds), 2), key=rank)


def cross_pairs(
    first: Iterable[int],
    second: Iterable[int],
    count: int,
    study_seed: int,
    problem: str,
    sources: tuple[str, str],
) -> list[Pair]:
    """``count`` different random pairs of a run of one source and a run of another.

    They are drawn as by `random_pairs`. Pairs of one seed, whose runs share a start, are among
    them.

    >>> cross_pairs([0, 1], [0, 1], 2, study_seed=0, problem="p", sources=("a", "b"))
    [(1, 0), (0, 1)]
    """
    text = f"pair {study_seed} {problem} {sources[0]} {sources[1]}"

    def rank(pair: Pair) -> bytes:
        return hashlib.sha256(f"{text} {pair[0]} {pair[1]}".encode()).digest()

    return heapq.nsmallest(count, product(sorted(first), sorted(second)), key=rank)
