"""Ensemble SGD against PyTorch's own and against closed forms."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from lowroad.landscapes import FunctionLandscape, NetworkLandscape
from lowroad.optimizers import sgd
from lowroad.outcome import Outcome
from optimizers.made_landscapes import Watched

ITEMS = 50


def data(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(ITEMS, 5, generator=generator, dtype=dtype)
    return inputs, torch.randint(3, (ITEMS,), generator=generator)


def dense(seed, dtype=torch.float64):
    module = nn.Sequential(nn.Linear(5, 7), nn.Softplus(), nn.Linear(7, 3)).to(dtype)
    return initialized(module, seed)


class Recurrent(nn.Module):
    """Not a stack of dense layers: an ensemble of these is evaluated in another way."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(1, 4, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.cell(x[:, :, None])[0][:, -1])


def recurrent(seed, dtype=torch.float64):
    return initialized(Recurrent().to(dtype), seed)


def initialized(module, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) / 3)
    return module


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def torch_sgd(module, batch_size, seed, rates, **settings):
    """The same by a plain PyTorch loop; returns the parameters after each epoch."""
    module, (inputs, targets) = copy.deepcopy(module), data()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(module.parameters(), lr=rates[0], **settings)
    points = []
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        order = torch.arange(ITEMS)
        if batch_size is not None:
            order = torch.randperm(ITEMS, generator=generator)
        for rows in order.split(batch_size or ITEMS):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(inputs[rows]), targets[rows]).backward()
            optimizer.step()
        points.append(torch.cat([p.detach().reshape(-1) for p in module.parameters()]))
    return points


@pytest.mark.parametrize("make", [dense, recurrent])
@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize(
    "settings",
    [{}, {"momentum": 0.9}, {"weight_decay": 0.02}, {"momentum": 0.5, "weight_decay": 0.1}],
)
def test_every_epoch_is_the_one_of_torch_sgd(make, batch_size, settings):
    module, rates = make(seed=2), [0.3, 0.1, 0.2, 0.05]
    expected = torch_sgd(module, batch_size, 7, rates, **settings)
    landscape = NetworkLandscape(module, *data(), "cross_entropy")
    points = []
    sgd(
        landscape,
        landscape.initial_point()[None],
        generators=generators(7),
        learning_rate=lambda epoch: rates[epoch],
        epochs=4,
        batch_size=batch_size,
        callback=lambda progress: points.append(progress.snapshot()["points"][0]) and None,
        **settings,
    )
    for point, wanted in zip(points, expected, strict=True):
        assert point.numpy() == pytest.approx(wanted.numpy(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("make", [dense, recurrent])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_a_start_gives_the_same_run_alone_or_in_an_ensemble(make, dtype, close):
    landscape = NetworkLandscape(make(0, dtype), *data(dtype), "cross_entropy")
    starts = torch.stack(
        [
            NetworkLandscape(make(s, dtype), *data(dtype), "cross_entropy").initial_point()
            for s in range(4)
        ]
    )
    how = {"epochs": 4, "batch_size": 12, "learning_rate": 0.3, "momentum": 0.5}
    together = sgd(landscape, starts, generators=generators(10, 11, 12, 13), **how)
    for k, among in enumerate(together):
        (alone,) = sgd(landscape, starts[k : k + 1], generators=generators(10 + k), **how)
        assert alone.history.values == pytest.approx(among.history.values, rel=close)
        assert alone.point.numpy() == pytest.approx(among.point.numpy(), abs=close)
        assert alone.evaluations.values == among.evaluations.values == 5
        assert alone.evaluations.gradients == pytest.approx(4)
        assert among.evaluations.gradients == pytest.approx(4)


def test_inputs_of_more_dimensions_go_through_dense_chains_too():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 7, 6, generator=generator, dtype=torch.float64)
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)).double()
    targets = torch.randn(40, 7, 2, generator=generator, dtype=torch.float64)
    landscape = NetworkLandscape(module, inputs, targets, "mean_squared_error")
    starts = torch.stack([landscape.initial_point(), -landscape.initial_point()])
    together = sgd(landscape, starts, generators=generators(1, 2), epochs=2, batch_size=8)
    for k, among in enumerate(together):
        (alone,) = sgd(
            landscape, starts[k : k + 1], generators=generators(1 + k), epochs=2, batch_size=8
        )
        assert alone.point.numpy() == pytest.approx(among.point.numpy(), abs=1e-12)


def test_each_start_has_its_own_shuffles():
    landscape = NetworkLandscape(dense(0), *data(), "cross_entropy")
    starts = landscape.initial_point().expand(2, -1).clone()
    same = sgd(landscape, starts, generators=generators(3, 3), epochs=2, batch_size=8)
    other = sgd(landscape, starts, generators=generators(3, 4), epochs=2, batch_size=8)
    assert same[0].value == pytest.approx(same[1].value, rel=1e-12)
    assert abs(other[0].value - other[1].value) > 1e-6


def test_gradient_descent_on_a_quadratic_has_its_closed_form():
    scales = torch.tensor([1.0, 0.1, 3.0], dtype=torch.float64)
    bowl = FunctionLandscape(lambda x: (scales * x**2).sum(1) / 2, dimension=3)
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    rate, decay = 0.2, 0.05
    (found,) = sgd(
        bowl,
        start[None],
        generators=generators(0),
        learning_rate=rate,
        weight_decay=decay,
        epochs=30,
        batch_size=None,
    )
    # x_k = (1 − η (λ + κ))^k x_0
    factors = 1 - rate * (scales + decay)
    expected = [float((scales * (factors**k * start) ** 2).sum() / 2) for k in range(31)]
    assert found.history.values == pytest.approx(expected, rel=1e-10)
    assert found.point.numpy() == pytest.approx((factors**30 * start).numpy(), rel=1e-10)


def test_momentum_on_a_quadratic_has_its_closed_form():
    bowl = FunctionLandscape(lambda x: (x**2).sum(1) / 2, dimension=1)
    (found,) = sgd(
        bowl,
        torch.tensor([[1.0]], dtype=torch.float64),
        generators=generators(0),
        learning_rate=0.1,
        momentum=0.9,
        epochs=20,
        batch_size=None,
    )
    x, before = [1.0, 0.9], None  # x_{k+1} = x_k − η x_k + μ (x_k − x_{k−1})
    while len(x) < 21:
        before, now = x[-2:]
        x.append(now - 0.1 * now + 0.9 * (now - before))
    assert found.history.values == pytest.approx(np.array(x) ** 2 / 2, rel=1e-9)


def test_the_schedule_is_asked_for_each_epoch():
    asked = []

    def schedule(epoch):
        asked.append(epoch)
        return 0.5 if epoch < 2 else 0.0

    bowl = FunctionLandscape(lambda x: (x**2).sum(1) / 2, dimension=1)
    (found,) = sgd(
        bowl,
        torch.tensor([[1.0]], dtype=torch.float64),
        generators=generators(0),
        learning_rate=schedule,
        epochs=4,
        batch_size=None,
    )
    assert asked == [0, 1, 2, 3]
    assert found.history.values.tolist() == [0.5, 0.125, 0.03125, 0.03125, 0.03125]


def test_patience_counts_from_the_best_validation():
    bowl = FunctionLandscape(lambda x: (x**2).sum(1) / 2, dimension=1)
    # from 1 by halves: the validation landscape is lowest at 0.25, after two epochs
    validation = FunctionLandscape(lambda x: (x - 0.25).abs().sum(1), dimension=1)
    starts = torch.tensor([[1.0], [1e6]], dtype=torch.float64)
    first, second = sgd(
        bowl,
        starts,
        generators=generators(0, 1),
        learning_rate=0.5,
        epochs=15,
        batch_size=None,
        patience=3,
        validation=validation,
    )
    assert (first.outcome, first.validation_step) == (Outcome.CONVERGED_VALUE, 2)
    assert (first.validation_value, first.validation_point.item()) == (0.0, 0.25)
    assert first.history.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert (first.step, first.value) == (5, 0.5 * 0.5**10)
    # the other start goes on
    assert (second.outcome, second.history.steps[-1]) == (Outcome.BUDGET_SPENT, 15)


def test_a_start_that_diverges_ends_with_its_best_point():
    bowl = FunctionLandscape(lambda x: (x**4).sum(1), dimension=1)
    starts = torch.tensor([[0.1], [10.0]], dtype=torch.float64)
    calm, wild = sgd(
        bowl,
        starts,
        generators=generators(0, 1),
        learning_rate=0.1,
        epochs=12,
        batch_size=None,
    )
    assert calm.outcome is Outcome.BUDGET_SPENT
    assert wild.outcome is Outcome.DIVERGED
    assert (wild.value, wild.point.item(), wild.step) == (1e4, 10.0, 0)
    assert not math.isfinite(wild.history.values[-1])
    assert len(wild.history.steps) < 13


def test_evaluations_are_those_of_a_counter():
    watched = Watched(FunctionLandscape(lambda x: (x**2).sum(1), dimension=2))
    starts = torch.ones(3, 2, dtype=torch.float64)
    found = sgd(watched, starts, generators=generators(0, 1, 2), epochs=5, batch_size=None)
    assert sum(each.evaluations.values for each in found) == watched.values_made == 18
    assert sum(each.evaluations.gradients for each in found) == watched.gradients_made == 15


def test_the_callback_can_stop():
    bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=1)
    starts = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    told = []

    def callback(progress):
        told.append((progress.step, progress.value))
        return progress.step == 2

    found = sgd(bowl, starts, generators=generators(0, 1), batch_size=None, callback=callback)
    assert [each.outcome for each in found] == [Outcome.STOPPED] * 2
    assert told == list(enumerate(found[0].history.values[1:], start=1))


def test_no_epochs_give_the_start_back():
    bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=1)
    starts = torch.tensor([[3.0]], dtype=torch.float64)
    (found,) = sgd(bowl, starts, generators=generators(0), epochs=0)
    assert (found.value, found.point.item(), found.outcome) == (9.0, 3.0, Outcome.BUDGET_SPENT)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"starts": torch.zeros(2, dtype=torch.float64)}, ValueError, r"shape \[s, 2\], got \[2\]"),
        ({"starts": torch.zeros(0, 2, dtype=torch.float64)}, ValueError, r"got \[0, 2\]"),
        ({"starts": torch.zeros(1, 3, dtype=torch.float64)}, ValueError, r"\[n, 2\].*got \[1, 3\]"),
        ({"starts": torch.full((1, 2), math.nan, dtype=torch.float64)}, ValueError, "2 components"),
        ({"starts": torch.zeros(1, 2)}, TypeError, "got torch.float32"),
        ({"starts": [[0.0, 0.0]]}, TypeError, r"starts \[s, d\] as a torch tensor, got list"),
        ({"validation": 3}, TypeError, "a landscape for the validation, got int"),
        ({"generators": None}, TypeError, "list of generators, one per start.*got None"),
        ({"generators": []}, ValueError, "one generator per start, got 0 for 1 starts"),
        ({"generators": torch.Generator()}, TypeError, "list of generators, one per start"),
        ({"generators": [0]}, TypeError, r"list of generators.*got \[0\]"),
        ({"learning_rate": 0.0}, ValueError, "positive learning rate, got 0.0"),
        ({"learning_rate": math.nan}, ValueError, "positive learning rate, got nan"),
        ({"epochs": -1}, ValueError, "epochs of at least 0, got -1"),
        ({"batch_size": 0}, ValueError, "at least one sample, got 0"),
        ({"batch_size": 4}, TypeError, "no data to draw mini-batches from"),
        ({"momentum": 1.0}, ValueError, r"momentum in \[0, 1\), got 1.0"),
        ({"weight_decay": -1.0}, ValueError, "at least 0, got -1.0"),
        ({"patience": 0}, ValueError, "at least one epoch, got 0"),
    ],
)
def test_refuses_bad_input(change, error, message):
    bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    how = {"starts": torch.zeros(1, 2, dtype=torch.float64), "generators": generators(0)}
    how = {**how, "batch_size": None, **change}
    with pytest.raises(error, match=message):
        sgd(bowl, how.pop("starts"), **how)


def test_refuses_a_landscape_that_is_not_finite_at_a_start():
    well = FunctionLandscape(lambda x: torch.log(x).sum(1), dimension=1)
    starts = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"finite at every start, got the values \[0.0, nan\]"):
        sgd(well, starts, generators=generators(0, 1), batch_size=None)
