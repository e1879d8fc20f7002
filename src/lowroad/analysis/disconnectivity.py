"""The merge tree of minima: at which height the basins join, from barriers between pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import DisjointSet

from lowroad.analysis.checks import as_sample

__all__ = ["Merge", "MergeTree", "merge_tree"]

ROUNDING = 1e-5  # of values that are means over data in float32


@dataclass(frozen=True)
class Merge:
    """Two basins that join.

    Attributes:
        level: The height at which they do.
        children: The two nodes: i < n is the i-th minimum, n + k what the k-th merge made.
        pair: The measured pair of minima whose path joins them.
    """

    level: float
    children: tuple[int, int]
    pair: tuple[int, int]


@dataclass(frozen=True)
class MergeTree:
    """A disconnectivity graph: which minima are joined below which height.

    Attributes:
        heights: Heights of the n minima.
        merges: The merges, the lowest first; the k-th makes node n + k.
        roots: Nodes without a parent, one for each part connected by measured pairs: a
            whole tree has one, minima that no pair joins are roots themselves.
    """

    heights: tuple[float, ...]
    merges: tuple[Merge, ...]
    roots: tuple[int, ...]

    def leaves(self, node: int) -> list[int]:
        """Minima below a node, those that join first next to each other."""
        found, stack = [], [node]
        while stack:
            node = stack.pop()
            if node < len(self.heights):
                found.append(node)
            else:
                stack += reversed(self.merges[node - len(self.heights)].children)
        return found

    def levels(self) -> NDArray[np.float64]:
        """Heights [n, n] at which two minima are joined, their own on the diagonal, else inf."""
        levels = np.full((len(self.heights),) * 2, np.inf)
        np.fill_diagonal(levels, self.heights)
        for merge in self.merges:
            first, second = (self.leaves(child) for child in merge.children)
            levels[np.ix_(first, second)] = merge.level
            levels[np.ix_(second, first)] = merge.level
        return levels


def merge_tree(heights: ArrayLike, pairs: ArrayLike, barriers: ArrayLike) -> MergeTree:
    """Return the merge tree of minima from the heights of paths between some of their pairs.

    Two minima are joined at min over chains of pairs of max over the chain of the barriers: single
    linkage, by Kruskal's algorithm. A found path's height is an upper bound on the pass that it
    crosses, and a pass that no measured pair crosses is not seen, so every level of the tree is an
    upper bound too, for the budget of the paths: more steps or more pairs can only lower it. A
    barrier that lies below an end by no more than what float32 rounds is taken for that end.

    Args:
        heights: Heights of the minima [n].
        pairs: The measured pairs [m, 2], as indices of minima. A pair may come more than once.
        barriers: The height of each pair's path [m], ends included; those that are not finite are
            left out.

    Raises:
        ValueError: If shapes do not fit, a height is not finite, an index is not that of a minimum,
            a pair joins a minimum with itself, or a barrier lies below one of its ends by more than
            rounding.

    Source: Becker & Karplus, J. Chem. Phys. 106 (1997) 1495; Wales, Energy Landscapes, Cambridge
    University Press 2003, Section 5.1.

    >>> tree = merge_tree([0.0, 1.0, 2.0], [(0, 1), (1, 2), (0, 2)], [5.0, 3.0, 9.0])
    >>> [(merge.level, merge.children) for merge in tree.merges]  # 0 and 2 meet by way of 1
    [(3.0, (1, 2)), (5.0, (0, 3))]
    >>> float(tree.levels()[0, 2])
    5.0
    """
    minima, levels = as_sample(heights, "heights"), as_sample(barriers, "barriers")
    ends = np.asarray(pairs, dtype=np.int64).reshape(-1, 2) if len(levels) == 0 else _pairs(pairs)
    if len(ends) != len(levels):
        raise ValueError(f"expected a barrier for each pair; got {len(levels)} for {len(ends)}")
    if not np.isfinite(minima).all():
        raise ValueError(
            f"heights must be finite; minima {np.flatnonzero(~np.isfinite(minima)).tolist()} are "
            "not. Leave out what diverged"
        )
    if len(ends) and not (ends.min() >= 0 and ends.max() < len(minima)):
        raise ValueError(f"pairs must be indices of the {len(minima)} minima, from 0")
    for (i, j), level in zip(ends.tolist(), levels.tolist(), strict=True):
        if i == j:
            raise ValueError(f"pair ({i}, {j}) joins a minimum with itself")
        if level < max(minima[i], minima[j]) - ROUNDING * max(abs(minima[i]), abs(minima[j])):
            raise ValueError(
                f"the barrier {level:g} of pair ({i}, {j}) lies below its ends, at {minima[i]:g} "
                f"and {minima[j]:g}: a path's height includes its ends; take all heights on one "
                "landscape"
            )
    # a network's value at a point and on a path through it differ in their last digits
    levels = np.maximum(levels, minima[ends].max(axis=1, initial=-np.inf))
    parts = DisjointSet(range(len(minima)))
    node = {i: i for i in range(len(minima))}  # of a part, by its representative
    merges: list[Merge] = []
    for k in np.lexsort((ends[:, 1], ends[:, 0], levels)).tolist():
        i, j = (int(end) for end in ends[k])
        if not np.isfinite(levels[k]) or parts.connected(i, j):
            continue
        first, second = sorted((node[parts[i]], node[parts[j]]))
        parts.merge(i, j)
        node[parts[i]] = len(minima) + len(merges)
        merges.append(Merge(float(levels[k]), (first, second), (i, j)))
    roots = sorted({node[parts[i]] for i in range(len(minima))})
    return MergeTree(tuple(minima.tolist()), tuple(merges), tuple(roots))


def _pairs(pairs: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(pairs)
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"pairs must be integers [m, 2], indices of two minima; got {array.dtype} "
            f"{list(array.shape)}"
        )
    return array.astype(np.int64)
