"""The paper's nine claims and a tenth, each measured with an uncertainty and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import mannwhitneyu

from lowroad.analysis.comparisons import (
    Interval,
    bootstrap_interval,
    median_interval,
    signed_rank_p,
)
from lowroad.analysis.evidence import (
    RANKS_RULE,
    SEPARATED_AUC,
    Evidence,
    Measurements,
    Verdict,
    answer_above,
    evidence_higher,
    evidence_separated,
    verdict_of,
)
from lowroad.analysis.kernel_pca import KERNELS
from lowroad.analysis.path_claims import (
    PATHS_RULE,
    SETTLED_RULE,
    barriers_by_step,
    lower_barriers,
    training_barriers,
)

__all__ = ["PAPER_CLAIMS", "PAPER_NETWORKS", "ClaimResult", "judge_claims"]

PAPER_CLAIMS = 9
"""How many of the claims are the paper's; those after them are ours."""

PAPER_NETWORKS = ("FCP", "LeNet", "Autoencoder", "LSTM")

# As in `evidence`: what the paper's words "comparable", "steeply" and "small" mean here.
COMPARABLE_RATIO = 3.0
STEEP_RISE = 1.5
SMALL_SEPARATION = 0.5


@dataclass(frozen=True)
class ClaimResult:
    """A claim with its evidence.

    Attributes:
        number: 1 to 9 the paper's, 10 ours.
        statement: The claim in words.
        rule: How it is judged.
        evidence: The comparisons.
        unmeasured: Networks of the paper that this study does not contain.
        verdict: Holds when every comparison agrees and no network is missing; does not hold
            when one comparison contradicts; otherwise there are not enough runs.
    """

    number: int
    statement: str
    rule: str
    evidence: tuple[Evidence, ...]
    unmeasured: tuple[str, ...]
    verdict: Verdict


def judge_claims(
    measurements: Mapping[str, Measurements], generator: np.random.Generator
) -> tuple[ClaimResult, ...]:
    """Judge the nine claims of Yu & Morozov 2026, and a tenth, on the runs of a study.

    The tenth asks whether the paper's difference between the barriers of SGD and BFGS depends on
    how long paths are optimized: it is judged on the straight lines, after a quarter of the steps
    and after all of them, and stays open while the paths still fall, or where a search did not
    measure its path in between.

    A comparison of two samples asks whether the first is lower (or higher). Its answer is *yes*
    when the rank test has p < 0.05 and the interval of Cliff's delta lies on that side of
    zero, *no* when the interval excludes a medium effect (|delta| >= 0.33) on that side, and
    open otherwise; also open when the samples are so small that no result could reach p < 0.05. The
    p-values are not corrected for the number of comparisons.

    Args:
        measurements: By network name; networks that the paper does not have are passed over.
        generator: For the bootstrap.

    Returns:
        The results, the paper's in its order and then ours.

    >>> lower = {"lbfgs_train": [1.0, 2, 3, 4], "sgd_train": [5.0, 6, 7, 8]}
    >>> runs = {name: Measurements(minima=lower) for name in PAPER_NETWORKS}
    >>> [result.verdict.value for result in judge_claims(runs, np.random.default_rng(0))][:2]
    ['holds', 'not enough runs']
    """
    present = {name: measurements[name] for name in PAPER_NETWORKS if name in measurements}
    missing = tuple(name for name in PAPER_NETWORKS if name not in measurements)
    results = []
    for number, (statement, rule, gather) in enumerate(_CLAIMS, start=1):
        evidence = tuple(
            item for name, runs in present.items() for item in gather(name, runs, generator)
        )
        results.append(
            ClaimResult(number, statement, rule, evidence, missing, _together(evidence, missing))
        )
    return tuple(results)


def _together(evidence: Sequence[Evidence], missing: Sequence[str]) -> Verdict:
    verdicts = {item.verdict for item in evidence}
    if Verdict.FAILS in verdicts:
        return Verdict.FAILS
    if not evidence or missing or Verdict.OPEN in verdicts:
        return Verdict.OPEN
    return Verdict.HOLDS


def _lower_training_loss(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    samples = runs.minima.get("sgd_train", ()), runs.minima.get("lbfgs_train", ())
    question = "training loss of SGD above L-BFGS"
    return [evidence_higher(network, question, True, samples, generator)]


def _comparable_test_loss(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    def ratio_of_means(bfgs: NDArray[np.float64], sgd: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(bfgs.mean(axis=1) / sgd.mean(axis=1))

    bfgs, sgd = (_finite(runs.minima.get(name, ())) for name in ("lbfgs_test", "sgd_test"))
    ratio = bootstrap_interval(ratio_of_means, bfgs, sgd, generator=generator)
    sizes = len(bfgs), len(sgd)
    # two one-sided tests: that the ratio is below the upper and above the lower end
    p_value = float("nan")
    if min(sizes):
        p_value = max(
            float(mannwhitneyu(bfgs, COMPARABLE_RATIO * sgd, alternative="less").pvalue),
            float(mannwhitneyu(bfgs, sgd / COMPARABLE_RATIO, alternative="greater").pvalue),
        )
    below = answer_above(ratio, 1 / COMPARABLE_RATIO, sizes)
    above = answer_above(ratio, COMPARABLE_RATIO, sizes)
    outside = below is False or above is True
    answer = False if outside else (True if below is True and above is False else None)
    question = "mean test loss, L-BFGS / SGD, within a factor of 3"
    return [
        Evidence(network, question, True, "ratio", ratio, p_value, sizes, verdict_of(answer, True))
    ]


def _steep_rise(network: str, runs: Measurements, generator: np.random.Generator) -> list[Evidence]:
    rises = _finite(runs.rises)
    rise = median_interval(rises, generator=generator)
    expected = network != "Autoencoder"
    answer = answer_above(rise, STEEP_RISE, (len(rises),))
    question = f"L-BFGS test loss at the end over its minimum, at least {STEEP_RISE}"
    return [
        Evidence(
            network, question, expected, "median ratio", rise,
            signed_rank_p(np.log(rises), np.log(STEEP_RISE)), (len(rises),),
            verdict_of(answer, expected),
        )
    ]  # fmt: skip


def _longer_vectors(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    table = runs.distances.get(("sgd_test", "lbfgs_train"))
    samples: list[ArrayLike] = [(), ()]
    if table is not None:
        samples = [
            table["distance"].values[table["set"].values == name]
            for name in ("lbfgs_train", "sgd_test")
        ]
    question = "BFGS train vectors farther from the common origin than SGD test vectors"
    return [evidence_higher(network, question, True, (samples[0], samples[1]), generator)]


def _near_centroids(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    table = runs.distances.get(("sgd_test", "lbfgs_train"))
    nan = float("nan")
    interval, sizes, p_value, starts = Interval(nan, nan, nan), (0, 0), nan, 0
    if table is not None:
        # The squared ratio is unbiased and can be negative; its root, cut at zero, is shown.
        middle, error = float(table["relative"]), float(table["relative_error"])
        ends = np.sqrt(np.maximum([middle, middle - 1.96 * error, middle + 1.96 * error], 0.0))
        interval = Interval(*(float(end) for end in ends))
        by_start = _finite(table["relative_by_start"].values)
        starts, p_value = len(by_start), signed_rank_p(by_start, SMALL_SEPARATION**2)
        names = table["set"].values
        sizes = (int((names == "sgd_test").sum()), int((names == "lbfgs_train").sum()))
    above = answer_above(interval, SMALL_SEPARATION, (starts,))
    answer = None if above is None else not above
    question = "separation of the SGD test and BFGS train centroids below half the spread"
    return [
        Evidence(
            network, question, True, "separation / spread", interval, p_value, sizes,
            verdict_of(answer, True),
        )
    ]  # fmt: skip


def _only_rbf(network: str, runs: Measurements, generator: np.random.Generator) -> list[Evidence]:
    sets = ("sgd_test", "lbfgs_train")
    return [
        evidence_separated(network, runs, sets, kernel, kernel == "rbf", generator)
        for kernel in KERNELS
    ]


def _separation_of_test_weights(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    expected = network in ("Autoencoder", "LSTM")
    return [
        evidence_separated(network, runs, ("sgd_test", "lbfgs_test"), "rbf", expected, generator)
    ]


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    return sample[np.isfinite(sample)]


_Gather = Callable[[str, Measurements, np.random.Generator], list[Evidence]]
_AREA = (
    "The area under the ROC curve of the first component, with its bootstrap interval, is at "
    f"least {SEPARATED_AUC}"
)
_CLAIMS: tuple[tuple[str, str, _Gather], ...] = (
    (
        "L-BFGS-GSS reaches a lower training loss than SGD in all four networks.",
        RANKS_RULE,
        _lower_training_loss,
    ),
    (
        "The test losses of both optimizers are comparable.",
        "The ratio of the mean test losses, with its bootstrap interval, lies within a factor of "
        f"{COMPARABLE_RATIO:g}; p of two one-sided Mann–Whitney tests, the larger",
        _comparable_test_loss,
    ),
    (
        "The L-BFGS test loss rises steeply after its minimum, except in the autoencoder.",
        "The median over runs of last test loss / lowest test loss, with its bootstrap interval, "
        f"is at least {STEEP_RISE}; six runs are needed; p of Wilcoxon’s signed-rank test against "
        f"{STEEP_RISE}",
        _steep_rise,
    ),
    (
        "Barriers are lower for SGD than for BFGS on both landscapes, except in the autoencoder.",
        PATHS_RULE,
        lower_barriers,
    ),
    (
        "BFGS train barriers exceed BFGS test barriers only in FCP and LSTM.",
        PATHS_RULE,
        training_barriers,
    ),
    ("BFGS weight vectors are longer than SGD’s.", RANKS_RULE, _longer_vectors),
    (
        "The distance of the two centroids is small against the spread of the vectors.",
        "The separation of the centroids, corrected for the noise of few runs, with its jackknife "
        f"interval, is below {SMALL_SEPARATION} of the vectors’ root-mean-square distance from "
        "their centroid; six starts are needed; p of Wilcoxon’s signed-rank test of the "
        "jackknife’s pseudovalues",
        _near_centroids,
    ),
    (
        "RBF kernel PCA separates SGD test from BFGS train vectors along its first component; "
        "other kernels do not.",
        _AREA,
        _only_rbf,
    ),
    (
        "Between SGD test and BFGS test vectors the separation nearly vanishes for FCP and LeNet "
        "and persists for the autoencoder and the LSTM.",
        _AREA,
        _separation_of_test_weights,
    ),
    (
        "The difference of claim 4 is there however long paths are optimized: on the straight "
        "lines, early, and when the paths have settled.",
        PATHS_RULE + ". Compared are the lowest full-landscape heights up to a step. Settled: "
        f"{SETTLED_RULE}; while paths still fall, or were not measured on the way, the claim stays "
        "open",
        barriers_by_step,
    ),
)
