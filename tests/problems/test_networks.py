"""Networks on data against PyTorch written by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowroad.problems import network_problem
from lowroad.study.resolve import examine


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def data(n, seed, classes=3):
    inputs = torch.randn(n, 4, generator=seeded(seed))
    return inputs, torch.randint(0, classes, (n,), generator=seeded(seed + 1))


def network():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def forward(point, inputs):
    """The network's outputs, from its flat parameters."""
    w1, b1, w2, b2 = point.split([24, 6, 18, 3])
    hidden = torch.tanh(inputs @ w1.view(6, 4).T + b1)
    return hidden @ w2.view(3, 6).T + b2


def test_starts_are_pytorchs_own_initial_weights_bit_by_bit():
    problem = network_problem(network, data(20, 0))
    start = problem.start(seeded(5))
    torch.manual_seed(int(torch.randint(2**62, (), generator=seeded(5))))
    w1, b1 = torch.empty(6, 4), torch.empty(6)
    nn.init.kaiming_uniform_(w1, a=5**0.5)
    nn.init.uniform_(b1, -(4**-0.5), 4**-0.5)
    w2, b2 = torch.empty(3, 6), torch.empty(3)
    nn.init.kaiming_uniform_(w2, a=5**0.5)
    nn.init.uniform_(b2, -(6**-0.5), 6**-0.5)
    assert torch.equal(start, torch.cat([p.reshape(-1) for p in (w1, b1, w2, b2)]))
    generator = seeded(5)
    first, second = problem.start(generator), problem.start(generator)
    assert torch.equal(first, start)
    assert not torch.equal(first, second)


def test_the_global_generator_is_put_back():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    network_problem(network, data(20, 0)).start(seeded(5))
    assert torch.equal(before, torch.get_rng_state())


def test_values_and_metrics_on_every_part_of_the_data():
    parts = {"train": data(40, 0), "test": data(30, 10), "validation": data(20, 20)}
    problem = network_problem(network, **parts, metrics=["error", "accuracy"])
    point = problem.start(seeded(2))
    for name, (inputs, targets) in parts.items():
        landscape = getattr(problem, name)
        outputs = forward(point.double(), inputs.double())
        loss = float(F.cross_entropy(outputs, targets))
        assert landscape.value(point) == pytest.approx(loss, rel=1e-6)
        wrong = int((outputs.argmax(1) != targets).sum()) / len(targets)
        assert problem.metrics["error"](landscape, point) == pytest.approx(wrong, abs=1e-12)
        assert problem.metrics["accuracy"](landscape, point) == pytest.approx(1 - wrong, abs=1e-12)
    assert (problem.quantity, problem.lower_bound) == ("loss", 0.0)


def test_frozen_layers_are_not_in_a_start():
    def half():
        made = network()
        made[0].requires_grad_(False)
        return made

    problem = network_problem(half, data(20, 0))
    assert problem.train.dimension == 21 == len(problem.start(seeded(0)))


def test_double_precision_and_own_loss():
    inputs, _ = data(20, 0)
    wanted = torch.randn(20, 3, dtype=torch.float64, generator=seeded(3))
    problem = network_problem(
        lambda: network().double(),
        (inputs.double(), wanted),
        loss=lambda outputs, targets: (outputs - targets).abs().mean(),
        metrics={"largest": lambda landscape, point: float(landscape.outputs(point).max())},
    )
    point = problem.start(seeded(0))
    outputs = forward(point, inputs.double())
    assert point.dtype == torch.float64
    assert problem.train.value(point) == pytest.approx(float((outputs - wanted).abs().mean()))
    largest = problem.metrics["largest"](problem.train, point)
    assert largest == pytest.approx(float(outputs.max()))


def normalized():
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def test_batch_norm_uses_the_training_datas_statistics_for_the_test_value_too():
    train, test = data(50, 0), data(31, 10)  # 31: a last chunk of any size will do for test data
    problem = network_problem(normalized, train, test, metrics=["error"])
    first, second = (problem.start(seeded(seed)) for seed in (1, 2))
    for point in (first, second, first):  # whatever was evaluated before
        w, b, scale, shift, v, c = point.double().split([20, 5, 5, 5, 15, 3])
        hidden = train[0].double() @ w.view(5, 4).T + b
        mean, variance = hidden.mean(0), hidden.var(0)  # unbiased, as PyTorch's running variance
        for landscape, (inputs, targets) in ((problem.train, train), (problem.test, test)):
            z = (inputs.double() @ w.view(5, 4).T + b - mean) / (variance + 1e-5).sqrt()
            outputs = torch.relu(z * scale + shift) @ v.view(3, 5).T + c
            loss = float(F.cross_entropy(outputs, targets))
            assert landscape.value(point) == pytest.approx(loss, rel=1e-5)
            wrong = float((outputs.argmax(1) != targets).double().mean())
            assert problem.metrics["error"](landscape, point) == pytest.approx(wrong, abs=1e-12)


def test_batch_norm_statistics_are_those_of_update_bn():
    train, test = data(500, 0), data(40, 10)  # two chunks
    problem = network_problem(normalized, train, test)
    point = problem.start(seeded(1))
    module = normalized()
    nn.utils.vector_to_parameters(point, module.parameters())
    torch.optim.swa_utils.update_bn(train[0].split(250), module)
    with torch.no_grad():
        loss = float(F.cross_entropy(module.eval()(test[0]), test[1]))
    assert problem.test.value(point) == pytest.approx(loss, rel=1e-5)


def test_the_test_gradient_with_batch_norm_is_the_values_slope():
    train, test = (tuple(x.double() if x.is_floating_point() else x for x in data(n, n))
                   for n in (50, 31))  # fmt: skip
    problem = network_problem(lambda: normalized().double(), train, test)
    point = problem.start(seeded(1))
    step = torch.randn(len(point), dtype=torch.float64, generator=seeded(2)) * 1e-6
    _, gradient = problem.test.value_and_gradient(point)
    difference = problem.test.value(point + step) - problem.test.value(point - step)
    assert difference / 2 == pytest.approx(float(gradient @ step), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"module": network()}, TypeError, "a function that makes the network.*got Sequential"),
        ({"module": 3}, TypeError, "a function that makes the network.*got int"),
        ({"module": lambda: 3}, TypeError, "expected the function to make a module, got int"),
        ({"train": data(20, 0)[0]}, ValueError, "train: expected a loss, such as 'cross_entropy'"),
        ({"test": ([1.0], [2.0])}, ValueError, "test: expected a loss, such as 'cross_entropy'"),
        ({"test": (data(20, 0)[0], data(19, 0)[1])}, ValueError, "test: .* 20 inputs and 19"),
        ({"metrics": ["eror"]}, ValueError, "expected names among error, accuracy, got 'eror'"),
        ({"metrics": "error"}, TypeError, r"a list of names, such as \['error'\]"),
        ({"loss": "hinge"}, ValueError, "hinge"),
    ],
)
def test_refusals(arguments, error, message):
    given = {"module": network, "train": data(20, 0), **arguments}
    with pytest.raises(error, match=message):
        network_problem(**given)


def test_error_needs_class_numbers():
    inputs, _ = data(20, 0)
    with pytest.raises(ValueError, match=r"'error' on train data: .*\(inputs, class numbers\)"):
        network_problem(
            network, (inputs, torch.zeros(20, 3)), loss="mean_squared_error", metrics=["error"]
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x[:, :3], y), r"train: the module cannot be called on the inputs, \[n, 3\]"),
        (lambda x, y: (x.double(), y), r"of torch.float64; convert them with inputs.to\(torch.flo"),
        (lambda x, y: (x, y + 1), "class numbers from 0 to 2 as torch.int64, got class 3"),
        (lambda x, y: (x, y - 2), "class numbers from 0 to 2 as torch.int64, got class -"),
        (lambda x, y: (x, y.float()), "convert class numbers with targets.long()"),
        (lambda x, y: (x, y.int()[:, None]), r"cross_entropy: .* got torch.int32 \[n, 1\]"),
    ],
)
def test_data_that_do_not_fit_the_module_are_told_with_their_shape(change, message):
    inputs, targets = data(60, 3)
    with pytest.raises(ValueError, match=message):
        network_problem(network, change(inputs, targets))


def test_a_class_that_only_a_late_sample_has_is_told_when_it_is_met():
    inputs, targets = data(900, 3)
    targets[1] = 7  # none of the samples that are tried at once
    problem = network_problem(network, (inputs, targets))
    with pytest.raises(ValueError, match="got class 7"):
        problem.train.value(problem.start(seeded(0)))


def test_arrays_are_refused_with_the_way_to_give_them():
    inputs, targets = data(10, 3)
    with pytest.raises(TypeError, match="test: expected torch tensors, got numpy arrays"):
        network_problem(network, (inputs, targets), test=(inputs.numpy(), targets.numpy()))


def test_a_start_without_a_value_tells_of_data_that_are_not_finite():
    inputs, targets = data(60, 3)
    inputs[17, 2] = float("nan")
    with pytest.raises(ValueError, match=r"inputs of 1 of 60 training samples .* of sample 17$"):
        examine(network_problem(network, (inputs, targets)), "name", 0)
