"""The inputs of `lowroad.LBFGS`: modules, parameters, settings and closures of every kind."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from lowroad.landscapes import FunctionLandscape
from lowroad.optimizers import LBFGS, StrongWolfe, lbfgs, sgd
from optimizers.small_problem import flat, loss_only, small_problem


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
        ([nn.Parameter(torch.ones(0, 3))], "got none with any numbers"),
        ([nn.Parameter(torch.ones(2)), *nn.LazyLinear(3).parameters()], "got 2 without a shape"),
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
        ({"max_iter": 0}, "at least one iteration, got 0"),
        ({"max_iter": 2.5}, "at least one iteration, got 2.5"),
    ],
)
def test_refuses_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        LBFGS([parameter()], **settings)


@pytest.mark.parametrize(("name", "number"), [("lr", 0.1), ("weight_decay", 1e-4)])
def test_a_group_with_what_it_would_not_use_is_refused(name, number):
    with pytest.raises(TypeError, match=f"LBFGS takes no {name}"):
        LBFGS([{"params": [parameter()], name: number}])


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


# ---- parameters that change, are empty, or come twice


def test_parameters_frozen_between_steps_stay_and_the_counts_go_on():
    module, inputs, targets = small_problem()
    optimizer = LBFGS(module.parameters(), line_search="strong_wolfe")
    for _ in range(3):
        optimizer.step(loss_only(module, inputs, targets))
    spent = optimizer.evaluations.gradients
    module[0].requires_grad_(False)
    frozen, before = module[0].weight.clone(), loss_only(module, inputs, targets)().item()
    after = float(optimizer.step(loss_only(module, inputs, targets)))
    assert after < before
    assert torch.equal(module[0].weight, frozen)
    assert optimizer.evaluations.gradients > spent
    for p in module.parameters():
        p.requires_grad_(False)
    with pytest.raises(ValueError, match="parameters that require gradients, got none"):
        optimizer.step(loss_only(module, inputs, targets))
    module.requires_grad_(True)
    assert float(optimizer.step(loss_only(module, inputs, targets))) < after


def test_a_memory_is_not_carried_over_to_other_parameters_of_the_same_values():
    a, b = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    scales = torch.tensor([1.0, 10.0], dtype=torch.float64)
    b.requires_grad_(False)
    optimizer = LBFGS([a, b])

    def closure():  # the same in a and b
        return (scales * a**2).sum() + (scales * b**2).sum()

    optimizer.step(closure)
    with torch.no_grad():
        b.copy_(a)
    optimizer.step(closure)
    with torch.no_grad():
        b.copy_(a)
    a.requires_grad_(False)
    b.requires_grad_(True)
    optimizer.step(closure)
    assert not optimizer.state[a]["pairs"]


@pytest.mark.parametrize("name", ["golden_section", "strong_wolfe"])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_parameters_without_numbers_change_nothing(name, shape):
    module, inputs, targets = small_problem()
    other = copy.deepcopy(module)
    empty = nn.Parameter(torch.ones(shape, dtype=torch.float64))
    first = LBFGS(module.parameters(), name)
    second = LBFGS([empty, *other.parameters()], name)
    for _ in range(4):
        left = first.step(loss_only(module, inputs, targets))
        right = second.step(lambda: loss_only(other, inputs, targets)() + empty.sum())
        assert float(left) == float(right)
    assert torch.equal(flat(module), flat(other))


@pytest.mark.filterwarnings("ignore:optimizer contains a parameter group with duplicate")
def test_a_parameter_given_twice_is_moved_once():
    w, twice = (nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64)) for _ in range(2))
    scales = torch.tensor([1.0, 10.0], dtype=torch.float64)
    first, second = LBFGS([w], "strong_wolfe"), LBFGS([twice, twice], "strong_wolfe")
    for _ in range(5):
        first.step(lambda: (scales * w**2).sum())
        second.step(lambda: (scales * twice**2).sum())
    assert torch.equal(w, twice)


# ---- states of other modules


def saved_state(layers, named=False):
    module = nn.Sequential(*layers)
    given = module.named_parameters() if named else module.parameters()
    optimizer = LBFGS(given)
    for _ in range(3):
        optimizer.step(lambda: module(torch.ones(2, 4)).square().mean())
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)


@pytest.mark.parametrize("named", [True, False])
def test_a_state_of_a_module_with_other_shapes_is_refused_by_name_and_shape(named):
    saved = saved_state([nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)], named)
    other = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 1))
    given = other.named_parameters() if named else other.parameters()
    optimizer = LBFGS(given)
    first = "0.weight" if named else "parameter 0"
    with pytest.raises(ValueError, match=rf"same shapes: {first} \[7, 4\], got \[6, 4\]; "):
        optimizer.load_state_dict(saved)
    assert not optimizer.state_dict()["state"]


@pytest.mark.parametrize("state", [{}, {"a": 1}, nn.Linear(2, 1).state_dict(), None, [1]])
def test_what_is_no_optimizers_state_is_refused(state):
    optimizer = LBFGS(nn.Linear(2, 1).parameters())
    with pytest.raises(ValueError, match=r"expected what `state_dict\(\)` of an optimizer gave"):
        optimizer.load_state_dict(state)


def test_a_state_of_as_many_numbers_in_other_shapes_is_refused():
    saved = saved_state([nn.Linear(4, 2, bias=False), nn.Linear(2, 4, bias=False)])
    other = nn.Sequential(nn.Linear(2, 4, bias=False), nn.Linear(4, 2, bias=False))
    with pytest.raises(ValueError, match=r"parameter 1 \[2, 4\], got \[4, 2\]"):
        LBFGS(other.parameters()).load_state_dict(saved)


def test_a_state_of_more_parameters_or_another_optimizer_is_refused():
    saved = saved_state([nn.Linear(4, 2)])
    with pytest.raises(ValueError, match="a state of 1 parameters, got one of 2"):
        LBFGS(nn.Linear(4, 2, bias=False).parameters()).load_state_dict(saved)
    module = nn.Linear(4, 2)
    theirs = torch.optim.LBFGS(module.parameters()).state_dict()
    with pytest.raises(ValueError, match="got one saved with another optimizer"):
        LBFGS(module.parameters()).load_state_dict(theirs)


# ---- the words of other libraries


def schedulers():
    kinds = vars(torch.optim.lr_scheduler).values()
    base = torch.optim.lr_scheduler.LRScheduler
    return {
        each.__name__: each
        for each in kinds
        if isinstance(each, type) and issubclass(each, base) and each is not base
    }


OPTIONS = {
    "LambdaLR": {"lr_lambda": lambda epoch: 1.0},
    "MultiplicativeLR": {"lr_lambda": lambda epoch: 1.0},
    "StepLR": {"step_size": 1},
    "MultiStepLR": {"milestones": [1]},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": 5},
    "CosineAnnealingWarmRestarts": {"T_0": 5},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 1.0, "cycle_momentum": False},
    "OneCycleLR": {"max_lr": 1.0, "total_steps": 5, "cycle_momentum": False},
}


@pytest.mark.parametrize(
    "name", [n for n in schedulers() if n not in ("SequentialLR", "ChainedScheduler")]
)
@pytest.mark.parametrize("loaded", [False, True])
def test_schedulers_of_a_learning_rate_are_refused(name, loaded):
    optimizer = LBFGS([parameter()])
    if loaded:
        optimizer.load_state_dict(optimizer.state_dict())
    with pytest.raises(TypeError, match="LBFGS has no learning rate, and so takes no scheduler"):
        schedulers()[name](optimizer, **OPTIONS.get(name, {}))
    assert "lr" not in optimizer.param_groups[0]


def function(x):
    return (x**2).sum(1)


START = torch.ones(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 1.0}, "lbfgs takes no lr: leave it out: the line search finds the length"),
        ({"max_iter": 20}, "lbfgs takes no max_iter: write iterations="),
        ({"history_size": 20}, "lbfgs takes no history_size: write history="),
        ({"line_search_fn": "strong_wolfe"}, 'line_search_fn: write line_search="strong_wolfe"'),
        ({"bounds": [(0, 1)]}, r"takes no bounds: there are none; let the function map"),
        ({"tolerance_grad": 1e-5}, r"write tolerance=Tolerance\(gradient="),
        ({"gtol": 1e-5}, r"write tolerance=Tolerance\(gradient="),
        ({"tolerance_change": 1e-9}, r"write tolerance=Tolerance\(step="),
        ({"max_eval": 25}, r"write iterations= and the budget .*StrongWolfe\(budget=25\)"),
        ({"patienc": 3}, 'lbfgs takes no patienc; did you mean "patience"'),
        ({"tolerance": 1e-6}, r"expected a Tolerance, got 1e-06; write tolerance=Tolerance\("),
        ({"line_search": StrongWolfe}, r"got the class StrongWolfe: write StrongWolfe\(\)"),
    ],
)
def test_lbfgs_says_what_to_write_instead(settings, message):
    with pytest.raises(TypeError, match=message):
        lbfgs(FunctionLandscape(function, 2), START, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 1.0}, "LBFGS takes no lr: leave it out: the line search finds the length"),
        ({"iterations": 20}, "LBFGS takes no iterations: write max_iter="),
        ({"history": 20}, "LBFGS takes no history: write history_size="),
        ({"line_search_fn": "strong_wolfe"}, 'line_search_fn: write line_search="strong_wolfe"'),
        ({"bounds": [(0, 1)]}, r"takes no bounds: there are none"),
        ({"tolerance": 1e-5}, "LBFGS takes no tolerance: write tolerance_grad="),
        ({"tolerance_change": 1e-9}, "tolerance_change: leave it out: `outcome` says"),
        ({"weight_decay": 1e-4}, "weight_decay: add it to the function"),
        ({"history_siz": 3}, 'LBFGS takes no history_siz; did you mean "history_size"'),
        ({"line_search": StrongWolfe}, r"got the class StrongWolfe: write StrongWolfe\(\)"),
    ],
)
def test_the_torch_optimizer_says_what_to_write_instead(settings, message):
    with pytest.raises(TypeError, match=message):
        LBFGS([parameter()], **settings)


@pytest.mark.parametrize("given", [function, nn.Linear(2, 1), START])
def test_what_is_no_landscape_is_refused_with_what_makes_one(given):
    message = f"expected a landscape, got {type(given).__name__}; FunctionLandscape and"
    with pytest.raises(TypeError, match=message):
        lbfgs(given, START)
    with pytest.raises(TypeError, match=message):
        sgd(given, START[None], generators=[torch.Generator()])


@pytest.mark.parametrize("name", ["strong_wolfe", "golden_section"])
def test_both_take_a_line_search_by_name(name):
    found = lbfgs(FunctionLandscape(function, 2), START, line_search=name)
    w = nn.Parameter(START.clone())
    loss = LBFGS([w], line_search=name, max_iter=1000).step(lambda: function(w[None])[0])
    assert float(loss) == found.value
    assert torch.equal(w, found.point)
