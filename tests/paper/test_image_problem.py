"""The paper's problems against PyTorch written by hand, on a tiny set in the form of MNIST."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lowroad.landscapes import NetworkLandscape
from lowroad.paper import image_problem, load_mnist, problem
from lowroad.paper.networks import MODELS
from lowroad.problems import Problem
from mnist_stand_in import put


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def tiny(tiny_mnist, tiny_cache):
    image_problem._data.cache_clear()
    put(tiny_mnist, tiny_cache)
    yield {"train_images": 20, "test_images": 10}
    image_problem._data.cache_clear()


@pytest.mark.parametrize("network", MODELS)
@pytest.mark.parametrize("activation", ["softplus", "relu"])
def test_starts_and_values_are_those_of_the_networks_landscape_bit_by_bit(
    tiny, network, activation
):
    made = problem(network, activation, **tiny, data_seed=5)
    data = load_mnist().subset(20, 10, 5)
    module = MODELS[network](activation=activation, generator=seeded(3))
    kind = MODELS[network].loss
    start = made.start(seeded(3))
    for split, part in (("train", data.train), ("test", data.test)):
        targets = part.labels if kind == "cross_entropy" else part.images
        landscape = NetworkLandscape(module, part.images, targets, kind)
        assert torch.equal(start, landscape.initial_point())
        value, gradient = made.landscape(split).value_and_gradient(start)
        expected, slope = landscape.value_and_gradient(start)
        assert value == expected
        assert torch.equal(gradient, slope)
    assert list(made.metrics) == (["error"] if kind == "cross_entropy" else [])
    assert (made.quantity, made.lower_bound, made.splits) == ("loss", 0.0, ("train", "test"))


def test_fcp_by_hand(tiny, tiny_arrays):
    made = problem(**tiny)
    torch.manual_seed(int(torch.randint(2**62, (), generator=seeded(3))))
    layers = [nn.Linear(784, 50, bias=False), nn.Linear(50, 50, bias=False)]
    weights = [layer.weight.detach() for layer in (*layers, nn.Linear(50, 10, bias=False))]
    start = made.start(seeded(3))
    assert torch.equal(start, torch.cat([w.reshape(-1) for w in weights]))

    test = load_mnist().subset(20, 10, 2026).test
    bytes_ = tiny_arrays["t10k-images-idx3-ubyte"].reshape(-1, 784)
    chosen = (test.images.numpy() * 255).round().astype(np.uint8)
    rows = [int((bytes_ == image).all(1).argmax()) for image in chosen]
    x = torch.from_numpy(bytes_[rows] / 255)
    labels = torch.from_numpy(tiny_arrays["t10k-labels-idx1-ubyte"][rows].astype(np.int64))
    first, second, third = (w.double() for w in weights)
    outputs = F.softplus(F.softplus(x @ first.T) @ second.T) @ third.T
    loss = float(F.cross_entropy(outputs, labels))
    assert made.test.value(start) == pytest.approx(loss, rel=1e-6)
    wrong = float((outputs.argmax(1) != labels).double().mean())
    assert made.metrics["error"](made.test, start) == pytest.approx(wrong, abs=1e-12)


def test_the_data_is_loaded_once(tiny, monkeypatch):
    calls = []
    whole = load_mnist()
    monkeypatch.setattr(image_problem, "load_mnist", lambda: calls.append(1) or whole)
    problem("FCP", **tiny)
    problem("LeNet", **tiny)
    assert len(calls) == 1
    problem("FCP", **tiny, data_seed=1)
    assert len(calls) == 2


def test_starts_leave_the_global_generator_alone(tiny):
    made = problem("LSTM", **tiny)
    before = torch.get_rng_state()
    made.start(seeded(0))
    assert torch.equal(before, torch.get_rng_state())


def test_landscapes_can_be_sent_to_other_processes(tiny):
    made = problem("FCP", **tiny)
    start = made.start(seeded(0))
    assert pickle.loads(pickle.dumps(made.train)).value(start) == made.train.value(start)
    assert isinstance(made, Problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "Lenet"}, "network: expected one of FCP, LeNet, .*, got 'Lenet'"),
        ({"network": ["FCP"]}, "network: expected one of FCP"),
        ({"activation": "tanh"}, 'activation must be "softplus" or "relu"'),
        ({"train_images": 9}, "train_images: expected 10 to 54210, or all 60000 .*, got 9"),
        ({"train_images": 54_211}, "train_images: .*, got 54211"),
        ({"train_images": 60_001}, "train_images: .*, got 60001"),
        ({"test_images": 8_921}, "test_images: expected 10 to 8920, or all 10000 .*, got 8921"),
    ],
)
def test_refusals(tiny, options, message):
    with pytest.raises(ValueError, match=message):
        problem(**{**tiny, **options})
