from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform
from torch import nn

from lowroad.analysis import merge_tree
from lowroad.landscapes import MullerBrown, NetworkLandscape
from lowroad.paths import ElasticBandFinder, FourierPathFinder


@pytest.mark.parametrize("seed", range(5))
def test_a_complete_graph_is_single_linkage_of_scipy(seed):
    generator = np.random.default_rng(seed)
    n = 12
    pairs = list(combinations(range(n), 2))
    barriers = generator.uniform(1, 2, len(pairs))
    tree = merge_tree(generator.uniform(0, 1, n), pairs, barriers)
    theirs = linkage(barriers, "single")
    assert [merge.level for merge in tree.merges] == theirs[:, 2].tolist()
    assert [merge.children for merge in tree.merges] == [
        tuple(sorted(row)) for row in theirs[:, :2].astype(int).tolist()
    ]
    assert tree.roots == (2 * n - 2,)
    levels = tree.levels()
    np.testing.assert_array_equal(np.diag(levels), tree.heights)
    np.fill_diagonal(levels, 0)
    np.testing.assert_array_equal(squareform(levels), cophenet(theirs))
    assert sorted(tree.leaves(tree.roots[0])) == list(range(n))


def test_a_sparse_graph_joins_by_the_lowest_chain_or_not_at_all():
    """Against minimax chains by Floyd and Warshall's algorithm."""
    generator = np.random.default_rng(3)
    n, m = 20, 18
    every = np.array(list(combinations(range(n), 2)))
    pairs = every[generator.choice(len(every), m, replace=False)]
    barriers = generator.uniform(1, 2, m)
    heights = generator.uniform(0, 1, n)
    chains = np.full((n, n), np.inf)
    np.fill_diagonal(chains, heights)
    for (i, j), barrier in zip(pairs, barriers, strict=True):
        chains[i, j] = chains[j, i] = barrier
    for k in range(n):
        through = np.maximum(chains[:, k, None], chains[None, k, :])
        chains = np.where(np.eye(n, dtype=bool), chains, np.minimum(chains, through))
    tree = merge_tree(heights, pairs, barriers)
    np.testing.assert_array_equal(tree.levels(), chains)
    assert np.isinf(chains).any()
    assert len(tree.roots) == n - len(tree.merges)
    assert sorted(leaf for root in tree.roots for leaf in tree.leaves(root)) == list(range(n))


def test_mueller_brown_has_its_published_passes():
    """Minima at −146.70, −80.77, −108.17 and saddles at −40.66 and −72.25 (Müller & Brown 1979)."""
    surface = MullerBrown()
    points = [minimum.point for minimum in surface.minima]
    heights = [surface.value(point) for point in points]
    pairs = list(combinations(range(3), 2))
    finder = ElasticBandFinder(points=101)
    barriers = [finder.find(surface, points[i], points[j]).refined_height for i, j in pairs]
    tree = merge_tree(heights, pairs, barriers)
    assert [merge.level for merge in tree.merges] == pytest.approx([-72.249, -40.665], abs=2e-3)
    deepest = int(np.argmin(heights))
    assert deepest in tree.merges[1].children


def test_barriers_that_are_not_finite_join_nothing():
    tree = merge_tree([0.0, 0.0, 0.0], [(0, 1), (1, 2)], [np.nan, np.inf])
    assert (tree.merges, tree.roots) == ((), (0, 1, 2))
    assert merge_tree([1.0], [], []).roots == (0,)
    assert merge_tree([], [], []).roots == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0.0, 1.0], [(0, 1)], [0.5]), "lies below its ends"),
        (([0.0, 1.0], [(0, 0)], [2.0]), "with itself"),
        (([0.0, 1.0], [(0, 2)], [2.0]), "indices of the 2 minima"),
        (([0.0, 1.0], [(-1, 1)], [2.0]), "indices of the 2 minima"),
        (([0.0, np.nan], [(0, 1)], [2.0]), r"minima \[1\]"),
        (([0.0, 1.0], [(0, 1), (1, 0)], [2.0]), "a barrier for each pair"),
        (([0.0, 1.0], [0, 1], [2.0, 2.0]), r"\[m, 2\]"),
        (([0.0, 1.0], [(0.0, 1.0)], [2.0]), "integers"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        merge_tree(*arguments)


def test_a_network_s_path_that_is_highest_at_an_end_joins_there():
    """Along a path a float32 network is evaluated otherwise than at a point."""
    generator = torch.Generator().manual_seed(0)
    inputs, weights = (torch.randn(n, 5, generator=generator) for n in (200, 3))
    module = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    landscape = NetworkLandscape(module, inputs, (inputs @ weights.T).argmax(1), "cross_entropy")
    highest_at_an_end = 0
    for _ in range(10):
        start, end = torch.randn(2, landscape.dimension, generator=generator)
        found = FourierPathFinder(steps=30).find(landscape, start, end)
        heights = [landscape.value(start), landscape.value(end)]
        tree = merge_tree(heights, [(0, 1)], [found.height])
        assert tree.merges[0].level == max(*heights, found.height)
        highest_at_an_end += found.height < max(heights)
    assert highest_at_an_end > 0
