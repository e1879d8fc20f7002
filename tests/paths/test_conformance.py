"""Every finder on every landscape."""

from __future__ import annotations

import dataclasses
import io
import math

import numpy as np
import pytest
import torch

from lowroad.landscapes import FunctionLandscape, Landscape
from lowroad.outcome import Outcome
from lowroad.paths import StraightLine
from lowroad.paths.finder import COUNTS
from lowroad.paths.keeper import Keeper
from paths.path_cases import FINDERS, LANDSCAPES

finders = pytest.mark.parametrize("finder", [f for f, _ in FINDERS.values()], ids=list(FINDERS))
landscapes = pytest.mark.parametrize("make", LANDSCAPES.values(), ids=list(LANDSCAPES))


class Tally(Landscape):
    """Counts points on its own, to check the finders' counts."""

    def __init__(self, landscape):
        self._landscape = landscape
        self.dimension = landscape.dimension
        self.dtype, self.device = landscape.dtype, landscape.device
        self.points = [0, 0]

    def values(self, points):
        self.points[0] += len(points)
        return self._landscape.values(points)

    def values_and_gradients(self, points):
        self.points[1] += len(points)
        return self._landscape.values_and_gradients(points)


@finders
def test_numbers_that_no_memory_holds_are_refused(finder):
    names = COUNTS & {field.name for field in dataclasses.fields(finder)}
    assert names >= {"points", "starts", "refinements"}
    for name in names:
        for number in (10**9, 10**400):
            with pytest.raises(ValueError, match=f"expected {name} to be at most 100000"):
                dataclasses.replace(finder, **{name: number})


@finders
def test_settings_that_are_no_finite_numbers_are_refused(finder):
    for field in dataclasses.fields(finder):
        if field.type not in ("float", "float | None"):
            continue
        with pytest.raises(TypeError, match=f"expected {field.name} to be a number, got '3'"):
            dataclasses.replace(finder, **{field.name: "3"})
        if field.name != "climb_below":  # the highest image climbs from the first step
            with pytest.raises(ValueError, match=f"expected {field.name} to be finite, got inf"):
                dataclasses.replace(finder, **{field.name: math.inf})


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("share", [0.1, 0.75])
@finders
def test_an_interrupted_search_ends_in_the_same_bits(finder, share):
    if not finder.resumable:
        pytest.skip("has no steps to be interrupted at")
    landscape = LANDSCAPES["Müller-Brown"]()
    whole = finder.find(landscape, *landscape.ends)
    keeper, step = Keeper(), 1 + int(share * whole.history.steps[-1])

    def interrupt(at, height):
        if at == step:
            raise Interrupted

    with pytest.raises(Interrupted):
        finder.find(landscape, *landscape.ends, callback=interrupt, keeper=keeper)
    file = io.BytesIO()
    torch.save(keeper.state, file)
    file.seek(0)
    kept = Keeper(torch.load(file, weights_only=True))
    assert step - 20 <= kept.state["step"] <= step
    found = finder.find(landscape, *landscape.ends, keeper=kept)
    assert torch.equal(found.path.coefficients, whole.path.coefficients)
    assert np.array_equal(found.profile, whole.profile)
    assert found.outcome is whole.outcome
    assert vars(found.evaluations) == vars(whole.evaluations)
    for mine, other in zip(vars(found.history).values(), vars(whole.history).values(), strict=True):
        assert np.array_equal(mine, other)


@landscapes
@finders
def test_finder_on_landscape(finder, make):
    landscape = make()
    start, end = landscape.ends
    before = start.clone(), end.clone()
    tally = Tally(landscape)
    found = finder.find(tally, start, end)

    assert torch.equal(start, before[0])
    assert torch.equal(end, before[1])
    ends = found.path(torch.tensor([0.0, 1.0]))
    assert torch.allclose(ends, torch.stack([start, end]), rtol=0, atol=1e-6)
    assert found.outcome is not Outcome.DIVERGED

    # the profile is the landscape's on the path, and the values follow from it
    assert found.t == pytest.approx(np.linspace(0, 1, finder.points))
    profile = landscape.values(found.path(torch.from_numpy(found.t)))
    assert found.profile == pytest.approx(profile.numpy(), rel=1e-5, abs=1e-6)
    assert found.height == found.profile.max()
    assert found.refined_height >= found.height
    line = StraightLine(points=finder.points).find(landscape, start, end)
    assert found.height <= line.refined_height * (1 + 1e-9) + 1e-9

    # no path is lower than the lowest pass, and the good ones reach it
    if hasattr(landscape, "lowest_height"):
        fine = landscape.values(found.path(torch.linspace(0, 1, 4001, dtype=torch.float64)))
        span = landscape.lowest_height - float(landscape.values(torch.stack([start, end])).min())
        assert float(fine.max()) > landscape.lowest_height - 1e-6 * span
        _, exact = next(pair for pair in FINDERS.values() if pair[0] is finder)
        if exact:
            assert float(fine.max()) < landscape.lowest_height + 1e-3 * span

    # the length is a polygon's, the evaluations are those that were made (the two of the check
    # of the ends apart)
    corners = found.path(torch.linspace(0, 1, 1001, dtype=torch.float64)).double()
    assert found.length == pytest.approx(float(corners.diff(dim=0).norm(dim=1).sum()), rel=1e-4)
    assert found.evaluations.values == tally.points[0] - 2
    assert found.evaluations.gradients == tally.points[1]

    history = found.history
    rows = len(history.steps)
    assert all(len(column) == rows for column in vars(history).values())
    assert (np.diff(history.steps) > 0).all()
    assert (np.diff(history.gradient_evaluations) >= 0).all()
    assert np.isfinite(history.heights).all()


@pytest.mark.parametrize("height", [0.0, 3.0])
@finders
def test_a_landscape_that_is_flat_has_a_path_of_its_height(finder, height):
    flat = FunctionLandscape(lambda x: 0 * x.sum(1) + height, dimension=2)
    found = finder.find(flat, torch.zeros(2).double(), torch.ones(2).double())
    assert found.height == found.refined_height == height
    assert not hasattr(finder, "fmax") or found.outcome.converged


@pytest.mark.parametrize("apart", [1e-6, 1e-9, 1e-13])
@finders
def test_ends_that_rounding_keeps_apart_have_no_barrier(finder, apart):
    """Two runs that ended in one minimum: (x² − 1)² + y² + 5 near (1, 0)."""
    well = FunctionLandscape(lambda x: (x[:, 0] ** 2 - 1) ** 2 + x[:, 1] ** 2 + 5, dimension=2)
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    end = start + torch.tensor([apart, apart], dtype=torch.float64)
    found = finder.find(well, start, end)
    assert found.height == pytest.approx(5, abs=1e-10)


@finders
def test_same_call_same_path(finder):
    surface = LANDSCAPES["two wells"]()
    one, two = (finder.find(surface, *surface.ends) for _ in range(2))
    assert np.array_equal(one.profile, two.profile)
    assert one.evaluations == two.evaluations


@finders
def test_scaling_values_and_lengths_changes_nothing(finder):
    """Only finders without an absolute scale, which Adam's rate and the penalty's λ are."""
    if getattr(finder, "objective", "max_flux") == "total" or (
        getattr(finder, "optimizer", None) == "adam"
    ):
        pytest.skip("Adam's learning rate is a length, λ a height over a squared length")
    surface = LANDSCAPES["AnaPot"]()
    scaled = FunctionLandscape(lambda x: 1024 * surface.function(x / 64), dimension=2)
    start, end = surface.ends
    plain = finder.find(surface, start, end)
    other = finder.find(scaled, 64 * start, 64 * end)
    assert other.refined_height == pytest.approx(1024 * plain.refined_height, rel=1e-6)


@finders
def test_begins_where_told(finder):
    """The first path is the one given; a low one stays low if the finder minimizes the height."""
    if isinstance(finder, StraightLine):
        pytest.skip("the straight line is not moved")
    surface = LANDSCAPES["Müller-Brown"]()
    low = FINDERS["string"][0].find(surface, *surface.ends)
    found = finder.find(surface, *surface.ends, initial=low.path)
    assert found.history.heights[0] < -35
    if getattr(finder, "objective", "max_flux") != "total":
        assert found.height < -35


@finders
def test_callback_stops(finder):
    if isinstance(finder, StraightLine):
        pytest.skip("the straight line has no steps")
    surface = LANDSCAPES["two wells"]()
    seen = []

    def third(step, height):
        seen.append(height)
        return len(seen) == 3

    found = finder.find(surface, *surface.ends, callback=third)
    assert found.outcome is Outcome.STOPPED
    assert len(seen) == 3
    assert np.isfinite(seen).all()


@finders
def test_bad_ends(finder):
    surface = LANDSCAPES["two wells"]()
    start, end = surface.ends
    with pytest.raises(ValueError, match="shape"):
        finder.find(surface, start, end[:1])
    with pytest.raises(ValueError, match="same point"):
        finder.find(surface, start, start)
    with pytest.raises(ValueError, match="not finite"):
        finder.find(surface, start, end * torch.inf)
    hole = FunctionLandscape(lambda x: torch.log(x[:, 0]), dimension=2)
    with pytest.raises(ValueError, match="value at the start is nan"):
        finder.find(hole, torch.tensor([-1.0, 0.0]).double(), torch.tensor([1.0, 0.0]).double())


@finders
def test_values_that_are_not_finite_on_the_way(finder):
    """A landscape that is not finite in the middle is reported and causes no endless loop."""
    barrier = FunctionLandscape(
        lambda x: torch.where(x[:, 0].abs() < 0.2, torch.inf, (x**2).sum(1)), dimension=2
    )
    start, end = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    found = finder.find(barrier, start, end)
    assert found.height == torch.inf
    if not isinstance(finder, StraightLine):
        assert found.outcome is Outcome.DIVERGED
