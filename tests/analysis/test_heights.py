from __future__ import annotations

import numpy as np
import pytest

from lowroad.analysis.heights import heights_by_step, lowest_within, path_heights


def test_quartiles_of_known_heights():
    heights = {
        ("sgd_train", "train"): [1.0, 2.0, 3.0, 4.0, 5.0],
        ("sgd_train", "test"): [2.0],
        ("lbfgs_train", "train"): [8.0, 4.0],
    }
    straight = {
        ("sgd_train", "train"): [2.0, 2.0, 9.0, 8.0, 50.0],
        ("sgd_train", "test"): [5.0],
        ("lbfgs_train", "train"): [16.0, 16.0],
    }
    table = path_heights(heights, straight)
    cell = table.sel(weights="sgd_train", landscape="train")
    assert cell["n"].item() == 5
    names = ["minimum", "lower_quartile", "median", "upper_quartile", "maximum"]
    assert [cell[name].item() for name in names] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert cell["straight_median"].item() == 8.0
    assert cell["lowered"].item() == 2.0  # the median of 2, 1, 3, 2, 10
    other = table.sel(weights="lbfgs_train", landscape="train")
    assert (other["median"].item(), other["upper_quartile"].item()) == (6.0, 7.0)
    empty = table.sel(weights="lbfgs_train", landscape="test")
    assert empty["n"].item() == 0
    assert np.isnan(empty["median"].item())


def test_paths_that_diverged_are_counted_and_left_out():
    table = path_heights({("a", "train"): [1.0, np.nan, 3.0, np.inf]})
    assert (table["n"].item(), table["not_finite"].item()) == (2, 2)
    assert (table["median"].item(), table["maximum"].item()) == (2.0, 3.0)


def test_barriers_and_paths_that_are_highest_at_an_end():
    key = ("a", "train")
    table = path_heights({key: [1.0, 4.0, np.nan, 2.0]}, barriers={key: [0.0, 3.0, np.nan, 0.5]})
    assert table["barrier_median"].item() == 0.5
    assert table["at_an_end"].item() == 1
    assert path_heights({key: []}, barriers={key: []})["at_an_end"].item() == 0
    with pytest.raises(ValueError, match="1 path heights but 2 barriers"):
        path_heights({key: [1.0]}, barriers={key: [1.0, 2.0]})


def test_no_paths_at_all():
    table = path_heights({("a", "train"): []}, {("a", "train"): []})
    assert table["n"].item() == 0
    assert np.isnan(table["straight_median"].item())
    assert path_heights({}).sizes == {"weights": 0, "landscape": 0}


def test_bad_samples_are_refused():
    with pytest.raises(ValueError, match=r"shape \[n\]"):
        path_heights({("a", "train"): [[1.0]]})
    with pytest.raises(ValueError, match="2 path heights but 1 heights of straight lines"):
        path_heights({("a", "train"): [1.0, 2.0]}, {("a", "train"): [1.0]})


def test_the_lowest_so_far_is_kept_between_and_after_a_searchs_own_steps():
    histories = [
        ([0, 1, 2, 3], [4.0, 5.0, np.nan, 2.0]),
        ([0, 2], [6.0, 3.0]),
        ([1, 3], [np.inf, 1.0]),
    ]
    table = heights_by_step(histories)
    np.testing.assert_array_equal(
        table["lowest"].values, [[4, 4, 4, 2], [6, 6, 3, 3], [np.nan, np.nan, np.nan, 1]]
    )
    assert heights_by_step([]).sizes == {"path": 0, "step": 0}


@pytest.mark.parametrize("history", [([0, 1], [1.0]), ([1, 0], [1.0, 2.0]), ([0, 0], [1.0, 2.0])])
def test_a_history_that_is_none_is_refused(history):
    with pytest.raises(ValueError, match="history 1: expected increasing steps"):
        heights_by_step([([0], [1.0]), history])


def test_lowest_within_a_fraction_takes_the_last_measurement_before_it():
    table = heights_by_step([([0, 20, 40, 100], [9, 5, 4, 1]), ([0, 20, 40, 100], [8, 9, 3, 2])])
    by_fraction = {0.0: [9, 8], 0.25: [5, 8], 0.5: [4, 3], 0.99: [4, 3], 1.0: [1, 2]}
    for fraction, expected in by_fraction.items():
        np.testing.assert_array_equal(lowest_within(table, fraction), expected)
    assert np.isnan(lowest_within(table, 0.19)).all()
    assert lowest_within(heights_by_step([]), 0.5).shape == (0,)
