"""FourierPathFinder against Algorithm 2 written out naively."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lowroad.landscapes import (
    CountingLandscape,
    FunctionLandscape,
    MullerBrown,
    NetworkLandscape,
    TwoWells,
)
from lowroad.outcome import Outcome
from lowroad.paths import FourierPathFinder, StraightLine


def algorithm_2(function, start, end, terms, points, smoothness, steps, learning_rate):
    """The paper's algorithm by autograd on the whole objective; returns paths' totals and b."""
    t = torch.linspace(0, 1, points, dtype=start.dtype)[:, None]
    n = torch.arange(1, terms + 1, dtype=start.dtype)
    b = torch.zeros(terms, len(start), dtype=start.dtype, requires_grad=True)
    adam = torch.optim.Adam([b], lr=learning_rate)
    totals, values, seen = [], [], []
    for step in range(steps + 1):
        path = (1 - t) * start + t * end + torch.sin(torch.pi * t * n) @ b
        losses = function(path)
        totals.append(float(losses.detach().sum()))
        values.append(float(losses.detach().max()))
        seen.append(b.detach().clone())
        if step < steps:
            adam.zero_grad()
            (losses.sum() + smoothness * ((path[1:] - path[:-1]) ** 2).sum()).backward()
            adam.step()
    best = int(np.argmin(totals))
    return np.array(totals), np.array(values), seen[best]


@pytest.mark.parametrize("smoothness", [0.0, 35.0])
def test_equals_algorithm_2(smoothness):
    surface = TwoWells()
    start, end = surface.ends
    settings = {"terms": 15, "points": 101, "steps": 60, "learning_rate": 0.01}
    totals, values, b = algorithm_2(surface.function, start, end, smoothness=smoothness, **settings)
    found = FourierPathFinder(smoothness=smoothness, **settings).find(surface, start, end)
    assert np.allclose(found.history.totals, totals, rtol=1e-11)
    assert np.allclose(found.history.heights, values, rtol=1e-11)
    assert torch.allclose(found.path.coefficients, b, atol=1e-9)
    assert found.history.steps.tolist() == list(range(61))


@pytest.fixture(scope="module")
def network():
    """A small classifier on made-up data, float64, and two points."""
    g = torch.Generator().manual_seed(3)
    inputs = torch.randn(400, 5, generator=g, dtype=torch.float64)
    targets = (inputs[:, 0] * inputs[:, 1] > 0).long()
    model = nn.Sequential(nn.Linear(5, 8), nn.Softplus(), nn.Linear(8, 2)).double()
    landscape = NetworkLandscape(model, inputs, targets, "cross_entropy")
    ends = torch.randn(2, landscape.dimension, generator=g, dtype=torch.float64)
    return landscape, ends[0], ends[1]


def test_equals_algorithm_2_on_a_network(network):
    landscape, start, end = network
    module = nn.Sequential(nn.Linear(5, 8), nn.Softplus(), nn.Linear(8, 2)).double()
    shapes = [p.shape for p in module.parameters()]
    names = [name for name, _ in module.named_parameters()]

    def losses(points):
        rows = []
        for point in points:
            parts = point.split([s.numel() for s in shapes])
            weights = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
            outputs = torch.func.functional_call(module, weights, landscape.inputs)
            rows.append(nn.functional.cross_entropy(outputs, landscape.targets))
        return torch.stack(rows)

    settings = {"terms": 4, "points": 11, "steps": 20, "learning_rate": 0.05}
    totals, values, b = algorithm_2(losses, start, end, smoothness=0.1, **settings)
    found = FourierPathFinder(smoothness=0.1, **settings).find(landscape, start, end)
    assert np.allclose(found.history.totals, totals, rtol=1e-10)
    assert np.allclose(found.history.heights, values, rtol=1e-10)
    assert torch.allclose(found.path.coefficients, b, atol=1e-8)


def test_one_batch_of_everything_is_the_full_landscape(network):
    landscape, start, end = network
    settings = {"terms": 4, "points": 11, "steps": 15, "learning_rate": 0.05}
    full = FourierPathFinder(**settings).find(landscape, start, end)
    whole = FourierPathFinder(batch_size=400, **settings).find(
        landscape, start, end, generator=torch.Generator().manual_seed(0)
    )
    assert np.allclose(full.history.totals, whole.history.totals, rtol=1e-10)
    assert np.allclose(full.profile, whole.profile, rtol=1e-10)


def test_minibatches_keep_the_best_of_the_full_landscape(network):
    landscape, start, end = network
    counted = CountingLandscape(landscape)
    finder = FourierPathFinder(points=11, steps=25, learning_rate=0.3, batch_size=40)
    seen = []
    found = finder.find(
        counted,
        start,
        end,
        generator=torch.Generator().manual_seed(0),
        callback=lambda step, height: seen.append((step, height)),
    )
    # ten batches a pass: measured at the start of each of three passes, and at the end
    assert found.history.steps.tolist() == [0, 10, 20, 25]
    assert found.profile.sum() == pytest.approx(found.history.totals.min(), rel=1e-12)
    assert [step for step, _ in seen] == list(range(25))
    # 25 steps of 9 inner points on a tenth of the data
    assert found.evaluations.gradients == pytest.approx(25 * 9 / 10)
    assert counted.evaluations.gradients == pytest.approx(25 * 9 / 10)
    again = finder.find(landscape, start, end, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(again.profile, found.profile)


def test_a_search_of_less_than_a_pass_is_recorded_as_often_as_wanted(network):
    """The search itself stays the same; only what is looked at does not."""
    landscape, start, end = network
    found = [
        FourierPathFinder(
            points=11, steps=50, learning_rate=0.3, batch_size=4, recordings=recordings
        ).find(landscape, start, end, generator=torch.Generator().manual_seed(0))
        for recordings in (0, 4)
    ]
    few, more = (dict(zip(f.history.steps, f.history.totals, strict=True)) for f in found)
    assert sorted(few) == [0, 50]
    assert sorted(more) == [0, 13, 26, 39, 50]
    assert [more[step] for step in few] == list(few.values())
    assert found[1].profile.sum() == pytest.approx(min(more.values()), rel=1e-12)
    with pytest.raises(ValueError, match="recordings"):
        FourierPathFinder(recordings=-1)


def test_refusals(network):
    landscape, start, end = network
    surface = MullerBrown()
    with pytest.raises(ValueError, match="pass generator="):
        FourierPathFinder(batch_size=10).find(landscape, start, end)
    with pytest.raises(TypeError, match="no data to draw mini-batches"):
        FourierPathFinder(batch_size=10).find(
            surface, *surface.ends, generator=torch.Generator().manual_seed(0)
        )
    with pytest.raises(ValueError, match="at least 3 points"):
        FourierPathFinder(points=2)
    with pytest.raises(ValueError, match="at least one term"):
        FourierPathFinder(terms=0)
    with pytest.raises(ValueError, match="learning_rate > 0"):
        FourierPathFinder(learning_rate=0.0)
    with pytest.raises(ValueError, match="smoothness >= 0"):
        FourierPathFinder(smoothness=float("nan"))
    with pytest.raises(ValueError, match="steps >= 1"):
        FourierPathFinder(steps=0)
    with pytest.raises(ValueError, match="batches of at least one"):
        FourierPathFinder(batch_size=0)
    with pytest.raises(TypeError, match=r"batch_size to be a whole number, got 2\.5"):
        FourierPathFinder(batch_size=2.5)
    with pytest.raises(ValueError, match="until to be one of"):
        FourierPathFinder(until="forever")


def test_stopped_by_the_caller():
    surface = TwoWells()
    finder = FourierPathFinder(steps=50, learning_rate=0.01)
    found = finder.find(surface, *surface.ends, callback=lambda step, height: step == 7)
    assert found.outcome is Outcome.STOPPED
    assert found.history.steps[-1] == 7
    assert found.height < StraightLine().find(surface, *surface.ends).height


@pytest.mark.parametrize("steps", [7, 10, 13])  # ten batches a pass
def test_a_search_by_minibatches_that_is_stopped_is_one_of_so_many_steps(network, steps):
    landscape, start, end = network
    settings = {"points": 11, "learning_rate": 0.1, "batch_size": 40}
    stopped, brief = (
        FourierPathFinder(steps=number, **settings).find(
            landscape,
            start,
            end,
            generator=torch.Generator().manual_seed(0),
            callback=lambda step, height: step == steps,
        )
        for number in (25, steps)
    )
    assert (stopped.outcome, brief.outcome) == (Outcome.STOPPED, Outcome.BUDGET_SPENT)
    assert np.array_equal(stopped.profile, brief.profile)
    assert stopped.history.steps.tolist() == brief.history.steps.tolist()
    assert brief.profile.sum() < StraightLine(points=11).find(landscape, start, end).profile.sum()


def test_until_converged_stops_early_and_says_so():
    surface = TwoWells()
    finder = FourierPathFinder(steps=5000, learning_rate=0.01, smoothness=35, until="converged")
    found = finder.find(surface, *surface.ends)
    assert found.outcome is Outcome.OBJECTIVE_CONVERGED
    assert found.history.steps[-1] < 1000
    brief = FourierPathFinder(steps=30, learning_rate=0.01, smoothness=35, until="converged")
    assert brief.find(surface, *surface.ends).outcome is Outcome.BUDGET_SPENT


def test_diverging_landscape_keeps_the_best_finite_path():
    # the floor falls off a cliff to nan once the path bends by more than 0.5
    landscape = FunctionLandscape(
        lambda x: torch.where(x[:, 1] > -0.5, x[:, 1], torch.nan), dimension=2
    )
    start = torch.tensor([0.0, 0.0], dtype=torch.float64)
    end = torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = FourierPathFinder(learning_rate=0.1, smoothness=0.0).find(landscape, start, end)
    assert found.outcome is Outcome.DIVERGED
    assert np.isfinite(found.profile).all()
    assert found.profile.sum() < 0


def test_noise_is_drawn_from_the_generator():
    surface = TwoWells()
    finder = FourierPathFinder(steps=20, learning_rate=0.01, noise=1.0)
    one, same, other = (
        finder.find(surface, *surface.ends, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one.profile, same.profile)
    assert not np.array_equal(one.profile, other.profile)
