from __future__ import annotations

import math

import matplotlib
import pytest
from matplotlib.colors import to_rgb

from lowroad.plotting.style import (
    LINE_COLORS,
    STRAIGHT_COLOR,
    WEIGHT_STYLES,
    drawing,
    scientific,
    shorter,
    three_figures,
)

OKABE_ITO = {
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
}


def test_colours_are_okabe_and_itos_and_differ():
    colors = [style.color for style in WEIGHT_STYLES.values()]
    assert len(set(colors)) == 4
    assert set(colors) | set(LINE_COLORS) | {STRAIGHT_COLOR} <= OKABE_ITO


def test_weight_sets_differ_without_colour():
    for attribute in ("marker", "symbol", "hatch"):
        assert len({getattr(style, attribute) for style in WEIGHT_STYLES.values()}) == 4
    # In grey, the training sets are darker than the test sets of the same optimizer.
    grey = {name: math.fsum(to_rgb(style.color)) for name, style in WEIGHT_STYLES.items()}
    assert grey["sgd_train"] < grey["sgd_test"]
    assert grey["lbfgs_train"] < grey["lbfgs_test"]


def test_settings_come_back():
    before = dict(matplotlib.rcParams)
    with drawing():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


def test_a_style_reaches_the_figures_made_inside_it():
    before = dict(matplotlib.rcParams)
    with drawing("paper"):
        with drawing():
            assert matplotlib.rcParams["font.family"][0] == "STIXGeneral"
        assert matplotlib.rcParams["axes.spines.top"]
    assert dict(matplotlib.rcParams) == before
    with drawing():
        assert matplotlib.rcParams["font.family"][0] != "STIXGeneral"
    with pytest.raises(ValueError, match="among screen, paper, got 'poster'"), drawing("poster"):
        pass


@pytest.mark.parametrize(
    ("number", "long", "short", "three"),
    [
        (1.26e-08, "1.26e-08", "1.26e-08", "1.26e-08"),
        (-3.65e-02, "−3.65e-02", "−0.0365", "−0.0365"),
        (0.0, "0.00e+00", "0", "0.00"),
        (999.9, "1.00e+03", "1000", "1000"),
        (12345.0, "1.23e+04", "12345", "12345"),
        (math.nan, "–", "–", "–"),
        (-math.inf, "−∞", "−∞", "−∞"),
    ],
)
def test_numbers_are_written_as_in_the_paper(number, long, short, three):
    assert scientific(number) == long
    assert shorter(number) == short
    assert three_figures(number) == three
