"""Every optimizer with settings for a small network, and problems to run them on."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from lowroad.landscapes import FunctionLandscape, NetworkLandscape
from lowroad.optimizers.line_searches import LINE_SEARCHES

SAMPLES = 30


class Sam(torch.optim.Optimizer):
    """Sharpness-aware minimization (Foret et al. 2021) whose step asks the closure twice."""

    def __init__(self, params, lr=0.1, rho=0.05):
        super().__init__(params, {"lr": lr, "rho": rho})

    def step(self, closure):
        loss = closure()
        self.uphill_and_down(closure)
        return loss

    @torch.no_grad()
    def uphill_and_down(self, closure):
        (group,) = self.param_groups
        norm = torch.stack([p.grad.norm() for p in group["params"]]).norm()
        moves = [group["rho"] * p.grad / (norm + 1e-12) for p in group["params"]]
        for p, move in zip(group["params"], moves, strict=True):
            p.add_(move)
        with torch.enable_grad():
            closure()
        for p, move in zip(group["params"], moves, strict=True):
            p.sub_(move).sub_(p.grad, alpha=group["lr"])


class SamThatFindsGradients(Sam):
    """The same in its best known form: the first gradient is there when `step` begins."""

    def step(self, closure):
        self.uphill_and_down(closure)


class Noisy(torch.optim.SGD):
    """Langevin dynamics: draws from PyTorch's global generator."""

    def step(self, closure):
        loss = super().step(closure)
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p.add_(torch.randn(p.shape, dtype=p.dtype), alpha=1e-2)
        return loss


class WithoutClosure:
    """Not a subclass, and its step takes no closure."""

    def __init__(self, params, lr=0.1):
        self.params, self.lr = list(params), lr

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for p in self.params:
            p.sub_(p.grad, alpha=self.lr)

    def state_dict(self):
        return {"lr": self.lr}

    def load_state_dict(self, state):
        self.lr = state["lr"]


class Forgetful(torch.optim.Optimizer):
    """Keeps its momentum where `state_dict` does not look."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})
        self.momentum = {}

    def step(self, closure):
        closure()
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                v = self.momentum.get(p, torch.zeros_like(p)).mul(0.9).add(p.grad)
                self.momentum[p] = v
                p.sub_(v, alpha=self.param_groups[0]["lr"])


def gradient_descent(problem, start, generator, report, rate=0.2, epochs=6, resume=None):
    """A user's function: with noise of its own and a state to go on from."""
    first, point = (1, start) if resume is None else (resume["epoch"] + 1, resume["point"])
    for epoch in range(first, epochs + 1):
        for batch in problem.train.minibatches(8, generator):
            _, gradient = batch.value_and_gradient(point)
            point = point - rate * gradient
        point = point + 1e-3 * torch.randn(point.shape, dtype=point.dtype)  # global generator
        report(epoch, point, state={"epoch": epoch, "point": point})
    return point


CLASSES = {
    "SGD": (torch.optim.SGD, {"lr": 0.2}),
    "SGD momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "Adam": (torch.optim.Adam, {"lr": 0.02, "betas": [0.8, 0.99]}),
    "AdamW": (torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.1}),
    "RMSprop": (torch.optim.RMSprop, {"lr": 0.01, "momentum": 0.5}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 0.1}),
    "Adamax": (torch.optim.Adamax, {"lr": 0.02}),
    "NAdam": (torch.optim.NAdam, {"lr": 0.02}),
    "RAdam": (torch.optim.RAdam, {"lr": 0.02}),
    "Rprop": (torch.optim.Rprop, {"lr": 0.01}),
    "ASGD": (torch.optim.ASGD, {"lr": 0.1, "t0": 3}),
    "Adadelta": (torch.optim.Adadelta, {"lr": 1.0}),
    "Adafactor": (torch.optim.Adafactor, {"lr": 0.05}),
    "LBFGS": (torch.optim.LBFGS, {"max_iter": 4, "line_search_fn": "strong_wolfe"}),
    "Sam": (Sam, {"lr": 0.2}),
}
if hasattr(torch.optim, "Muon"):
    CLASSES["Muon"] = (torch.optim.Muon, {"lr": 0.02})

# name: method, settings
CASES = {
    "sgd": ("sgd", {"learning_rate": 0.2, "epochs": 6, "batch_size": 8}),
    "sgd scheduled": (
        "sgd",
        {
            "learning_rate": 0.2,
            "momentum": 0.5,
            "epochs": 6,
            "batch_size": 8,
            "scheduler": "torch.optim.lr_scheduler.CosineAnnealingLR",
            "scheduler_options": {"T_max": 6},
        },
    ),
    **{
        f"lbfgs {name}": ("lbfgs", {"iterations": 45, "line_search": name})
        for name in LINE_SEARCHES
    },
    **{
        name: (kind, {"options": options, "epochs": 6, "batch_size": 8})
        for name, (kind, options) in CLASSES.items()
    },
    "Adam on a plateau": (
        "torch.optim.Adam",
        {
            "epochs": 6,
            "batch_size": "full",
            "options": {"lr": 0.5},
            "scheduler": "torch.optim.lr_scheduler.ReduceLROnPlateau",
            "scheduler_options": {"patience": 0, "factor": 0.1},
        },
    ),
    "SAM that finds gradients": (SamThatFindsGradients, {"epochs": 6, "batch_size": 8}),
    "noisy": (Noisy, {"options": {"lr": 0.1}, "epochs": 6, "batch_size": 8}),
    "without closure": (WithoutClosure, {"epochs": 6, "batch_size": 8}),
    "function": (gradient_descent, {}),
}


def network(dtype=torch.float64, seed=3, samples=SAMPLES):
    """A classifier without biases (Muon takes matrices alone) on made-up data."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(samples, 6, generator=generator, dtype=dtype)
    targets = (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()
    module = nn.Sequential(nn.Linear(6, 5, bias=False), nn.Tanh(), nn.Linear(5, 3, bias=False))
    module = module.to(dtype)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=dtype) / 3)
    return NetworkLandscape(module, inputs, targets, "cross_entropy", chunk=20)


def network_problem(dtype=torch.float64):
    train = network(dtype)
    return SimpleNamespace(
        train=train,
        test=network(dtype, seed=4),
        validation=None,
        start=lambda generator: torch.randn(train.dimension, generator=generator).to(dtype) / 3,
    )


def bowl_problem():
    bowl = FunctionLandscape(lambda x: ((x - 3.0) ** 2).sum(1), dimension=2)
    return SimpleNamespace(
        train=bowl,
        test=None,
        validation=None,
        start=lambda generator: torch.randn(2, generator=generator).double(),
    )


def seeded(seed=7):
    return torch.Generator().manual_seed(seed)


def through_a_file(snapshot):
    file = io.BytesIO()
    torch.save(snapshot, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)


def assert_same(one, other):
    """Every field of two results but the time, in bits."""
    for name in ("point", "validation_point", "last_point"):
        x, y = getattr(one, name), getattr(other, name)
        assert x is y is None or torch.equal(x, y)
    for name in ("value", "step", "validation_value", "validation_step", "gradient_norm"):
        assert getattr(one, name) == getattr(other, name)
    assert (one.outcome, one.note) == (other.outcome, other.note)
    assert one.evaluations == other.evaluations
    for name in ("steps", "values", "validation_values", "evaluations"):
        np.testing.assert_array_equal(getattr(one.history, name), getattr(other.history, name))
