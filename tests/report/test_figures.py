"""Figures over a study of few and of many weight sets, made in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lowroad
from lowroad.report.figures import FIGURES, figures_of
from lowroad.report.figures.distances import rms_distances
from lowroad.report.view import View
from lowroad.report.views import Charts


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
