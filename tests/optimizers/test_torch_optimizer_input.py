"""The inputs of `lowroad.LBFGS`: modules, parameters, settings and closures of every kind."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from lowroad.optimizers import (
    LBFGS,
)
from optimizers.small_problem import loss_only, small_problem


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_works_on_a_compiled_module(backend):
    module, inputs, targets = small_problem()
    compiled = torch.compile(copy.deepcopy(module), backend=backend)
    first, second = LBFGS(module.parameters()), LBFGS(compiled.parameters())
    for _ in range(6):
        left = first.step(loss_only(module, inputs, targets))
        right = second.step(loss_only(compiled, inputs, targets))
    assert float(right) == pytest.approx(float(left), rel=1e-6)


def test_a_loss_that_needs_autograd_itself_is_trained_all_the_same():
    # u' = −u with u(0) = 1 on [0, 1], a physics-informed network
    module, _, _ = small_problem()
    module = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    t = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None].requires_grad_()

    def closure():
        u = module(t)
        (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
        return ((slope + u) ** 2).mean() + (u[0] - 1).square().sum()

    optimizer = LBFGS(module.parameters())
    for _ in range(80):
        optimizer.step(closure)
    assert torch.allclose(module(t), torch.exp(-t), atol=1e-2)


def test_frozen_and_unused_parameters_stay():
    module, inputs, targets = small_problem()
    module.spare = nn.Parameter(torch.ones(3, dtype=torch.float64))
    module[0].bias.requires_grad_(False)
    frozen = module[0].bias.clone()
    optimizer = LBFGS(module.parameters())
    losses = [
        float(optimizer.step(lambda: nn.functional.mse_loss(module[:3](inputs), targets)))
        for _ in range(20)
    ]
    assert losses[-1] < losses[0]
    assert torch.equal(module[0].bias, frozen)
    assert (module.spare == 1).all()


def test_sparse_gradients_are_taken():
    table = nn.Embedding(5, 2, sparse=True, dtype=torch.float64)
    optimizer = LBFGS(table.parameters())

    def closure():
        optimizer.zero_grad()
        loss = ((table(torch.tensor([0, 3])) - 1) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(10):
        loss = optimizer.step(closure)
    assert float(loss) < 1e-12


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_works_on_cuda(dtype):
    module, inputs, targets = small_problem(dtype)
    other, x, y = copy.deepcopy(module).cuda(), inputs.cuda(), targets.cuda()
    first, second = LBFGS(module.parameters()), LBFGS(other.parameters())
    for _ in range(5):
        left = first.step(loss_only(module, inputs, targets))
        right = second.step(loss_only(other, x, y))
    assert right.is_cuda
    assert float(right) == pytest.approx(float(left), rel=1e-2)


def parameter(**kind):
    return nn.Parameter(torch.ones(2, **kind))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([parameter(dtype=torch.complex64)], "float32 or float64 parameters, got torch.complex64"),
        ([parameter(dtype=torch.bfloat16)], "got torch.bfloat16"),
        ([parameter(), parameter(dtype=torch.float64)], "one type on one device"),
        ([parameter(), parameter(device="meta")], "float32 on cpu', 'torch.float32 on meta"),
        ([nn.Parameter(torch.eye(2).to_sparse())], "dense parameters, got .*sparse_coo"),
        ([parameter().requires_grad_(False)], "require gradients, got none"),
        ([{"params": [parameter()]}, {"params": [parameter()]}], "one group"),
        ([], "empty parameter list"),
    ],
)
def test_refuses_parameters_it_cannot_move(parameters, message):
    with pytest.raises(ValueError, match=message):
        LBFGS(parameters)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"line_search": "armijo"}, 'no line search "armijo"; known: golden_section'),
        ({"history_size": 0}, "at least one pair, got 0"),
        ({"tolerance_grad": -1.0}, "at least 0, got -1.0"),
    ],
)
def test_refuses_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        LBFGS([parameter()], **settings)


def test_refuses_what_is_no_line_search():
    with pytest.raises(TypeError, match=r"such as GoldenSection\(\).* got 3"):
        LBFGS([parameter()], line_search=3)


@pytest.mark.parametrize(
    ("closure", "error", "message"),
    [
        (None, TypeError, "expected a closure"),
        (lambda w: None, TypeError, "scalar tensor, got NoneType"),
        (lambda w: w * 2, ValueError, r"got a tensor of shape \[2\]"),
        (lambda w: (w * 1j).sum(), ValueError, "complex64; reduce it"),
        (lambda w: w.detach().sum(), ValueError, "without a graph"),
        (lambda w: w.sum().item(), ValueError, "without a graph"),
        (lambda w: torch.ones((), requires_grad=True) * 2, ValueError, "it does not"),
        (lambda w: w.sum() / 0, ValueError, "finite loss where the step begins, got inf"),
        (lambda w: (w - 1).abs().sqrt().sum(), ValueError, "2 components that are not finite"),
    ],
)
def test_refuses_closures_it_cannot_use(closure, error, message):
    w = parameter()
    optimizer = LBFGS([w])
    with pytest.raises(error, match=message):
        optimizer.step(None if closure is None else lambda: closure(w))
    assert (w == 1).all()
