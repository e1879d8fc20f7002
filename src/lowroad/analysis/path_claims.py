"""Evidence for the claims on path heights: fourth, fifth and tenth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowroad.analysis.comparisons import (
    Interval,
    median_interval,
    signed_rank_p,
    smallest_p_value,
)
from lowroad.analysis.evidence import (
    RANKS_RULE,
    SET_LABELS,
    SIGNIFICANCE,
    Evidence,
    Measurements,
    answer_above,
    evidence_higher,
    verdict_of,
)
from lowroad.analysis.heights import lowest_within

__all__ = ["PATHS_RULE", "SETTLED_RULE", "barriers_by_step", "lower_barriers", "training_barriers"]

# Ours: paths have settled where the last half of the steps lowered the median by less than this.
SETTLED_FALL = 0.05
SETTLED_RULE = (
    "from the last measurement within half of the steps on, the median path of a weight set fell "
    f"by less than {SETTLED_FALL:.0%}, p of Wilcoxon’s signed-rank test"
)
PATHS_RULE = (
    RANKS_RULE + "; the bootstrap draws runs, not pairs; where the training and the test weights "
    "of all runs are the same points, they are compared once"
)

Place = tuple[str, str]
_STAGES = {"straight lines": 0.0, "a quarter of the steps": 0.25, "all steps": 1.0}


def lower_barriers(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    """The fourth claim: BFGS paths above SGD paths."""
    return [
        evidence_higher(
            network,
            f"BFGS {kind} paths above SGD {kind} paths, {landscape} landscape",
            network != "Autoencoder",
            tuple(runs.heights.get(key, ()) for key in keys),
            generator,
            tuple(runs.pairs.get(key) for key in keys),
        )
        for landscape in ("train", "test")
        for kind in _kinds(runs)
        for keys in [_optimizers(kind, landscape)]
    ]


def training_barriers(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    """The fifth claim: paths between BFGS training weights above those between test weights."""
    question = "BFGS train paths above BFGS test paths, train landscape"
    expected = network in ("FCP", "LSTM")
    keys = [("lbfgs_train", "train"), ("lbfgs_test", "train")]
    heights = [runs.heights.get(key, ()) for key in keys]
    if "lbfgs" in runs.unchanged:
        first, second = (len(np.asarray(each)) for each in heights)
        enough = smallest_p_value(first, second) < SIGNIFICANCE
        # where they should differ, the runs have ended too early to say
        answer = False if enough and not expected else None
        return [
            Evidence(
                network, f"{question} (the same points)", expected, "Cliff’s δ",
                Interval(0.0, 0.0, 0.0), 1.0, (first, second), verdict_of(answer, expected),
            )
        ]  # fmt: skip
    units = tuple(runs.pairs.get(key) for key in keys)
    return [evidence_higher(network, question, expected, tuple(heights), generator, units)]


def barriers_by_step(
    network: str, runs: Measurements, generator: np.random.Generator
) -> list[Evidence]:
    """The tenth claim: the fourth at several stages of the search, and whether paths settled."""
    evidence = []
    for landscape in ("train", "test"):
        for kind in _kinds(runs):
            keys = _optimizers(kind, landscape)
            for stage, fraction in _STAGES.items():
                evidence.append(
                    evidence_higher(
                        network,
                        f"BFGS {kind} paths above SGD {kind} paths, {landscape} landscape, {stage}",
                        network != "Autoencoder",
                        tuple(_lowest(runs, key, fraction) for key in keys),
                        generator,
                        tuple(runs.pairs.get(key) for key in keys),
                    )
                )
            evidence += [_settled(network, runs, key, generator) for key in keys]
    return evidence


def _kinds(runs: Measurements) -> tuple[str, ...]:
    return ("train",) if {"sgd", "lbfgs"} <= set(runs.unchanged) else ("train", "test")


def _optimizers(kind: str, landscape: str) -> tuple[Place, Place]:
    return (f"lbfgs_{kind}", landscape), (f"sgd_{kind}", landscape)


def _lowest(runs: Measurements, key: Place, fraction: float) -> NDArray[np.float64]:
    curves = runs.courses.get(key)
    return np.empty(0) if curves is None else lowest_within(curves, fraction)


def _settled(
    network: str, runs: Measurements, key: Place, generator: np.random.Generator
) -> Evidence:
    falls = 1 - _lowest(runs, key, 1.0) / _lowest(runs, key, 0.5)
    units = runs.pairs.get(key) if len(falls) else None
    fall = median_interval(falls, generator=generator, units=units)
    sizes = (int(np.isfinite(falls).sum()),)
    # paths that still fall contradict nothing: their final heights are not known yet
    still = answer_above(fall, SETTLED_FALL, sizes)
    question = (
        f"last half of the steps lowers {SET_LABELS[key[0]]} paths by less than "
        f"{SETTLED_FALL:.0%}, {key[1]} landscape"
    )
    return Evidence(
        network, question, True, "median share", fall, signed_rank_p(falls, SETTLED_FALL),
        sizes, verdict_of(True if still is False else None, True),
    )  # fmt: skip
