"""Evidence for a claim: one comparison with its statistic, its uncertainty and its verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from lowroad.analysis.comparisons import Comparison, Interval, compare, smallest_p_value

__all__ = [
    "Evidence",
    "Measurements",
    "Verdict",
    "answer_above",
    "answer_higher",
    "evidence_higher",
    "evidence_separated",
    "verdict_of",
]

# Thresholds for words that the paper leaves open. They were fixed before any result, and each
# claim's rule prints them.
SIGNIFICANCE = 0.05
MEDIUM_DELTA = 0.33
SEPARATED_AUC = 0.9

RANKS_RULE = (
    f"Cliff’s δ with its bootstrap interval and a Mann–Whitney test, p < {SIGNIFICANCE}; refuted "
    f"where the interval excludes δ ≥ {MEDIUM_DELTA}"
)
SET_LABELS = {
    "sgd_train": "SGD train",
    "sgd_test": "SGD test",
    "lbfgs_train": "BFGS train",
    "lbfgs_test": "BFGS test",
}


class Verdict(Enum):
    """What the runs say about a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "not enough runs"


@dataclass(frozen=True)
class Measurements:
    """The results of one network's runs, as plain arrays and tables.

    Results that were not measured are left out of their mapping; claims that need them stay open.

    Attributes:
        minima: Lowest losses [n] of the kept runs, by weight set.
        rises: Last test loss over lowest test loss of each kept L-BFGS run [n].
        heights: Path heights [n], by (weight set, landscape).
        pairs: The two runs [n, 2] of each path, by the same keys.
        courses: The convergence curves of the same paths (`heights_by_step`), by the same keys.
        distances: Results of `centroid_distances`, by the names of the two sets.
        projections: Results of `kernel_pca`, by the names of the two sets and the kernel.
        unchanged: Optimizers ("sgd", "lbfgs") whose kept runs all have the same training and test
            weights, which happens when the test loss never rises: the two sets are one.
    """

    minima: Mapping[str, ArrayLike] = field(default_factory=dict)
    rises: ArrayLike = ()
    heights: Mapping[tuple[str, str], ArrayLike] = field(default_factory=dict)
    pairs: Mapping[tuple[str, str], ArrayLike] = field(default_factory=dict)
    courses: Mapping[tuple[str, str], xr.Dataset] = field(default_factory=dict)
    distances: Mapping[tuple[str, str], xr.Dataset] = field(default_factory=dict)
    projections: Mapping[tuple[str, str, str], xr.Dataset] = field(default_factory=dict)
    unchanged: Collection[str] = ()


@dataclass(frozen=True)
class Evidence:
    """One measured comparison behind a claim.

    Attributes:
        network: The network.
        question: What is compared, in words.
        expected: Whether the claim says yes or no to it.
        statistic: What the number is, e.g. "Cliff's delta".
        interval: The number with its 95% interval.
        p_value: Of the rank test, NaN where there is none.
        sizes: Sizes of the samples.
        verdict: Whether the claim's answer holds.
    """

    network: str
    question: str
    expected: bool
    statistic: str
    interval: Interval
    p_value: float
    sizes: tuple[int, ...]
    verdict: Verdict


def verdict_of(answer: bool | None, expected: bool) -> Verdict:
    """The verdict on an expected answer, given the measured one (None: undecided)."""
    if answer is None:
        return Verdict.OPEN
    return Verdict.HOLDS if answer is expected else Verdict.FAILS


def answer_higher(found: Comparison) -> bool | None:
    """Whether the first sample is the higher one; None where that is undecided."""
    if found.smallest_p >= SIGNIFICANCE or not np.isfinite(found.delta.low):
        return None
    if found.p_value < SIGNIFICANCE and found.delta.low > 0:
        return True
    return False if found.delta.high < MEDIUM_DELTA else None


def answer_above(interval: Interval, threshold: float, sizes: Iterable[int]) -> bool | None:
    """Whether an interval lies above a threshold; None where it contains it or is missing."""
    if not np.isfinite(interval.low) or smallest_p_value(*sizes) >= SIGNIFICANCE:
        return None
    if interval.low >= threshold:
        return True
    return False if interval.high < threshold else None


def evidence_higher(
    network: str,
    question: str,
    expected: bool,
    samples: Sequence[ArrayLike],
    generator: np.random.Generator,
    units: Sequence[ArrayLike | None] = (None, None),
) -> Evidence:
    """Evidence on whether the first sample is higher than the second."""
    first, second = samples
    found = compare(first, second, generator=generator, first_units=units[0], second_units=units[1])
    sizes = (found.n_first, found.n_second)
    verdict = verdict_of(answer_higher(found), expected)
    return Evidence(
        network, question, expected, "Cliff’s δ", found.delta, found.p_value, sizes, verdict
    )


def evidence_separated(
    network: str,
    runs: Measurements,
    sets: tuple[str, str],
    kernel: str,
    expected: bool,
    generator: np.random.Generator,
) -> Evidence:
    """Evidence on whether the first kernel principal component separates two sets."""
    table = runs.projections.get((*sets, kernel))
    samples: list[NDArray[np.float64]] = [np.empty(0), np.empty(0)]
    if table is not None:
        first = table["projection"].sel(component=1).values
        samples = [first[table["set"].values == name] for name in sets]
    found = compare(samples[1], samples[0], generator=generator)
    delta = found.delta
    # The area under the ROC curve is (delta + 1) / 2, whichever set lies higher.
    sign = -1.0 if delta.estimate < 0 else 1.0
    ends = sorted((sign * delta.low, sign * delta.high))
    area = Interval(*((end + 1) / 2 for end in (sign * delta.estimate, *ends)))
    sizes = (found.n_second, found.n_first)
    answer = answer_above(area, SEPARATED_AUC, sizes)
    shown = "RBF" if kernel == "rbf" else kernel
    question = f"{shown} kernel separates {SET_LABELS[sets[0]]} from {SET_LABELS[sets[1]]}"
    verdict = verdict_of(answer, expected)
    return Evidence(network, question, expected, "ROC area", area, found.p_value, sizes, verdict)
