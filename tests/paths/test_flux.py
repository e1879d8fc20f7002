"""The maximum-flux objective against its definition and against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowroad.landscapes import (
    CountingLandscape,
    CurvyValley,
    FunctionLandscape,
    MullerBrown,
    SeparableValley,
)
from lowroad.outcome import Outcome
from lowroad.paths import BezierPathFinder, FourierPathFinder, Path
from lowroad.paths.basis import SineBasis
from lowroad.paths.flux import FluxLoss, evaluation_points, interpolated_maximum, trapezoid_weights
from paths.path_cases import small_network


def bent(seed=0, terms=5):
    surface = MullerBrown()
    g = torch.Generator().manual_seed(seed)
    b = 0.2 * torch.randn(terms, 2, generator=g, dtype=torch.float64)
    return surface, Path(*surface.ends, b, SineBasis(terms))


def test_value_is_the_definition():
    surface, path = bent()
    t = torch.tensor([0.1, 0.15, 0.4, 0.5, 0.9], dtype=torch.float64)
    value, values = FluxLoss(path, t, beta=0.05, speed_weight=7.0).value(surface, path)
    assert torch.equal(values, surface.values(path(t)))
    even = path(torch.linspace(0, 1, 61, dtype=torch.float64)).numpy()
    steps = np.linalg.norm(np.diff(even, axis=0), axis=1)
    weights = np.array([0.15 / 2, 0.3 / 2, 0.35 / 2, 0.5 / 2, 0.5 / 2])
    integral = (weights * np.exp(0.05 * values.numpy())).sum() * steps.sum()
    unevenness = ((steps / steps.mean() - 1) ** 2).mean()
    assert value == pytest.approx(np.log(integral) / 0.05 + 7.0 * unevenness, rel=1e-12)


def test_soft_maximum_tends_to_the_maximum():
    surface, path = bent()
    t = torch.linspace(0, 1, 401, dtype=torch.float64)[1:-1]
    value, values = FluxLoss(path, t, beta=50.0, speed_weight=0.0).value(surface, path)
    assert value == pytest.approx(float(values.max()), abs=0.2)


@pytest.mark.parametrize("beta", [0.02, 1.0])
def test_gradient_against_differences(beta):
    surface, path = bent()
    t = torch.linspace(0, 1, 13, dtype=torch.float64)[1:-1] ** 1.5
    objective = FluxLoss(path, t, beta, speed_weight=20.0)
    gradient = objective.slope(surface, path).gradient
    for j in range(5):
        for k in range(2):
            change = torch.zeros_like(path.coefficients)
            change[j, k] = 1e-6
            up, down = (
                objective.value(surface, path.with_coefficients(path.coefficients + s * change))[0]
                for s in (1, -1)
            )
            assert (up - down) / 2e-6 == pytest.approx(float(gradient[j, k]), rel=1e-5, abs=1e-4)


def test_evaluation_points_gather_at_the_peak():
    t = torch.linspace(0, 1, 51, dtype=torch.float64)
    profile = torch.exp(-(((t - 0.3) / 0.05) ** 2))
    chosen = evaluation_points(t, profile, beta=30.0, points=20)
    assert (chosen.diff() > 0).all()
    assert 0 < chosen[0] < chosen[-1] < 1
    assert ((chosen - 0.3).abs() < 0.05).sum() >= 12
    flat = evaluation_points(t, torch.zeros_like(t), beta=30.0, points=9)
    assert torch.allclose(flat, torch.linspace(0, 1, 11, dtype=torch.float64)[1:-1])
    assert torch.allclose(trapezoid_weights(flat), torch.full((9,), 0.1, dtype=torch.float64))


def test_interpolated_maximum():
    t = torch.tensor([0.0, 0.1, 0.4, 0.45, 1.0], dtype=torch.float64)
    assert interpolated_maximum(t, 3 - 5 * (t - 0.37) ** 2) == pytest.approx((0.37, 3.0))
    assert interpolated_maximum(t, t) == (1.0, 1.0)
    assert interpolated_maximum(t, torch.ones_like(t))[1] == 1.0


def test_muller_brown_within_two_thousand_gradients():
    """The refined maximum of the continuous path, at a third of the prototype's cost."""
    surface = MullerBrown()
    found = FourierPathFinder(terms=10, objective="max_flux", steps=60).find(surface, *surface.ends)
    assert found.evaluations.gradients + found.evaluations.values <= 2000
    assert found.refined_height == pytest.approx(-40.6648435, abs=1e-2)
    fine = surface.values(found.path(torch.linspace(0, 1, 20001, dtype=torch.float64)))
    assert found.refined_height == pytest.approx(float(fine.max()), abs=1e-6)


def test_total_stays_above_where_max_flux_does_not():
    surface = MullerBrown()
    total = FourierPathFinder(learning_rate=0.01, steps=1000).find(surface, *surface.ends)
    flux = FourierPathFinder(objective="max_flux").find(surface, *surface.ends)
    assert total.refined_height > surface.lowest_height + 10
    assert flux.refined_height < surface.lowest_height + 0.01


def test_curvy_valley_within_a_thousandth():
    surface = CurvyValley()
    found = FourierPathFinder(objective="max_flux").find(surface, *surface.ends)
    assert found.refined_height == pytest.approx(1, abs=1e-3)


def test_many_dimensions_in_float32():
    surface = SeparableValley(20_000, dtype=torch.float32)
    found = FourierPathFinder(objective="max_flux", steps=30).find(surface, *surface.ends)
    assert found.refined_height == pytest.approx(1.0, abs=1e-4)  # the pass; the line is at 3.75


def test_converges_and_says_so():
    surface = MullerBrown()
    found = BezierPathFinder(terms=6, objective="max_flux", steps=5000, until="converged").find(
        surface, *surface.ends
    )
    assert found.outcome is Outcome.CONVERGED_PEAK
    assert found.history.steps[-1] <= 200
    brief = FourierPathFinder(objective="max_flux", steps=20).find(surface, *surface.ends)
    assert brief.outcome is Outcome.BUDGET_SPENT


def test_minibatches_on_a_network():
    landscape = small_network()
    counted = CountingLandscape(landscape)
    finder = FourierPathFinder(
        objective="max_flux", optimizer="adam", batch_size=50, learning_rate=0.01, terms=4
    )
    found = finder.find(counted, *landscape.ends, generator=torch.Generator().manual_seed(1))
    # ten points on a quarter of the data, a hundred times, with values first
    assert found.evaluations.gradients == pytest.approx(250)
    assert counted.evaluations.values == pytest.approx(found.evaluations.values + 2)
    assert found.barrier < 0.2 * (found.history.heights[0] - found.profile[[0, -1]].max())
    with pytest.raises(ValueError, match="neither mini-batches nor noise"):
        FourierPathFinder(objective="max_flux", batch_size=20)


@pytest.mark.parametrize("offset", [-1e7, 1e9])
def test_the_barrier_does_not_depend_on_the_zero_of_the_energy(offset):
    """Total energies of many electrons are large beside what they differ by."""
    surface = MullerBrown()
    shifted = FunctionLandscape(lambda x: surface.function(x) + offset, 2)
    found = FourierPathFinder(objective="max_flux", steps=200).find(shifted, *surface.ends)
    assert found.outcome is Outcome.CONVERGED_PEAK
    assert found.refined_height - offset == pytest.approx(surface.lowest_height, abs=1e-3)
    total = FourierPathFinder(optimizer="lbfgs", steps=200)
    plain = total.find(surface, *surface.ends)
    found = total.find(shifted, *surface.ends)
    assert found.refined_height - offset == pytest.approx(plain.refined_height, abs=0.05)
