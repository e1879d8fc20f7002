from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lowroad.analysis.planes import plane_axes, plane_through
from lowroad.landscapes import (
    CountingLandscape,
    FunctionLandscape,
    MullerBrown,
    NetworkLandscape,
    SeparableValley,
)
from lowroad.landscapes.shared_first_layer import SharedFirstLayerRestriction
from lowroad.paths import BezierPathFinder, FourierPathFinder, StraightLine


def named(*points: torch.Tensor) -> dict[str, torch.Tensor]:
    return dict(zip(("A", "B", "C"), points, strict=True))


def tensor(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def bowl(dimension: int) -> FunctionLandscape:
    """|x|² with its minimum at 0."""
    return FunctionLandscape(lambda x: (x**2).sum(1), dimension=dimension)


def test_axes_are_orthonormal_and_span_the_points():
    generator = torch.Generator().manual_seed(0)
    a, b, c = torch.randn(3, 1000, generator=generator, dtype=torch.float64)
    axes = plane_axes(a, b, c)
    torch.testing.assert_close(axes @ axes.T, torch.eye(2).double(), atol=1e-15, rtol=0)
    for point in (b, c):
        rest = point - a
        torch.testing.assert_close((rest @ axes.T) @ axes, rest, atol=1e-13, rtol=0)


def test_a_plane_of_almost_collinear_points_is_orthonormal_still():
    a, b = tensor(1, 2, 3, 4), tensor(2, 4, 6, 9)
    c = a + 0.3 * (b - a) + 1e-9 * tensor(1, 0, 0, 0)
    axes = plane_axes(a, b, c)
    assert float(axes[0] @ axes[1]) == pytest.approx(0, abs=1e-15)
    assert axes.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-15)


def test_positions_and_heights_in_a_bowl():
    # the plane z = 2 in space: |x|² = 4 + the squared distance from (0, 0, 2)
    points = named(tensor(1, 1, 2), tensor(1, 5, 2), tensor(-1, 2, 2))
    plane = plane_through(bowl(3), points, resolution=9, margin=0.5)
    np.testing.assert_allclose(plane["position"], [[0, 0], [4, 0], [1, 2]], atol=1e-15)
    np.testing.assert_allclose(plane["point_value"], [6, 30, 9], rtol=1e-15)
    assert plane["u"].values[[0, -1]].tolist() == [-2, 6]  # the larger side is 4
    assert plane["v"].values[[0, -1]].tolist() == [-2, 4]
    # u runs along y from 1, v along −x from 1
    u, v = plane["u"], plane["v"]
    expected = (4 + (1 - v) ** 2 + (1 + u) ** 2).transpose("v", "u")
    np.testing.assert_allclose(plane["value"], expected, rtol=1e-14)
    assert plane["value"].dims == ("v", "u")


@pytest.mark.parametrize("scale", [1e-9, 1, 1e9])
def test_two_points_and_a_direction_make_a_square_around_their_line(scale):
    # x = (1 + v, 1 + u, 2), whatever the direction's length and its part along the line are
    points = {"A": tensor(1, 1, 2), "B": tensor(1, 5, 2)}
    plane = plane_through(
        bowl(3), points, direction=scale * tensor(7, 3, 0), resolution=5, margin=0.25
    )
    np.testing.assert_allclose(plane["position"], [[0, 0], [4, 0]], atol=1e-12)
    np.testing.assert_allclose(plane["point_value"], [6, 30], rtol=1e-15)
    u, v = plane["u"].values, plane["v"].values
    np.testing.assert_allclose(u, [-1, 0.5, 2, 3.5, 5], rtol=1e-12)
    np.testing.assert_allclose(v, [-3, -1.5, 0, 1.5, 3], atol=1e-12)
    own = (1 + v[:, None]) ** 2 + (1 + u) ** 2 + 4
    np.testing.assert_allclose(plane["value"], own, rtol=1e-12)


def test_the_grid_leads_back_to_points():
    landscape = SeparableValley(6)
    start, end = landscape.ends
    plane = plane_through(landscape, named(start, end, landscape.saddle), resolution=7)
    u, v = plane["u"].values[2], plane["v"].values[5]
    point = plane["origin"].values + [u, v] @ plane["directions"].values
    height = landscape.value(torch.from_numpy(point))
    assert plane["value"].sel(u=u, v=v).item() == pytest.approx(height, rel=1e-13)
    np.testing.assert_allclose(plane["point_value"], [0, 0, 1], atol=1e-12)


def test_a_known_path_and_its_distance():
    # θ(t) = (t, t (1 − t), 2 t (1 − t)) by a Bézier curve of one inner point, seen from z = 0
    landscape = bowl(3)
    found = BezierPathFinder(terms=1, points=5, steps=1).find(
        landscape, tensor(0, 0, 0), tensor(1, 0, 0)
    )
    path = found.path.with_coefficients(torch.tensor([[0, 0.5, 1.0]], dtype=torch.float64))
    found = replace(found, path=path)
    plane = plane_through(
        landscape, named(tensor(0, 0, 0), tensor(1, 0, 0), tensor(0.5, 1, 0)), {"arc": found}
    )
    t = np.linspace(0, 1, 5)
    np.testing.assert_allclose(
        plane["projection"].sel(path="arc"), np.stack([t, t * (1 - t)], axis=1), atol=1e-15
    )
    np.testing.assert_allclose(plane["distance"].sel(path="arc"), 2 * t * (1 - t), atol=1e-15)
    np.testing.assert_array_equal(plane["profile"].sel(path="arc"), found.profile)
    np.testing.assert_allclose(
        plane["projected_value"].sel(path="arc"), t**2 + (t * (1 - t)) ** 2, atol=1e-15
    )
    assert not plane["straight"].item()


def test_a_surface_is_its_own_plane():
    surface = MullerBrown()
    start, end = surface.ends
    found = FourierPathFinder(steps=20, objective="max_flux").find(surface, start, end)
    line = StraightLine().find(surface, start, end)
    plane = plane_through(
        surface,
        named(start, end, surface.saddles[0].point),
        {"found": found, "line": line},
        resolution=11,
    )
    assert plane["distance"].values.max() < 1e-14
    points = plane["projection"].values @ plane["directions"].values + plane["origin"].values
    np.testing.assert_allclose(points[0], found.path(torch.from_numpy(found.t)), atol=1e-14)
    grid = np.stack(np.meshgrid(plane["u"], plane["v"]), axis=2)
    places = torch.from_numpy(grid @ plane["directions"].values + plane["origin"].values)
    np.testing.assert_allclose(
        plane["value"], surface.values(places.view(-1, 2)).view(11, 11), rtol=1e-10
    )
    np.testing.assert_allclose(
        plane["point_value"],
        [surface.minima[0].value, surface.minima[1].value, surface.saddles[0].value],
        rtol=1e-9,
    )
    np.testing.assert_allclose(plane["projected_value"], plane["profile"], rtol=1e-10)
    assert plane["straight"].values.tolist() == [False, True]
    assert plane["projection"].sel(path="line", axis="v").values == pytest.approx(
        np.zeros(51), abs=1e-14
    )
    # the grid holds the paths
    for axis in ("u", "v"):
        values = plane["projection"].sel(axis=axis)
        assert plane[axis].min() < values.min()
        assert values.max() < plane[axis].max()


def test_a_network_goes_through_its_first_layer_and_gives_the_plain_values(monkeypatch):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    inputs, targets = torch.randn(20, 5, dtype=torch.float64), torch.randint(3, (20,))
    landscape = NetworkLandscape(module, inputs, targets, "cross_entropy")
    points = named(*torch.randn(3, landscape.dimension, dtype=torch.float64))
    shared = []
    values = SharedFirstLayerRestriction.values
    monkeypatch.setattr(
        SharedFirstLayerRestriction,
        "values",
        lambda self, c: shared.append(len(c)) or values(self, c),
    )
    plane = plane_through(landscape, points, resolution=6)
    assert sum(shared) == 36
    grid = np.stack(np.meshgrid(plane["u"], plane["v"]), axis=2).reshape(-1, 2)
    places = torch.from_numpy(grid @ plane["directions"].values + plane["origin"].values)
    np.testing.assert_allclose(plane["value"].values.ravel(), landscape.values(places), rtol=1e-12)


def test_what_it_costs():
    counted = CountingLandscape(bowl(3))
    plane_through(counted, named(*torch.eye(3).double()), resolution=6)
    assert (counted.evaluations.values, counted.evaluations.gradients) == (39, 0)


def test_points_in_single_precision():
    valley = SeparableValley(50, dtype=torch.float32)
    plane = plane_through(valley, named(*valley.ends, valley.saddle), resolution=5)
    np.testing.assert_allclose(plane["position"], [[0, 0], [2, 0], [1, 1]], atol=1e-6)
    np.testing.assert_allclose(plane["point_value"], [0, 0, 1], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_on_one_line_are_refused(dtype):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 500, generator=generator, dtype=dtype)
    for fraction in (0.25, 1.0, -3.0):
        with pytest.raises(ValueError, match="lie on one line and span no plane"):
            plane_axes(a, b, a + fraction * (b - a))
    with pytest.raises(ValueError, match="the first two are 0 apart"):
        plane_axes(a, a, b)


def test_bad_input_is_refused():
    landscape = bowl(3)
    start, end, corner = torch.eye(3).double()
    with pytest.raises(ValueError, match="along a direction, got 2 points:"):
        plane_through(landscape, {"a": start, "b": end})
    for direction, message in (
        (torch.zeros(3), "the direction has no length"),
        (end - start, "lie on one line and span no plane"),
        (corner * np.nan, "finite direction"),
        (corner[:2], r"direction of shape \[3\], got \[2\]"),
    ):
        with pytest.raises(ValueError, match=message):
            plane_through(landscape, {"a": start, "b": end}, direction=direction)
    single = FunctionLandscape(lambda x: (x**2).sum(1), dimension=50, dtype=torch.float32)
    first = torch.linspace(0.1, 3, 50)
    with pytest.raises(ValueError, match="lie on one line"):  # up to the points' rounding
        plane_through(single, {"a": first, "b": first + 1}, direction=torch.ones(50))
    with pytest.raises(ValueError, match="the two points are the same"):
        plane_through(landscape, {"a": start, "b": start}, direction=corner)
    with pytest.raises(ValueError, match="got 3 points and a direction"):
        plane_through(landscape, named(start, end, corner), direction=corner)
    with pytest.raises(ValueError, match=r"expected points of shape \[n, 3\]"):
        plane_through(landscape, named(start[:2], end[:2], corner[:2]))
    with pytest.raises(TypeError, match=r"torch\.float32"):
        plane_through(landscape, named(start.float(), end, corner))
    with pytest.raises(ValueError, match="finite"):
        plane_through(landscape, named(start, end, corner * np.nan))
    with pytest.raises(ValueError, match="resolution"):
        plane_through(landscape, named(start, end, corner), resolution=1)
    with pytest.raises(ValueError, match="margin"):
        plane_through(landscape, named(start, end, corner), margin=-0.1)
    coarse, fine = (StraightLine(points=n).find(landscape, start, end) for n in (5, 7))
    with pytest.raises(ValueError, match="'fine' has 7 points and the first path 5"):
        plane_through(landscape, named(start, end, corner), {"coarse": coarse, "fine": fine})
    other = StraightLine().find(bowl(2), tensor(0, 0), tensor(1, 0))
    with pytest.raises(ValueError, match="the path 'other' is not of this landscape"):
        plane_through(landscape, named(start, end, corner), {"other": other})
