"""Network landscapes against plain PyTorch, and what they refuse."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from landscapes.image_networks import landscape_of
from lowroad.landscapes import (
    AffineSubspace,
    CountingLandscape,
    FunctionLandscape,
    NetworkLandscape,
)
from lowroad.paper.networks import FCP, LSTM, Autoencoder, LeNet


@pytest.mark.parametrize("model", [FCP, LeNet, LSTM, Autoencoder])
def test_values_and_gradients_are_pytorchs(model):
    module, landscape = landscape_of(model)
    outputs = module(landscape.inputs)
    loss = (F.mse_loss if model is Autoencoder else F.cross_entropy)(outputs, landscape.targets)
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    point = nn.utils.parameters_to_vector(module.parameters()).detach()
    assert torch.equal(landscape.initial_point(), point)
    value, gradient = landscape.value_and_gradient(point)
    assert value == pytest.approx(loss.item(), rel=1e-13)
    assert landscape.value(point) == pytest.approx(loss.item(), rel=1e-13)
    expected = torch.cat([g.reshape(-1) for g in gradients])
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(landscape.outputs(point), outputs.detach(), rtol=1e-12, atol=1e-14)


def test_small_cross_entropies_are_not_rounded_away():
    """A loss of e^-15 is 3.1e-7: float32 logarithms would round it and its gradient by a fifth."""
    module = nn.Linear(1, 2, bias=False)
    landscape = NetworkLandscape(module, torch.ones(1, 1), torch.zeros(1).long(), "cross_entropy")
    value, gradient = landscape.value_and_gradient(torch.tensor([15.0, 0.0]))
    small = torch.tensor(-15.0, dtype=torch.float64).exp().log1p().item()
    assert value == pytest.approx(small, rel=1e-6)
    torch.testing.assert_close(gradient, torch.tensor([-small, small]), rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("model", [FCP, Autoencoder, LeNet])
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_are_whole(model, copied):
    """Also of batches, which carry only their own data."""
    _, landscape = landscape_of(model)
    batch = next(iter(landscape.minibatches(16, torch.Generator().manual_seed(0))))
    point = landscape.initial_point() * 1.1
    line = AffineSubspace(point, torch.ones(1, len(point), dtype=point.dtype))
    place = torch.full((1,), 0.01, dtype=point.dtype)
    for each in (landscape, batch):
        other = copied(each)
        for one, two in (
            (other.value_and_gradient(point), each.value_and_gradient(point)),
            (
                other.restrict(line).value_and_gradient(place),
                each.restrict(line).value_and_gradient(place),
            ),
        ):
            assert one[0] == pytest.approx(two[0], rel=1e-13)
            torch.testing.assert_close(one[1], two[1])
    assert len(pickle.dumps(batch)) < len(pickle.dumps(landscape))


def test_the_data_cannot_be_exchanged():
    """Derived data would belong to the old data."""
    _, landscape = landscape_of(FCP)
    with pytest.raises(AttributeError, match="inputs"):
        landscape.inputs = torch.zeros(3, 784)


def test_a_landscape_first_met_in_inference_mode_is_of_use_outside():
    _, landscape = landscape_of(FCP)
    point = landscape.initial_point()
    line = AffineSubspace(point, torch.ones(1, len(point), dtype=point.dtype))
    place = torch.zeros(1, dtype=point.dtype)
    with torch.inference_mode():
        landscape.restrict(line).values(place[None])
    value, gradient = landscape.restrict(line).value_and_gradient(place)
    expected = landscape.value_and_gradient(point)
    assert value == pytest.approx(expected[0], rel=1e-12)
    torch.testing.assert_close(gradient, expected[1])


def test_the_users_module_is_left_as_it_is():
    module, landscape = landscape_of(FCP)
    before = copy.deepcopy(module.state_dict())
    landscape.values_and_gradients(torch.zeros(2, landscape.dimension, dtype=torch.float64))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())


def test_frozen_parameters_are_not_coordinates():
    module = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    module[0].weight.requires_grad_(False)
    landscape = NetworkLandscape(module, torch.ones(4, 2), torch.ones(4, 1), "mean_squared_error")
    assert landscape.dimension == 3 + 3 + 1


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_losses_may_be_callables(reduction):
    module, named = landscape_of(FCP)
    landscape = NetworkLandscape(
        module,
        named.inputs,
        named.targets,
        lambda outputs, targets: F.cross_entropy(outputs, targets, reduction=reduction),
        chunk=32,
    )
    point = landscape.initial_point()
    value, gradient = landscape.value_and_gradient(point)
    expected, expected_gradient = named.value_and_gradient(point)
    assert value == pytest.approx(expected, rel=1e-13)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-11, atol=1e-14)


def test_minibatches_are_a_partition_of_the_data():
    _, landscape = landscape_of(FCP)
    batches = list(landscape.minibatches(32, torch.Generator().manual_seed(3)))
    assert [batch.samples for batch in batches] == [32, 32, 6]
    rows = torch.cat([batch.inputs for batch in batches])
    assert not torch.equal(rows, landscape.inputs)
    assert torch.equal(rows.sort(0).values, landscape.inputs.sort(0).values)
    assert torch.equal(batches[2].inputs, rows[64:])
    point = landscape.initial_point()
    mean = sum(batch.samples * batch.value(point) for batch in batches) / 70
    assert mean == pytest.approx(landscape.value(point), rel=1e-13)
    again = next(iter(landscape.minibatches(32, torch.Generator().manual_seed(3))))
    assert torch.equal(again.inputs, batches[0].inputs)


@pytest.mark.parametrize("model", [FCP, LeNet, LSTM, Autoencoder])
def test_ensemble_minibatches_give_each_point_its_own_shuffle(model):
    _, landscape = landscape_of(model)
    seeds = (5, 6, 7)
    noise = torch.randn(3, landscape.dimension, generator=torch.Generator().manual_seed(4)).double()
    points = landscape.initial_point() + 0.01 * noise
    together = list(
        landscape.ensemble_minibatches(32, [torch.Generator().manual_seed(s) for s in seeds])
    )
    for i, seed in enumerate(seeds):
        alone = list(landscape.minibatches(32, torch.Generator().manual_seed(seed)))
        assert len(alone) == len(together) == 3
        for one, every in zip(alone, together, strict=True):
            value, gradient = one.value_and_gradient(points[i])
            values, gradients = every.values_and_gradients(points)
            assert float(values[i]) == pytest.approx(value, rel=1e-12)
            assert float(every.values(points)[i]) == pytest.approx(value, rel=1e-12)
            torch.testing.assert_close(gradients[i], gradient, rtol=1e-9, atol=1e-13)


def test_evaluations_are_counted_in_units_of_the_full_landscape():
    _, landscape = landscape_of(FCP)
    counted = CountingLandscape(landscape)
    points = landscape.initial_point().repeat(5, 1)
    counted.values(points)
    for batch in counted.minibatches(35, torch.Generator()):
        batch.values_and_gradients(points[:2])
    line = counted.restrict(AffineSubspace(points[0], points[:1]))
    line.values_and_subspace_gradients(torch.zeros(3, 1, dtype=torch.float64))
    line.value_and_gradient(torch.zeros(1, dtype=torch.float64))
    for batch in counted.ensemble_minibatches(35, [torch.Generator(), torch.Generator()]):
        batch.values(points[:2])
    assert counted.evaluations.values == pytest.approx(5 + 2)
    assert counted.evaluations.gradients == pytest.approx(2 + 3 + 1)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)), r"Dropout \(1\) is in training mode"),
        (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), r"BatchNorm1d.*module\.eval\(\)"),
        (
            nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval(),
            r"BatchNorm1d \(1\) keeps no running statistics.*track_running_stats=True",
        ),
        (nn.RReLU(), "has none"),
    ],
)
def test_modules_whose_value_is_not_a_function_of_the_point_are_refused(module, message):
    with pytest.raises(ValueError, match=message):
        NetworkLandscape(module, torch.ones(4, 3), torch.ones(4, 3), "mean_squared_error")


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(reduction="sum"),
        lambda o, t: F.cross_entropy(o, t, weight=torch.tensor([1.0, 3.0])),
        lambda outputs, targets: F.cross_entropy(outputs - outputs.mean(0), targets),
    ],
)
def test_losses_that_are_not_means_over_samples_are_refused(loss):
    inputs, targets = torch.linspace(-1, 2, 30).view(10, 3), torch.arange(10) // 6
    module = nn.Linear(3, 2, bias=False)  # a random bias may hide the difference
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, 0.5, 0.0], [-1.0, 0.0, 2.0]]))
    with pytest.raises(ValueError, match="a mean over samples"):
        NetworkLandscape(module, inputs, targets, loss)
    fine = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]), reduction="none")
    assert NetworkLandscape(module, inputs, targets, fine).samples == 10


def test_arrays_are_refused():
    with pytest.raises(TypeError, match="as torch tensors, got ndarray and Tensor"):
        NetworkLandscape(nn.Linear(3, 2), np.ones((4, 3)), torch.ones(4, 2), "mean_squared_error")


def test_modules_in_evaluation_mode_are_taken():
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).eval()
    landscape = NetworkLandscape(module, torch.ones(4, 3), torch.ones(4, 3), "mean_squared_error")
    assert landscape.dimension == 9 + 3 + 3 + 3


def test_random_modules_are_refused():
    class Noisy(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs) + torch.randn(len(inputs), 3)

    with pytest.raises(ValueError, match=r"same value from two evaluations.*module\.eval\(\)"):
        NetworkLandscape(Noisy(3, 3), torch.ones(4, 3), torch.ones(4, 3), "mean_squared_error")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": torch.ones(3, 2)}, "got 4 inputs and 3 targets"),
        ({"inputs": torch.ones(0, 3), "targets": torch.ones(0, 2)}, "at least one"),
        ({"loss": "hinge"}, r"\['cross_entropy', 'mean_squared_error'\].*got 'hinge'"),
        ({"targets": torch.ones(4)}, r"outputs' shape \[n, 2\].*got \[n\]$"),
        (
            {"module": nn.Linear(3, 1), "targets": torch.ones(4)},
            r"shape \[n, 1\].*got \[n\]; give targets\.unsqueeze\(-1\)$",
        ),
        ({"loss": lambda outputs, targets: outputs}, r"scalar mean or one value.*got \[4, 2\]"),
        ({"chunk": 0}, "at least one sample, got 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    good = {
        "module": nn.Linear(3, 2),
        "inputs": torch.ones(4, 3),
        "targets": torch.ones(4, 2),
        "loss": "mean_squared_error",
    }
    with pytest.raises(ValueError, match=message):
        NetworkLandscape(**{**good, **arguments})


@pytest.mark.filterwarnings("ignore:Complex modules")
def test_complex_parameters_are_refused():
    with pytest.raises(ValueError, match=r"real floating-point.*got torch\.complex64"):
        NetworkLandscape(
            nn.Linear(3, 2).to(torch.complex64), torch.ones(4, 3), torch.ones(4, 2), "cross_entropy"
        )


def test_parameters_of_several_types_are_refused():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3).double())
    with pytest.raises(ValueError, match="of one type on one device"):
        NetworkLandscape(module, torch.ones(4, 3), torch.ones(4, 3), "mean_squared_error")


def test_landscapes_without_data_have_no_minibatches():
    bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    with pytest.raises(TypeError, match="no data to draw mini-batches from"):
        next(iter(bowl.minibatches(2, torch.Generator())))


@pytest.mark.parametrize("returned", [torch.ones(3), 1.0, torch.ones(2, 1)])
def test_functions_that_return_no_values_are_refused(returned):
    landscape = FunctionLandscape(lambda x: returned, dimension=2)
    with pytest.raises(ValueError, match=r"values \[2\]"):
        landscape.values(torch.ones(2, 2, dtype=torch.float64))


def test_a_tensor_under_two_names_and_buffers_that_are_no_numbers():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.leave = nn.Linear(3, 3), nn.Linear(3, 3)
            self.leave.weight = self.enter.weight
            self.register_buffer("mask", torch.tensor([torch.nan, -torch.inf]))

        def forward(self, x):
            return self.leave(torch.tanh(self.enter(x)))

    first, second = Tied(), Tied()
    landscape = NetworkLandscape(first, torch.randn(5, 3), torch.zeros(5).long(), "cross_entropy")
    state = second.state_dict()
    point = landscape.point_of(state)
    expected = nn.functional.cross_entropy(second(landscape.inputs), landscape.targets).item()
    assert landscape.value(point) == pytest.approx(expected, rel=1e-6)
    own = landscape.point_of(dict(second.named_parameters(remove_duplicate=False)) | state)
    assert torch.equal(own, point)
    assert not own.requires_grad
    state["leave.weight"] = state["leave.weight"] + 1
    with pytest.raises(ValueError, match=r"leave\.weight and enter\.weight are one tensor"):
        landscape.point_of(state)


def test_dropout_that_drops_nothing_is_no_randomness():
    inputs, labels = torch.randn(6, 3), torch.zeros(6).long()
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.0))
    assert module.training
    landscape = NetworkLandscape(module, inputs, labels, "cross_entropy")
    expected = nn.functional.cross_entropy(module(inputs), labels)
    assert landscape.value(landscape.initial_point()) == pytest.approx(
        float(expected.detach()), rel=1e-6
    )
