"""Saddles from found paths, against the known ones and their exact curvatures."""

from __future__ import annotations

import hashlib
from dataclasses import replace

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
    SeparableValley,
    TwoWells,
    aligned,
)
from lowroad.outcome import Outcome
from lowroad.paths import (
    ElasticBandFinder,
    FourierPathFinder,
    StraightLine,
    StringFinder,
    refine_saddle,
)

ROUGH = [
    StraightLine(),
    FourierPathFinder(learning_rate=0.01),
    ElasticBandFinder(steps=12),
    StringFinder(climb_below=0, steps=12),
]


@pytest.mark.parametrize("make", [TwoWells, MullerBrown, CurvyValley, AnaPot])
@pytest.mark.parametrize("finder", ROUGH, ids=lambda f: type(f).__name__)
def test_known_saddles(make, finder):
    surface = make()
    found = finder.find(surface, *surface.ends)
    saddle = refine_saddle(surface, found)
    assert saddle.outcome is Outcome.CONVERGED_GRADIENT
    assert saddle.gradient_norm < 1e-6
    assert saddle.negative == 1
    assert saddle.value == pytest.approx(surface.lowest_height, abs=1e-8)
    assert torch.allclose(saddle.point, surface.saddles[0].point, atol=1e-6)
    _, gradient = surface.value_and_gradient(saddle.point)
    assert float(gradient.norm()) == saddle.gradient_norm


def test_curvatures_are_the_hessians():
    surface = TwoWells()
    saddle = refine_saddle(surface, StringFinder().find(surface, *surface.ends))
    # by 30-digit arithmetic
    assert saddle.curvatures == pytest.approx((-8.3566942, 22.80518412), rel=1e-6)
    hessian = torch.autograd.functional.hessian(
        lambda x: surface.function(x[None]).sum(), saddle.point
    )
    assert torch.allclose(hessian @ saddle.mode, -8.3566942 * saddle.mode, atol=1e-4)


def test_many_dimensions():
    valley = SeparableValley(500)
    found = ElasticBandFinder(steps=10).find(valley, *valley.ends)
    saddle = refine_saddle(valley, found)
    assert saddle.outcome is Outcome.CONVERGED_GRADIENT
    assert (saddle.point - valley.saddle).norm() < 1e-5
    assert saddle.curvatures[0] == pytest.approx(-4, abs=1e-5)
    assert saddle.negative == 1


def test_a_minimum_is_not_called_a_saddle():
    surface = MullerBrown()
    start, end = surface.minima[2].point, surface.ends[1]
    found = replace(StraightLine().find(surface, start, end), refined_t=0.0)
    saddle = refine_saddle(surface, found, steps=1, tolerance=1e-3)
    assert saddle.negative == 0


def test_refusals():
    surface = MullerBrown()
    found = StraightLine().find(surface, *surface.ends)
    with pytest.raises(ValueError, match="tolerance > 0"):
        refine_saddle(surface, found, tolerance=0.0)
    with pytest.raises(ValueError, match="steps >= 1"):
        refine_saddle(surface, found, steps=0)
    barrier = FunctionLandscape(
        lambda x: torch.where(x[:, 0].abs() < 0.2, torch.inf, x[:, 0] ** 2), 2
    )
    start, end = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"finite value and gradient .* got the value inf"):
        refine_saddle(barrier, StraightLine().find(barrier, start, end))
    assert refine_saddle(surface, found, steps=1).outcome is Outcome.BUDGET_SPENT


def test_converged_by_the_last_step_is_converged():
    surface = MullerBrown()
    found = ElasticBandFinder(steps=12).find(surface, *surface.ends)
    outcomes = [refine_saddle(surface, found, steps=n).outcome for n in range(1, 12)]
    last = outcomes.index(Outcome.CONVERGED_GRADIENT)
    assert last > 0
    saddle = refine_saddle(surface, found, steps=last + 1)
    assert saddle.gradient_norm <= 1e-6 < refine_saddle(surface, found, steps=last).gradient_norm


def test_leaving_what_has_values_ends_at_the_last_point_that_has_one():
    edge = FunctionLandscape(lambda x: x[:, 0] - x[:, 1] ** 2 + torch.log(0.6 - x[:, 0]) * 0, 2)
    start, end = torch.tensor([[0.0, 0.0], [0.5, 0.0]], dtype=torch.float64)
    saddle = refine_saddle(edge, StraightLine().find(edge, start, end))
    assert saddle.outcome is Outcome.DIVERGED
    assert np.isfinite(saddle.value)
    assert float(saddle.point[0]) < 0.6


@pytest.mark.parametrize(
    "finder",
    [
        ElasticBandFinder(images=15),
        StringFinder(images=15),
        FourierPathFinder(objective="max_flux"),
    ],
    ids=lambda f: type(f).__name__,
)
def test_seven_atoms(finder):
    """The lowest known pass from the first to the second minimum, −15.444734."""
    cluster = LennardJones(7)
    start = LENNARD_JONES_7[0].point
    end = aligned(start, LENNARD_JONES_7[1].point, torch.Generator().manual_seed(0))
    found = finder.find(cluster, start, end)
    assert found.refined_height == pytest.approx(-15.444734, abs=1e-3)


def test_seven_atoms_saddle_has_one_negative_curvature():
    cluster = LennardJones(7)
    g = torch.Generator().manual_seed(0)
    start = LENNARD_JONES_7[0].point
    end = aligned(start, LENNARD_JONES_7[1].point, g)
    saddle = refine_saddle(cluster, ElasticBandFinder(images=15).find(cluster, start, end))
    assert saddle.gradient_norm < 1e-6
    assert saddle.negative == 1
    hessian = torch.stack(
        [
            (
                cluster.value_and_gradient(saddle.point + h)[1]
                - cluster.value_and_gradient(saddle.point - h)[1]
            )
            / 2e-5
            for h in 1e-5 * torch.eye(21, dtype=torch.float64)
        ]
    )
    values = np.linalg.eigvalsh(hessian.numpy())
    assert (values < -1e-3).sum() == 1
    assert saddle.curvatures[0] == pytest.approx(values[0], rel=1e-4)


def hill(dimension, negative):
    """1 − 8 Σ_{i ≤ n} (x_i − ½)² + Σ_{i > n} c_i (x_i − ½)²: n equal negative curvatures, −16."""
    rest = torch.linspace(1, 500, dimension - negative, dtype=torch.float64)
    curvatures = torch.cat([torch.full((negative,), -8.0).double(), rest])
    landscape = FunctionLandscape(
        lambda x: 1 + ((x - 0.5) ** 2 * curvatures).sum(1), dimension=dimension
    )
    ends = torch.full((2, dimension), 0.5, dtype=torch.float64)
    ends[:, 0] = torch.tensor([0.0, 1.0])
    return landscape, StraightLine().find(landscape, *ends)


@pytest.mark.parametrize(("dimension", "negative"), [(2, 2), (5, 1), (40, 3), (61, 2), (150, 4)])
def test_equal_negative_curvatures_are_all_counted(dimension, negative):
    landscape, found = hill(dimension, negative)
    saddle = refine_saddle(landscape, found)
    assert saddle.negative == negative
    assert saddle.curvatures[0] == pytest.approx(-16, rel=1e-6)


def test_three_atoms_in_a_row_can_leave_it_in_two_directions():
    """The collinear triple, whose bending curvature is one of two equal ones in space."""
    r = 2 ** (1 / 6)
    start = torch.tensor([[-r / 2, 0, 0], [0, r * 3**0.5 / 2, 0], [r / 2, 0, 0]]).double()
    end = (start * torch.tensor([1, -1, 1])).reshape(-1)
    cluster = LennardJones(3)
    found = StraightLine().find(cluster, start.reshape(-1), end)
    saddle = refine_saddle(cluster, found)
    assert saddle.value == pytest.approx(-2.0311241304, abs=1e-9)
    assert saddle.negative == 2
    assert saddle.curvatures[0] == pytest.approx(saddle.curvatures[1], rel=1e-4)


@pytest.mark.parametrize("make", [TwoWells, MullerBrown, CurvyValley, AnaPot])
def test_units_change_the_saddle_by_rounding_alone(make):
    surface = make()
    found = ElasticBandFinder(steps=12).find(surface, *surface.ends)
    plain = refine_saddle(surface, found)
    for energy, length in ((2.0**20, 2.0**-20), (2.0**-20, 2.0**20)):
        other = FunctionLandscape(lambda x, e=energy, s=length: e * surface.function(x / s), 2)
        ends = (length * end for end in surface.ends)
        moved = ElasticBandFinder(steps=12).find(other, *ends)
        saddle = refine_saddle(other, moved)
        assert saddle.evaluations == plain.evaluations
        assert saddle.value == pytest.approx(energy * plain.value, rel=1e-9)
        assert torch.allclose(saddle.point / length, plain.point, atol=1e-9)


class NoisyGradients(FunctionLandscape):
    """Gradients with normal noise, as those of a calculation that is not fully converged."""

    noise, seed = 0.0, 0

    def values_and_gradients(self, points):
        values, gradients = super().values_and_gradients(points)
        digest = hashlib.sha256(points.numpy().tobytes() + bytes([self.seed])).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7]))
        noise = torch.randn(gradients.shape, generator=generator, dtype=torch.float64)
        return values, gradients + self.noise * noise


@pytest.mark.parametrize("make", [TwoWells, MullerBrown, CurvyValley, AnaPot])
@pytest.mark.parametrize("share", [1e-5, 1e-3])
def test_noise_of_the_gradients_does_not_hide_the_saddle(make, share):
    """Noise as a fraction of the path's rise over the ends' distance."""
    surface = make()
    start, end = surface.ends
    found = ElasticBandFinder().find(surface, start, end)
    slope = (found.height - found.profile.min()) / float((end - start).norm())
    exact = refine_saddle(surface, found)
    largest = max(abs(curvature) for curvature in exact.curvatures)
    rise = surface.lowest_height - float(found.profile.min())
    noisy = NoisyGradients(surface.function, 2)
    noisy.noise = share * slope
    for noisy.seed in range(20):
        saddle = refine_saddle(noisy, found)
        assert saddle.outcome is Outcome.CONVERGED_ROUNDING
        assert saddle.negative == 1
        assert saddle.value == pytest.approx(surface.lowest_height, abs=share * rise)
        assert saddle.curvatures == pytest.approx(exact.curvatures, abs=0.02 * largest)
        assert saddle.evaluations.gradients < 200  # the noise's size may be seen late


def test_few_gradients_are_needed_near_a_saddle():
    """No step leaves a place that is a saddle already but for its last digits."""
    surface = MullerBrown()
    found = StringFinder(tolerance=1e-5, steps=2000).find(surface, *surface.ends)
    saddle = refine_saddle(surface, found, tolerance=1e-6)
    # 75 with steps without memory of 5% of the ends' distance
    assert saddle.evaluations.gradients < 30


@pytest.mark.parametrize("shift", [3.0, 10.0, 100.0])
def test_a_path_that_is_long_beside_the_saddle_has_the_same_saddle(shift):
    """The cluster drifts along the path; the exact Hessian is autograd's of the plain formula."""
    landscape = LennardJones(7)
    start, other = (LENNARD_JONES_7[i].point for i in (0, 1))
    end = aligned(start, other, torch.Generator().manual_seed(0))
    found = ElasticBandFinder(images=21, steps=400).find(landscape, start, end)
    drift = shift * torch.tensor([1.0, 0, 0], dtype=torch.float64).repeat(7)
    path = replace(found.path, end=end + drift)
    saddle = refine_saddle(landscape, replace(found, path=path))

    def energy(x):
        first, second = torch.triu_indices(7, 7, 1)
        sixth = ((x.view(7, 3)[first] - x.view(7, 3)[second]) ** 2).sum(1) ** -3
        return 4 * (sixth**2 - sixth).sum()

    hessian = torch.autograd.functional.hessian(energy, saddle.point)
    lowest = float(torch.linalg.eigvalsh(hessian)[0])
    assert saddle.outcome is Outcome.CONVERGED_GRADIENT
    assert (saddle.negative, saddle.value) == (1, pytest.approx(-15.444734, abs=1e-6))
    assert saddle.curvatures[0] == pytest.approx(lowest, rel=1e-4)


class Ridge(FunctionLandscape):
    """1 − x² where y is almost 0, and nothing elsewhere."""

    def values_and_gradients(self, points):
        values, gradients = super().values_and_gradients(points)
        outside = points[:, 1].abs() > 1e-6
        return torch.where(outside, torch.nan, values), gradients


def test_without_values_around_the_peak_the_curvatures_are_not_known():
    start, end = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    surface = Ridge(lambda x: 1 - x[:, 0] ** 2, 2)
    saddle = refine_saddle(surface, StraightLine().find(surface, start, end), steps=3)
    assert all(np.isnan(saddle.curvatures))
    assert (saddle.value, saddle.negative) == (1, 0)
