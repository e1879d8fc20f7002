"""Surfaces against published numbers and independent formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lowroad.landscapes import AnaPot, CurvyValley, MullerBrown, SeparableValley, TwoWells

SURFACES = [TwoWells, MullerBrown, CurvyValley, AnaPot]


def hessian(surface, point):
    """Central differences of the gradient, [2, 2]."""
    h = 1e-5
    steps = h * torch.eye(2, dtype=torch.float64)
    _, up = surface.values_and_gradients(point + steps)
    _, down = surface.values_and_gradients(point - steps)
    return ((up - down) / (2 * h)).numpy()


@pytest.mark.parametrize("kind", SURFACES)
def test_stationary_points_are_what_they_say(kind):
    surface = kind()
    for points, negative in ((surface.minima, 0), (surface.saddles, 1)):
        for known in points:
            value, gradient = surface.value_and_gradient(known.point)
            # eleven and more digits are printed; values of Müller-Brown have ten or more
            assert abs(value - known.value) < 1e-9 * max(1, abs(known.value))
            assert gradient.norm() < 1e-8
            assert (np.linalg.eigvalsh(hessian(surface, known.point)) < 0).sum() == negative


@pytest.mark.parametrize(
    ("x", "y", "value"),
    [
        (-0.5582236346, 1.4417258418, -146.6995172),
        (0.6234994049, 0.0280377585, -108.1667241),
        (-0.0500108230, 0.4666941049, -80.7678181),
        (-0.8220015587, 0.6243128028, -40.6648435),
        (0.2124865820, 0.2929883251, -72.2489401),
    ],
)
def test_muller_brown_published_values(x, y, value):
    point = torch.tensor([x, y], dtype=torch.float64)
    assert abs(MullerBrown().value(point) - value) < 5.1e-8


def test_two_wells_by_its_printed_formula():
    def f(x, y):
        return (
            -math.exp(-3 * ((x - 0.5) ** 2 + y**2))
            - math.exp(-3 * ((x + 0.5) ** 2 + (y + 0.5) ** 2))
            + math.exp(-15 * ((x + 0.2) ** 2 + (y + 0.4) ** 2))
            + math.exp(-15 * (x**2 + (y - 0.3) ** 2))
            + 1.0190055296306975
        )

    points = torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = [f(*p) for p in points.tolist()]
    assert np.allclose(TwoWells().values(points), expected, rtol=1e-14, atol=1e-14)


def test_curvy_valley_straight_line():
    surface = CurvyValley()
    start, end = surface.ends
    t = torch.linspace(0, 1, 200_001, dtype=torch.float64)[:, None]
    assert abs(float(surface.values(start + t * (end - start)).max()) - 2.976668) < 5e-7


def test_lowest_height_by_flooding_a_grid():
    """The lowest pass by union of grid cells in order of value, an oracle without gradients."""
    from scipy.ndimage import label

    for kind in SURFACES:
        surface = kind()
        x0, x1, y0, y1 = surface.window
        xs, ys = np.linspace(x0, x1, 901), np.linspace(y0, y1, 901)
        grid = np.stack(np.meshgrid(xs, ys, indexing="ij"), -1).reshape(-1, 2)
        values = surface.values(torch.from_numpy(grid)).numpy().reshape(901, 901)
        cells = [
            (np.abs(xs - float(e[0])).argmin(), np.abs(ys - float(e[1])).argmin())
            for e in surface.ends
        ]

        def joined(level, values=values, cells=cells):
            labels, _ = label(values <= level, structure=np.ones((3, 3)))
            return labels[cells[0]] == labels[cells[1]] != 0

        low, high = values[cells[0]], values[cells[1]]
        low, high = max(low, high), values.max()
        while high - low > 1e-5 * (surface.lowest_height - min(m.value for m in surface.minima)):
            middle = (low + high) / 2
            low, high = (low, middle) if joined(middle) else (middle, high)
        # a path on the grid is a path: it cannot be lower, and the grid is fine
        assert (
            -1e-4
            <= (high - surface.lowest_height)
            / surface.lowest_height
            * np.sign(surface.lowest_height)
            < 2e-3
        )


@pytest.mark.parametrize("dimension", [2, 5, 1000])
def test_separable_valley(dimension):
    valley = SeparableValley(dimension, barrier=0.7)
    value, gradient = valley.value_and_gradient(valley.saddle)
    assert abs(value - 0.7) < 1e-14
    assert gradient.norm() < 1e-13
    for end in valley.ends:
        value, gradient = valley.value_and_gradient(end)
        assert value == 0
        assert gradient.norm() == 0
    straight = valley.value(torch.zeros(dimension, dtype=torch.float64))
    mean_stiffness = 1.0 if dimension == 2 else 5.5
    assert abs(straight - 0.7 - mean_stiffness / 2) < 1e-12


def test_separable_valley_gradient_against_differences():
    valley = SeparableValley(4)
    point = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)
    h = 1e-6 * torch.eye(4, dtype=torch.float64)
    numeric = (valley.values(point + h) - valley.values(point - h)) / 2e-6
    _, gradient = valley.value_and_gradient(point)
    assert torch.allclose(numeric, gradient, atol=1e-8)


def test_separable_valley_refuses():
    with pytest.raises(ValueError, match="dimension of at least 2"):
        SeparableValley(1)
    with pytest.raises(ValueError, match="positive barrier"):
        SeparableValley(3, barrier=0)
