"""Histograms in rows, one a sample: bars where a sample is large, and its points in any case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from lowroad.plotting.style import shorter

__all__ = [
    "FEWEST_FOR_BARS",
    "Ridge",
    "common_edges",
    "log_ticks",
    "ridges",
    "row_limits",
    "wants_log_axis",
]

FEWEST_FOR_BARS = 8
"""With fewer numbers than this a histogram says less than the points themselves."""


@dataclass(frozen=True)
class Ridge:
    """One row of the figure.

    Attributes:
        name: The sample's name.
        values: Its finite numbers, sorted.
        offsets: Height of each point within the row, within 0.11 of `middle`.
        middle: Height of the points' own line: the row's where it has no bars, else below them.
        edges: Edges of the bars [b + 1]; empty where there are too few numbers for bars.
        bars: Heights of the bars [b], the largest 0.6.
        median: The sample's median, NaN without numbers.
    """

    name: str
    values: NDArray[np.float64]
    offsets: NDArray[np.float64]
    middle: float
    edges: NDArray[np.float64]
    bars: NDArray[np.float64]
    median: float

    @property
    def reach(self) -> tuple[float, float]:
        """Ends of the median's bar: across the points, and the bars if there are any."""
        return self.middle - 0.18, 0.66 if len(self.bars) else self.middle + 0.18

    def outline(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners of the bars' outline, from the left end of the row's base line to the right."""
        if not len(self.bars):
            return np.empty(0), np.empty(0)
        tops = np.concatenate([[0.0], np.repeat(self.bars, 2), [0.0]])
        return np.repeat(self.edges, 2), tops


def wants_log_axis(samples: Sequence[ArrayLike]) -> bool:
    """Whether positive numbers span so much (a factor of five) that a log axis shows them better.

    >>> wants_log_axis([[0.1, 0.2], [1.0]]), wants_log_axis([[1.0, 2.0]]), wants_log_axis([])
    (True, False, False)
    """
    finite = _finite(samples)
    return bool(len(finite) and finite.min() > 0 and finite.max() > 5 * finite.min())


def log_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Ticks for a log axis from `low` to `high`, with their labels.

    Within two and a half decades 1, 2 and 5 times powers of ten, written out, or round numbers
    where there is none of these; beyond that, powers of ten alone, at most ten of them.

    >>> log_ticks(0.09, 0.6)
    ([0.1, 0.2, 0.5], ['0.1', '0.2', '0.5'])
    >>> log_ticks(1e-8, 2.0)[1]
    ['10⁻⁸', '10⁻⁶', '10⁻⁴', '10⁻²', '1']
    >>> log_ticks(1e-32, 2.0)[1], log_ticks(2.1, 2.3)[1]
    (['10⁻³⁰', '10⁻²⁴', '10⁻¹⁸', '10⁻¹²', '10⁻⁶', '1'], ['2.1', '2.15', '2.2', '2.25'])
    """
    first, last = floor(log10(low)), ceil(log10(high))
    if log10(high / low) <= 2.5:
        values = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
        inside = [float(f"{value:.3g}") for value in values if low <= value <= high]
        if not inside:
            inside = [float(x) for x in MaxNLocator(4).tick_values(low, high) if low <= x <= high]
        return inside, [shorter(value) for value in inside]
    stride = 1 if last - first <= 6 else 2 * ceil((last - first) / 16)
    powers = [p for p in range(first, last + 1) if p % stride == 0 and low <= 10.0**p <= high]
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return [10.0**p for p in powers], [
        "1" if p == 0 else f"10{str(p).translate(raised)}" for p in powers
    ]


def common_edges(samples: Sequence[ArrayLike], log: bool) -> NDArray[np.float64]:
    """Bin edges that all samples share, so that their bars can be compared.

    The bins are so wide that the narrowest sample of n numbers spans about 1.5 sqrt(n) of them, but
    there are at least 8 and at most 60 in all.
    """
    finite = [values for sample in samples if len(values := _finite([sample]))]
    if not finite:
        return np.array([0.0, 1.0])
    scaled = [np.log(values) if log else values for values in finite]
    joined = np.concatenate(scaled)
    low, high = float(joined.min()), float(joined.max())
    if low == high:
        margin = max(0.5, 1e-3 * abs(low))  # which rounding keeps, however large the numbers
        low, high = low - margin, high + margin
    widths = [np.ptp(values) / (1.5 * np.sqrt(len(values))) for values in scaled]
    finest = min((width for width in widths if width > 0), default=high - low)
    bins = int(np.clip(np.ceil((high - low) / finest), 8, 60))
    edges = np.linspace(low, high, bins + 1)
    if log:
        edges = np.exp(edges)
        # Rounding must not push the extremes out of the outer bins.
        edges[0] = min(edges[0], min(values.min() for values in finite))
        edges[-1] = max(edges[-1], max(values.max() for values in finite))
    return edges


def ridges(samples: Mapping[str, ArrayLike], log: bool) -> list[Ridge]:
    """One row for each sample, with bars on common edges.

    Raises:
        ValueError: for numbers on a log axis that are not positive.

    >>> [row] = ridges({"a": [3.0, 1.0, 2.0]}, log=False)
    >>> row.values.tolist(), row.median, len(row.bars)
    ([1.0, 2.0, 3.0], 2.0, 0)
    """
    if log and (low := _finite(list(samples.values())).min(initial=np.inf)) <= 0:
        raise ValueError(f"a log axis has positive numbers only, got {low}: pass log=False")
    edges = common_edges(list(samples.values()), log)
    rows = []
    for name, sample in samples.items():
        values = np.sort(_finite([sample]))
        own_edges, bars, middle = np.empty(0), np.empty(0), 0.0
        if len(values) >= FEWEST_FOR_BARS:
            counts = np.histogram(values, edges)[0]
            filled = np.flatnonzero(counts)
            inner = slice(filled[0], filled[-1] + 1)
            own_edges = edges[inner.start : inner.stop + 1]
            bars, middle = 0.6 * counts[inner] / counts.max(), -0.19
        # A fixed zigzag keeps near points apart, and the figure the same in every run.
        offsets = middle + 0.11 * np.resize([0.0, 1.0, -1.0, 0.5, -0.5], len(values))
        median = float(np.median(values)) if len(values) else float("nan")
        rows.append(Ridge(name, values, offsets, middle, own_edges, bars, median))
    return rows


def row_limits(rows: Sequence[Ridge]) -> tuple[float, float]:
    """Ends of the axis that holds the rows, the first at 0, the next at 1 and so on."""
    above = 0.75 if any(len(row.bars) for row in rows) else 0.5
    return -0.5, len(rows) - 1 + above


def _finite(samples: Sequence[ArrayLike]) -> NDArray[np.float64]:
    arrays = [np.asarray(sample, dtype=np.float64).ravel() for sample in samples]
    joined = np.concatenate(arrays) if arrays else np.empty(0)
    return joined[np.isfinite(joined)]
