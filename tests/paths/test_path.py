"""Paths, their families, and their measurements against closed forms."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from lowroad.landscapes import FunctionLandscape, LennardJones, MullerBrown
from lowroad.paths import Path, StraightLine
from lowroad.paths.basis import BernsteinBasis, HatBasis, SineBasis, SplineBasis
from lowroad.paths.found_path import refine_maximum
from lowroad.paths.total import penalty_matrix
from paths.path_cases import small_network

BASES = [SineBasis(4), BernsteinBasis(4), HatBasis(4), SplineBasis.even(4)]


def random_path(basis, dimension=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    rows = torch.randn(basis.terms + 2, dimension, generator=g, dtype=torch.float64)
    return Path(rows[0], rows[1], rows[2:], basis)


@pytest.mark.parametrize("basis", BASES, ids=lambda b: type(b).__name__)
def test_ends_are_fixed(basis):
    path = random_path(basis)
    ends = path(torch.tensor([0.0, 1.0]))
    assert torch.allclose(ends, torch.stack([path.start, path.end]), atol=1e-14)


def test_sines_by_the_formula():
    path = random_path(SineBasis(4))
    t = 0.37
    expected = (1 - t) * path.start + t * path.end
    for n in range(1, 5):
        expected = expected + path.coefficients[n - 1] * math.sin(n * math.pi * t)
    assert torch.allclose(path(torch.tensor([t], dtype=torch.float64))[0], expected)


def test_bezier_by_de_casteljau():
    path = random_path(BernsteinBasis(4))
    line = [path.start + j / 5 * (path.end - path.start) for j in range(6)]
    controls = [line[0], *(line[j] + path.coefficients[j - 1] for j in range(1, 5)), line[5]]
    t = 0.37
    while len(controls) > 1:
        controls = [(1 - t) * a + t * b for a, b in itertools.pairwise(controls)]
    assert torch.allclose(path(torch.tensor([t], dtype=torch.float64))[0], controls[0])


def test_chain_by_interpolation():
    path = random_path(HatBasis(4))
    knots = np.linspace(0, 1, 6)
    corners = path(torch.from_numpy(knots)).numpy()
    t = np.linspace(0, 1, 77)
    expected = np.stack([np.interp(t, knots, corners[:, k]) for k in range(3)], axis=1)
    assert np.allclose(path(torch.from_numpy(t)).numpy(), expected)


def test_spline_is_natural_and_smooth():
    """Against scipy's spline through the images themselves."""
    path = random_path(SplineBasis.even(4))
    knots, t = np.linspace(0, 1, 6), np.linspace(0, 1, 77)
    spline = CubicSpline(knots, path(torch.from_numpy(knots)).numpy(), bc_type="natural")
    assert np.allclose(path(torch.from_numpy(t)).numpy(), spline(t))
    assert np.allclose(spline([0.0, 1.0], 2), 0, atol=1e-9)


@pytest.mark.parametrize("basis", BASES, ids=lambda b: type(b).__name__)
def test_penalty_is_the_sum_of_squared_steps(basis):
    path = random_path(basis)
    t = torch.linspace(0, 1, 21, dtype=torch.float64)
    matrix = penalty_matrix(basis, t)
    closed = (path.end - path.start).square().sum() / 20
    closed = closed + torch.einsum("jk,jd,kd", matrix, path.coefficients, path.coefficients)
    assert torch.allclose(path.step_lengths(t).square().sum(), closed)


def test_penalty_of_sines_is_the_papers():
    matrix = penalty_matrix(SineBasis(10), torch.linspace(0, 1, 51, dtype=torch.float64))
    expected = [2 * 50 * math.sin(n * math.pi / 100) ** 2 for n in range(1, 11)]
    assert torch.allclose(matrix, torch.diag(torch.tensor(expected, dtype=torch.float64)))


def test_length_of_a_half_circle():
    """x from −1 to 1 with b for y: the graph of sin has a known length, 2-D in float64."""
    start, end = torch.tensor([0.0, 0.0]), torch.tensor([math.pi, 0.0])
    path = Path(start.double(), end.double(), torch.tensor([[0.0, 1.0]]).double(), SineBasis(1))
    assert path.length() == pytest.approx(3.8201977890, abs=1e-5)  # ∫₀^π √(1 + cos² x) dx


@pytest.mark.parametrize("basis", BASES, ids=lambda b: type(b).__name__)
def test_in_its_own_basis_a_path_stays(basis):
    path = random_path(basis)
    assert torch.allclose(path.in_basis(basis).coefficients, path.coefficients)


@pytest.mark.parametrize("basis", [SineBasis(300), HatBasis(300), BernsteinBasis(300)], ids=str)
def test_in_a_family_of_many_shapes_a_smooth_path_stays(basis):
    """(2t, sin πt): chords of 1/301 err by (π/301)²/8 = 1.4e-5 at most, the others by less."""
    start, end, bend = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    path = Path(start, end, bend[None], SineBasis(1)).in_basis(basis)
    t = torch.linspace(0, 1, 3001, dtype=torch.float64)
    exact = torch.stack([2 * t, torch.sin(torch.pi * t)], dim=1)
    assert float((path(t) - exact).abs().max()) < 1.4e-5


def test_straight_line_measurements():
    surface = MullerBrown()
    found = StraightLine(points=201).find(surface, *surface.ends)
    assert found.refined_height == pytest.approx(12.67623, abs=5e-6)
    assert found.height <= found.refined_height
    ends = -146.69951721, -108.1667241169
    assert found.barrier == pytest.approx(found.height - ends[1])
    assert found.barrier_above_mean == pytest.approx(found.height - sum(ends) / 2)
    lift = found.profile - np.linspace(ends[0], ends[1], 201)
    assert found.barrier_above_line == pytest.approx(lift.max())
    assert found.length == pytest.approx(float((surface.ends[1] - surface.ends[0]).norm()))
    assert found.evaluations.gradients == 0
    assert len(found.history.steps) == 0
    assert surface.value(found.peak_point) == pytest.approx(found.height)


def test_refinement_finds_what_a_coarse_grid_hides():
    # a peak of height 1 between two grid points that see 0.5 of it, and a lower one on the grid
    def values(t):
        return np.exp(-(((t - 0.55) / 0.06) ** 2) * math.log(2)) + 0.45 * np.exp(
            -(((t - 0.2) / 0.02) ** 2)
        )

    grid = np.linspace(0, 1, 11)
    t, height = refine_maximum(values, grid, values(grid))
    assert t == pytest.approx(0.55, abs=1e-4)
    assert height == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("hole", [(0.13, 0.19), (0.8, 0.9)])
def test_a_maximum_beside_a_place_without_a_value_is_none(hole):
    """sin 3πt + t, whose highest point is at 0.84, with a hole that no grid point is in."""

    def profile(t):
        return np.where((t > hole[0]) & (t < hole[1]), np.nan, np.sin(3 * np.pi * t) + t)

    grid = np.array([0.0, 0.1, 0.2, 0.5, 0.75, 0.95, 1.0])
    t, height = refine_maximum(profile, grid, profile(grid))
    assert hole[0] < t < hole[1]
    assert np.isnan(height)


def test_refinement_at_an_end():
    grid = np.linspace(0, 1, 11)
    t, height = refine_maximum(lambda t: -t, grid, -grid)
    assert (t, height) == (0.0, 0.0)


@pytest.mark.parametrize("basis", BASES, ids=lambda b: type(b).__name__)
def test_the_profile_on_any_grid(basis):
    network = small_network()
    path = random_path(basis, network.dimension)
    path = Path(*(rows.float() for rows in (path.start, path.end, path.coefficients)), basis)
    t = torch.tensor([0.0, 0.07, 0.5, 0.93, 1.0], dtype=torch.float64)
    assert path.values(network, t).numpy() == pytest.approx(network.values(path(t)).numpy())


def test_a_constant_profile():
    flat = FunctionLandscape(lambda x: 0 * x[:, 0] + 2.0, dimension=2)
    found = StraightLine().find(
        flat, torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    )
    assert found.height == found.refined_height == 2.0
    assert found.barrier == found.barrier_above_line == 0.0


def test_ends_that_require_gradients_are_taken_as_they_are():
    """`parameters_to_vector` returns such points."""
    cluster = LennardJones(3)
    generator = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, 9, generator=generator, dtype=torch.float64).mul(3)
    expected = StraightLine().find(cluster, start, end)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = StraightLine().find(cluster, start.requires_grad_(), end.requires_grad_())
    assert np.array_equal(found.profile, expected.profile)
    assert not found.path.start.requires_grad


@pytest.mark.parametrize("setting", ["points", "starts", "refinements"])
def test_counts_are_whole_numbers(setting):
    with pytest.raises(TypeError, match=f"expected {setting} to be a whole number, got 10.0"):
        StraightLine(**{setting: 10.0})


def test_bad_ends():
    surface = MullerBrown()
    start, end = surface.ends
    finder = StraightLine()
    with pytest.raises(ValueError, match=r"end of shape \[2\] for MullerBrown, got \[3\]"):
        finder.find(surface, start, torch.zeros(3, dtype=torch.float64))
    with pytest.raises(ValueError, match="same point"):
        finder.find(surface, start, start.clone())
    with pytest.raises(ValueError, match="start has 1 components that are not finite"):
        finder.find(surface, torch.tensor([torch.nan, 0.0], dtype=torch.float64), end)
    with pytest.raises(TypeError, match=r"points\.to\(torch\.float64\)"):
        finder.find(surface, start.float(), end.float())
    for mixed in ((start.float(), end), (start, end.float())):
        with pytest.raises(TypeError, match=r"got torch\.float32"):
            finder.find(surface, *mixed)
    with pytest.raises(TypeError, match="expected a landscape, got function; FunctionLandscape"):
        finder.find(surface.function, start, end)
    with pytest.raises(TypeError, match="torch tensor, got list"):
        finder.find(surface, [0.0, 1.0], end)
    infinite = FunctionLandscape(lambda x: 1 / x[:, 0], dimension=1)
    with pytest.raises(ValueError, match="value at the start is inf"):
        finder.find(infinite, torch.zeros(1).double(), torch.ones(1).double())
    with pytest.raises(ValueError, match="initial path between the same ends"):
        finder.find(surface, start, end, initial=Path.straight(end, start, SineBasis(1)))
