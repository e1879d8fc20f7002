from __future__ import annotations

import io

import numpy as np
import pytest

from lowroad.analysis import heights_by_step, merge_tree
from lowroad.plotting import convergence_curves, disconnectivity_graphs
from lowroad.plotting.barriers import median_curve, tree_lines


def test_branches_begin_at_the_minima_and_join_at_the_levels():
    heights = [3.0, 1.0, 2.0, 0.5]
    tree = merge_tree(heights, [(0, 1), (1, 2), (0, 2)], [7.0, 5.0, 9.0])
    places, x, y = tree_lines(tree, first=10.0)
    # 1 and 2 join first and stand beside each other; 3, joined with nothing, stands last
    assert sorted(places.tolist()) == [10, 11, 12, 13]
    assert abs(places[1] - places[2]) == 1
    assert places[3] == 13
    brackets = np.stack([x, y], axis=1).reshape(2, 5, 2)
    assert np.isnan(brackets[:, 4]).all()
    np.testing.assert_array_equal(brackets[:, 1:3, 1], [[5, 5], [7, 7]])
    assert {tuple(corner) for corner in brackets[0, [0, 3]]} == {(places[1], 1.0), (places[2], 2.0)}
    middle = (places[1] + places[2]) / 2
    assert {tuple(corner) for corner in brackets[1, [0, 3]]} == {(places[0], 3.0), (middle, 5.0)}


def test_branches_never_cross():
    """Between the ends of a bracket stand the minima below it and no others."""
    generator = np.random.default_rng(5)
    pairs = np.array([(i, j) for i in range(15) for j in range(i)])
    some = pairs[generator.choice(len(pairs), 25, replace=False)]
    tree = merge_tree(np.zeros(15), some, generator.uniform(1, 2, 25))
    places, x, _ = tree_lines(tree)
    for k in range(len(tree.merges)):
        below = places[tree.leaves(15 + k)]
        assert below.max() - below.min() == len(below) - 1
        assert below.min() <= x[5 * k] <= x[5 * k + 3] <= below.max()


def test_disconnectivity_graphs_show_each_set_in_its_colour_on_a_log_axis():
    tree = merge_tree([1e-6, 1e-3], [(0, 1)], [0.5])
    single = merge_tree([0.2], [], [])
    figure = disconnectivity_graphs({"FCP": {"sgd/train": tree, "lbfgs/train": single}, "LSTM": {}})
    panel, empty = figure.axes
    assert panel.get_yscale() == "log"
    assert [line.get_color() for line in panel.lines] == ["#D55E00"] * 2 + ["#0072B2"] * 2
    np.testing.assert_array_equal(panel.lines[0].get_ydata()[:4], [1e-6, 0.5, 0.5, 1e-3])
    assert panel.lines[3].get_xdata().tolist() == [3.0]
    assert empty.texts[0].get_text() == "nothing measured yet"
    figure.savefig(io.BytesIO())


def test_curves_have_a_line_for_each_path_and_a_median():
    curves = heights_by_step([([0, 5], [8.0, 4.0]), ([0, 5], [6.0, 1.0]), ([0, 5], [7.0, 3.0])])
    assert median_curve(curves).tolist() == [7.0, 3.0]
    figure = convergence_curves(
        {"FCP": {"sgd/train": curves}, "LSTM": {"sgd/train": heights_by_step([])}}
    )
    panel, empty = figure.axes
    assert [line.get_ydata().tolist() for line in panel.lines] == [[8, 4], [6, 1], [7, 3], [7, 3]]
    assert panel.get_yscale() == "log"
    assert empty.texts[0].get_text() == "nothing measured yet"
    figure.savefig(io.BytesIO())


@pytest.mark.filterwarnings("error")
def test_medians_pass_over_what_is_not_known():
    curves = heights_by_step([([0, 1], [np.nan, 4.0]), ([0, 1], [np.inf, np.nan])])
    np.testing.assert_array_equal(median_curve(curves), [np.nan, 4.0])
