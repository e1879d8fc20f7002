"""The four networks against forward passes written by hand in NumPy."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from lowroad.paper.networks import (
    FCP,
    LSTM,
    MODELS,
    Autoencoder,
    AveragePool,
    ImageConvolution,
    LeNet,
    _ImageConvolution,
    convolved_by_quarters,
)

# The D column of Table 1 in Yu & Morozov 2026.
DIMENSIONS = {"FCP": 42_200, "LeNet": 61_706, "LSTM": 15_456, "Autoencoder": 52_224}

SHAPES = {
    "FCP": [(50, 784), (50, 50), (10, 50)],
    "LeNet": [
        *[(6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,)],
        *[(120, 400), (120,), (84, 120), (84,), (10, 84), (10,)],
    ],
    "LSTM": [(192, 28), (192, 48), (192,), (192,), (10, 48)],
    "Autoencoder": [(32, 784), (32, 32), (32, 32), (784, 32)],
}

NUMPY_ACTIVATIONS = {
    "softplus": lambda x: np.logaddexp(0.0, x),
    "relu": lambda x: np.maximum(x, 0.0),
}


def make(name: str, seed: int = 0, **options):
    return MODELS[name](generator=torch.Generator().manual_seed(seed), **options)


def images(n: int = 4) -> np.ndarray:
    return np.random.default_rng(7).random((n, 784))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def convolve(x: np.ndarray, kernels: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Cross-correlate [n, in, h, w] with [out, in, 5, 5], pixel by pixel."""
    height, width = x.shape[2] - 4, x.shape[3] - 4
    result = np.empty((len(x), len(kernels), height, width))
    for i in range(height):
        for j in range(width):
            patch = x[:, :, i : i + 5, j : j + 5]
            result[:, :, i, j] = np.einsum("nckl,ockl->no", patch, kernels) + bias
    return result


def pool(x: np.ndarray) -> np.ndarray:
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4


def fcp_by_hand(x, weights, act):
    w1, w2, w3 = weights
    return act(act(x @ w1.T) @ w2.T) @ w3.T


def lenet_by_hand(x, weights, act):
    k1, b1, k2, b2, w3, b3, w4, b4, w5, b5 = weights
    x = np.pad(x.reshape(-1, 1, 28, 28), ((0, 0), (0, 0), (2, 2), (2, 2)))
    x = pool(act(convolve(x, k1, b1)))
    x = pool(act(convolve(x, k2, b2))).reshape(len(x), 400)
    return act(act(x @ w3.T + b3) @ w4.T + b4) @ w5.T + b5


def lstm_by_hand(x, weights, act):
    w_in, w_state, b_in, b_state, w_out = weights
    order = torch.randperm(784, generator=torch.Generator().manual_seed(1234)).numpy()
    hidden, cell = np.zeros((len(x), 48)), np.zeros((len(x), 48))
    for step in x[:, order].reshape(-1, 28, 28).transpose(1, 0, 2):
        gates = step @ w_in.T + b_in + hidden @ w_state.T + b_state
        enter, forget, candidate, leave = np.split(gates, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
        hidden = sigmoid(leave) * np.tanh(cell)
    return hidden @ w_out.T


def autoencoder_by_hand(x, weights, act):
    w1, w2, w3, w4 = weights
    return sigmoid(act(act(act(x @ w1.T) @ w2.T) @ w3.T) @ w4.T)


BY_HAND = {
    "FCP": fcp_by_hand,
    "LeNet": lenet_by_hand,
    "LSTM": lstm_by_hand,
    "Autoencoder": autoencoder_by_hand,
}


@pytest.mark.parametrize("activation", ["softplus", "relu"])
@pytest.mark.parametrize("name", MODELS)
def test_output_equals_the_forward_pass_by_hand(name, activation):
    network = make(name, activation=activation).double()
    weights = [parameter.detach().numpy() for parameter in network.parameters()]
    # Default weights are small; larger ones make the activations' shapes matter.
    for weight, parameter in zip(weights, network.parameters(), strict=True):
        weight *= 2.0
        assert parameter.data_ptr() == weight.__array_interface__["data"][0]
    x = images()
    expected = BY_HAND[name](x, weights, NUMPY_ACTIVATIONS[activation])
    np.testing.assert_allclose(
        network(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-11, atol=1e-12
    )


@pytest.mark.parametrize("name", MODELS)
def test_parameter_order_and_counts_are_the_papers(name):
    parameters = list(make(name).parameters())
    assert [tuple(parameter.shape) for parameter in parameters] == SHAPES[name]
    assert sum(parameter.numel() for parameter in parameters) == DIMENSIONS[name]


def test_models_are_named_as_in_the_paper():
    assert {"FCP": FCP, "LeNet": LeNet, "LSTM": LSTM, "Autoencoder": Autoencoder} == MODELS
    assert {name: model.loss for name, model in MODELS.items()} == {
        "FCP": "cross_entropy",
        "LeNet": "cross_entropy",
        "LSTM": "cross_entropy",
        "Autoencoder": "mean_squared_error",
    }


@pytest.mark.parametrize("name", ["FCP", "Autoencoder"])
def test_the_first_layer_is_recognisably_linear(name):
    network = make(name)
    assert isinstance(network, nn.Sequential)
    assert type(network[0]) is nn.Linear
    assert network[0].bias is None


@pytest.mark.parametrize("name", MODELS)
def test_an_unknown_activation_is_refused(name):
    with pytest.raises(ValueError, match=r'activation must be "softplus" or "relu", not \'tanh\''):
        make(name, activation="tanh")


@pytest.mark.parametrize("name", MODELS)
def test_a_generator_gives_the_same_weights_again_and_leaves_the_global_one_alone(name):
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(5)
    first, second = MODELS[name](generator=generator), MODELS[name](generator=generator)
    again = make(name, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    flat_first, flat_second, flat_again = (
        nn.utils.parameters_to_vector(network.parameters()) for network in (first, second, again)
    )
    assert torch.equal(flat_first, flat_again)
    assert not torch.equal(flat_first, flat_second)


@pytest.mark.parametrize("name", MODELS)
def test_initial_weights_fill_pytorchs_default_range_evenly(name):
    # torch draws from U(-b, b) with b = 1/sqrt(fan in) for linear layers and convolutions and
    # 1/sqrt(hidden size) for an LSTM; the standard deviation of U(-b, b) is b / sqrt(3).
    fans = {
        "FCP": [784, 50, 50],
        "LeNet": [25, 25, 150, 150, 400, 400, 120, 120, 84, 84],
        "LSTM": [48, 48, 48, 48, 48],
        "Autoencoder": [784, 32, 32, 32],
    }[name]
    networks = [make(name, seed) for seed in range(40)]
    for fan, *copies in zip(fans, *(network.parameters() for network in networks), strict=True):
        values = torch.cat([weight.detach().flatten() for weight in copies]).double().numpy()
        bound = fan**-0.5
        n = values.size
        assert np.abs(values).max() <= bound * (1 + 1e-6)
        assert np.abs(values).max() > bound * (1 - 20 / n)
        assert abs(values.mean()) < 5 * bound / np.sqrt(3 * n)
        # Var(x^2) = 4 b^4 / 45 for U(-b, b)
        assert abs((values**2).mean() - bound**2 / 3) < 5 * bound**2 * np.sqrt(4 / 45 / n)


@pytest.mark.parametrize("name", MODELS)
def test_without_a_generator_torchs_global_seed_counts(name):
    state = torch.get_rng_state()
    try:
        torch.manual_seed(3)
        first = MODELS[name]()
        assert not torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(3)
        second = MODELS[name]()
    finally:
        torch.set_rng_state(state)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_permutation_travels_with_the_module_but_not_with_its_state():
    network = make("LSTM")
    assert "permutation" not in network.state_dict()
    assert torch.equal(copy.deepcopy(network).permutation, network.permutation)
    assert sorted(network.permutation.tolist()) == list(range(784))


def test_average_pool_is_pytorchs_with_its_gradients():
    images = torch.rand(3, 2, 8, 6, generator=torch.Generator().manual_seed(0)).double()
    images.requires_grad_()
    ours, theirs = AveragePool(), nn.AvgPool2d(2)
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-14, atol=0.0)
    gradients = [
        torch.autograd.grad(layer(images).tanh().sum(), images)[0] for layer in (ours, theirs)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-14, atol=0.0)
    over_samples = torch.func.vmap(torch.func.grad(lambda x: ours(x).tanh().sum()))
    torch.testing.assert_close(over_samples(images.detach()), gradients[1], rtol=1e-14, atol=0.0)
    few = images[:1, :1].detach().requires_grad_()
    assert torch.autograd.gradcheck(ours, few, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(
        lambda x: ours(x).tanh(), few, check_fwd_over_rev=True, check_rev_over_rev=True
    )


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_a_convolution_by_quarters_of_the_pixels_is_the_same_convolution(padding):
    generator = torch.Generator().manual_seed(padding)
    images = torch.randn(3, 1, 10, 8, generator=generator).double()
    weight, bias = (torch.randn(*s, generator=generator).double() for s in ((4, 1, 5, 5), (4,)))
    found = convolved_by_quarters(images, weight, bias, padding)
    expected = nn.functional.conv2d(images, weight, bias, padding=padding)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("padding", [0, 2])
def test_the_convolution_of_a_device_has_all_gradients_of_pytorchs(padding):
    """There it is between other layers, too: its images need gradients."""
    generator = torch.Generator().manual_seed(0)
    images, weight, bias = (
        torch.randn(*s, generator=generator).double().requires_grad_()
        for s in ((2, 2, 5, 6), (3, 2, 3, 4), (3,))
    )

    def ours(images, weight, bias):
        return _ImageConvolution.apply(images, weight, bias, padding).tanh()

    theirs = nn.functional.conv2d(images, weight, bias, padding=padding).tanh()
    found = ours(images, weight, bias)
    torch.testing.assert_close(found, theirs, rtol=1e-13, atol=1e-14)
    for own, expected in zip(
        torch.autograd.grad(found.square().sum(), (images, weight, bias)),
        torch.autograd.grad(theirs.square().sum(), (images, weight, bias)),
        strict=True,
    ):
        torch.testing.assert_close(own, expected, rtol=1e-12, atol=1e-13)
    assert torch.autograd.gradcheck(ours, (images, weight, bias), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(ours, (images, weight, bias), check_fwd_over_rev=True)


@pytest.mark.parametrize("channels", [1, 2])
def test_image_convolution_is_pytorchs_with_its_gradients(channels):
    generator = torch.Generator().manual_seed(0)
    ours = ImageConvolution(channels, 4, (3, 5), padding=2).double()
    theirs = nn.Conv2d(channels, 4, (3, 5), padding=2).double()
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(57, channels, 9, 8, generator=generator).double()  # in three parts
    assert torch.equal(ours(images), theirs(images))
    for layer in (ours, theirs):
        layer(images).tanh().square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad, rtol=1e-12, atol=1e-13)
    # images that need a gradient get one, and curvature can be had
    by_images = [
        torch.autograd.grad(layer(x).sum(), x)[0]
        for layer in (ours, theirs)
        for x in [images.clone().requires_grad_()]
    ]
    assert torch.equal(*by_images)

    def outputs(weight, bias):
        values = {"weight": weight, "bias": bias}
        return torch.func.functional_call(ours, values, images[:1]).tanh()

    assert torch.autograd.gradgradcheck(outputs, (ours.weight, ours.bias))
