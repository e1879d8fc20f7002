"""Figures over a study of few and of many weight sets, made in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lowroad
from lowroad.plotting.style import new_figure
from lowroad.report.figures import FIGURES, figures_of
from lowroad.report.figures.distances import rms_distances
from lowroad.report.files import _show_names_as_they_are, save_figures
from lowroad.report.view import View
from lowroad.report.views import Charts
from report.synthetic import LABELS, make_results


def surface_sets(number: int, each: int = 4) -> View:
    """A study of `number` sets of points near the minima of a surface."""
    problem = lowroad.problems.mueller_brown()
    generator = torch.Generator().manual_seed(number)
    minima = torch.stack([minimum.point for minimum in problem.train.minima])
    sets = {}
    for place in range(number):
        noise = 0.02 * torch.randn(each, 2, generator=generator, dtype=torch.float64)
        sets[f"set{place}"] = minima[(torch.arange(each) + place) % 3] + noise
    results = lowroad.compare(
        sets,
        problem,
        paths={"points": 11, "steps": 8, "pairs": 3, "learning_rate": 0.02, "terms": 3},
        planes={"pairs": 1, "resolution": 4},
        metrics={"gradient_norm": True},
    )
    return View(results)


@pytest.fixture(scope="module")
def few() -> View:
    return surface_sets(2)


@pytest.fixture(scope="module")
def many() -> View:
    return surface_sets(8)


def names(view: View) -> list[str]:
    charts = Charts()
    return [figure.anchor for each in FIGURES for figure in each.build(view, charts)]


def test_two_sets_have_every_figure_but_the_matrices(few):
    assert names(few) == [
        "gradient-norms",
        "path-heights-train",
        "between-train",
        "steps-train",
        "disconnectivity-train",
        "planes",
        "distances",
        "kernel-pca-pairs",
    ]


def test_many_sets_have_matrices_and_no_long_legends(many):
    found = {f.anchor: f for each in FIGURES for f in each.build(many, Charts())}
    assert {"distance-matrix", "kernel-pca"} <= found.keys()
    assert any(chart.title.endswith("median barriers") for chart in found["between-train"].charts)
    assert len({chart.group for chart in found["distances"].charts}) == 6  # pairs in detail
    assert max(len(figure.legend) for figure in found.values()) <= 10


def test_a_single_set_has_nothing_that_compares():
    view = surface_sets(1)
    assert not {"between-train", "distances", "kernel-pca", "kernel-pca-pairs"} & set(names(view))


def test_every_figure_of_the_page_names_files_that_are_drawn(few, many):
    for view in (few, many):
        for each in figures_of(view):
            drawn = each.draw(view)
            named = {name for figure in each.build(view, Charts()) for name in figure.files}
            assert named == set(drawn), each.name


def test_root_mean_square_distances_are_those_of_all_pairs(few):
    sets = list(few.sets("problem"))
    found = rms_distances(few, "problem", sets)
    x, y = (few.points("problem", each)[0] for each in sets)
    between = [np.sum((a - b) ** 2) for a in x for b in y]
    within = [np.sum((a - b) ** 2) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    assert found[0, 1] == pytest.approx(np.sqrt(np.mean(between)), rel=1e-12)
    assert found[0, 0] == pytest.approx(np.sqrt(np.mean(within)), rel=1e-12)


def test_energies_without_a_lower_bound_have_linear_axes(few):
    charts = Charts()
    for each in FIGURES:
        each.build(few, charts)
    assert "energy (log scale)" not in charts.as_json()


def test_gradient_norms_are_the_landscape_s(few):
    table = few.results.table("gradient_norm", "problem")
    points, seeds = few.points("problem", "set0")
    landscape = lowroad.MullerBrown()
    for point, seed in zip(points, seeds, strict=True):
        row = (table["set"].values == "set0") & (table["seed"].values == seed)
        _, gradient = landscape.value_and_gradient(torch.from_numpy(point))
        assert table["gradient_norm"].values[row].item() == pytest.approx(float(gradient.norm()))


SIX = ("sgd", "momentum", "adam", "rmsprop", "lbfgs", "sam")


@pytest.fixture(scope="module")
def twelve() -> View:
    """Six optimizers, each with a set of lowest training and one of lowest test values."""
    return View(make_results(("mlp", "cnn"), SIX, seeds=5, keep=4, pairs=3, steps=30))


def shown_at_first(charts):
    """Charts that the page shows before the reader chooses among groups."""
    first = next((chart.group for chart in charts if chart.group), "")
    return [chart for chart in charts if chart.group in ("", first)]


def test_twelve_sets_fit_the_page(twelve):
    charts = Charts()
    found = [figure for each in FIGURES for figure in each.build(twelve, charts)]
    for figure in found:
        height = sum(chart.height for chart in shown_at_first(figure.charts))
        assert height < 5000, figure.anchor
        assert len(figure.legend) <= 10, figure.anchor
    between = next(figure for figure in found if figure.anchor == "between-train")
    matrices = [chart for chart in between.charts if not chart.group]
    assert [chart.title for chart in matrices] == [
        "mlp, train sets: median barriers", "mlp, test sets: median barriers",
        "cnn, train sets: median barriers", "cnn, test sets: median barriers",
    ]  # fmt: skip
    assert len({chart.group for chart in between.charts}) == 1 + 2 * 15
    assert {"barriers-between-train", "barrier-matrix-train"} == set(between.files)


def test_print_figures_of_twelve_sets_show_the_pairs_in_detail_only(twelve):
    (between,) = (each for each in FIGURES if each.name == "barriers between sets")
    drawn = between.draw(twelve)
    rows = [a for a in drawn["barriers-between-train"].axes if a.get_title(loc="left")]
    assert len(rows) == 2 * 6
    assert len(drawn["barrier-matrix-train"].axes) == 4
    assert max(figure.get_figheight() for figure in drawn.values()) < 25


def test_legends_of_many_sets_name_sources_and_selections(twelve):
    entries = twelve.legend(twelve.styles, lines=True)
    labels = ["SGD", "momentum", "adam", "rmsprop", "L-BFGS-GSS", "sam", "test sets"]
    assert [entry.label for entry in entries] == labels
    assert [entry.dash for entry in entries[-2:]] == ["solid", "dash"]
    assert len(twelve.legend(["sgd/train", "sgd/test"])) == 2


def test_more_sources_than_colours_are_refused():
    with pytest.raises(ValueError, match=r"at most 8 optimizers and checkpoint tables .* got 9"):
        make_results(("mlp",), [f"o{i}" for i in range(9)], seeds=2, keep=2, pairs=1)


def test_finders_are_compared_on_pairs_that_all_have_connected():
    finder = {"points": 11, "steps": 8, "learning_rate": 0.02}
    points = [minimum.point for minimum in lowroad.MullerBrown().minima]
    results = lowroad.compare(
        {"minima": points},
        lowroad.problems.mueller_brown(),
        paths={"pairs": 3, "terms": 3, **finder, "finders": {"bent": {"finder": "bezier"}}},
    )
    (figure,) = (each for each in FIGURES if each.name == "path finders")
    (shown,) = figure.build(View(results), Charts())
    assert [chart.title for chart in shown.charts] == [
        "problem: path height",
        "problem: evaluations",
    ]
    assert "fourier" in shown.charts[0].text
    assert "bent" in shown.charts[0].text
    (drawn,) = figure.draw(View(results)).values()
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert labels == ["bent\nn = 3", "fourier\nn = 3"]


def test_names_with_dollar_signs_are_no_formulas(tmp_path, monkeypatch):
    monkeypatch.setitem(LABELS, "sgd", r"SGD $\frac$")
    results = make_results(("FCP",), quantity="loss in $ per $")
    written = save_figures(View(results), tmp_path)
    assert written
    assert all(path.stat().st_size for path in written)


def test_numbers_on_axes_stay_formulas():
    figure, [axes] = new_figure(1, 1, 3.0, 3.0)
    axes.plot([1, 2], [1e-9, 1e3])
    axes.set(yscale="log", title=r"$\frac$", xticks=[1, 2], xticklabels=[r"$\frac$", "b"])
    _show_names_as_they_are(figure)
    figure.draw_without_rendering()
    numbers = axes.get_yticklabels()
    assert any("mathdefault" in label.get_text() for label in numbers)
    assert all(label.get_parse_math() for label in numbers)
    assert not axes.title.get_parse_math()
