"""The paper's nine claims and a tenth, each measured with an uncertainty and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowroad.analysis.comparisons import Interval, bootstrap_interval
from lowroad.analysis.evidence import (
    MEDIUM_DELTA,
    SEPARATED_AUC,
    SIGNIFICANCE,
    Evidence,
    Measurements,
    Verdict,
    answer_above,
    evidence_higher,
    evidence_separated,
    verdict_of,
)
from lowroad.analysis.heights import lowest_within
from lowroad.analysis.kernel_pca import KERNELS

__all__ = ["PAPER_CLAIMS", "PAPER_NETWORKS", "ClaimResult", "judge_claims"]

PAPER_CLAIMS = 9
"""How many of the claims are the paper's; those after them are ours."""

PAPER_NETWORKS = ("FCP", "LeNet", "Autoencoder", "LSTM")

# As in `evidence`: what the paper's words "comparable", "steeply" and "small" mean here.
COMPARABLE_RATIO = 3.0
STEEP_RISE = 1.5
SMALL_SEPARATION = 0.5
# Ours: a path has settled where the last half of its steps lowered it by less than this share.
SETTLED_FALL = 0.05


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
    below = answer_above(ratio, 1 / COMPARABLE_RATIO, sizes)
    above = answer_above(ratio, COMPARABLE_RATIO, sizes)
    outside = below is False or above is True
    answer = False if outside else (True if below is True and above is False else None)
    question = "mean test loss, L-BFGS / SGD, within a factor of 3"
    return [
        Evidence(network, question, True, "ratio", ratio, np.nan, sizes, verdict_of(answer, True))
    ]


def _steep_rise(network: str, runs: Measurements, generator: np.random.Generator) -> list[Evidence]:
    rises = _finite(runs.rises)
    rise = bootstrap_interval(lambda drawn: np.median(drawn, axis=1), rises, generator=generator)
    expected = network != "Autoencoder"
    # One sample: the sign test's smallest two-sided p-value is 2 / 2^n.
    answer = None
    if len(rises) and 2.0 ** (1 - len(rises)) < SIGNIFICANCE:
        answer = answer_above(rise, STEEP_RISE, (len(rises), len(rises)))
    question = f"L-BFGS test loss at the end over its minimum, at least {STEEP_RISE}"
    return [
        Evidence(
            network, question, expected, "median ratio", rise, np.nan, (len(rises),),
            verdict_of(answer, expected),
        )
    ]  # fmt: skip


def _path_samples(
    runs: Measurements, keys: Sequence[tuple[str, str]]
) -> tuple[tuple[ArrayLike, ArrayLike], tuple[ArrayLike | None, ArrayLike | None]]:
    first, second = (runs.heights.get(key, ()) for key in keys)
    units = (runs.pairs.get(keys[0]), runs.pairs.get(keys[1]))
    return (first, second), units


def _lower_barriers(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    evidence = []
    for landscape in ("train", "test"):
        for kind in ("train", "test"):
            keys = [(f"lbfgs_{kind}", landscape), (f"sgd_{kind}", landscape)]
            samples, units = _path_samples(runs, keys)
            question = f"BFGS {kind} paths above SGD {kind} paths, {landscape} landscape"
            expected = network != "Autoencoder"
            evidence.append(evidence_higher(network, question, expected, samples, generator, units))
    return evidence


def _barriers_by_step(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    expected = network != "Autoencoder"
    evidence = []
    for landscape in ("train", "test"):
        for kind in ("train", "test"):
            keys = [(f"lbfgs_{kind}", landscape), (f"sgd_{kind}", landscape)]
            units = (runs.pairs.get(keys[0]), runs.pairs.get(keys[1]))
            for stage, share in _STAGES.items():
                samples = tuple(_courses_within(runs, key, share) for key in keys)
                question = f"BFGS {kind} paths above SGD {kind} paths, {landscape} landscape, "
                evidence.append(
                    evidence_higher(
                        network, question + stage, expected, (samples[0], samples[1]), generator,
                        units,
                    )
                )  # fmt: skip
        evidence.append(_settled(network, runs, landscape, generator))
    return evidence


def _courses_within(runs: Measurements, key: tuple[str, str], share: float) -> NDArray[np.float64]:
    course = runs.courses.get(key)
    return np.empty(0) if course is None else lowest_within(course, share)


def _settled(
    network: str, runs: Measurements, landscape: str, generator: np.random.Generator
) -> Evidence:
    keys = [key for key in runs.courses if key[1] == landscape]
    middle, last = (
        np.concatenate([_courses_within(runs, key, share) for key in keys] or [np.empty(0)])
        for share in (0.5, 1.0)
    )
    falls = _finite(1 - last / middle)
    fall = bootstrap_interval(lambda drawn: np.median(drawn, axis=1), falls, generator=generator)
    # paths that still fall contradict nothing: what they lead to is not known yet
    still = answer_above(fall, SETTLED_FALL, (len(falls), len(falls)))
    question = (
        f"last half of the steps lowers a path by less than {SETTLED_FALL:.0%}, "
        f"{landscape} landscape"
    )
    return Evidence(
        network, question, True, "median share", fall, np.nan, (len(falls),),
        verdict_of(True if still is False else None, True),
    )  # fmt: skip


def _training_barriers(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    samples, units = _path_samples(runs, [("lbfgs_train", "train"), ("lbfgs_test", "train")])
    question = "BFGS train paths above BFGS test paths, train landscape"
    expected = network in ("FCP", "LSTM")
    return [evidence_higher(network, question, expected, samples, generator, units)]


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
    interval, sizes = Interval(nan, nan, nan), (0, 0)
    if table is not None:
        # The squared ratio is unbiased and can be negative; its root, cut at zero, is shown.
        middle, error = float(table["relative"]), float(table["relative_error"])
        ends = np.sqrt(np.maximum([middle, middle - 1.96 * error, middle + 1.96 * error], 0.0))
        interval = Interval(*(float(end) for end in ends))
        names = table["set"].values
        sizes = (int((names == "sgd_test").sum()), int((names == "lbfgs_train").sum()))
    above = answer_above(interval, SMALL_SEPARATION, sizes)
    answer = None if above is None else not above
    question = "separation of the SGD test and BFGS train centroids below half the spread"
    return [
        Evidence(
            network, question, True, "separation / spread", interval, nan, sizes,
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
_RANKS = (
    f"Cliff’s δ with its bootstrap interval and a Mann–Whitney test, p < {SIGNIFICANCE}; refuted "
    f"where the interval excludes δ ≥ {MEDIUM_DELTA}"
)
_PATHS = _RANKS + "; the bootstrap draws runs, not pairs"
_STAGES = {"straight lines": 0.0, "a quarter of the steps": 0.25, "all steps": 1.0}
_AREA = (
    "The area under the ROC curve of the first component, with its bootstrap interval, is at "
    f"least {SEPARATED_AUC}"
)
_CLAIMS: tuple[tuple[str, str, _Gather], ...] = (
    (
        "L-BFGS-GSS reaches a lower training loss than SGD in all four networks.",
        _RANKS,
        _lower_training_loss,
    ),
    (
        "The test losses of both optimizers are comparable.",
        "The ratio of the mean test losses, with its bootstrap interval, lies within a factor of "
        f"{COMPARABLE_RATIO:g}",
        _comparable_test_loss,
    ),
    (
        "The L-BFGS test loss rises steeply after its minimum, except in the autoencoder.",
        "The median over runs of last test loss / lowest test loss, with its bootstrap interval, "
        f"is at least {STEEP_RISE}; six runs are needed",
        _steep_rise,
    ),
    (
        "Barriers are lower for SGD than for BFGS on both landscapes, except in the autoencoder.",
        _PATHS,
        _lower_barriers,
    ),
    (
        "BFGS train barriers exceed BFGS test barriers only in FCP and LSTM.",
        _PATHS,
        _training_barriers,
    ),
    ("BFGS weight vectors are longer than SGD’s.", _RANKS, _longer_vectors),
    (
        "The distance of the two centroids is small against the spread of the vectors.",
        "The separation of the centroids, corrected for the noise of few runs, with its jackknife "
        f"interval, is below {SMALL_SEPARATION} of the vectors’ root-mean-square distance from "
        "their centroid",
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
        _PATHS + ". Compared are the lowest full-landscape heights up to a step. Settled: from "
        "the last measurement within half of the steps on, the median path fell by less than "
        f"{SETTLED_FALL:.0%}; while paths still fall, or were not measured on the way, the claim "
        "stays open",
        _barriers_by_step,
    ),
)
