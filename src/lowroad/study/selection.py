"""Which runs are kept, and which pairs of them are connected."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable, Mapping
from itertools import combinations

Pair = tuple[int, int]


def kept_seeds(train_heights: Mapping[int, float], keep: int) -> list[int]:
    """Seeds of the ``keep`` runs with the lowest training loss, lowest first.

    A loss that is not finite counts as the highest; equal losses go by seed.

    >>> kept_seeds({0: 0.3, 1: float("nan"), 2: 0.1, 3: 0.2}, keep=2)
    [2, 3]
    """

    def rank(seed: int) -> tuple[bool, float, int]:
        height = train_heights[seed]
        finite = math.isfinite(height)
        return not finite, height if finite else 0.0, seed

    return sorted(train_heights, key=rank)[:keep]


def random_pairs(seeds: Iterable[int], count: int, study_seed: int, network: str) -> list[Pair]:
    """``count`` different random pairs of ``seeds``, each with the lower seed first.

    Every possible pair has a rank drawn by hashing; the lowest ranks win. So more pairs, or more
    seeds, keep earlier pairs, and all weight sets of a network share pairs where they can.

    >>> random_pairs([4, 7, 9], 2, study_seed=0, network="FCP")
    [(7, 9), (4, 7)]
    >>> random_pairs([4, 7, 9], 3, study_seed=0, network="FCP")[:2]
    [(7, 9), (4, 7)]
    """

    def rank(pair: Pair) -> bytes:
        return hashlib.sha256(f"pair {study_seed} {network} {pair[0]} {pair[1]}".encode()).digest()

    return heapq.nsmallest(count, combinations(sorted(seeds), 2), key=rank)
