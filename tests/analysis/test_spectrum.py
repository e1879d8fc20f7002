"""The density of eigenvalues: moments whose errors hold, and what is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian

from lowroad.analysis import ascent_sharpness, spectral_density
from lowroad.landscapes import FunctionLandscape, MullerBrown, NetworkLandscape, TwoWells


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny(hidden):
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, hidden), nn.Tanh(), nn.Linear(hidden, 3)).double()
    data = torch.randn(40, 4, dtype=torch.float64, generator=seeded(1))
    targets = torch.randint(3, (40,), generator=seeded(1))
    return NetworkLandscape(model, data, targets, "cross_entropy")


def exact_eigenvalues(landscape, point):
    def loss(vector):
        own = landscape.parameters_at(vector)
        outputs = functional_call(landscape.module, own, (landscape.inputs,))
        return nn.functional.cross_entropy(outputs, landscape.targets)

    return np.linalg.eigvalsh(hessian(loss)(point).numpy())


@pytest.mark.slow
def test_moments_lie_within_two_standard_errors():
    """In 95 of 100 seeds, up to chance, on a network whose eigenvalues are all known."""
    landscape = tiny(20)
    point = landscape.initial_point()
    eigenvalues = exact_eigenvalues(landscape, point)
    inside = dict.fromkeys((1, 2, 3), 0)
    for seed in range(100):
        found = spectral_density(
            landscape, point, outliers=4, vectors=5, steps=4, generator=seeded(seed)
        )
        for power in inside:
            value, error = found.moment(power)
            assert error > 0
            inside[power] += abs(value - np.sum(eigenvalues**power)) <= 2 * error
    print(inside)
    assert all(count >= 90 for count in inside.values()), inside


def test_a_small_network_has_all_eigenvalues():
    landscape = tiny(4)
    point = landscape.initial_point()
    eigenvalues = exact_eigenvalues(landscape, point)
    found = spectral_density(landscape, point, generator=seeded())
    np.testing.assert_allclose(found.outliers, eigenvalues[::-1], atol=1e-12)
    assert found.moment(2) == (pytest.approx(np.sum(eigenvalues**2), rel=1e-10), 0.0)


def test_the_density_integrates_to_one_and_sees_where_eigenvalues_are():
    landscape = tiny(40)
    point = landscape.initial_point()
    eigenvalues = exact_eigenvalues(landscape, point)
    found = spectral_density(landscape, point, vectors=6, steps=12, generator=seeded())
    width = 0.02
    grid = np.linspace(eigenvalues[0] - 0.2, eigenvalues[-1] + 0.2, 2001)
    density = found.density(grid, width)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=0.02)
    bumps = np.exp(-(((grid[:, None] - eigenvalues) / width) ** 2) / 2)
    exact = bumps.mean(1) / (width * np.sqrt(2 * np.pi))
    distance = np.trapezoid(abs(np.cumsum(density - exact)) * (grid[1] - grid[0]), grid)
    assert distance < 0.05 * np.ptp(eigenvalues)  # Wasserstein's distance of the two
    assert found.products < 150


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_matrices_that_are_multiples_of_one(scale):
    model = nn.Linear(12, 12, bias=False).double()
    inputs = scale * torch.eye(12, dtype=torch.float64)
    landscape = NetworkLandscape(model, inputs, torch.zeros(12, 12).double(), "mean_squared_error")
    found = spectral_density(landscape, landscape.initial_point(), generator=seeded())
    each = 2 * scale / 144
    value, error = found.moment(3)
    assert abs(value - 144 * each**3) <= 4 * error
    assert error <= 0.02 * 144 * each**3


def test_what_does_not_fit_is_refused():
    landscape = tiny(20)
    point = landscape.initial_point()
    for options, message in (
        ({"vectors": 1}, "vectors: expected at least 2, got 1"),
        ({"steps": 1}, "steps: expected at least 2, got 1"),
        ({"outliers": 0}, "outliers: expected at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            spectral_density(landscape, point, generator=seeded(), **options)
    surface = MullerBrown()
    with pytest.raises(TypeError, match="of a network, got MullerBrown"):
        spectral_density(surface, surface.ends[0], generator=seeded())
    with pytest.raises(ValueError, match="positive width"):
        spectral_density(landscape, point, steps=2, generator=seeded()).density([0.0], 0.0)


# -- ascent ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("units", [1.0, 1e-6, 1e6])
def test_in_a_bowl_ascent_finds_the_steepest_direction(units):
    """½ xᵀ A x rises from 0 by ½ ρ² λ_max in a ball of radius ρ."""
    a = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64) / units**2
    bowl = FunctionLandscape(lambda x: (x**2 * a).sum(1) / 2, dimension=3)
    found = ascent_sharpness(bowl, torch.zeros(3).double(), 0.1 * units, generator=seeded())
    assert found.rise == pytest.approx(0.01 * 9 / 2, rel=1e-3)
    assert float(found.perturbation.norm()) == pytest.approx(0.1 * units, rel=1e-9)


def test_on_a_slope_the_first_step_is_that_of_sam():
    slope = FunctionLandscape(lambda x: x @ torch.tensor([3.0, 4.0]).double(), dimension=2)
    found = ascent_sharpness(slope, torch.ones(2).double(), 0.5, steps=1, generator=seeded())
    assert found.rise == pytest.approx(2.5, rel=1e-12)  # ρ |g|
    assert found.perturbation.tolist() == pytest.approx([0.3, 0.4])
    point = torch.tensor([2.0, -1.0]).double()
    adaptive = ascent_sharpness(slope, point, 0.5, steps=1, adaptive=True, generator=seeded())
    assert adaptive.rise == pytest.approx(0.5 * np.hypot(6, 4), rel=1e-12)  # ρ |T g|


def test_adaptive_sharpness_is_that_of_the_rescaled_network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False))
    inputs, targets = torch.randn(30, 4).double(), torch.randint(0, 3, (30,))
    landscape = NetworkLandscape(model.double(), inputs, targets, "cross_entropy")
    point = landscape.initial_point()
    scale = torch.tensor([10.0] * 32 + [0.1] * 24, dtype=torch.float64)
    rises = [
        ascent_sharpness(landscape, p, 0.1, adaptive=adaptive, generator=seeded()).rise
        for adaptive in (True, False)
        for p in (point, point * scale)
    ]
    assert rises[0] == pytest.approx(rises[1], rel=1e-9)
    assert abs(rises[2] - rises[3]) > 0.1 * rises[2]


def test_ascent_on_any_landscape_and_bad_input():
    surface = TwoWells()
    found = ascent_sharpness(surface, surface.ends[0], 0.1, generator=seeded())
    start = surface.value(surface.ends[0])
    assert found.rise == pytest.approx(
        surface.value(surface.ends[0] + found.perturbation) - start, rel=1e-12
    )
    assert found.gradients == 21
    for options, message in (({"radius": 0.0}, "positive finite radius"), ({"steps": 0}, "step")):
        with pytest.raises(ValueError, match=message):
            ascent_sharpness(surface, surface.ends[0], generator=seeded(), **options)
    with pytest.raises(ValueError, match="finite value"):
        ascent_sharpness(surface, torch.full((2,), torch.nan).double(), generator=seeded())
