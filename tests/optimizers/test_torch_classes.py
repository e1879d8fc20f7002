"""Classes of `torch.optim` on landscapes take the steps of a plain training loop."""

from __future__ import annotations

import copy
import math
from itertools import count

import pytest
import torch
from torch import nn

from lowroad.landscapes import CountingLandscape, Evaluations, FunctionLandscape
from lowroad.optimizers.torch_class import NOT_RESUMABLE, minimize_by_class
from lowroad.outcome import Outcome
from optimizers.optimizer_cases import (
    CLASSES,
    SAMPLES,
    Forgetful,
    Noisy,
    Sam,
    SamThatFindsGradients,
    WithoutClosure,
    assert_same,
    network,
    seeded,
    through_a_file,
)

EPOCHS = 5


def plain_loop(landscape, start, make, batch_size, schedule=None):
    """The parameters [d] after each epoch of an ordinary training loop, and its loss calls."""
    module = copy.deepcopy(landscape.module)
    for p in module.parameters():
        p.data, p.grad = p.data.clone(), None
    module.load_state_dict(landscape.parameters_at(start))
    module.to(start.dtype)
    optimizer = make(module.parameters())
    scheduler = None if schedule is None else schedule(optimizer)
    generator, points, calls = seeded(), [], count()
    for _ in range(EPOCHS):
        order = torch.arange(SAMPLES)
        if batch_size is not None:
            order = torch.randperm(SAMPLES, generator=generator)
        for rows in order.split(batch_size or SAMPLES):

            def closure(rows=rows):
                next(calls)
                optimizer.zero_grad()
                outputs = module(landscape.inputs[rows])
                loss = nn.functional.cross_entropy(outputs, landscape.targets[rows])
                loss.backward()
                return loss

            optimizer.step(closure)
        if scheduler is not None:
            scheduler.step()
        points.append(torch.cat([p.detach().reshape(-1) for p in module.parameters()]))
    return points, next(calls)


def followed(landscape, start, optimizer, **how):
    points = []
    result = minimize_by_class(
        landscape,
        start,
        optimizer,
        generator=seeded(),
        epochs=EPOCHS,
        callback=lambda progress: points.append(progress.snapshot()["point"]) and None,
        **how,
    )
    return points, result


@pytest.mark.parametrize("batch_size", [8, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CLASSES)
def test_every_epoch_is_the_one_of_a_plain_loop(name, dtype, batch_size):
    if (name, batch_size) == ("LBFGS", 8):
        pytest.skip("differences of batches' gradients enlarge rounding without bound")
    optimizer, options = CLASSES[name]
    landscape = network(dtype)
    start = landscape.initial_point()
    wanted, _ = plain_loop(landscape, start, lambda p: optimizer(p, **options), batch_size)
    result = minimize_by_class(
        landscape,
        start,
        optimizer,
        generator=seeded(),
        epochs=EPOCHS,
        options=options,
        batch_size=batch_size,
    )
    close = 1e-9 if dtype == torch.float64 else 1e-3  # signs and second moments enlarge rounding
    assert result.last_point.numpy() == pytest.approx(wanted[-1].numpy(), rel=close, abs=close)
    values = [landscape.value(point) for point in wanted]
    assert result.history.values[1:] == pytest.approx(values, rel=close)


def test_a_schedule_is_the_one_of_a_plain_loop():
    landscape = network()
    start = landscape.initial_point()
    wanted, _ = plain_loop(
        landscape,
        start,
        lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.5),
        8,
        lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.1),
    )
    points, _ = followed(
        landscape,
        start,
        "torch.optim.SGD",
        options={"lr": 0.5, "momentum": 0.5},
        batch_size=8,
        scheduler="torch.optim.lr_scheduler.StepLR",
        scheduler_options={"step_size": 2, "gamma": 0.1},
    )
    for point, expected in zip(points, wanted, strict=True):
        assert point.numpy() == pytest.approx(expected.numpy(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["Adam", "Sam", "LBFGS"])
def test_every_call_of_the_closure_is_counted_and_the_trial_is_not(name):
    optimizer, options = CLASSES[name]
    landscape = network()
    start = landscape.initial_point()
    _, calls = plain_loop(landscape, start, lambda p: optimizer(p, **options), None)
    outer = CountingLandscape(landscape, Evaluations())
    _, result = followed(outer, start, optimizer, options=options, batch_size="full")
    assert result.evaluations == Evaluations(values=EPOCHS + 1, gradients=calls)
    assert outer.evaluations == result.evaluations


def test_parameters_have_the_modules_shapes_and_order():
    seen = []

    class Looks(torch.optim.SGD):
        def __init__(self, params):
            params = list(params)
            seen.append([(type(p), tuple(p.shape), p.is_leaf) for p in params])
            super().__init__(params, lr=0.1)

    landscape = network()
    followed(landscape, landscape.initial_point(), Looks, batch_size=8)
    assert seen[0] == [(nn.Parameter, (5, 6), True), (nn.Parameter, (3, 5), True)]
    bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    seen.clear()
    followed(bowl, torch.ones(2, dtype=torch.float64), Looks, batch_size=None)
    assert seen[0] == [(nn.Parameter, (2,), True)]


def test_both_forms_of_a_sam_take_the_same_steps():
    landscape = network()
    start = landscape.initial_point()
    asks, _ = followed(landscape, start, Sam, batch_size=8)
    finds, result = followed(landscape, start, SamThatFindsGradients, batch_size=8)
    assert all(torch.equal(x, y) for x, y in zip(asks, finds, strict=True))
    assert result.evaluations.gradients == pytest.approx(2 * EPOCHS)
    sgd, _ = followed(landscape, start, "torch.optim.SGD", options={"lr": 0.1}, batch_size=8)
    assert not torch.equal(sgd[0], asks[0])
    plain, _ = followed(landscape, start, WithoutClosure, batch_size=8)
    assert all(torch.equal(x, y) for x, y in zip(plain, sgd, strict=True))


def test_an_optimizer_that_cannot_be_saved_gives_no_snapshots_and_says_so():
    landscape = network()
    told = []
    result = minimize_by_class(
        landscape,
        landscape.initial_point(),
        Forgetful,
        generator=seeded(),
        epochs=3,
        callback=lambda progress: told.append(progress.snapshot()) and None,
    )
    assert told == [None] * 3
    assert result.note == NOT_RESUMABLE
    assert result.message == f"budget spent; {NOT_RESUMABLE}"


class DrawsFromAnother(torch.optim.SGD):
    """Draws from a generator that no state holds."""

    own = torch.Generator()

    def step(self, closure):
        super().step(closure)
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p.add_(torch.randn(p.shape, generator=self.own), alpha=1e-3)


def test_an_optimizer_with_randomness_of_its_own_gives_no_snapshots():
    landscape = network()
    start = landscape.initial_point()
    assert followed_note(landscape, start, DrawsFromAnother) == NOT_RESUMABLE
    assert followed_note(landscape, start, Noisy) == ""


def followed_note(landscape, start, optimizer):
    return minimize_by_class(landscape, start, optimizer, generator=seeded(), epochs=1).note


def test_a_longer_run_goes_on_from_a_shorter_one():
    landscape = network()
    start = landscape.initial_point()

    def train(epochs, **how):
        return minimize_by_class(
            landscape, start, "torch.optim.Adam", generator=seeded(), epochs=epochs, **how
        )

    last = {}
    train(3, callback=lambda progress: last.update(through_a_file(progress.snapshot())))
    assert_same(train(7, resume=last), train(7))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "torch.optim.SGD"}, "snapshot of torch.optim.sgd.SGD .* got one of .*Adam"),
        ({"options": {"lr": 0.1}}, "with options: lr = 0.1, got one with none"),
        ({"batch_size": 8}, "with batch_size: 8, got one with 64"),
        ({"scheduler": "torch.optim.lr_scheduler.LinearLR"}, "scheduler: LinearLR, got .* none"),
        ({"landscape": FunctionLandscape(lambda x: x.sum(1), 2)}, r"of shape \[2\], got \[45\]"),
    ],
)
def test_refuses_to_resume_another_run(change, message):
    how = {"landscape": network(), "optimizer": "torch.optim.Adam", "generator": seeded()}
    snapshots = []
    start = how["landscape"].initial_point()
    minimize_by_class(
        **how, start=start, epochs=1, callback=lambda p: snapshots.append(p.snapshot()) and None
    )
    how |= change
    start = start[: how["landscape"].dimension]
    with pytest.raises(ValueError, match=message):
        minimize_by_class(**how, start=start, resume=snapshots[0])


class Fails(torch.optim.SGD):
    def step(self, closure):
        raise RuntimeError("out of luck")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"optimizer": "torch.optim"}, ValueError, 'expected a class .* at "torch.optim"'),
        ({"optimizer": "torch.nn.Linear"}, ValueError, "the class Linear .*it has no step"),
        ({"optimizer": "torch.optim.Optimizer"}, ValueError, "interface alone"),
        ({"optimizer": "torch.optim.Adm"}, ImportError, 'did you mean "Adam"'),
        ({"optimizer": "torch.optim.lr_scheduler.StepLR"}, ValueError, "it has no zero_grad"),
        ({"optimizer": 3}, ValueError, "expected a class with the interface .* got 3"),
        ({"optimizer": Fails}, ValueError, "Fails failed in its first step.*out of luck"),
        ({"optimizer": "torch.optim.SparseAdam"}, ValueError, "failed in its first step.*dense"),
        ({"options": {"lr": -1.0}}, ValueError, "options: Adam cannot be made .* learning rate"),
        ({"options": {"rate": 1.0}}, ValueError, "options: Adam cannot be made .* 'rate'"),
        ({"scheduler": "torch.nn.Linear"}, ValueError, "a class of torch.optim.lr_scheduler"),
        ({"scheduler": "torch.optim.lr_scheduler.StepLR"}, ValueError, "StepLR cannot .*step_size"),
        ({"epochs": -1}, ValueError, "epochs of at least 0, got -1"),
        ({"epochs": 1.5}, ValueError, "epochs of at least 0, got 1.5"),
        ({"batch_size": 0}, ValueError, "at least one sample, got 0"),
        ({"batch_size": "all"}, ValueError, "expected \"full\" or batches .* got 'all'"),
        ({"batch_size": 4}, TypeError, "no data to draw mini-batches from"),
        ({"patience": 0}, ValueError, "at least one epoch, got 0"),
        ({"validation": 3}, TypeError, "a landscape for the validation, got int"),
        ({"generator": 3}, TypeError, "expected a generator .* got int"),
        ({"start": torch.ones(3).double()}, ValueError, r"\[n, 2\].*got \[1, 3\]"),
        ({"start": torch.ones(2)}, TypeError, "got torch.float32"),
        ({"start": torch.full((2,), torch.nan).double()}, ValueError, "2 components"),
    ],
)
def test_refuses_bad_input(change, error, message):
    bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    how = {
        "start": torch.ones(2, dtype=torch.float64),
        "optimizer": "torch.optim.Adam",
        "generator": seeded(),
        "batch_size": "full",
        **change,
    }
    with pytest.raises(error, match=message):
        minimize_by_class(bowl, **how)


def test_refuses_a_landscape_that_is_not_finite_at_the_start():
    well = FunctionLandscape(lambda x: torch.log(x).sum(1), dimension=1)
    with pytest.raises(ValueError, match="finite at the start, got the value nan"):
        minimize_by_class(
            well,
            torch.tensor([-1.0], dtype=torch.float64),
            "torch.optim.Adam",
            generator=seeded(),
            batch_size=None,
        )


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
def test_an_optimizer_of_matrices_refuses_a_vector():
    bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    with pytest.raises(ValueError, match=r"options: Muon cannot be made .*2D"):
        minimize_by_class(
            bowl,
            torch.ones(2, dtype=torch.float64),
            "torch.optim.Muon",
            generator=seeded(),
            batch_size=None,
        )


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("name", ["Adam", "SGD", "RMSprop"])
def test_a_value_without_a_lower_bound_diverges(name, unit):
    falling = FunctionLandscape(lambda x: -unit * x.exp().sum(1), dimension=1)
    found = minimize_by_class(
        falling,
        torch.zeros(1, dtype=torch.float64),
        f"torch.optim.{name}",
        generator=seeded(),
        options={"lr": 0.5 / unit if name == "SGD" else 0.5},
        epochs=300,
        batch_size="full",
    )
    assert found.outcome is Outcome.DIVERGED
    assert -math.inf < found.value < 0
    assert falling.value(found.point) == found.value
