"""Points of a module at once, as on a GPU, against the module at each of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from lowroad import BatchNormLandscape, NetworkLandscape
from lowroad.landscapes import chunk_sizes
from lowroad.landscapes.flat_module import FlatModule
from lowroad.landscapes.losses import summed_loss
from lowroad.landscapes.plain_recurrence import PlainRecurrence
from lowroad.landscapes.vectorized import VectorizedLandscape, is_right_at_once
from lowroad.paper.networks import MODELS

LAYERS = {
    "LSTM": lambda: nn.LSTM(3, 4, batch_first=True),
    "GRU": lambda: nn.GRU(3, 4),
    "tanh": lambda: nn.RNN(3, 4),
    "relu, no biases": lambda: nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True),
    "two layers both ways": lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True),
    "GRU both ways": lambda: nn.GRU(3, 4, num_layers=3, bidirectional=True, batch_first=True),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("started", [False, True])
def test_plain_recurrent_layers_are_pytorchs(kind, started):
    torch.manual_seed(0)
    layer = LAYERS[kind]().double()
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
    projected = nn.LSTM(3, 4, proj_size=2)
    with PlainRecurrence():
        assert torch.equal(projected(inputs)[0], projected.forward(inputs)[0])
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
    start = landscape.initial_point()
    attends = name == "mixed"  # by a kernel of processors that vmap takes in a loop
    assert is_right_at_once(landscape, 0.9 * start) != attends
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


class Hidden(nn.Linear):
    """Its weights are used under another name, where calls with others do not replace them."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.own = [self.weight]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.own[0].T + self.bias


class OneByOne(nn.Module):
    """Sums of embeddings, which `vmap` takes in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(4, 2, mode="sum")

    def forward(self, x: Tensor) -> Tensor:
        return self.table((3 * x).long())


class Hooked(nn.Linear):
    def __init__(self) -> None:
        super().__init__(3, 2)
        self.register_forward_hook(lambda module, arguments, output: output.tanh())


class Fails(nn.Linear):
    """It fails in its own way where numbers are not to be had."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if not hasattr(y, "untyped_storage") or "Batched" in repr(y):
            raise KeyError("batched")
        return y


@pytest.mark.parametrize("module", [Branches(3, 2), Hidden(), OneByOne(), Hooked(), Fails(3, 2)])
def test_what_is_not_right_at_once_is_found_out_beforehand(module):
    landscape = NetworkLandscape(module, torch.rand(4, 3), torch.rand(4, 2), "mean_squared_error")
    assert not is_right_at_once(landscape, 0.9 * landscape.initial_point())


def test_a_batch_in_which_nothing_counts_is_zero():
    inputs, targets = torch.rand(2, 4, 3), torch.tensor([[0, 1, 1, 0], [-100] * 4])
    model = FlatModule(nn.Linear(3, 2))
    at_once = VectorizedLandscape(model, summed_loss("cross_entropy"), inputs, targets)
    values, gradients = at_once.values_and_gradients(torch.ones(2, 8))
    assert values.tolist() == [pytest.approx(math.log(2)), 0.0]
    assert gradients[0].any()
    assert not gradients[1].any()


@pytest.mark.parametrize("name", ["FCP", "LeNet"])
def test_points_in_groups_are_the_same(name):
    module, inputs, targets, loss = cases()[name]
    model, summed = FlatModule(module), summed_loss(loss)
    points = model.vector * torch.linspace(0.5, 1.5, 5).double()[:, None]
    batches = inputs.expand(5, *inputs.shape), targets.expand(5, *targets.shape)
    whole = VectorizedLandscape(model, summed, *batches)
    parts = VectorizedLandscape(model, summed, *batches, weight=6.0, together=2)
    torch.testing.assert_close(parts.values(points), whole.values(points), rtol=1e-13, atol=0.0)
    for found, expected in zip(
        parts.values_and_gradients(points), whole.values_and_gradients(points), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)


def test_batch_norms_statistics_are_estimated_at_each_point():
    """A landscape that would evaluate points at once does not where they move the statistics."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).double()
    plain = NetworkLandscape(
        module.eval(), torch.rand(6, 3).double(), torch.arange(6) % 2, "cross_entropy"
    )
    plain._vectorized = True
    landscape = BatchNormLandscape(plain)
    assert not landscape._vectorized
    for batch in landscape.minibatches(3, torch.Generator().manual_seed(0)):
        assert not batch._vectorized


def test_chunks_of_a_gpu_are_measured(monkeypatch):
    """By a sample's 28 · 28 float32 inputs and two layers of 50, which FCP keeps."""
    monkeypatch.setattr(chunk_sizes, "_memory", lambda device: 80 * 10**9)
    images, labels = torch.rand(40, 784), torch.arange(40) % 10
    fcp = NetworkLandscape(MODELS["FCP"](), images, labels, "cross_entropy")
    saved = chunk_sizes.saved_bytes(fcp._loss_of)
    assert 4 * (784 + 4 * 50) <= saved <= 4 * (784 + 5 * 50)
    cuda = torch.device("cuda")
    chunk = chunk_sizes.default_chunk(fcp._loss_of, 40, cuda)
    assert chunk == 2**18  # 80e9 / 48 / saved = 400,000 or so
    assert chunk_sizes.default_chunk(fcp._loss_of, 31, cuda) == 250

    def by_torch_func(samples: int) -> Tensor:
        return torch.func.vmap(torch.func.grad(lambda x: x.tanh().sum()))(images[:samples]).sum()

    assert chunk_sizes.default_chunk(by_torch_func, 40, cuda) == 250
    assert chunk_sizes.fits_beside(2 * 10**9, cuda, torch.float32)
    assert not chunk_sizes.fits_beside(3 * 10**9, cuda, torch.float32)
    assert not chunk_sizes.fits_beside(10, torch.device("cpu"), torch.float32)
