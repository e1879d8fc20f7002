"""What every optimizer keeps to, built in, of PyTorch or a user's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lowroad.landscapes import FunctionLandscape
from lowroad.landscapes.more_garbow_hillstrom import more_garbow_hillstrom
from lowroad.optimizers import LBFGS, Step, Tolerance, lbfgs, optimize, sgd
from lowroad.optimizers.result import SnapshotError
from lowroad.outcome import Outcome
from optimizers.made_landscapes import SEARCHES, Watched
from optimizers.optimizer_cases import (
    CASES,
    CLASSES,
    Noisy,
    Sam,
    assert_same,
    bowl_problem,
    network_problem,
    seeded,
    through_a_file,
)

DTYPES = [torch.float32, torch.float64]


def run(name, problem, **how):
    method, settings = CASES[name]
    settings = {**settings, **how.pop("settings", {})}
    return optimize(method, problem, problem.start(seeded(1)), seeded(), settings=settings, **how)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_results_are_what_they_say(name, dtype):
    problem = network_problem(dtype)
    result = run(name, problem)
    history = result.history
    # along a line lbfgs evaluates the first layer's products, in another order
    close = 1e-5 if dtype == torch.float32 else 1e-10
    for landscape, point, value, step, curve in (
        (problem.train, result.point, result.value, result.step, history.values),
        (
            problem.test,
            result.validation_point,
            result.validation_value,
            result.validation_step,
            history.validation_values,
        ),
        (problem.train, result.last_point, result.last_value, history.steps[-1], history.values),
    ):
        assert point.shape == (landscape.dimension,)
        assert point.dtype == dtype
        assert landscape.value(point) == pytest.approx(value, rel=close)
        assert curve[list(history.steps).index(step)] == pytest.approx(value, rel=close)
    assert result.value <= history.values.min()
    assert result.validation_value == history.validation_values.min()
    assert result.value < history.values[0]
    assert history.values[0] == pytest.approx(problem.train.value(problem.start(seeded(1))))
    for curve in (history.values, history.validation_values, history.evaluations, history.elapsed):
        assert curve.shape == history.steps.shape
        assert curve.dtype == np.float64
    assert history.steps.tolist() == list(range(len(history.steps)))
    assert result.iterations == len(history.steps) - 1
    assert (np.diff(history.evaluations) > 0).all()
    assert (np.diff(history.elapsed) >= 0).all()
    spent = result.evaluations.values + result.evaluations.gradients
    assert history.evaluations[-1] == pytest.approx(spent)
    assert result.message.startswith(result.outcome.value)


@pytest.mark.parametrize("name", CASES)
def test_a_resumed_run_ends_in_the_same_bits(name):
    problem = network_problem(torch.float32)
    kept = {}

    def callback(progress):
        state = through_a_file(progress.snapshot())
        kept[state.get("epoch", state.get("iteration"))] = state

    whole = run(name, problem, callback=callback)
    assert_same(run(name, problem), whole)  # the callback changes nothing
    assert len(kept) >= 3
    for state in kept.values():
        content = repr(state)
        resumed = run(name, problem, resume=state)
        assert_same(resumed, whole)
        assert (np.diff(resumed.history.elapsed) >= 0).all()
        assert repr(state) == content  # the snapshot is left as it is


@pytest.mark.parametrize("name", CASES)
def test_a_callback_sees_the_points_that_training_went_through(name):
    problem, told = network_problem(), []
    result = run(name, problem, callback=told.append)
    assert [progress.points.shape for progress in told] == [(1, problem.train.dimension)] * len(
        told
    )
    values = [problem.train.value(progress.points[0]) for progress in told]
    assert values == pytest.approx([progress.value for progress in told], rel=1e-5)
    assert values == pytest.approx(result.history.values[-len(told) :].tolist(), rel=1e-5)
    assert torch.equal(told[-1].points[0], result.last_point)


@pytest.mark.parametrize("name", CASES)
def test_a_snapshot_that_lacks_anything_is_refused(name):
    """As one of an older version does."""
    problem, kept = network_problem(torch.float32), []
    run(name, problem, callback=lambda progress: kept.append(progress.snapshot()))
    for key in kept[1].keys() - {"optimizer"}:
        less = {other: value for other, value in kept[1].items() if other != key}
        if key in ("epoch", "point") and name == "function":
            continue  # told by its record
        with pytest.raises(SnapshotError, match=f"a snapshot with '{key}', .* begin the run anew"):
            run(name, problem, resume=less)


@pytest.mark.parametrize("name", CASES)
def test_a_callback_can_stop(name):
    problem = network_problem()
    result = run(name, problem, callback=lambda progress: progress.step == 2)
    assert result.outcome is Outcome.STOPPED
    assert result.iterations == 2


@pytest.mark.parametrize("name", [n for n in CASES if n != "function"])
def test_patience_counts_from_the_best_validation(name):
    problem = network_problem()
    # the validation is lowest at the start and rises with every step
    start = problem.start(seeded(1))
    problem.test = FunctionLandscape(lambda x: (x - start).square().sum(1), len(start))
    result = run(name, problem, settings={"patience": 3})
    assert result.outcome is Outcome.CONVERGED_VALUE
    assert (result.iterations, result.validation_step) == (3, 0)
    assert torch.equal(result.validation_point, start)


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("function", "Muon")])
def test_landscapes_without_data_take_every_optimizer(name):
    problem = bowl_problem()
    result = run(name, problem)
    assert result.value < result.history.values[0]
    assert problem.train.value(result.point) == result.value
    assert (result.validation_point, result.history.validation_values) == (None, None)


@pytest.mark.parametrize("name", CLASSES)
def test_full_batches_by_either_name(name):
    problem = network_problem()
    full, none = (run(name, problem, settings={"batch_size": s}) for s in ("full", None))
    assert_same(full, none)
    # every call of the closure is one pass over the data
    assert full.evaluations.gradients == int(full.evaluations.gradients)
    assert full.evaluations.gradients >= 6


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("sgd", {"learning_rate": 0.5}),
        ("torch.optim.SGD", {"options": {"lr": 0.5}}),
        ("torch.optim.Adam", {"options": {"lr": 0.5}}),
        ("torch.optim.RMSprop", {"options": {"lr": 0.1}}),
        ("torch.optim.LBFGS", {"options": {"lr": 0.5, "max_iter": 1}}),
        (Sam, {"options": {"lr": 0.5}}),
        (Noisy, {"options": {"lr": 0.5}}),
    ],
)
@pytest.mark.parametrize("beyond", [math.nan, math.inf])
def test_where_values_are_not_finite_the_best_point_before_is_kept(method, settings, beyond):
    problem = bowl_problem()
    problem.train = FunctionLandscape(
        lambda x: torch.where(x[:, 0] < 2.0, -x[:, 0], torch.full_like(x[:, 0], beyond)), 1
    )
    start = torch.zeros(1, dtype=torch.float64)
    settings = {**settings, "epochs": 50}
    result = optimize(method, problem, start, seeded(), settings=settings)
    assert result.outcome is Outcome.DIVERGED
    assert not math.isfinite(result.last_value)
    assert 0.0 < result.point.item() < 2.0
    assert result.value == -result.point.item() == np.nanmin(result.history.values)
    assert result.iterations < 50


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_drawn_from_the_global_generator_and_nothing_depends_on_it(name):
    problem = network_problem()
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        results.append(run(name, problem, callback=lambda progress: None))
        assert torch.equal(torch.get_rng_state(), before)
    assert_same(*results)


@pytest.mark.parametrize("name", ["lbfgs golden_section", "lbfgs strong_wolfe"])
def test_lbfgs_knows_the_gradient_norm_where_it_ends(name):
    problem = network_problem()
    result = run(name, problem, settings={"iterations": 7})
    _, gradient = problem.train.value_and_gradient(result.point)
    assert result.gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-6)


# ---- what holds for every line search, also a bad one

F32, F64 = torch.float32, torch.float64


class Nothing:
    """Evaluates a lower trial and returns none."""

    def search(self, function, value, slope, first):
        function.value(1e-3 * first)
        return Step(0.0, value)


class TooFar:
    """Returns fifty times the natural step, whatever is there."""

    def search(self, function, value, slope, first):
        return Step(50.0 * first, value - 1.0)


class NotANumber(Nothing):
    def search(self, function, value, slope, first):
        super().search(function, value, slope, first)
        return Step(math.nan, math.nan)


class Backwards(Nothing):
    def search(self, function, value, slope, first):
        super().search(function, value, slope, first)
        return Step(-first, value - 1.0)


class Divides(Nothing):
    def search(self, function, value, slope, first):
        super().search(function, value, slope, first)
        return Step(1 / 0, value)


class Numpy:
    """A backtracking whose numbers are NumPy's."""

    def search(self, function, value, slope, first):
        for alpha in np.float64(first) * np.logspace(0, -6, 13):
            trial = np.float64(function.value(alpha))
            if trial < value:
                return Step(alpha, trial)
        return Step(np.float64(0.0), value)


BAD = [Nothing(), TooFar(), NotANumber(), Backwards(), Divides(), Numpy()]
EVERY = [*SEARCHES.values(), *BAD]
every_one = pytest.mark.parametrize("search", EVERY, ids=lambda each: type(each).__name__)
every_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
KNOWN = {each.name: each for each in more_garbow_hillstrom()}


def rosenbrock(x):
    return (1 - x[:, 0]) ** 2 + 100 * (x[:, 1] - x[:, 0] ** 2) ** 2


@every_one
@pytest.mark.parametrize("name", ["Rosenbrock", "Wood", "Helical valley", "Brown badly scaled"])
def test_the_lowest_point_evaluated_is_returned_and_values_never_rise(search, name):
    watched = Watched(KNOWN[name])
    found = lbfgs(watched, KNOWN[name].start, line_search=search, iterations=40)
    assert found.value == watched.lowest < found.history.values[0]
    assert watched.value(found.point) == found.value
    assert (np.diff(found.history.values) <= 0).all()
    assert found.outcome is not Outcome.CONVERGED_VALUE  # its tolerance is zero


@every_one
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_torch_lbfgs_never_raises_the_loss(search, unit):
    w = torch.nn.Parameter(torch.tensor([-1.2, 1.0], dtype=F64))
    optimizer = LBFGS([w], line_search=search)
    losses = [unit * float(rosenbrock(w.detach()[None])[0])]
    for _ in range(20):
        losses.append(float(optimizer.step(lambda: unit * rosenbrock(w[None])[0])))
        assert unit * float(rosenbrock(w.detach()[None])[0]) == losses[-1]
    assert (np.diff(losses) <= 0).all()
    assert losses[-1] < losses[0]


@every_search
@pytest.mark.parametrize(
    ("function", "start", "dtype"),
    [
        (lambda x: -x.exp().sum(1), 0.0, F64),
        (lambda x: -x.exp().sum(1), 0.0, F32),
        (lambda x: -x.sum(1), 1.0, F64),
        (lambda x: -x.sum(1), 1.0, F32),
        (lambda x: 5.0 - 3.0 * x.sum(1), 1e4, F64),
        (lambda x: -(x**2).sum(1), 1.0, F64),
        (lambda x: -(x**2).sum(1), 1.0, F32),
        (lambda x: x.sum(1) - (x**3).sum(1), 1.0, F64),
        (lambda x: -(x**4).sum(1), 1.0, F64),
        (lambda x: -(x.abs() ** 1.5).sum(1), 1.0, F64),
    ],
)
def test_a_value_without_a_lower_bound_diverges(search, function, start, dtype):
    landscape = FunctionLandscape(function, 1, dtype=dtype)
    found = lbfgs(landscape, torch.tensor([start], dtype=dtype), line_search=search)
    assert found.outcome is Outcome.DIVERGED
    assert -math.inf < found.value < -1e30
    assert landscape.value(found.point) == found.value


@every_search
def test_a_saddle_without_a_lower_bound_diverges(search):
    saddle = FunctionLandscape(lambda x: x[:, 0] ** 2 - x[:, 1] ** 2, 2)
    found = lbfgs(saddle, torch.tensor([1.0, 1e-3], dtype=F64), line_search=search)
    assert found.outcome is Outcome.DIVERGED
    assert found.value < -1e30
    assert found.evaluations.values + found.evaluations.gradients < 200


@every_search
def test_a_loss_without_a_minimum_has_not_diverged(search):
    inputs = torch.tensor([[-2.0, 1.0], [-1.0, 0.5], [1.0, 0.2], [3.0, -1.0]], dtype=F64)
    sign = torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=F64)

    def separable(x):
        return torch.nn.functional.softplus(-(x @ inputs.T) * sign).mean(1)

    for function, n in ((separable, 2), (lambda x: (-x).exp().sum(1), 1)):
        found = lbfgs(FunctionLandscape(function, n), torch.zeros(n, dtype=F64), line_search=search)
        assert found.outcome.converged
        assert 0.0 <= found.value < 1e-7


@every_search
@pytest.mark.parametrize("dtype", [F64, F32])
def test_a_minimum_at_infinity_is_approached_by_finite_points(search, dtype):
    landscape = FunctionLandscape(lambda x: (1 / (1 + x**2)).sum(1), 2, dtype=dtype)
    start = torch.tensor([0.7, 0.3], dtype=dtype)
    found = lbfgs(landscape, start, line_search=search, tolerance=Tolerance(0, 0, 0))
    assert found.outcome is not Outcome.DIVERGED
    assert bool(torch.isfinite(found.point).all())
    assert landscape.value(found.point) == found.value < 1e-9


@every_search
def test_numbers_at_the_limit_of_float32(search):
    # y·y of the curvature pair overflows
    steep = FunctionLandscape(lambda x: (0.05 * x * x).sum(1), 1, dtype=F32)
    found = lbfgs(steep, torch.tensor([6e19]), line_search=search)
    assert found.value < 1e-6


@every_search
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_large_numbers_of_float32_cost_no_more_than_those_of_float64(search, scale):
    found = {}
    for dtype in (F32, F64):
        landscape = FunctionLandscape(lambda x: (scale * x**4).sum(1), 1, dtype=dtype)
        start = torch.tensor([1e8], dtype=dtype)
        found[dtype] = lbfgs(landscape, start, line_search=search)
        assert found[dtype].outcome.converged
    iterations = [len(each.history.values) for each in found.values()]
    assert iterations[0] < 1.25 * iterations[1] + 5


@every_search
@pytest.mark.parametrize("kind", ["torch", "numpy", "division", "overflow", "floating point"])
def test_an_error_of_arithmetic_in_a_trial_is_a_value_that_is_not_finite(search, kind):
    def function(x):
        beyond = bool((x[:, 0] > 1.5).any())
        if kind == "torch":
            torch.linalg.cholesky((1.5 - x[:, 0]).diag_embed() + 1e-300)
        elif beyond and kind == "numpy":
            np.linalg.inv(np.zeros((2, 2)))
        elif beyond and kind == "division":
            _ = 1 / 0
        elif beyond and kind == "overflow":
            math.exp(1e6)
        elif beyond:
            with np.errstate(all="raise"):
                _ = np.float64(1.0) / np.float64(0.0)
        return rosenbrock(x)

    start = torch.tensor([-1.2, 1.0], dtype=F64)
    found = lbfgs(FunctionLandscape(function, 2), start, line_search=search)
    assert found.outcome.converged
    assert found.point.tolist() == pytest.approx([1.0, 1.0], abs=1e-6)


def test_sgd_loses_only_the_start_whose_trial_raises():
    def function(x):
        torch.linalg.cholesky((1.0 - x[:, 0]).diag_embed())
        return -x[:, 0] * (x[:, 1] + 0.0)

    starts = torch.tensor([[0.0, 1.0], [0.0, -1e-3]], dtype=F64)
    generators = [torch.Generator(), torch.Generator()]
    risen, calm = sgd(
        FunctionLandscape(function, 2), starts, generators=generators, batch_size=None, epochs=30
    )
    assert risen.outcome is Outcome.DIVERGED
    assert -math.inf < risen.value < -0.5
    assert calm.outcome is Outcome.BUDGET_SPENT


@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError])
def test_other_errors_of_a_user_propagate(error):
    def function(x):
        if bool((x != 1.0).any()):
            raise error("mine")
        return (x**2).sum(1)

    with pytest.raises(error, match="mine"):
        lbfgs(FunctionLandscape(function, 2), torch.ones(2, dtype=F64))


def test_sgd_keeps_the_best_finite_point():
    (found,) = sgd(
        FunctionLandscape(lambda x: -x.exp().sum(1), 1),
        torch.zeros(1, 1, dtype=F64),
        generators=[torch.Generator()],
        batch_size=None,
    )
    assert found.outcome is Outcome.DIVERGED
    assert math.isfinite(found.value)
    assert found.value == -math.exp(found.point.item())


# ---- values that differ only by rounding


def weighted(constant, weights):
    return lambda x: constant + 0.5 * (weights.to(x) * x**2).sum(1)


@every_search
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("constant", [-1000.0, 1000.0])
def test_a_large_constant_costs_no_precision(search, unit, constant):
    weights = unit * torch.linspace(1, 20, 30)
    landscape = FunctionLandscape(weighted(unit * constant, weights), 30, dtype=F32)
    start = 0.3 * torch.randn(30, generator=seeded(0))
    tolerance = Tolerance(gradient=1e-7 * unit)
    found = lbfgs(landscape, start, line_search=search, tolerance=tolerance)
    assert found.outcome.converged
    assert float(landscape.value_and_gradient(found.point)[1].abs().max()) <= 1e-4 * unit
    assert found.evaluations.gradients <= 140
    assert (np.diff(found.history.values) <= 0).all()


@every_search
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_all_but_the_last_digit_of_a_badly_scaled_quadratic(search, unit):
    weights = unit * 10.0 ** -torch.arange(8.0)
    landscape = FunctionLandscape(weighted(unit, weights), 8, dtype=F32)
    tolerance = Tolerance(gradient=1e-9 * unit)
    found = lbfgs(
        landscape, torch.full((8,), 3.0), line_search=search, iterations=2000, tolerance=tolerance
    )
    assert found.outcome.converged
    assert found.value / unit - 1 < 1e-6


@every_search
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tolerance", [0.0, 1e-12])
def test_the_end_at_rounding_is_a_convergence(search, dtype, tolerance):
    landscape = FunctionLandscape(lambda x: (x**2 + x.exp()).sum(1), 1, dtype=dtype)
    found = lbfgs(
        landscape,
        torch.ones(1, dtype=dtype),
        line_search=search,
        tolerance=Tolerance(gradient=0.0, value=tolerance),
    )
    assert found.outcome.converged
    assert found.point.item() == pytest.approx(-0.35173371124919584, abs=2e-4)
    assert found.value == pytest.approx(0.8271840261275243, rel=1e-6 if dtype == F32 else 1e-14)


@every_search
@pytest.mark.parametrize("swap", [False, True])
def test_few_evaluations_after_the_last_progress(search, swap):
    def function(points):
        x, y = points.unbind(1)[::-1] if swap else points.unbind(1)
        quadratic = 143.42357 * x**2 + 23.90574 * x * y + y**2
        return -0.13784 * x.log() + quadratic - 291.90029 * x - 24.41997 * y

    start = torch.tensor([0.0, 1.0] if swap else [1.0, 0.0])
    found = lbfgs(FunctionLandscape(function, 2, dtype=F32), start, line_search=search)
    assert found.outcome.converged
    spent, values = found.history.evaluations, found.history.values
    assert found.value == pytest.approx(-148.87549, abs=1e-4)
    last = np.flatnonzero(np.diff(values, prepend=math.inf) < 0)[-1]
    assert found.evaluations.values + found.evaluations.gradients - spent[last] <= 25


@every_search
@pytest.mark.parametrize("wrong", [-1.0, -0.01, 0.0])
def test_a_wrong_gradient_never_converges(search, wrong):
    def function(x):  # the value of 1 + x², the gradient times `wrong`, or of another function
        right = (x**2).sum(1)
        if wrong == 0.0:
            return 3 + right - right.detach()
        return 1 + right.detach() + wrong * (right - right.detach())

    start = torch.tensor([1.0, 2.0], dtype=F64)
    found = lbfgs(FunctionLandscape(function, 2), start, line_search=search)
    assert found.outcome is Outcome.LINE_SEARCH_FAILED
    assert torch.equal(found.point, start)


# ---- scales


@every_search
@pytest.mark.parametrize("unit", [1e-6, 1e6])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_unit_of_the_loss_does_not_matter(search, unit, dtype):
    start = torch.tensor([-1.2, 1.0], dtype=dtype)
    found = lbfgs(
        FunctionLandscape(lambda x: unit * rosenbrock(x), 2, dtype=dtype),
        start,
        line_search=search,
        tolerance=Tolerance(gradient=1e-5 * unit),
    )
    assert found.outcome.converged
    assert found.point.tolist() == pytest.approx([1.0, 1.0], abs=1e-3)


@every_search
@pytest.mark.parametrize(("power", "start"), [(1, 1e6), (1, 1e4), (2, 1e5)])
def test_a_far_start_without_curvature(search, power, start):
    # x + x^-p / p has its minimum 1 + 1/p at 1
    landscape = FunctionLandscape(
        lambda x: torch.where(x > 0, x + x**-power / power, math.nan).sum(1), 1
    )
    found = lbfgs(landscape, torch.tensor([start], dtype=F64), line_search=search, iterations=100)
    assert found.outcome.converged
    assert found.value == pytest.approx(1 + 1 / power, rel=1e-12)
    assert found.point.item() == pytest.approx(1.0, abs=1e-6)


@every_search
def test_torch_lbfgs_ends_at_the_lowest_point_evaluated(search):
    w, seen = torch.nn.Parameter(torch.tensor([50.0], dtype=F64)), []

    def closure():
        loss = (w[0] ** 2 + 1e-30).log()
        seen.append(loss.item())
        return loss

    optimizer = LBFGS([w], line_search=search)
    for _ in range(3):
        assert float(optimizer.step(closure)) == min(seen)


@pytest.mark.parametrize("unit", [1e-7, 1.0, 1e6])
def test_torch_lbfgs_drops_its_memory_for_another_batch_in_any_unit(unit):
    inputs, targets = (
        torch.randn(2, 20, 3, generator=seeded()),
        torch.randn(2, 20, generator=seeded(8)),
    )
    w = torch.nn.Parameter(torch.ones(3))
    optimizer = LBFGS([w], tolerance_grad=0.0)
    for step in range(6):
        x, y = inputs[step % 2], targets[step % 2]
        optimizer.step(lambda x=x, y=y: unit * ((x @ w - y) ** 2).mean())
        assert optimizer.state[w]["pairs"] == []


# ---- functions and closures that differentiate by themselves


@every_search
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_function_that_calls_autograd_itself(search, dtype):
    # the least mean of u'^2 / 2 - u over u = c1 b + c2 b^2, b = t (1 - t), on a grid
    def energy(points):
        t = torch.linspace(0, 1, 21, dtype=points.dtype).expand(len(points), 21).clone()
        t.requires_grad_()
        bump = t * (1 - t)
        u = points[:, :1] * bump + points[:, 1:] * bump**2
        (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
        weights = torch.ones(21, dtype=points.dtype)
        weights[[0, -1]] = 0.5
        return ((slope**2 / 2 - u) * weights).sum(1) / 20

    def closed_form():
        t = np.linspace(0, 1, 21)
        weights = np.array([0.5, *[1.0] * 19, 0.5]) / 20
        rows = np.stack([1 - 2 * t, 2 * t * (1 - t) * (1 - 2 * t)])
        bumps = np.stack([t * (1 - t), (t * (1 - t)) ** 2])
        return np.linalg.solve((rows * weights) @ rows.T, bumps @ weights)

    landscape = FunctionLandscape(energy, 2, dtype=dtype)
    start = torch.tensor([2.0, -3.0], dtype=dtype)
    tolerance = Tolerance(gradient=1e-6 if dtype == F32 else 1e-9)
    found = lbfgs(landscape, start, line_search=search, tolerance=tolerance)
    assert found.outcome.converged
    close = 1e-3 if dtype == F32 else 1e-6
    assert found.point.tolist() == pytest.approx(closed_form().tolist(), abs=close)


@every_search
@pytest.mark.parametrize("form", ["loss only", "usual"])
def test_torch_lbfgs_on_a_loss_that_calls_autograd_itself(search, form):
    # u = c1 t + c2 t^2 + c3 t^3 with u' = -u and u(0) = 1 at three points: a linear system
    t = torch.tensor([0.2, 0.5, 0.9], dtype=F64, requires_grad=True)
    c = torch.nn.Parameter(torch.zeros(3, dtype=F64))

    def loss():
        u = 1 + c[0] * t + c[1] * t**2 + c[2] * t**3
        (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
        return ((slope + u) ** 2).sum()

    def usual():
        c.grad = None
        value = loss()
        value.backward(inputs=[c])
        return value

    optimizer = LBFGS([c], line_search=search, max_iter=20)
    for _ in range(30):
        optimizer.step(loss if form == "loss only" else usual)
    at = t.detach().numpy()
    matrix = np.stack([1 + at, 2 * at + at**2, 3 * at**2 + at**3], axis=1)
    assert c.tolist() == pytest.approx(np.linalg.solve(matrix, -np.ones(3)).tolist(), abs=1e-5)


def stale(form, module, inputs, targets):
    """A closure whose prediction was made before."""
    prediction = module(inputs)

    def closure():
        loss = torch.nn.functional.mse_loss(prediction, targets)
        if form != "loss only":
            module.zero_grad()
            loss.backward(retain_graph=form == "retained")
        return loss

    return closure


@every_search
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("form", ["loss only", "usual", "retained"])
def test_a_prediction_made_outside_the_closure_is_refused(search, form, layers):
    torch.manual_seed(0)
    inputs, targets = torch.randn(2, 20, 3, generator=seeded()).double()
    module = torch.nn.Linear(3, 3).double()
    if layers == 2:
        module = torch.nn.Sequential(module, torch.nn.Tanh(), torch.nn.Linear(3, 3).double())
    before = [p.detach().clone() for p in module.parameters()]
    optimizer = LBFGS(module.parameters(), line_search=search)
    with pytest.raises(ValueError, match=r"computes the loss anew .* predictions included"):
        optimizer.step(stale(form, module, inputs, targets))
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))


@every_search
def test_features_made_outside_the_closure_are_refused(search):
    inputs, targets = torch.randn(2, 20, 3, generator=seeded()).double()
    body, head = (torch.nn.Linear(3, 3).double() for _ in range(2))
    features = body(inputs).tanh()
    optimizer = LBFGS([*body.parameters(), *head.parameters()], line_search=search)
    optimizer.param_groups[0]["max_iter"] = 3  # the first iteration may find a lower point
    with pytest.raises(ValueError, match="computes the loss anew"):
        optimizer.step(lambda: torch.nn.functional.mse_loss(head(features), targets))


@every_search
@pytest.mark.parametrize("slope", [-1.0, -1e-12])
def test_a_linear_loss_is_no_stale_one(search, slope):
    w = torch.nn.Parameter(torch.ones(2, dtype=F64))
    optimizer = LBFGS([w], line_search=search, tolerance_grad=0.0)
    assert float(optimizer.step(lambda: slope * w.sum())) < slope * 2


# ---- several iterations a step


@every_search
@pytest.mark.parametrize("iterations", [2, 7, 30])
def test_many_iterations_a_step_are_those_of_lbfgs(search, iterations):
    problem = KNOWN["Wood"]
    exact = Tolerance(gradient=0.0)
    curve = lbfgs(
        problem, problem.start, line_search=search, iterations=30, tolerance=exact
    ).history.values
    w = torch.nn.Parameter(problem.start.clone())
    optimizer = LBFGS([w], line_search=search, tolerance_grad=0.0, max_iter=iterations)
    for done in range(iterations, min(31, len(curve)), iterations):
        loss = float(optimizer.step(lambda: problem.function(w[None])[0]))
        assert loss == curve[done]
        assert float(problem.values(w.detach()[None])[0]) == loss
        assert optimizer.outcome is None


@pytest.mark.parametrize("name", ["strong_wolfe", "hager_zhang"])
def test_arriving_costs_one_call_for_many_iterations(name):
    def calls(max_iter):
        w, made = torch.nn.Parameter(torch.tensor([-1.2, 1.0], dtype=F64)), []

        def closure():
            made.append(1)
            return rosenbrock(w[None])[0]

        optimizer = LBFGS([w], line_search=name, max_iter=max_iter)
        for _ in range(24 // max_iter):
            loss = optimizer.step(closure)
        return len(made), float(loss)

    single, many = calls(1), calls(24)
    assert single[1] == many[1]
    assert single[0] - many[0] >= (23 if name == "strong_wolfe" else 15)


@every_search
def test_a_step_of_many_iterations_ends_where_it_has_arrived(search):
    w = torch.nn.Parameter(torch.tensor([3.0, -1.0], dtype=F64))
    optimizer = LBFGS([w], line_search=search, max_iter=200)
    optimizer.step(lambda: (w[0] - 1) ** 2 + 10 * (w[1] - 2) ** 2)
    assert optimizer.outcome is Outcome.CONVERGED_GRADIENT
    assert w.tolist() == pytest.approx([1.0, 2.0], abs=1e-9)


@every_search
def test_a_failing_closure_leaves_the_last_accepted_point(search):
    w, seen = torch.nn.Parameter(torch.tensor([-1.2, 1.0], dtype=F64)), []
    optimizer = LBFGS([w], line_search=search, max_iter=50)

    def closure():
        if len(seen) == 30:
            raise KeyError("mine")
        loss = rosenbrock(w[None])[0]
        seen.append(loss.item())
        return loss

    with pytest.raises(KeyError, match="mine"):
        optimizer.step(closure)
    left = float(rosenbrock(w.detach()[None])[0])
    assert left in seen
    assert left < seen[0]
    seen[:] = [left]
    assert float(optimizer.step(lambda: rosenbrock(w[None])[0])) < left


@every_search
def test_a_loss_without_a_lower_bound_ends_a_step(search):
    w = torch.nn.Parameter(torch.zeros(1, dtype=F64))
    optimizer = LBFGS([w], line_search=search, max_iter=1000)
    loss = float(optimizer.step(lambda: -w.exp().sum()))
    assert optimizer.outcome is Outcome.DIVERGED
    assert -math.inf < loss < -1e30
    assert -math.exp(w.item()) == loss


@every_search
def test_results_have_no_graph(search):
    start = torch.nn.Parameter(torch.tensor([-1.2, 1.0], dtype=F64))
    for given in (start, start * 1):
        found = lbfgs(FunctionLandscape(rosenbrock, 2), given, line_search=search, iterations=3)
        for point in (found.point, found.last_point):
            assert not point.requires_grad
        none = lbfgs(FunctionLandscape(rosenbrock, 2), given, line_search=search, iterations=0)
        assert not none.point.requires_grad
    assert start.grad is None


@pytest.mark.parametrize("name", CASES)
def test_a_start_with_a_graph(name):
    problem = network_problem()
    start = problem.start(seeded(1))
    method, settings = CASES[name]
    plain, other = (
        optimize(method, problem, given, seeded(), settings=settings)
        for given in (start, start.clone().requires_grad_())
    )
    assert_same(other, plain)
    assert not other.point.requires_grad
    assert not other.last_point.requires_grad
