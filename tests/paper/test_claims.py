from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.stats import mannwhitneyu, wilcoxon

from lowroad.analysis import (
    KERNELS,
    Claims,
    PathSamples,
    ProblemSamples,
    SetSamples,
    Verdict,
    centroid_distances,
    heights_by_step,
    judge_claims,
    kernel_pca,
)
from lowroad.paper.paper_claims import NETWORKS, claims

APART = ("sgd/test", "lbfgs/train")
LBFGS_SAME = {"lbfgs/test": "lbfgs/train"}
SAME = LBFGS_SAME | {"sgd/test": "sgd/train"}
RUNS, PAIRS = 48, 150


def samples(network: str, generator: np.random.Generator) -> ProblemSamples:
    """Runs of a network that behaves exactly as the paper says."""

    def around(middle: float, n: int = RUNS) -> np.ndarray:
        return middle * generator.uniform(0.9, 1.1, n)

    overfits = network != "Autoencoder"
    values = {"sgd/train": 1e-2, "lbfgs/train": 1e-5, "sgd/test": 8e-2, "lbfgs/test": 9e-2}
    levels = {"sgd/train": 1.0, "sgd/test": 1.0, "lbfgs/train": 2.0, "lbfgs/test": 2.0}
    if network in ("FCP", "LSTM"):
        levels["lbfgs/train"] = 3.0
    if not overfits:
        levels |= {"lbfgs/train": 0.5, "lbfgs/test": 0.5}

    def paths(level: float) -> PathSamples:
        heights = around(level, PAIRS)
        pairs = [generator.choice(RUNS, 2, replace=False) for _ in range(PAIRS)]
        return PathSamples(heights=heights, pairs=pairs, curves=curves(heights))

    def shell(radius: float) -> np.ndarray:
        vectors = generator.normal(size=(RUNS, 500))
        return radius * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    sgd, train = shell(1.0), shell(2.0)
    test = shell(2.0 if network in ("Autoencoder", "LSTM") else 1.0)
    both = {"sgd/test": sgd, "lbfgs/train": train}
    projections = {(*APART, kernel): kernel_pca(both, kernel, "median") for kernel in KERNELS}
    projections["sgd/test", "lbfgs/test", "rbf"] = kernel_pca(
        {"sgd/test": sgd, "lbfgs/test": test}, "rbf", "median"
    )
    return ProblemSamples(
        name=network,
        sets={
            name: SetSamples(
                values={name.partition("/")[2]: around(values[name])},
                rises=around(4.0 if overfits else 1.05) if name == "lbfgs/test" else (),
                paths={split: paths(levels[name]) for split in ("train", "test")},
            )
            for name in values
        },
        distances={APART: centroid_distances(sgd, train, APART)},
        projections=projections,
    )


def changed(runs: ProblemSamples, name: str, split: str = "", **changes: object) -> ProblemSamples:
    """The samples with other numbers of one set, or of its paths on one split."""
    own = runs.sets[name]
    if split:
        paths = replace(own.paths[split], **changes)
        changes = {"paths": dict(own.paths) | {split: paths}}
    return replace(runs, sets=dict(runs.sets) | {name: replace(own, **changes)})


def with_curves(runs: ProblemSamples, of: object) -> ProblemSamples:
    for name, own in runs.sets.items():
        for split, paths in own.paths.items():
            runs = changed(runs, name, split, curves=of(paths))
    return runs


def curves(heights: np.ndarray, still_falling: float = 0.0) -> xr.Dataset:
    """Paths that fall from ten times their height to it by three quarters of their steps."""
    fractions = np.array([10.0, 3.0, 1 + still_falling, 1.0, 1.0])
    return heights_by_step([(np.arange(5) * 20, height * fractions) for height in heights])


@pytest.fixture(scope="module")
def as_in_the_paper() -> dict[str, ProblemSamples]:
    generator = np.random.default_rng(8)
    return {network: samples(network, generator) for network in NETWORKS}


def judge(runs: dict[str, ProblemSamples], *numbers: int) -> list[Verdict]:
    """The verdicts on these claims, or on all."""
    chosen = tuple(each for each in claims.claims if not numbers or each.number in numbers)
    results = judge_claims(Claims(chosen), runs, np.random.default_rng(0))
    return [result.verdict for result in results]


def test_runs_that_behave_as_the_paper_says(as_in_the_paper):
    results = judge_claims(claims, as_in_the_paper, np.random.default_rng(0))
    assert [result.number for result in results] == list(range(1, 11))
    for result in results:
        disagreeing = [item for item in result.evidence if item.verdict is not Verdict.HOLDS]
        assert not disagreeing, (result.number, disagreeing)
        assert result.verdict is Verdict.HOLDS
    counts = [len(result.evidence) for result in results]
    assert counts == [4, 4, 4, 16, 4, 4, 4, 16, 4, 4 * 20]


def test_each_claim_fails_when_its_runs_say_the_opposite(as_in_the_paper):
    fcp = as_in_the_paper["FCP"]
    table = fcp.distances[APART]
    other_sides = np.where(table["set"] == "sgd/test", "lbfgs/train", "sgd/test")
    rbf = fcp.projections[*APART, "rbf"]
    separated = rbf.assign_coords(
        set=("vector", np.where(rbf["set"] == "lbfgs/train", "lbfgs/test", "sgd/test"))
    )
    train, sgd = (fcp.sets[name].paths for name in ("lbfgs/train", "sgd/test"))
    early = sgd["train"].curves.copy(deep=True)
    early["lowest"][:, 0] *= 5  # the straight lines between SGD's are the higher ones
    opposite = {
        1: changed(fcp, "sgd/train", values={"train": np.full(RUNS, 1e-6)}),
        2: changed(fcp, "lbfgs/test", values={"test": np.full(RUNS, 0.9)}),
        3: changed(fcp, "lbfgs/test", rises=np.full(RUNS, 1.0)),
        4: changed(fcp, "lbfgs/test", "test", heights=np.asarray(sgd["test"].heights) / 2),
        5: changed(fcp, "lbfgs/test", "train", heights=np.asarray(train["train"].heights) * 2),
        6: replace(fcp, distances={APART: table.assign_coords(set=("vector", other_sides))}),
        7: replace(
            fcp, distances={APART: centroid_distances(np.eye(8) / 10, np.eye(8) / 10 + 5, APART)}
        ),
        8: replace(
            fcp,
            projections=dict(fcp.projections)
            | {(*APART, "rbf"): fcp.projections[*APART, "linear"]},
        ),
        9: replace(
            fcp, projections=dict(fcp.projections) | {("sgd/test", "lbfgs/test", "rbf"): separated}
        ),
        10: changed(fcp, "sgd/test", "train", curves=early),
    }
    for number, runs in opposite.items():
        assert judge({"FCP": runs}, number) == [Verdict.FAILS], number


def first(runs: ProblemSamples, number: int) -> ProblemSamples:
    """The samples of the first runs and paths only."""

    def of_paths(paths: PathSamples) -> PathSamples:
        return PathSamples(
            heights=paths.heights[:number],
            pairs=paths.pairs[:number],
            curves=paths.curves.isel(path=slice(number)),
        )

    return replace(
        runs,
        sets={
            name: SetSamples(
                values={split: numbers[:number] for split, numbers in own.values.items()},
                rises=own.rises[:number],
                paths={split: of_paths(paths) for split, paths in own.paths.items()},
            )
            for name, own in runs.sets.items()
        },
        distances={
            key: table.isel(vector=table["run"].values < number, start=slice(number))
            for key, table in runs.distances.items()
        },
        projections={
            key: table.isel(vector=table["run"].values < number)
            for key, table in runs.projections.items()
        },
    )


def test_three_runs_are_not_enough(as_in_the_paper):
    few = {name: first(runs, 3) for name, runs in as_in_the_paper.items()}
    assert judge(few) == [Verdict.OPEN] * 10


def test_a_missing_network_leaves_a_claim_open_but_not_unrefuted(as_in_the_paper):
    only = {"FCP": as_in_the_paper["FCP"]}
    results = judge_claims(claims, only, np.random.default_rng(0))
    assert {result.verdict for result in results} == {Verdict.OPEN}
    assert results[0].unmeasured == ("LeNet", "Autoencoder", "LSTM")
    assert results[0].evidence[0].verdict is Verdict.HOLDS
    refuted = {"FCP": changed(only["FCP"], "lbfgs/test", rises=np.full(RUNS, 1.0))}
    assert judge(refuted, 3) == [Verdict.FAILS]


def test_nothing_measured():
    assert judge({}) == [Verdict.OPEN] * 10
    assert judge({name: ProblemSamples() for name in NETWORKS}) == [Verdict.OPEN] * 10
    assert judge({"MyNetwork": ProblemSamples()}) == [Verdict.OPEN] * 10


def test_losses_that_diverged_are_left_out(as_in_the_paper):
    fcp = as_in_the_paper["FCP"]
    for name, own in as_in_the_paper["FCP"].sets.items():
        values = {key: np.append(each, [np.nan, np.inf]) for key, each in own.values.items()}
        fcp = changed(fcp, name, values=values, rises=())
    assert judge(as_in_the_paper | {"FCP": fcp}, 1, 2) == [Verdict.HOLDS] * 2


def test_a_difference_that_steps_make_is_told_from_one_that_was_there(as_in_the_paper):
    """Straight lines alike, ends different: every comparison says at which stage it was made."""
    fcp = as_in_the_paper["FCP"]
    level = fcp.sets["sgd/train"].paths["train"].curves["lowest"].values[:, 0]

    def alike(paths: PathSamples) -> xr.Dataset:
        table = paths.curves.copy(deep=True)
        table["lowest"][:, 0] = level
        return table

    runs = {"FCP": with_curves(fcp, alike)}
    result = judge_claims(claims, runs, np.random.default_rng(0))[9]
    verdicts = {item.question.rpartition(", ")[2]: set() for item in result.evidence}
    for item in result.evidence:
        verdicts[item.question.rpartition(", ")[2]].add(item.verdict)
    assert verdicts["straight lines"] == {Verdict.FAILS}
    assert verdicts["a quarter of the steps"] == verdicts["all steps"] == {Verdict.HOLDS}
    assert [item.interval.estimate for item in result.evidence[:3]] == [0.0, 1.0, 1.0]
    assert result.verdict is Verdict.FAILS


def test_paths_that_still_fall_leave_the_tenth_claim_open(as_in_the_paper):
    runs = with_curves(as_in_the_paper["FCP"], lambda paths: curves(paths.heights, 0.2))
    result = judge_claims(claims, {"FCP": runs}, np.random.default_rng(0))[9]
    assert result.verdict is Verdict.OPEN
    fall = next(item for item in result.evidence if "last half" in item.question)
    assert fall.interval.estimate == pytest.approx(1 - 1 / 1.2)
    assert {item.verdict for item in result.evidence} == {Verdict.HOLDS, Verdict.OPEN}


def test_what_was_not_measured_between_first_and_last_step_stays_open(as_in_the_paper):
    """Two heights per path: how low it was on the way, and whether it converged, is not known."""

    def sparse(paths: PathSamples) -> xr.Dataset:
        return heights_by_step([([0, 100], [10 * height, height]) for height in paths.heights])

    runs = {"FCP": with_curves(as_in_the_paper["FCP"], sparse)}
    result = judge_claims(claims, runs, np.random.default_rng(0))[9]
    for item in result.evidence:
        known = item.question.endswith(("straight lines", "all steps"))
        assert item.verdict is (Verdict.HOLDS if known else Verdict.OPEN), item.question
        assert np.isfinite(item.interval.estimate) == known


def test_train_and_test_weights_that_are_the_same_are_compared_once(as_in_the_paper):
    runs = replace(as_in_the_paper["Autoencoder"], same_points=SAME)
    results = judge_claims(claims, {"Autoencoder": runs}, np.random.default_rng(0))
    assert [len(results[number - 1].evidence) for number in (4, 5, 10)] == [2, 1, 10]
    same = results[4].evidence[0]
    assert (same.interval.estimate, same.p_value, same.verdict) == (0.0, 1.0, Verdict.HOLDS)
    expected_to_differ = {"LSTM": replace(as_in_the_paper["LSTM"], same_points=LBFGS_SAME)}
    results = judge_claims(claims, expected_to_differ, np.random.default_rng(0))
    assert results[4].verdict is Verdict.OPEN  # the runs have ended too early
    assert len(results[3].evidence) == 4  # SGD's two sets still differ
    nothing = {"LeNet": ProblemSamples(same_points=SAME)}
    assert (
        judge_claims(claims, nothing, np.random.default_rng(0))[4].evidence[0].verdict
        is Verdict.OPEN
    )


def test_four_shared_starts_decide_nothing_about_centroids(as_in_the_paper):
    generator = np.random.default_rng(1)
    sets = generator.normal(size=(2, 6, 500))
    for runs, verdict in ((4, Verdict.OPEN), (6, Verdict.HOLDS)):
        starts = (range(runs), range(runs))
        table = centroid_distances(sets[0, :runs], sets[1, :runs], APART, starts)
        few = replace(as_in_the_paper["FCP"], distances={APART: table})
        found = judge_claims(claims, {"FCP": few}, np.random.default_rng(0))[6]
        assert found.evidence[0].verdict is verdict


def test_every_comparison_has_a_rank_test(as_in_the_paper):
    fcp = as_in_the_paper["FCP"]
    results = judge_claims(claims, {"FCP": fcp}, np.random.default_rng(0))
    assert all(0 <= item.p_value <= 1 for result in results for item in result.evidence)
    (ratio,) = results[1].evidence
    bfgs, sgd = (fcp.sets[name].values["test"] for name in ("lbfgs/test", "sgd/test"))
    one_sided = [
        mannwhitneyu(bfgs / 3, sgd, alternative="less").pvalue,
        mannwhitneyu(3 * bfgs, sgd, alternative="greater").pvalue,
    ]
    assert ratio.p_value == pytest.approx(max(one_sided), rel=1e-9)
    (rise,) = results[2].evidence
    assert rise.p_value == wilcoxon(np.log(fcp.sets["lbfgs/test"].rises) - np.log(1.5)).pvalue


def test_the_published_numbers_are_those_of_the_tables():
    published = claims.published
    assert "Yu & Morozov 2026" in published.reference
    assert published.values["FCP"]["lbfgs/train"] == 1.26e-08
    assert published.weights["LSTM"]["lbfgs/test"] == (2.92e-03, 4.76e-01)
    assert [claim.number for claim in claims.claims if not claim.published] == [10]
