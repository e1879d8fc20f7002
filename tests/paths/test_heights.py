"""The heights of a path by name, against closed forms and dense evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowroad.landscapes import (
    LENNARD_JONES_7,
    AnaPot,
    CurvyValley,
    FunctionLandscape,
    LennardJones,
    MullerBrown,
    TwoWells,
    aligned,
)
from lowroad.paths import BezierPathFinder, ElasticBandFinder, StraightLine, StringFinder
from lowroad.paths.images import through_images
from lowroad.paths.spline_height import spline_height

CHAINS = [
    ElasticBandFinder(images=7),
    ElasticBandFinder(images=11, climb_below=0),
    ElasticBandFinder(images=5, insertions=4),
    StringFinder(images=9),
]


def seven_atoms():
    cluster = LennardJones(7)
    start = LENNARD_JONES_7[0].point
    generator = torch.Generator().manual_seed(0)
    return cluster, start, aligned(start, LENNARD_JONES_7[1].point, generator)


@pytest.mark.parametrize("finder", CHAINS, ids=range(len(CHAINS)))
def test_a_cubic_along_the_path_is_exact(finder):
    """x − x³ on the bottom y = 0 of a valley: its maximum, 2 / 3^1.5, lies between images."""
    valley = FunctionLandscape(lambda x: x[:, 0] - x[:, 0] ** 3 + x[:, 1] ** 2, dimension=2)
    start, end = torch.tensor([[-0.4, 0.0], [1.1, 0.0]], dtype=torch.float64)
    found = finder.find(valley, start, end)
    assert found.spline_height == pytest.approx(2 / 3**1.5, abs=1e-12)
    mirrored = finder.find(valley, end, start)
    assert mirrored.spline_height == pytest.approx(2 / 3**1.5, abs=1e-12)


@pytest.mark.parametrize("finder", CHAINS, ids=range(len(CHAINS)))
@pytest.mark.parametrize("make", [TwoWells, MullerBrown, AnaPot, CurvyValley])
def test_the_estimate_of_a_converged_chain_is_near_the_pass(finder, make):
    surface = make()
    found = finder.find(surface, *surface.ends)
    if not found.outcome.converged:
        pytest.skip("the chain has not converged")
    rise = surface.lowest_height - float(found.profile[[0, -1]].min())
    assert found.spline_height == pytest.approx(surface.lowest_height, abs=0.03 * rise)
    dense = found.dense_height(surface, 4001)
    assert found.refined_height == pytest.approx(dense.height, abs=1e-3 * rise)
    assert dense.height >= found.height


def test_uneven_gaps_do_not_bend_the_estimate():
    """A climbing image leaves gaps unequal; the path's own values between them are no estimate."""
    cluster, start, end = seven_atoms()
    found = ElasticBandFinder(images=7, steps=2000).find(cluster, start, end)
    assert found.spline_height == pytest.approx(-15.444734, abs=0.02)
    few = ElasticBandFinder(images=7, steps=5).find(cluster, start, end)
    assert np.isfinite(few.spline_height)


def test_the_estimate_depends_on_neither_units_nor_knots():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, generator=generator, dtype=torch.float64).cumsum(0)
    slopes = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    values = torch.randn(8, generator=generator, dtype=torch.float64)
    path = through_images(images, images.diff(dim=0).norm(dim=1))
    plain = spline_height(path, values, slopes)
    assert plain >= float(values.max())
    long = through_images(1e6 * images, images.diff(dim=0).norm(dim=1))
    assert spline_height(long, 1e-6 * values, 1e-12 * slopes) == pytest.approx(1e-6 * plain)
    back = through_images(images.flip(0), images.diff(dim=0).norm(dim=1).flip(0))
    assert spline_height(back, values.flip(0), slopes.flip(0)) == pytest.approx(plain)
    slopes[2] = torch.nan
    assert np.isnan(spline_height(path, values, slopes))


def test_a_dense_height_has_its_place_and_spacing():
    surface = FunctionLandscape(lambda x: torch.exp(-200 * (x[:, 0] - 0.303) ** 2), dimension=1)
    start, end = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    found = StraightLine(points=5, refinements=0).find(surface, start, end)
    dense = found.dense_height(surface, 2001)
    assert found.height < 0.7 < dense.height
    assert dense.spacing == pytest.approx(1e-3)
    assert 2 * dense.t == pytest.approx(0.303, abs=dense.spacing)
    assert found.spline_height is None
    with pytest.raises(ValueError, match="at least 2 points"):
        found.dense_height(surface, 1)


def test_curves_have_no_estimate():
    surface = TwoWells()
    found = BezierPathFinder(objective="max_flux", steps=5).find(surface, *surface.ends)
    assert found.spline_height is None
