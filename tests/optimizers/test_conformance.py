"""What every optimizer keeps to, built in, of PyTorch or a user's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lowroad.landscapes import FunctionLandscape
from lowroad.optimizers import optimize
from lowroad.outcome import Outcome
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
