from __future__ import annotations

import math

import matplotlib
import pytest
from matplotlib.colors import to_rgb

from lowroad.plotting.style import (
    LINE_COLORS,
    SOURCE_COLORS,
    STRAIGHT_COLOR,
    drawing,
    scientific,
    set_styles,
    shorter,
    three_figures,
)

# https://jfly.uni-koeln.de/color: what the palette's authors chose for every kind of vision
OKABE_ITO = {"#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"}
SETS = [f"{source}/{kind}" for source in "abcdefgh" for kind in ("train", "test")]


def test_the_first_six_colours_are_okabe_and_itos_and_all_differ():
    assert set(SOURCE_COLORS[:6]) == OKABE_ITO
    assert set(LINE_COLORS) | {STRAIGHT_COLOR} <= OKABE_ITO
    assert len(set(SOURCE_COLORS)) == 8


def test_sets_differ_with_and_without_colour():
    styles = set_styles(SETS).values()
    assert len({style.color for style in styles}) == 16
    assert len({(style.marker, style.dash) for style in styles}) == 16
    assert len({(style.symbol, style.hatch) for style in styles}) == 16


def test_test_sets_are_lighter_than_their_training_sets():
    styles = set_styles(SETS)
    grey = {name: math.fsum(to_rgb(style.color)) for name, style in styles.items()}
    for source in "abcdefgh":
        assert grey[f"{source}/train"] < grey[f"{source}/test"]


def test_colours_follow_the_order_of_the_sources_and_not_their_names():
    first, second = set_styles(["z/train", "a/train"]).values()
    assert (first.color, second.color) == SOURCE_COLORS[:2]
    assert set_styles(["only"], {"only": "my runs"})["only"].label == "my runs"


def test_a_ninth_source_is_refused():
    with pytest.raises(ValueError, match=r"at most 8 sources .* got 9.*in several figures"):
        set_styles([*SETS, "i/train"])


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
