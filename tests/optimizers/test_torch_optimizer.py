"""`lowroad.LBFGS` in training loops."""

from __future__ import annotations

import copy
import io
import math
import pickle

import pytest
import torch
from torch import nn

from lowroad.landscapes import NetworkLandscape
from lowroad.landscapes.more_garbow_hillstrom import more_garbow_hillstrom
from lowroad.optimizers import (
    LBFGS,
    Backtracking,
    Brent,
    GoldenSection,
    HagerZhang,
    StrongWolfe,
    Tolerance,
    lbfgs,
)
from lowroad.outcome import Outcome
from optimizers.small_problem import flat, loss_only, small_problem, usual

SEARCHES = {
    "golden_section": GoldenSection(),
    "brent": Brent(),
    "strong_wolfe": StrongWolfe(),
    "hager_zhang": HagerZhang(),
    "backtracking": Backtracking(),
}


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("number", [1, 14, 20])  # Rosenbrock, Wood, Watson
def test_every_step_is_the_one_of_lbfgs(name, number):
    problem = more_garbow_hillstrom()[number - 1]
    exact = Tolerance(gradient=0.0)
    expected = lbfgs(
        problem, problem.start, line_search=SEARCHES[name], iterations=25, tolerance=exact
    ).history.values[1:]
    w = nn.Parameter(problem.start.clone())
    optimizer = LBFGS([w], line_search=name, tolerance_grad=0.0)
    losses = [float(optimizer.step(lambda: problem.function(w[None])[0])) for _ in expected]
    assert losses == expected.tolist()


def test_steps_of_a_network_are_those_of_lbfgs():
    module, inputs, targets = small_problem()
    landscape = NetworkLandscape(module, inputs, targets, "mean_squared_error")
    found = lbfgs(landscape, landscape.initial_point(), iterations=15, history=4)
    optimizer = LBFGS(module.parameters(), history_size=4)
    losses = [float(optimizer.step(loss_only(module, inputs, targets))) for _ in range(15)]
    # the first layer's products are summed in another order there
    assert losses == pytest.approx(found.history.values[1:], rel=1e-9)


@pytest.mark.parametrize("name", SEARCHES)
def test_both_forms_of_closure_take_the_same_steps(name):
    module, inputs, targets = small_problem()
    other = copy.deepcopy(module)
    first, second = LBFGS(module.parameters(), name), LBFGS(other.parameters(), name)
    for _ in range(12):
        left = first.step(loss_only(module, inputs, targets))
        right = second.step(usual(second, other, inputs, targets))
        assert float(left) == float(right)
        assert torch.equal(flat(module), flat(other))


@pytest.mark.parametrize("form", ["loss_only", "usual"])
def test_returns_the_loss_after_the_step_at_the_parameters_it_leaves(form):
    module, inputs, targets = small_problem(torch.float32)
    optimizer = LBFGS(module.parameters())
    evaluate = loss_only(module, inputs, targets)
    closure = evaluate if form == "loss_only" else usual(optimizer, module, inputs, targets)
    start = before = evaluate().item()
    for _ in range(30):
        after = optimizer.step(closure)
        assert not after.requires_grad
        assert after.dtype == torch.float32
        assert float(after) == evaluate().item()
        assert float(after) < before or optimizer.outcome is Outcome.LINE_SEARCH_FAILED
        before = float(after)
    assert before < 0.05 * start


def test_the_loss_only_form_costs_one_graph_a_step_and_leaves_grad_alone():
    module, inputs, targets = small_problem()
    marks = [torch.full_like(p, 7.0) for p in module.parameters()]
    for p, mark in zip(module.parameters(), marks, strict=True):
        p.grad = mark
    with_graph = []

    def closure():
        with_graph.append(torch.is_grad_enabled())
        return nn.functional.mse_loss(module(inputs), targets)

    optimizer = LBFGS(module.parameters(), line_search=GoldenSection(budget=6))
    for step in range(1, 6):
        with_graph.clear()
        optimizer.step(closure)
        assert with_graph[0]
        assert not any(with_graph[1:])
        assert 1 <= len(with_graph[1:]) <= 6
        assert optimizer.evaluations.gradients == step
    assert all(p.grad is mark for p, mark in zip(module.parameters(), marks, strict=True))
    assert all((mark == 7.0).all() for mark in marks)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_the_usual_form_leaves_the_gradient_where_the_step_began(set_to_none):
    module, inputs, targets = small_problem()
    optimizer = LBFGS(module.parameters())
    calls = []

    def closure():
        optimizer.zero_grad(set_to_none=set_to_none)
        loss = nn.functional.mse_loss(module(inputs), targets)
        loss.backward()
        calls.append(1)
        return loss

    for _ in range(3):
        expected = torch.autograd.grad(
            nn.functional.mse_loss(module(inputs), targets), list(module.parameters())
        )
        optimizer.step(closure)
        for p, gradient in zip(module.parameters(), expected, strict=True):
            assert torch.equal(p.grad, gradient)
    assert optimizer.evaluations.gradients == len(calls)
    assert optimizer.evaluations.values == 0


def test_a_backward_pass_in_chunks_counts_as_the_usual_form():
    module, inputs, targets = small_problem()
    other = copy.deepcopy(module)
    optimizer, whole = LBFGS(module.parameters()), LBFGS(other.parameters())

    def closure():
        optimizer.zero_grad()
        total = 0.0
        for x, y in zip(inputs.split(20), targets.split(20), strict=True):
            loss = nn.functional.mse_loss(module(x), y) / 3
            loss.backward()
            total += loss.item()
        return total  # a plain number

    for _ in range(8):
        left, right = optimizer.step(closure), whole.step(loss_only(other, inputs, targets))
    assert isinstance(left, float)
    assert left == pytest.approx(float(right), rel=1e-6)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("form", ["loss_only", "usual"])
def test_a_resumed_run_ends_in_the_same_bits(name, form):
    def run(module, optimizer, steps):
        closure = (
            loss_only(module, inputs, targets)
            if form == "loss_only"
            else usual(optimizer, module, inputs, targets)
        )
        for _ in range(steps):
            optimizer.step(closure)

    module, inputs, targets = small_problem(torch.float32)
    straight = copy.deepcopy(module)
    through = LBFGS(straight.parameters(), name)
    run(straight, through, 20)
    optimizer = LBFGS(module.parameters(), name)
    for steps in (1, 6, 13):  # killed three times
        run(module, optimizer, steps)
        file = io.BytesIO()
        torch.save({"module": module.state_dict(), "optimizer": optimizer.state_dict()}, file)
        saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
        module, _, _ = small_problem(torch.float32)
        module.load_state_dict(saved["module"])
        optimizer = LBFGS(module.parameters(), name)
        optimizer.load_state_dict(saved["optimizer"])
    assert torch.equal(flat(module), flat(straight))
    assert optimizer.evaluations == through.evaluations


def test_a_pickled_copy_goes_on_in_the_same_bits():
    module, inputs, targets = small_problem()
    optimizer = LBFGS(module.parameters(), line_search="brent")
    for _ in range(4):
        optimizer.step(loss_only(module, inputs, targets))
    module2, optimizer2 = pickle.loads(pickle.dumps((module, optimizer)))
    for m, o in ((module, optimizer), (module2, optimizer2)):
        o.step(loss_only(m, inputs, targets))
    assert torch.equal(flat(module), flat(module2))


def test_a_state_of_another_line_search_is_refused():
    module, _, _ = small_problem()
    saved = LBFGS(module.parameters(), line_search="brent").state_dict()
    with pytest.raises(ValueError, match=r"Brent\(budget=10"):
        LBFGS(module.parameters()).load_state_dict(saved)


def test_another_batch_starts_from_an_empty_memory():
    module, inputs, targets = small_problem()
    optimizer = LBFGS(module.parameters())
    for rows in (slice(0, 30), slice(30, 60)):
        x, y = inputs[rows], targets[rows]
        before = loss_only(module, x, y)().item()
        start, gradient = (
            flat(module),
            torch.autograd.grad(loss_only(module, x, y)(), module.parameters()),
        )
        after = float(optimizer.step(loss_only(module, x, y)))
        moved = flat(module) - start
        steepest = -torch.cat([g.reshape(-1) for g in gradient])
        assert after < before
        cosine = float(moved @ steepest / (moved.norm() * steepest.norm()))
        assert cosine == pytest.approx(1.0, abs=1e-9)
        for _ in range(4):
            optimizer.step(loss_only(module, x, y))
        assert len(optimizer.state_dict()["state"][0]["pairs"]) == 4


def test_parameters_changed_by_others_start_from_an_empty_memory():
    w = nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))
    scales = torch.tensor([1.0, 10.0], dtype=torch.float64)
    optimizer = LBFGS([w])
    for _ in range(3):
        optimizer.step(lambda: (scales * w**2).sum())
    assert optimizer.state[w]["pairs"]
    with torch.no_grad():
        w.neg_()  # the same loss elsewhere
    optimizer.step(lambda: (scales * w**2).sum())
    assert not optimizer.state[w]["pairs"]


def test_parameters_are_left_where_the_step_began_when_the_closure_fails():
    module, inputs, targets = small_problem()
    optimizer = LBFGS(module.parameters())
    optimizer.step(loss_only(module, inputs, targets))
    start, calls = flat(module), []

    def closure():
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return nn.functional.mse_loss(module(inputs), targets)

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert torch.equal(flat(module), start)
    optimizer.step(loss_only(module, inputs, targets))
    assert not torch.equal(flat(module), start)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_not_the_end(name, bad):
    w = nn.Parameter(torch.tensor([0.05, -2.0], dtype=torch.float64))

    def closure():  # −log w0 + w0 has its minimum 1 at w0 = 1; w0 ≤ 0 is outside the domain
        value = w[0] - torch.log(w[0]) + (w[1] - 1) ** 2
        return torch.where(w[0] > 0, value, value.new_tensor(bad))

    optimizer = LBFGS([w], line_search=name)
    for _ in range(60):
        loss = float(optimizer.step(closure))
    assert loss == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("start", [(5.0, 2.0), (30.0, 0.01), (0.9, 4.0)])
def test_a_domain_that_trials_leave(name, start):
    w = nn.Parameter(torch.tensor(start, dtype=torch.float64))  # the logarithm is NaN below 0
    optimizer = LBFGS([w], line_search=name)
    for _ in range(60):
        loss = optimizer.step(lambda: (w * torch.log(w)).sum() + 10 * (w[0] - w[1]) ** 2)
    assert float(loss) == pytest.approx(-2 / math.e, abs=1e-12)
    assert w.tolist() == pytest.approx([1 / math.e] * 2, abs=1e-6)


def test_a_step_that_finds_nothing_lower_says_so_and_stays():
    w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = LBFGS([w])
    # the loss is −w, with a wrong gradient of 1
    loss = optimizer.step(lambda: (w - w.detach()).sum() - w.detach().sum())
    assert optimizer.outcome is Outcome.LINE_SEARCH_FAILED
    assert (float(loss), w.item()) == (-1.0, 1.0)


def test_a_converged_step_says_so():
    w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = LBFGS([w])
    while optimizer.outcome is None:
        optimizer.step(lambda: (w**2).sum())
    assert optimizer.outcome is Outcome.CONVERGED_GRADIENT
    assert abs(w.item()) < 1e-9
