from __future__ import annotations

import numpy as np
import pytest

from lowroad.plotting.ridges import (
    FEWEST_FOR_BARS,
    common_edges,
    log_ticks,
    ridges,
    row_limits,
    wants_log_axis,
)


@pytest.mark.parametrize("log", [False, True])
def test_bars_count_every_number(log):
    generator = np.random.default_rng(0)
    samples = {
        "few": generator.lognormal(0, 1, FEWEST_FOR_BARS - 1),
        "many": generator.lognormal(1, 0.5, 200),
    }
    few, many = ridges(samples, log)
    assert len(few.bars) == 0
    assert len(few.outline()[0]) == 0
    counts = np.histogram(samples["many"], many.edges)[0]
    assert counts.sum() == 200
    np.testing.assert_allclose(many.bars, 0.6 * counts / counts.max())
    assert many.median == np.median(samples["many"])
    assert many.bars[0] > 0
    assert many.bars[-1] > 0


def test_bars_stay_apart_from_points_and_from_other_rows():
    [row] = ridges({"a": np.linspace(1, 2, 30)}, log=False)
    assert row.offsets.max() < 0 < row.bars.max() <= 0.6
    assert row.offsets.min() > -0.35
    bottom, top = row.reach
    assert bottom <= row.offsets.min()
    assert top > 0.6
    assert row_limits([row]) == (-0.5, 0.75)
    [few] = ridges({"a": [1.0, 2.0]}, log=False)
    assert few.middle == 0.0
    assert row_limits([few, few]) == (-0.5, 1.5)


def test_outline_encloses_the_bars():
    [row] = ridges({"a": np.arange(40.0) ** 2}, log=False)
    x, y = row.outline()
    assert (x[0], y[0], x[-1], y[-1]) == (0.0, 0.0, 39.0**2, 0.0)
    area = np.sum(np.diff(row.edges) * row.bars)
    assert np.trapezoid(y, x) == pytest.approx(area)


def test_numbers_that_are_not_finite_are_left_out():
    [row] = ridges({"a": [np.nan, 2.0, np.inf, 1.0]}, log=False)
    assert row.values.tolist() == [1.0, 2.0]
    [empty] = ridges({"a": [np.nan]}, log=True)
    assert np.isnan(empty.median)


def test_equal_numbers_have_a_bar_too():
    [row] = ridges({"a": [3.0] * 10}, log=False)
    assert row.bars.tolist() == [0.6]
    [row] = ridges({"a": [3.0] * 10}, log=True)
    assert row.bars.tolist() == [0.6]


@pytest.mark.parametrize("value", [1e17, -6.9e32, 1e300])
@pytest.mark.parametrize("number", [1, 40])
def test_equal_numbers_of_any_size_have_edges_around_them(value, number):
    edges = common_edges([[value] * number], log=False)
    assert edges[0] < value < edges[-1]
    assert (np.diff(edges) > 0).all()
    assert len(ridges({"a": [value] * number}, log=False)[0].values) == number


def test_edges_hold_all_samples_and_suit_the_narrowest():
    narrow, wide = np.linspace(5.0, 5.5, 36), np.linspace(0.0, 10.0, 36)
    edges = common_edges([narrow, wide], log=False)
    assert (edges[0], edges[-1]) == (0.0, 10.0)
    assert len(edges) == 61
    assert len(common_edges([wide], log=False)) == 10
    assert common_edges([], log=True).tolist() == [0.0, 1.0]


def test_log_axis_only_for_positive_numbers_that_span_much():
    assert wants_log_axis([[1.0], [6.0]])
    assert not wants_log_axis([[1.0], [4.0]])
    assert not wants_log_axis([[0.0], [100.0]])
    assert not wants_log_axis([[np.nan]])


def test_log_ticks_lie_inside():
    for low, high in [
        (0.03, 0.04),
        (0.09, 7.0),
        (1e-8, 3.0),
        (1e-300, 1e-290),
        (2.1, 2.3),
        (1e-40, 2.0),
    ]:
        values, labels = log_ticks(low, high)
        assert 1 <= len(values) == len(labels) <= 10
        assert all(low <= value <= high for value in values)
    assert log_ticks(1e-3, 1.0)[1] == ["10⁻³", "10⁻²", "10⁻¹", "1"]


def test_large_equal_numbers_have_a_bar_too():
    """Where neighbouring floats are farther apart than the half of a bar."""
    [row] = ridges({"a": np.full(9, 1e20)}, log=False)
    assert (len(row.bars), row.bars.max()) == (1, 0.6)
    assert row.edges[0] <= 1e20 < row.edges[-1]


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_log_axis_refuses_numbers_that_it_cannot_show(low):
    with pytest.raises(ValueError, match="positive numbers only, got"):
        ridges({"a": [low, 1.0, 2.0], "b": [1.0]}, log=True)
