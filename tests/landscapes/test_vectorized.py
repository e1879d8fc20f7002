"""Points of a module at once, as on a GPU, against the module at each of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowroad import NetworkLandscape
from lowroad.landscapes.flat_module import FlatModule
from lowroad.landscapes.losses import summed_loss
from lowroad.landscapes.plain_recurrence import PlainRecurrence
from lowroad.landscapes.vectorized import VectorizedLandscape, can_be_vectorized
from lowroad.paper.networks import MODELS

LAYERS = {
    "LSTM": nn.LSTM(3, 4, batch_first=True),
    "GRU": nn.GRU(3, 4),
    "tanh": nn.RNN(3, 4),
    "relu, no biases": nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True),
    "two layers both ways": nn.LSTM(3, 4, num_layers=2, bidirectional=True),
    "GRU both ways": nn.GRU(3, 4, num_layers=3, bidirectional=True, batch_first=True),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("started", [False, True])
def test_plain_recurrent_layers_are_pytorchs(kind, started):
    layer = LAYERS[kind].double()
    torch.manual_seed(0)
    inputs, start = torch.randn(5, 6, 3).double().requires_grad_(), None
    if started:
        samples = 5 if layer.batch_first else 6
        layers = layer.num_layers * (1 + layer.bidirectional)
        state = torch.randn(layers, samples, 4).double()
        start = (state, 2 * state) if isinstance(layer, nn.LSTM) else state
    expected = layer(inputs, start)
    with PlainRecurrence():
        found = layer(inputs, start)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    parameters = (inputs, *layer.parameters())
    gradients = [torch.autograd.grad(o.square().sum(), parameters) for o, _ in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-13)


def test_dropout_and_packed_sequences_stay_pytorchs():
    layer, inputs = nn.GRU(3, 4, batch_first=True), torch.randn(5, 6, 3)
    packed = nn.utils.rnn.pack_padded_sequence(inputs, torch.tensor([6, 4, 4, 2, 1]), True)
    with PlainRecurrence():
        found = layer(packed)[0].data
    assert torch.equal(found, layer(packed)[0].data)
    with_dropout = nn.GRU(3, 4, num_layers=2, dropout=0.5)
    torch.manual_seed(0)
    expected = with_dropout(inputs)[0]
    torch.manual_seed(0)
    with PlainRecurrence():
        assert torch.equal(with_dropout(inputs)[0], expected)


class Mixed(nn.Module):
    """Convolution, recurrence and attention, with a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(3, 4, 3, padding=1)
        self.recurrence = nn.GRU(4, 4, batch_first=True, bidirectional=True)
        self.attention = nn.TransformerEncoderLayer(8, 2, 6, 0.0, batch_first=True)
        self.readout = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x).transpose(1, 2)
        return self.readout(self.attention(self.recurrence(x)[0]).mean(1))


def cases() -> dict[str, tuple[nn.Module, Tensor, Tensor, str]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 784, generator=generator).double()
    labels = torch.randint(5, (6,), generator=generator)
    sequences = torch.randn(6, 3, 7, generator=generator).double()
    made = {
        name: (model(generator=generator).double(), images, labels, "cross_entropy")
        for name, model in MODELS.items()
        if name != "Autoencoder"
    }
    torch.manual_seed(0)
    return made | {
        "Autoencoder": (
            MODELS["Autoencoder"](generator=generator).double(),
            images,
            images,
            "mean_squared_error",
        ),
        "mixed": (Mixed().double().eval(), sequences, labels, "cross_entropy"),
    }


@pytest.mark.parametrize("name", [*MODELS, "mixed"])
def test_points_at_once_have_the_values_and_gradients_of_each(name):
    module, inputs, targets, loss = cases()[name]
    landscape = NetworkLandscape(module, inputs, targets, loss)
    model, summed = FlatModule(module), summed_loss(loss)
    assert can_be_vectorized(model, summed, inputs[:2], targets[:2])
    start = landscape.initial_point()
    points = torch.stack([start, 0.7 * start, 1.2 * start])
    together = VectorizedLandscape(
        model, summed, inputs.expand(3, *inputs.shape), targets.expand(3, *targets.shape)
    )
    values, gradients = together.values_and_gradients(points)
    expected, by_each = landscape.values_and_gradients(points)
    torch.testing.assert_close(together.values(points), expected, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(gradients, by_each, rtol=1e-9, atol=1e-13)


class Branches(nn.Linear):
    """A function that depends on its numbers: at many points there is no one way to go."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if float(y.detach().sum()) > 0 else 2 * y


def test_what_vmap_cannot_take_is_found_out_beforehand():
    module, inputs = Branches(3, 2), torch.rand(4, 3)
    loss = summed_loss("mean_squared_error")
    assert not can_be_vectorized(FlatModule(module), loss, inputs, torch.rand(4, 2))
