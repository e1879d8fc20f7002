"""Landscapes that hypothesis makes, and a wrapper that records the evaluations."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st

from lowroad.landscapes import FunctionLandscape, Landscape
from lowroad.optimizers import Backtracking, Brent, GoldenSection, HagerZhang, StrongWolfe

SEARCHES = {
    "golden_section": GoldenSection(),
    "brent": Brent(),
    "strong_wolfe": StrongWolfe(),
    "hager_zhang": HagerZhang(),
    "backtracking": Backtracking(),
}


class Watched(Landscape):
    """A landscape that records every evaluated point, and how."""

    def __init__(self, landscape):
        self._landscape = landscape
        self.dimension = landscape.dimension
        self.dtype, self.device = landscape.dtype, landscape.device
        self.values_made, self.gradients_made = 0, 0
        self.lowest = math.inf

    def values(self, points):
        values = self._landscape.values(points)
        self.values_made += len(points)
        self._see(values)
        return values

    def values_and_gradients(self, points):
        values, gradients = self._landscape.values_and_gradients(points)
        self.gradients_made += len(points)
        self._see(values)
        return values, gradients

    def _see(self, values):
        finite = values[torch.isfinite(values)]
        if len(finite):
            self.lowest = min(self.lowest, float(finite.min()))


def quadratic(matrix, center):
    return lambda x: (((x - center) @ matrix) * (x - center)).sum(1) / 2


@st.composite
def bowls(draw, largest=6):
    """A quadratic of any conditioning, turned and moved, and a start: function, center, start."""
    n = draw(st.integers(1, 5))
    eigenvalues = [10.0 ** draw(st.floats(-largest, largest)) for _ in range(n)]
    seed = draw(st.integers(0, 10_000))
    generator = torch.Generator().manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    matrix = turn @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ turn.T
    center = torch.randn(n, generator=generator, dtype=torch.float64)
    far = 10.0 ** draw(st.floats(-3, 3))
    start = center + far * torch.randn(n, generator=generator, dtype=torch.float64)
    return quadratic(matrix, center), center, start


@st.composite
def plateaus(draw):
    """A bowl with a rim: flat above a level that may lie below the start."""
    function, center, start = draw(bowls(largest=2))
    level = float(function(start[None])[0]) * draw(st.sampled_from([0.5, 0.99, 1.01, 2.0, 100.0]))
    return (lambda x: function(x).clamp(max=level)), center, start


@st.composite
def domains(draw):
    """A bowl with a half-space where the value is NaN or infinite, close to the start."""
    function, center, start = draw(bowls(largest=2))
    kind = draw(st.sampled_from([math.nan, math.inf]))
    normal = torch.nn.functional.normalize(center - start, dim=0)
    gap = float((center - start).norm()) * 10.0 ** draw(st.floats(-3, 0.5))

    def bounded(x):
        outside = (x - start) @ normal > gap
        return torch.where(outside, torch.full_like(x[:, 0], kind), function(x))

    return bounded, center, start


@st.composite
def noises(draw):
    """A bowl with ripples, or one whose values are rounded to a few digits."""
    function, center, start = draw(bowls(largest=2))
    size = 10.0 ** draw(st.floats(-8, 0))
    if draw(st.booleans()):
        return (lambda x: function(x) + size * torch.sin(x / size).sum(1)), center, start

    def rounded(x):
        value = function(x)
        return value + ((value / size).round() * size - value).detach()

    return rounded, center, start


@st.composite
def kinks(draw):
    """Σ |x_i − c_i|^p with p from 1/2: no gradient at the minimum."""
    n = draw(st.integers(1, 4))
    power = draw(st.sampled_from([0.5, 1.0, 1.5]))
    center = torch.tensor([draw(st.floats(-2, 2)) for _ in range(n)], dtype=torch.float64)
    start = center + torch.tensor([draw(st.floats(0.1, 5)) for _ in range(n)], dtype=torch.float64)
    return (lambda x: ((x - center).abs() ** power).sum(1)), center, start


def made_landscapes():
    return st.one_of(bowls(), plateaus(), domains(), noises(), kinks())


def landscape_of(made):
    function, _, start = made
    return FunctionLandscape(function, dimension=len(start))
