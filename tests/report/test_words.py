from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lowroad.report import words
from lowroad.report.summary import Summary, summarize
from report.synthetic import make_results

pytestmark = pytest.mark.usefixtures("quick_surface")


@pytest.fixture(scope="module")
def summary(results) -> Summary:
    return summarize(results)


def with_minima(summary: Summary, network: str, optimizer: str, height: float) -> Summary:
    trainings = [
        replace(run, train_height=height, test_height=height)
        if (run.network, run.optimizer) == (network, optimizer)
        else run
        for run in summary.results.trainings
    ]
    return summarize(replace(summary.results, trainings=trainings))


def test_answers_follow_the_numbers(summary):
    [training, _, *_] = words.short_answers(summary)
    ratios = []
    for network in summary.networks:
        sgd = np.mean([run.train_height for run in network.runs["sgd"]])
        lbfgs = np.mean([run.train_height for run in network.runs["lbfgs"]])
        ratios.append(f"{float(f'{sgd / lbfgs:.2g}'):.0f} in {network.name}")
    assert training == (
        "L-BFGS-GSS reached a lower mean training loss than SGD in all four networks: lower by a "
        f"factor of {ratios[0]}, {ratios[1]}, {ratios[2]} and {ratios[3]}."
    )


def test_the_opposite_result_gives_the_opposite_answer(summary):
    changed = with_minima(summary, "LSTM", "lbfgs", 7.0)
    training, test, *_ = words.short_answers(changed)
    assert "in FCP, LeNet and Autoencoder, but not in LSTM" in training
    sgd = np.mean([run.test_height for run in changed.networks[3].runs["sgd"]])
    assert f"{float(f'{7 / sgd:.2g}'):.3g} in LSTM" in test


def test_paths_the_other_way_round():
    results = make_results(networks=("FCP", "LSTM"))
    turned = {"sgd_train": "lbfgs_train", "lbfgs_train": "sgd_train"}
    paths = [
        replace(path, weights=turned.get(path.weights, path.weights)) for path in results.paths
    ]
    answers = words.short_answers(summarize(replace(results, paths=paths)))
    assert (
        "On the training landscape the median path is lower between SGD solutions than between "
        "BFGS solutions in none of the networks for training weights and in both networks for "
        "test weights."
    ) in answers
    fewer = replace(results, paths=[path for path in paths if path.network == "LSTM"])
    assert (
        "On the test landscape the median path is lower between SGD solutions than between BFGS "
        "solutions in none measured (LSTM) for training weights and in LSTM for test weights."
    ) in words.short_answers(summarize(fewer))


def test_nothing_measured_has_no_answer(results):
    empty = summarize(replace(results, trainings=[], paths=[]))
    assert words.short_answers(empty) == []
    broken = [
        replace(run, train_height=np.nan, test_height=np.inf, train_point=run.train_point * np.nan)
        for run in results.trainings
        if run.network == "FCP"
    ]
    answers = words.short_answers(summarize(replace(results, trainings=broken, paths=[])))
    assert not [answer for answer in answers if "loss" in answer]


def test_one_measured_network_of_four_is_named(results):
    trainings = [run for run in results.trainings if run.network == "LeNet"]
    answers = words.short_answers(summarize(replace(results, trainings=trainings, paths=[])))
    assert answers[0].startswith(
        "L-BFGS-GSS reached a lower mean training loss than SGD in LeNet: lower by a factor of "
    )


def test_budget_names_networks_that_differ(summary):
    assert words.budget(summary) == (
        "100 Adam steps of rate 0.001 on all images each, 10 sine terms, 51 points, λ = 0.01"
    )
    assert words.training_settings(summary).endswith(
        "L-BFGS-GSS: 60 iterations, history 10, 6 losses a line search (LeNet)"
    )


def test_what_stands_behind(summary):
    assert words.runs_trained(summary) == "6 random starts, 4 kept, for each optimizer"
    assert words.runs_behind(summary) == "4 kept runs of each optimizer"
    assert words.runs_behind(summary, "train") == "5 paths of each weight set"
    assert words.paths_behind(summary) == "5 for each weight set on each landscape"
    fewer = replace(
        summary.results,
        trainings=[
            run
            for run in summary.results.trainings
            if (run.network, run.optimizer) != ("FCP", "sgd") or run.seed == 0
        ],
        paths=[path for path in summary.results.paths if path.network != "FCP"],
    )
    behind = summarize(fewer)
    assert words.runs_behind(behind).startswith("kept runs: 1 SGD and 4 L-BFGS (FCP)")
    assert "0 paths of each weight set (FCP)" in words.runs_behind(behind, "test")
    assert words.missing_parts(summary) == []
    assert words.missing_parts(behind) == [
        "FCP: 5 of 6 SGD runs, 20 of 20 paths on the training landscape, 20 of 20 paths on the "
        "test landscape and the sharpness of 6 of 12 points"
    ]


def test_claims_are_summed_up(summary):
    assert words.claim_summary(summary.claims[0]) == "4 of 4 comparisons agree."
    assert words.claim_summary(summary.claims[3]) == (
        "12 of 16 comparisons agree; 4 contradict (Autoencoder)."
    )
    alone = summarize(make_results(networks=("FCP",)))
    assert words.claim_summary(alone.claims[0]) == (
        "1 of 1 comparison agree; not in this study: LeNet, Autoencoder and LSTM."
    )


def test_gamma_is_said(summary):
    pair = ("sgd_test", "lbfgs_train")
    assert words.gamma_words(summary, pair).startswith(
        "γ = 1/D, one over the number of parameters (2.50e-03 for FCP"
    )
    median = summarize(make_results(networks=("FCP",), gamma="median"))
    for two in (pair, ("sgd_test", "lbfgs_test")):
        number = median.networks[0].projections[*two, "rbf"].attrs["gamma"]
        assert words.gamma_words(median, two) == (
            f"γ = 1/(2m²) with m the median distance of two vectors ({number:.2e} for FCP)"
        )
    number = summarize(make_results(networks=("FCP",), gamma=0.25))
    assert words.gamma_words(number, pair) == "γ = 0.25"


def test_large_factors_have_two_figures(summary):
    changed = with_minima(summary, "FCP", "lbfgs", 1e-11)
    sgd = np.mean([run.train_height for run in changed.networks[0].runs["sgd"]])
    assert f"lower by a factor of {sgd / 1e-11:.1e} in FCP" in words.short_answers(changed)[0]
