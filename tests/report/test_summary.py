from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lowroad.landscapes import TwoWells
from lowroad.report import paper
from lowroad.report.summary import OTHER_GAMMA, SMOOTHNESS, summarize
from lowroad.study.results import WEIGHT_SETS
from report.synthetic import DIMENSION, make_results


def test_numbers_are_those_of_the_results(results):
    summary = summarize(results)
    fcp = summary.networks[0]
    kept = results.kept("FCP", "sgd")
    assert fcp.minima("sgd_test").tolist() == [run.test_height for run in kept]
    assert summary.losses["mean"].sel(network="FCP", weights="sgd_test").item() == pytest.approx(
        np.mean([run.test_height for run in kept])
    )
    vectors = np.stack([run.train_point for run in kept]).astype(np.float64)
    assert fcp.weights["standard_deviation"].sel(set="sgd_train").item() == pytest.approx(
        vectors.std()
    )
    heights = [path.height for path in results.path_results("FCP", "lbfgs_test", "train")]
    cell = fcp.height_table.sel(weights="lbfgs_test", landscape="train")
    assert cell["median"].item() == np.median(heights)
    assert fcp.measurements().pairs["lbfgs_test", "train"].shape == (5, 2)
    assert (fcp.dimension, fcp.trained) == (DIMENSION, {"sgd": 6, "lbfgs": 6})
    assert set(fcp.distances) == set(paper.PAIRS)
    assert fcp.projections["sgd_test", "lbfgs_train", OTHER_GAMMA].attrs["gamma_rule"] == "median"
    assert summary.outcomes("test").total() == 4 * 4 * 5


def test_the_same_results_give_the_same_claims(results):
    assert repr(summarize(results).claims) == repr(summarize(results).claims)


def test_vectors_that_are_not_finite_are_left_out():
    results = make_results(networks=("FCP",))
    worst = results.kept("FCP", "sgd")[-1]
    broken = replace(worst, test_point=worst.test_point * np.nan)
    trainings = [broken if run is worst else run for run in results.trainings]
    summary = summarize(replace(results, trainings=trainings))
    assert summary.networks[0].vectors == dict.fromkeys(WEIGHT_SETS, 4) | {"sgd_test": 3}
    pair = ("sgd_test", "lbfgs_train")
    assert len(summary.networks[0].distances[pair]["distance"]) == 7


def test_figure_3_shows_what_the_paper_says_of_it(surface):
    assert [path.label for path in surface.paths] == ["λ = 3.5", "λ = 35", "λ = 350"]
    assert len(SMOOTHNESS) == 3
    pass_height = TwoWells.lowest_height
    heights = [path.profile.max() for path in surface.paths]
    assert all(pass_height - 0.01 < height < 0.75 for height in heights)
    assert surface.straight.profile.max() > 1.0
    lengths = [np.linalg.norm(np.diff(path.points, axis=0), axis=1).sum() for path in surface.paths]
    assert lengths[0] > lengths[1] > lengths[2]
    for path in (surface.straight, *surface.paths):
        np.testing.assert_allclose(path.points[[0, -1]], [[-0.62, -0.54], [0.49, -0.02]])
    # The grid is [y, x]: the heights at its points are the surface's.
    row, column = 30, 50
    x, y = surface.x[column], surface.y[row]
    wells = np.exp(-3 * ((x - 0.5) ** 2 + y**2)) + np.exp(-3 * ((x + 0.5) ** 2 + (y + 0.5) ** 2))
    hills = np.exp(-15 * ((x + 0.2) ** 2 + (y + 0.4) ** 2)) + np.exp(-15 * (x**2 + (y - 0.3) ** 2))
    assert surface.heights[row, column] == pytest.approx(hills - wells + 1.0190055296306975)


def test_the_papers_numbers_are_complete():
    assert list(paper.LOSSES) == list(paper.WEIGHTS)
    for network in paper.LOSSES:
        assert set(paper.LOSSES[network]) == set(paper.WEIGHTS[network]) == set(WEIGHT_SETS)
    # Spot checks against the paper's text.
    assert paper.LOSSES["LSTM"]["lbfgs_train"] == 1.63e-06
    assert paper.LOSSES["Autoencoder"]["sgd_test"] == 4.52e-02
    assert paper.WEIGHTS["LeNet"]["lbfgs_test"] == paper.MeanAndDeviation(2.33e-04, 8.00e-02)
    assert paper.WEIGHTS["FCP"]["sgd_train"] == paper.MeanAndDeviation(-1.44e-03, 1.39e-01)
