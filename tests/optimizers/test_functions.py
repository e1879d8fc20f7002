"""A user's own training function as an optimizer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import scipy
import torch

from lowroad.landscapes import Evaluations, FunctionLandscape
from lowroad.optimizers import lbfgs, sgd
from lowroad.optimizers.function import NOT_RESUMABLE, minimize_by_function
from lowroad.outcome import Outcome
from optimizers.optimizer_cases import assert_same, gradient_descent, network_problem, seeded


def bowl():
    return FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)


START = torch.tensor([3.0, 4.0], dtype=torch.float64)


def run(function, train=None, **how):
    problem = SimpleNamespace(train=train or bowl(), test=None, validation=None, quantity="energy")
    return minimize_by_function(function, problem, START, seeded(), **how)


def test_the_returned_point_alone_is_a_run():
    result = run(lambda problem, start, generator, report: start / 5)
    assert result.history.steps.tolist() == [0, 1]
    assert result.history.values.tolist() == [25.0, 1.0]
    assert (result.value, result.step, result.outcome) == (1.0, 1, Outcome.BUDGET_SPENT)
    assert torch.equal(result.last_point, START / 5)
    assert result.message == "budget spent"


def test_reports_make_the_curve_and_the_best_points():
    def function(problem, start, generator, report):
        for step, factor in ((1, 0.5), (5, 0.1), (6, 0.2)):
            report(step, factor * start)
        return 0.2 * start

    validation = FunctionLandscape(lambda x: (x - START / 2).square().sum(1), dimension=2)
    result = run(function, validation=validation)
    assert result.history.steps.tolist() == [0, 1, 5, 6]
    assert result.history.values == pytest.approx([25.0, 6.25, 0.25, 1.0])
    assert (result.step, result.validation_step, result.validation_value) == (5, 1, 0.0)
    assert torch.equal(result.last_point, 0.2 * START)
    assert result.message == f"budget spent; {NOT_RESUMABLE}"


def test_what_differs_from_the_last_report_is_recorded():
    def function(problem, start, generator, report):
        report(3, start / 2)
        return start / 5

    assert run(function).history.steps.tolist() == [0, 3, 4]


def test_evaluations_of_the_problem_are_counted():
    def function(problem, start, generator, report):
        problem.train.value(start)
        _, gradient = problem.train.value_and_gradient(start)
        return start - 0.1 * gradient

    assert run(function).evaluations == Evaluations(values=3.0, gradients=1.0)


def test_the_function_sees_all_of_the_problem():
    def function(problem, start, generator, report, factor):
        assert problem.test is None
        assert problem.quantity == "energy"
        assert problem.train.function is train.function
        assert not hasattr(problem, "nothing")
        assert not hasattr(problem.train, "nothing")
        return factor * start

    train = bowl()
    assert run(function, train, options={"factor": 0.2}).value == pytest.approx(1.0)


def test_an_own_result_is_taken_as_it_is():
    def function(problem, start, generator, report):
        return lbfgs(problem.train, start)

    result = run(function)
    assert result.outcome.converged
    validation = FunctionLandscape(lambda x: (x - 1).square().sum(1), dimension=2)
    result = run(function, validation=validation)
    assert result.validation_value == pytest.approx(2.0)
    assert torch.equal(result.validation_point, result.point)
    assert result.history.validation_values.shape == result.history.values.shape
    assert np.nanmin(result.history.validation_values) == result.validation_value


def test_a_run_that_ends_where_nothing_is_finite_has_diverged():
    well = FunctionLandscape(lambda x: torch.log(x).sum(1), dimension=2)
    result = run(lambda problem, start, generator, report: -start, well)
    assert result.outcome is Outcome.DIVERGED
    assert torch.equal(result.point, START)


def test_a_callback_ends_the_run_where_it_reports():
    reached = []

    def function(problem, start, generator, report):
        for step in range(1, 10):
            reached.append(step)
            report(step, start / (1 + step))
        return start

    result = run(function, callback=lambda progress: progress.step == 4)
    assert reached == [1, 2, 3, 4]
    assert (result.outcome, result.iterations) == (Outcome.STOPPED, 4)


def test_without_a_state_there_are_no_snapshots():
    told = []

    def function(problem, start, generator, report):
        report(1, start / 2)
        return start / 2

    run(function, callback=lambda progress: told.append(progress.snapshot()) and None)
    assert told == [None]


def test_a_snapshot_is_that_of_its_report_whenever_it_is_taken():
    def drawing(problem, start, generator, report, steps, resume=None):
        first, point = resume or (1, start)
        for step in range(first, steps + 1):
            point = point + torch.randn(2, generator=generator) + torch.randn(2)
            report(step, point, state=[step + 1, point])
            point.mul_(1.0)
        torch.randn(3, generator=generator)
        return point + 1

    told = []
    run(drawing, options={"steps": 3}, callback=lambda progress: told.append(progress) and None)
    whole = run(drawing, options={"steps": 6})
    for progress in told:
        resumed = run(drawing, options={"steps": 6}, resume=progress.snapshot())
        assert_same(resumed, whole)


def test_refuses_a_snapshot_of_another_function():
    problem, kept = network_problem(), []
    start = problem.start(seeded())

    def callback(progress):
        kept.append(progress.snapshot())

    minimize_by_function(gradient_descent, problem, start, seeded(), callback=callback)
    with pytest.raises(ValueError, match=r"a snapshot of the function .*lambda.* got one of"):
        minimize_by_function(
            lambda problem, start, generator, report: start,
            problem,
            start,
            seeded(),
            resume=kept[0],
        )


def reporting(*arguments, **more):
    def function(problem, start, generator, report):
        report(*arguments, **more)
        return start

    return function


def returning(value):
    return lambda problem, start, generator, report: value


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda problem, start: start, ValueError, r"\(problem, start, generator, report, \*\*opt"),
        (returning(None), TypeError, r"tensor \[2\], or an OptimizationResult, got NoneType"),
        (returning(np.zeros(2)), TypeError, "got ndarray: return torch.from_numpy"),
        (
            returning(scipy.optimize.OptimizeResult(x=np.zeros(2), success=True)),
            TypeError,
            r"got OptimizeResult: return torch.from_numpy\(result.x\)",
        ),
        (returning({"w": START}), TypeError, "got dict: return problem.train.point_of"),
        (returning(torch.nn.Linear(1, 1)), TypeError, "got Linear: return problem.train.point_of"),
        (returning(torch.zeros(3)), ValueError, r"shape \[2\] .* got \[3\]"),
        (returning(torch.zeros(2).int()), ValueError, "got .* torch.int32"),
        (
            lambda problem, start, generator, report: sgd(
                problem.train, start[None], generators=[generator], epochs=1, batch_size=None
            ),
            TypeError,
            r"got list: return one of them, such as result\[0\]",
        ),
        (
            returning(lbfgs(FunctionLandscape(lambda x: 1 + x.square().sum(1), 2), START)),
            ValueError,
            "its value|got one of value 1 at whose point the landscape's value is",
        ),
        (reporting(0, START), ValueError, "grow from 0, where the start is recorded, got 0"),
        (reporting(1.5, START), ValueError, "grow from 0.*got 1.5"),
        (reporting(1, START[:1]), ValueError, r"shape \[2\] .* got \[1\]"),
        (reporting(1, [3.0, 4.0]), ValueError, "a torch tensor .* got list"),
        (reporting(1, START, state=object()), TypeError, "a state of tensors, numbers.*got object"),
    ],
)
def test_refuses_bad_functions(function, error, message):
    with pytest.raises(error, match=message):
        run(function)
