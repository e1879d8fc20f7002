from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.stats import mannwhitneyu, wilcoxon

from lowroad.analysis import (
    KERNELS,
    Measurements,
    Verdict,
    centroid_distances,
    heights_by_step,
    judge_claims,
    kernel_pca,
)
from lowroad.analysis.claims import PAPER_NETWORKS

RUNS, PAIRS = 48, 150


def measurements(network: str, generator: np.random.Generator) -> Measurements:
    """Runs of a network that behaves exactly as the paper says."""

    def around(middle: float, n: int = RUNS) -> np.ndarray:
        return middle * generator.uniform(0.9, 1.1, n)

    overfits = network != "Autoencoder"
    heights, pairs = {}, {}
    higher_training = network in ("FCP", "LSTM")
    for landscape in ("train", "test"):
        for name, level in {
            "sgd_train": 1.0,
            "sgd_test": 1.0,
            "lbfgs_train": 3.0 if higher_training else 2.0,
            "lbfgs_test": 2.0,
        }.items():
            if not overfits:
                level = 1.0 if name.startswith("sgd") else 0.5
            heights[name, landscape] = around(level, PAIRS)
            pairs[name, landscape] = np.array(
                [generator.choice(RUNS, 2, replace=False) for _ in range(PAIRS)]
            )

    def shell(radius: float) -> np.ndarray:
        vectors = generator.normal(size=(RUNS, 1000))
        return radius * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    sgd, train = shell(1.0), shell(2.0)
    test = shell(2.0 if network in ("Autoencoder", "LSTM") else 1.0)
    projections = {
        ("sgd_test", "lbfgs_train", kernel): kernel_pca(
            {"sgd_test": sgd, "lbfgs_train": train}, kernel, "median"
        )
        for kernel in KERNELS
    }
    projections["sgd_test", "lbfgs_test", "rbf"] = kernel_pca(
        {"sgd_test": sgd, "lbfgs_test": test}, "rbf", "median"
    )
    return Measurements(
        minima={
            "sgd_train": around(1e-2),
            "lbfgs_train": around(1e-5),
            "sgd_test": around(8e-2),
            "lbfgs_test": around(9e-2),
        },
        rises=around(4.0 if overfits else 1.05),
        heights=heights,
        pairs=pairs,
        courses={place: convergence(values) for place, values in heights.items()},
        distances={
            ("sgd_test", "lbfgs_train"): centroid_distances(sgd, train, ("sgd_test", "lbfgs_train"))
        },
        projections=projections,
    )


def convergence(heights: np.ndarray, still_falling: float = 0.0) -> xr.Dataset:
    """Paths that fall from ten times their height to it by three quarters of their steps."""
    fractions = np.array([10.0, 3.0, 1 + still_falling, 1.0, 1.0])
    return heights_by_step([(np.arange(5) * 20, height * fractions) for height in heights])


@pytest.fixture(scope="module")
def as_in_the_paper() -> dict[str, Measurements]:
    generator = np.random.default_rng(8)
    return {network: measurements(network, generator) for network in PAPER_NETWORKS}


def judge(runs: dict[str, Measurements]) -> list[Verdict]:
    return [result.verdict for result in judge_claims(runs, np.random.default_rng(0))]


def test_runs_that_behave_as_the_paper_says(as_in_the_paper):
    results = judge_claims(as_in_the_paper, np.random.default_rng(0))
    assert [result.number for result in results] == list(range(1, 11))
    for result in results:
        disagreeing = [item for item in result.evidence if item.verdict is not Verdict.HOLDS]
        assert not disagreeing, (result.number, disagreeing)
        assert result.verdict is Verdict.HOLDS
    counts = [len(result.evidence) for result in results]
    assert counts == [4, 4, 4, 16, 4, 4, 4, 16, 4, 4 * 20]


def test_each_claim_fails_when_its_runs_say_the_opposite(as_in_the_paper):
    fcp = as_in_the_paper["FCP"]
    minima, heights = dict(fcp.minima), dict(fcp.heights)
    table = fcp.distances["sgd_test", "lbfgs_train"]
    other_sides = np.where(table["set"] == "sgd_test", "lbfgs_train", "sgd_test")
    rbf = fcp.projections["sgd_test", "lbfgs_train", "rbf"]
    linear = fcp.projections["sgd_test", "lbfgs_train", "linear"]
    separated = rbf.assign_coords(
        set=("vector", np.where(rbf["set"] == "lbfgs_train", "lbfgs_test", "sgd_test"))
    )
    changed = {
        1: replace(fcp, minima=minima | {"sgd_train": np.asarray(minima["lbfgs_train"]) / 2}),
        2: replace(fcp, minima=minima | {"lbfgs_test": np.asarray(minima["lbfgs_test"]) * 10}),
        3: replace(fcp, rises=np.full(RUNS, 1.0)),
        4: replace(
            fcp, heights=heights | {("lbfgs_test", "test"): heights["sgd_test", "test"] / 2}
        ),
        5: replace(
            fcp, heights=heights | {("lbfgs_test", "train"): heights["lbfgs_train", "train"] * 2}
        ),
        6: replace(
            fcp,
            distances={
                ("sgd_test", "lbfgs_train"): table.assign_coords(set=("vector", other_sides))
            },
        ),
        7: replace(
            fcp,
            distances={
                ("sgd_test", "lbfgs_train"): centroid_distances(
                    np.eye(8) * 0.1, np.eye(8) * 0.1 + 5, ("sgd_test", "lbfgs_train")
                )
            },
        ),
        8: replace(
            fcp, projections=dict(fcp.projections) | {("sgd_test", "lbfgs_train", "rbf"): linear}
        ),
        9: replace(
            fcp, projections=dict(fcp.projections) | {("sgd_test", "lbfgs_test", "rbf"): separated}
        ),
    }
    early = dict(fcp.courses)
    key = ("sgd_test", "train")
    early[key] = early[key].copy(deep=True)
    early[key]["lowest"][:, 0] *= 5  # the straight lines between SGD's are the higher ones
    changed[10] = replace(fcp, courses=early)
    for number, runs in changed.items():
        verdicts = judge({"FCP": runs})
        assert verdicts[number - 1] is Verdict.FAILS, number


def test_three_runs_are_not_enough(as_in_the_paper):
    few = {
        name: replace(
            runs,
            minima={key: np.asarray(values)[:3] for key, values in runs.minima.items()},
            rises=np.asarray(runs.rises)[:5],
            heights={key: np.asarray(values)[:3] for key, values in runs.heights.items()},
            pairs={key: np.asarray(values)[:3] for key, values in runs.pairs.items()},
            courses={key: table.isel(path=slice(3)) for key, table in runs.courses.items()},
            distances={
                key: table.isel(vector=table["run"].values < 3, start=slice(3))
                for key, table in runs.distances.items()
            },
            projections={
                key: table.isel(vector=table["run"].values < 3)
                for key, table in runs.projections.items()
            },
        )
        for name, runs in as_in_the_paper.items()
    }
    assert judge(few) == [Verdict.OPEN] * 10


def test_a_missing_network_leaves_a_claim_open_but_not_unrefuted(as_in_the_paper):
    only = {"FCP": as_in_the_paper["FCP"]}
    results = judge_claims(only, np.random.default_rng(0))
    assert {result.verdict for result in results} == {Verdict.OPEN}
    assert results[0].unmeasured == ("LeNet", "Autoencoder", "LSTM")
    assert results[0].evidence[0].verdict is Verdict.HOLDS
    refuted = {"FCP": replace(only["FCP"], rises=np.full(RUNS, 1.0))}
    assert judge(refuted)[2] is Verdict.FAILS


def test_nothing_measured():
    assert judge({}) == [Verdict.OPEN] * 10
    assert judge({name: Measurements() for name in PAPER_NETWORKS}) == [Verdict.OPEN] * 10
    assert judge({"MyNetwork": Measurements()}) == [Verdict.OPEN] * 10


def test_losses_that_diverged_are_left_out(as_in_the_paper):
    fcp = as_in_the_paper["FCP"]
    minima = {key: np.append(values, [np.nan, np.inf]) for key, values in fcp.minima.items()}
    runs = as_in_the_paper | {"FCP": replace(fcp, minima=minima)}
    assert judge(runs)[:2] == [Verdict.HOLDS] * 2


def test_a_difference_that_steps_make_is_told_from_one_that_was_there(as_in_the_paper):
    """Straight lines alike, ends different: every comparison says at which stage it was made."""
    fcp = as_in_the_paper["FCP"]
    level = fcp.courses["sgd_train", "train"]["lowest"].values[:, 0]
    curves = {}
    for key, table in fcp.courses.items():
        curves[key] = table.copy(deep=True)
        curves[key]["lowest"][:, 0] = level
    result = judge_claims({"FCP": replace(fcp, courses=curves)}, np.random.default_rng(0))[9]
    verdicts = {item.question.rpartition(", ")[2]: set() for item in result.evidence}
    for item in result.evidence:
        verdicts[item.question.rpartition(", ")[2]].add(item.verdict)
    assert verdicts["straight lines"] == {Verdict.FAILS}
    assert verdicts["a quarter of the steps"] == verdicts["all steps"] == {Verdict.HOLDS}
    assert [item.interval.estimate for item in result.evidence[:3]] == [0.0, 1.0, 1.0]
    assert result.verdict is Verdict.FAILS


def test_paths_that_still_fall_leave_the_tenth_claim_open(as_in_the_paper):
    falling = {
        name: replace(
            runs, courses={key: convergence(values, 0.2) for key, values in runs.heights.items()}
        )
        for name, runs in as_in_the_paper.items()
    }
    result = judge_claims(falling, np.random.default_rng(0))[9]
    assert result.verdict is Verdict.OPEN
    fall = next(item for item in result.evidence if "last half" in item.question)
    assert fall.interval.estimate == pytest.approx(1 - 1 / 1.2)
    assert {item.verdict for item in result.evidence} == {Verdict.HOLDS, Verdict.OPEN}


def test_what_was_not_measured_between_first_and_last_step_stays_open(as_in_the_paper):
    """Two heights per path: neither its heights on the way nor whether it settled are known."""
    sparse = {
        key: heights_by_step([([0, 100], [10 * height, height]) for height in values])
        for key, values in as_in_the_paper["FCP"].heights.items()
    }
    runs = {"FCP": replace(as_in_the_paper["FCP"], courses=sparse)}
    result = judge_claims(runs, np.random.default_rng(0))[9]
    for item in result.evidence:
        known = item.question.endswith(("straight lines", "all steps"))
        assert item.verdict is (Verdict.HOLDS if known else Verdict.OPEN), item.question
        assert np.isfinite(item.interval.estimate) == known


def test_train_and_test_weights_that_are_the_same_are_compared_once(as_in_the_paper):
    runs = replace(as_in_the_paper["Autoencoder"], unchanged=["sgd", "lbfgs"])
    results = judge_claims({"Autoencoder": runs}, np.random.default_rng(0))
    assert [len(results[number - 1].evidence) for number in (4, 5, 10)] == [2, 1, 10]
    same = results[4].evidence[0]
    assert (same.interval.estimate, same.p_value, same.verdict) == (0.0, 1.0, Verdict.HOLDS)
    expected_to_differ = {"LSTM": replace(as_in_the_paper["LSTM"], unchanged=["lbfgs"])}
    results = judge_claims(expected_to_differ, np.random.default_rng(0))
    assert results[4].verdict is Verdict.OPEN  # the runs have ended too early
    assert len(results[3].evidence) == 4  # SGD's two sets still differ
    nothing = {"LeNet": Measurements(unchanged=["sgd", "lbfgs"])}
    assert judge_claims(nothing, np.random.default_rng(0))[4].evidence[0].verdict is Verdict.OPEN


def test_four_shared_starts_decide_nothing_about_centroids(as_in_the_paper):
    generator = np.random.default_rng(1)
    sets, names = generator.normal(size=(2, 6, 500)), ("sgd_test", "lbfgs_train")
    for runs, verdict in ((4, Verdict.OPEN), (6, Verdict.HOLDS)):
        starts = (range(runs), range(runs))
        table = centroid_distances(sets[0, :runs], sets[1, :runs], names, starts)
        changed = replace(as_in_the_paper["FCP"], distances={names: table})
        found = judge_claims({"FCP": changed}, np.random.default_rng(0))[6]
        assert found.evidence[0].verdict is verdict


def test_every_comparison_has_a_rank_test(as_in_the_paper):
    results = judge_claims(as_in_the_paper, np.random.default_rng(0))
    assert all(0 <= item.p_value <= 1 for result in results for item in result.evidence)
    fcp = as_in_the_paper["FCP"]
    (ratio,) = [item for item in results[1].evidence if item.network == "FCP"]
    bfgs, sgd = (np.asarray(fcp.minima[name]) for name in ("lbfgs_test", "sgd_test"))
    one_sided = [
        mannwhitneyu(bfgs / 3, sgd, alternative="less").pvalue,
        mannwhitneyu(3 * bfgs, sgd, alternative="greater").pvalue,
    ]
    assert ratio.p_value == pytest.approx(max(one_sided), rel=1e-9)
    (rise,) = [item for item in results[2].evidence if item.network == "FCP"]
    assert rise.p_value == wilcoxon(np.log(fcp.rises) - np.log(1.5)).pvalue
