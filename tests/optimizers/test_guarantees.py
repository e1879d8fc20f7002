"""The guarantees of `lbfgs` for every line search, on landscapes of every kind."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from lowroad.landscapes import FunctionLandscape, Landscape, NetworkLandscape
from lowroad.optimizers import GoldenSection, HagerZhang, Step, StrongWolfe, Tolerance, lbfgs
from lowroad.outcome import Outcome
from optimizers.made_landscapes import (
    SEARCHES,
    Watched,
    bowls,
    domains,
    landscape_of,
    made_landscapes,
)

OUTCOMES = {
    Outcome.CONVERGED_ROUNDING,
    Outcome.CONVERGED_GRADIENT,
    Outcome.BUDGET_SPENT,
    Outcome.LINE_SEARCH_FAILED,
    Outcome.DIVERGED,
}
every_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)


@every_search
@settings(max_examples=60)
@given(made=made_landscapes())
def test_guarantees(search, made):
    watched, start = Watched(landscape_of(made)), made[2]
    found = lbfgs(watched, start, line_search=search, iterations=60)
    # the returned point is the best one evaluated, and has the value that is returned
    assert found.value == watched.lowest
    assert watched.value(found.point) == found.value
    # an accepted step never raises the value
    assert (np.diff(found.history.values) <= 0).all()
    assert found.value <= found.history.values[-1]
    # it ends for a named reason, and each iteration searches at most five times
    assert found.outcome in OUTCOMES
    steps = int(found.history.steps[-1])
    assert steps == len(found.history.steps) - 1 <= 60
    assert found.evaluations.values <= 5 * search.budget * (steps + 1)
    # values and gradients are counted separately; one more value was evaluated above
    assert found.evaluations.values == watched.values_made - 1
    assert found.evaluations.gradients == watched.gradients_made


@every_search
@settings(max_examples=40)
@given(made=bowls(largest=3))
def test_quadratics_of_every_conditioning_are_solved(search, made):
    landscape, start = landscape_of(made), made[2]
    found = lbfgs(landscape, start, line_search=search, iterations=3000)
    assert found.value <= 1e-9 * max(1.0, landscape.value(start))
    assert found.outcome in {Outcome.CONVERGED_GRADIENT, Outcome.LINE_SEARCH_FAILED}


@every_search
@settings(max_examples=10)
@given(made=domains())
def test_a_value_that_is_not_finite_counts_as_infinitely_high(search, made):
    function, _, start = made
    landscape = FunctionLandscape(function, dimension=len(start))
    as_infinity = FunctionLandscape(
        lambda x: torch.where(torch.isfinite(function(x)), function(x), math.inf), len(start)
    )
    runs = [
        lbfgs(each, start, line_search=search, iterations=15) for each in (landscape, as_infinity)
    ]
    assert runs[0].value == runs[1].value
    assert runs[0].value < landscape.value(start)
    assert runs[0].outcome is not Outcome.DIVERGED


@every_search
def test_history_is_dropped_where_curvature_fails(search):
    # a ridge between two wells: along it the curvature of every pair is negative at first
    ridge = FunctionLandscape(lambda x: (x[:, 0] ** 2 - 1) ** 2 + x[:, 1] ** 2, dimension=2)
    start = torch.tensor([1e-3, 1.0], dtype=torch.float64)
    found = lbfgs(ridge, start, line_search=search)
    assert found.outcome is Outcome.CONVERGED_GRADIENT
    assert found.point.abs().tolist() == pytest.approx([1.0, 0.0], abs=1e-8)


@every_search
def test_a_flat_landscape_has_converged_at_its_start(search):
    found = lbfgs(
        FunctionLandscape(lambda x: 0 * x.sum(1) + 3, dimension=2),
        torch.zeros(2, dtype=torch.float64),
        line_search=search,
    )
    assert (found.outcome, found.value) == (Outcome.CONVERGED_GRADIENT, 3.0)
    assert (found.evaluations.values, found.evaluations.gradients) == (0, 1)


@every_search
def test_a_gradient_that_lies_fails_by_name(search):
    def backwards(x):  # the value of x², the gradient of −x²
        return 2 * (x**2).sum(1).detach() - (x**2).sum(1)

    found = lbfgs(
        FunctionLandscape(backwards, dimension=2),
        torch.tensor([1.0, 2.0], dtype=torch.float64),
        line_search=search,
    )
    assert (found.outcome, found.value, found.step) == (Outcome.LINE_SEARCH_FAILED, 5.0, 0)


def test_a_point_without_a_gradient_ends_the_search_there():
    # √|x| has no gradient at its minimum; the first trial of this search lands on it
    landscape = FunctionLandscape(lambda x: x.abs().sqrt().sum(1), dimension=1)
    found = lbfgs(
        landscape,
        torch.tensor([4.0], dtype=torch.float64),
        line_search=GoldenSection(first_step=16.0),
    )
    assert found.outcome is Outcome.DIVERGED
    assert (found.value, found.point.item()) == (0.0, 0.0)


def test_tolerances_end_it_by_name():
    bowl = FunctionLandscape(lambda x: (x**2).sum(1) + 1, dimension=2)
    start = torch.tensor([3.0, 4.0], dtype=torch.float64)
    ends = {
        Outcome.CONVERGED_GRADIENT: Tolerance(gradient=1e-3),
        Outcome.CONVERGED_STEP: Tolerance(gradient=0.0, step=1e-3),
        Outcome.CONVERGED_VALUE: Tolerance(gradient=0.0, value=1e-3),
    }
    for outcome, tolerance in ends.items():
        found = lbfgs(bowl, start, tolerance=tolerance)
        assert found.outcome is outcome
        assert found.value == pytest.approx(1.0, abs=1e-2)
    assert lbfgs(bowl, start, iterations=1).outcome is Outcome.BUDGET_SPENT
    unmoved = lbfgs(bowl, start, iterations=0)
    assert (unmoved.outcome, unmoved.step) == (Outcome.BUDGET_SPENT, 0)
    assert torch.equal(unmoved.point, start)


def test_it_works_down_to_the_limit_of_float32():
    # 0.1 is not a float32: the sum cannot come closer than its rounding, and 1e-7² is far above
    target = torch.linspace(0.1, 0.9, 5)
    bowl = FunctionLandscape(
        lambda x: ((x - target) ** 2 * torch.tensor([1.0, 3, 10, 30, 100])).sum(1),
        dimension=5,
        dtype=torch.float32,
    )
    found = lbfgs(bowl, torch.zeros(5), tolerance=Tolerance(gradient=0.0))
    assert found.value < 1e-12
    assert (found.point - target).abs().max() <= 2e-7


def test_the_start_is_left_alone():
    start = torch.tensor([3.0, 4.0], dtype=torch.float64)
    lbfgs(FunctionLandscape(lambda x: (x**2).sum(1), dimension=2), start)
    assert start.tolist() == [3.0, 4.0]


def test_the_callback_is_told_each_iteration_and_can_stop():
    bowl = FunctionLandscape(lambda x: (x**4).sum(1), dimension=2)
    told = []

    def callback(progress):
        told.append((progress.step, progress.value, progress.validation_value))
        return progress.step == 3

    start = torch.tensor([1.0, 2.0], dtype=torch.float64)
    shifted = FunctionLandscape(lambda x: ((x - 0.5) ** 2).sum(1), dimension=2)
    found = lbfgs(bowl, start, validation=shifted, callback=callback)
    assert found.outcome is Outcome.STOPPED
    assert [step for step, _, _ in told] == found.history.steps[1:].tolist() == [1, 2, 3]
    assert [value for _, value, _ in told] == found.history.values[1:].tolist()
    assert [value for *_, value in told] == found.history.validation_values[1:].tolist()


def test_the_validation_landscape_picks_its_own_point():
    bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=1)
    other = FunctionLandscape(lambda x: ((x - 1.0) ** 2).sum(1), dimension=1)
    found = lbfgs(bowl, torch.tensor([3.0], dtype=torch.float64), validation=other)
    curve = found.history.validation_values
    assert found.validation_value == curve.min() == other.value(found.validation_point)
    assert found.validation_step == found.history.steps[curve.argmin()]
    assert found.evaluations.values <= 6 * len(curve)  # the validation's are not counted


def test_a_lower_trial_that_a_search_passed_by_is_returned():
    @dataclasses.dataclass(frozen=True)
    class Worst:  # accepts the worst of its lower trials
        budget: int = 4

        def search(self, function, value, slope, first):
            lower = [(function.value(a), a) for a in (0.1, 0.5, 0.9, 1e-3)]
            worst = max(pair for pair in lower if pair[0] < value)
            return Step(worst[1], worst[0])

    watched = Watched(FunctionLandscape(lambda x: (x**2).sum(1), dimension=2))
    start = torch.tensor([3.0, 4.0], dtype=torch.float64)
    found = lbfgs(watched, start, line_search=Worst(), iterations=3)
    assert found.value == watched.lowest < found.history.values[-1]
    assert watched.value(found.point) == found.value


class Cosine(Landscape):
    """cos x, whose curvature is negative up to π / 2; without a gradient from `cliff` on."""

    dimension, dtype, device = 1, torch.float64, torch.device("cpu")

    def __init__(self, cliff=math.inf):
        self.cliff = cliff

    def values(self, points):
        return points[:, 0].cos()

    def values_and_gradients(self, points):
        return self.values(points), torch.where(points < self.cliff, -points.sin(), math.nan)


class Short:
    """Tries a step to x = 3 and accepts one to x = 0.5; later searches fail."""

    def __init__(self, start):
        self.start, self.values = start, []

    def search(self, function, value, slope, first):
        self.values.append(value)
        if len(self.values) > 1:
            return Step(0.0, value)
        long, short = ((place - self.start) / float(function.direction) for place in (3.0, 0.5))
        assert function.value(long) < function.value(short)
        return Step(short, function.value(short))


def test_after_curvature_has_failed_it_goes_on_from_the_lowest_point_evaluated():
    told = []
    search, start = Short(0.1), torch.tensor([0.1], dtype=torch.float64)
    found = lbfgs(
        Cosine(),
        start,
        line_search=search,
        validation=Cosine(),
        callback=lambda p: told.append((p.value, p.validation_value)),
        tolerance=Tolerance(step=0.5, value=0.2),  # which the short step would have satisfied
    )
    values = pytest.approx([math.cos(0.1), math.cos(3.0)])
    assert search.values[:2] == values
    assert found.history.values == values
    assert found.history.validation_values == values
    assert told == [pytest.approx((math.cos(3.0), math.cos(3.0)))]
    assert found.outcome is Outcome.LINE_SEARCH_FAILED
    assert found.validation_point.item() == pytest.approx(3.0)


def test_it_does_not_go_on_from_where_there_is_no_gradient():
    search, start = Short(0.1), torch.tensor([0.1], dtype=torch.float64)
    found = lbfgs(Cosine(cliff=2.0), start, line_search=search)
    assert search.values[:2] == pytest.approx([math.cos(0.1), math.cos(0.5)])
    assert found.point.item() == pytest.approx(3.0)


def bowl(x):
    return (x**2).sum(1)


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        (torch.zeros(3, dtype=torch.float64), ValueError, r"\[n, 2\].*got \[1, 3\]"),
        (torch.zeros(1, 2, dtype=torch.float64), ValueError, r"shape \[2\], got \[1, 2\]"),
        (
            torch.tensor([0.0, math.nan], dtype=torch.float64),
            ValueError,
            "1 components that are not",
        ),
        (torch.tensor([0.0, math.inf], dtype=torch.float64), ValueError, "finite start"),
        (torch.zeros(2), TypeError, "torch.float64 for FunctionLandscape, got torch.float32"),
        (np.zeros(2), TypeError, "the start to be a torch tensor, got ndarray"),
    ],
)
def test_refuses_bad_starts(start, error, message):
    with pytest.raises(error, match=message):
        lbfgs(FunctionLandscape(bowl, dimension=2), start)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.sum(1) * math.inf, "finite at the start, got the value -inf"),
        (lambda x: torch.log(x).sum(1), "finite at the start, got the value nan"),
        (lambda x: (x + 1).abs().sqrt().sum(1), "gradient with 2 components that are not"),
    ],
)
def test_refuses_landscapes_that_are_not_finite_at_the_start(function, message):
    start = torch.full((2,), -1.0, dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        lbfgs(FunctionLandscape(function, dimension=2), start)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"history": 0}, "at least one pair, got 0"),
        ({"history": 2.5}, "at least one pair, got 2.5"),
        ({"iterations": -1}, "at least 0, got -1"),
    ],
)
def test_refuses_bad_settings(settings, message):
    start = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        lbfgs(FunctionLandscape(bowl, dimension=2), start, **settings)


def test_refuses_the_name_of_no_line_search():
    start = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(ValueError, match='did you mean "golden_section"'):
        lbfgs(FunctionLandscape(bowl, dimension=2), start, line_search="golden_sectoin")


def test_refuses_a_validation_that_is_no_landscape():
    start = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(TypeError, match="a landscape for the validation, got int"):
        lbfgs(FunctionLandscape(bowl, dimension=2), start, validation=3)


@pytest.mark.parametrize("name", ["gradient", "step", "value"])
@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_refuses_bad_tolerances(name, value):
    with pytest.raises(ValueError, match=f"tolerance {name} of at least 0"):
        Tolerance(**{name: value})


@pytest.mark.parametrize("line_search", [GoldenSection(), StrongWolfe(), HagerZhang()])
def test_a_networks_point_has_the_value_that_is_returned(line_search):
    """First-layer products are cached for 19 iterations: equal up to rounding in float32."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 8, generator=generator)
    targets = (inputs[:, 0] * inputs[:, 1] > 0).long()
    module = nn.Sequential(nn.Linear(8, 6), nn.Softplus(), nn.Linear(6, 2))
    landscape = NetworkLandscape(module, inputs, targets, "cross_entropy")
    start = torch.randn(landscape.dimension, generator=generator)
    found = lbfgs(landscape, start, iterations=19, line_search=line_search)
    assert found.value < landscape.value(start) / 2
    assert found.value == pytest.approx(landscape.value(found.point), rel=1e-5)
