"""Networks whose first layer is shared between points, against the generic form."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lowroad
from landscapes.image_networks import landscape_of
from lowroad.landscapes import (
    AffineSubspace,
    NetworkLandscape,
    network,
    shared_first_layer,
)
from lowroad.landscapes.first_layers import FirstConvolution
from lowroad.landscapes.landscape import RestrictedLandscape
from lowroad.landscapes.shared_first_layer import SharedFirstLayerRestriction
from lowroad.paper.networks import FCP, Autoencoder, LeNet


@pytest.mark.parametrize("model", [FCP, Autoencoder])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_shared_first_layer_agrees_with_the_generic_form(model, dtype, close):
    _, landscape = landscape_of(model, dtype, samples=1300, chunk=500)
    generator = torch.Generator().manual_seed(2)
    directions = 0.02 * torch.randn(3, landscape.dimension, generator=generator).to(dtype)
    coordinates = torch.randn(4, 3, generator=generator).to(dtype)
    assert_first_layer_is_shared_exactly(landscape, directions, coordinates, close)


def rests() -> dict[str, tuple[list[nn.Module], str]]:
    """What may follow a first layer of 4 outputs, before 3 outputs, by name, with the targets."""
    half_frozen = nn.Linear(4, 4).requires_grad_(False)
    return {
        "no parameters": ([nn.Softplus(), nn.Unflatten(1, (1, 4)), nn.Flatten()], "classes"),
        "biased": ([nn.Softplus(), nn.Linear(4, 3)], "classes"),
        "normalized": ([nn.LayerNorm(4), nn.Linear(4, 3)], "classes"),
        "frozen": ([nn.Tanh(), half_frozen, nn.Linear(4, 3)], "classes"),
        "probabilities": ([nn.Tanh(), nn.Linear(4, 3)], "probabilities"),
        "callable": ([nn.Tanh(), nn.Linear(4, 3)], "smoothed classes"),
    }


@pytest.mark.parametrize("name", rests())
def test_whatever_follows_a_shared_first_layer(name):
    generator = torch.Generator().manual_seed(3)
    rest, kind = rests()[name]
    inputs = torch.randn(70, 5, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 3, (70,), generator=generator)
    if kind == "probabilities":
        targets = torch.randn(70, 3, generator=generator, dtype=torch.float64).softmax(1)
    smoothed = functools.partial(F.cross_entropy, label_smoothing=0.1)
    loss = smoothed if kind == "smoothed classes" else "cross_entropy"
    module = nn.Sequential(nn.Linear(5, 4), *rest).double()
    landscape = NetworkLandscape(module, inputs, targets, loss, chunk=30)
    directions = 0.3 * torch.randn(2, landscape.dimension, generator=generator).double()
    coordinates = torch.randn(4, 2, generator=generator).double()
    assert_first_layer_is_shared_exactly(landscape, directions, coordinates, 1e-12)


@pytest.mark.parametrize("model", [FCP, Autoencoder])
def test_a_batch_shares_its_first_layer_too(model):
    """As does a batch of a batch."""
    _, landscape = landscape_of(model)
    generator = torch.Generator().manual_seed(2)
    directions = 0.02 * torch.randn(2, landscape.dimension, generator=generator).double()
    coordinates = torch.randn(3, 2, generator=generator).double()
    for batch in landscape.minibatches(32, generator):
        assert_first_layer_is_shared_exactly(batch, directions, coordinates, 1e-12)
        part = next(iter(batch.minibatches(5, generator)))
        assert_first_layer_is_shared_exactly(part, directions, coordinates, 1e-12)


def assert_first_layer_is_shared_exactly(landscape, directions, coordinates, close):
    subspace = AffineSubspace(landscape.initial_point(), directions)
    shared, generic = landscape.restrict(subspace), RestrictedLandscape(landscape, subspace)
    assert isinstance(shared, SharedFirstLayerRestriction)
    pairs = [
        (shared.values(coordinates), generic.values(coordinates)),
        *zip(
            shared.values_and_gradients(coordinates),
            generic.values_and_gradients(coordinates),
            strict=True,
        ),
        *zip(
            shared.values_and_subspace_gradients(coordinates),
            generic.values_and_subspace_gradients(coordinates),
            strict=True,
        ),
    ]
    for fast, plain in pairs:
        assert float((fast - plain).abs().max() / plain.abs().max()) < close


def test_an_autoencoders_points_are_the_same_at_once_as_on_a_gpu(monkeypatch):
    _, landscape = landscape_of(Autoencoder)
    generator = torch.Generator().manual_seed(2)
    directions = 0.02 * torch.randn(2, landscape.dimension, generator=generator).double()
    made = shared_first_layer._Rest.__init__

    def at_once(self, *arguments):
        made(self, *arguments)
        self._together = True

    monkeypatch.setattr(shared_first_layer._Rest, "__init__", at_once)
    coordinates = torch.randn(4, 2, generator=generator).double()
    assert_first_layer_is_shared_exactly(landscape, directions, coordinates, 1e-12)


class Signal(nn.Sequential):
    loss = "cross_entropy"

    def __init__(self, generator: torch.Generator) -> None:
        torch.manual_seed(3)
        super().__init__(
            nn.Unflatten(1, (2, 392)),
            nn.Conv1d(2, 3, 9, stride=4, bias=False),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(288, 10),
        )


class Grouped(nn.Sequential):
    loss = "cross_entropy"

    def __init__(self, generator: torch.Generator) -> None:
        torch.manual_seed(4)
        super().__init__(
            nn.Unflatten(1, (2, 28, 14)),
            nn.Conv2d(2, 4, (5, 3), stride=(3, 2), padding=(1, 2), dilation=(2, 1), groups=2),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(256, 10),
        )


def share_convolutions(monkeypatch, most: int = 10**9):
    monkeypatch.setattr(network, "fits_beside", lambda numbers, device, dtype: numbers <= most)
    monkeypatch.setattr(
        NetworkLandscape,
        "_found_first_layer",
        lambda self: FirstConvolution.of(self.module, self.inputs),
    )


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    share_convolutions(monkeypatch)


@pytest.mark.parametrize("model", [LeNet, Signal, Grouped])
def test_a_first_convolution_is_shared_along_lines_as_on_a_gpu(model, as_on_a_gpu, monkeypatch):
    _, landscape = landscape_of(model)
    generator = torch.Generator().manual_seed(2)
    direction = 0.05 * torch.randn(1, landscape.dimension, generator=generator).double()
    coordinates = torch.randn(4, 1, generator=generator).double()
    for samples in (500, 32):
        monkeypatch.setattr(shared_first_layer, "LEAST_SAMPLES", samples)
        monkeypatch.setattr(shared_first_layer, "SAMPLES_AT_MOST", samples)
        assert_first_layer_is_shared_exactly(landscape, direction, coordinates, 1e-12)
        for batch in landscape.minibatches(32, generator):
            assert_first_layer_is_shared_exactly(batch, direction, coordinates, 1e-12)
        line = landscape.restrict(AffineSubspace(landscape.initial_point(), direction))
        other = torch.randn(1, landscape.dimension, generator=generator).double()
        moved = line.rebased(coordinates[0], other)
        for shared in (line, moved):
            plain = RestrictedLandscape(landscape, shared.subspace)
            found, expected = (each.value_and_slope(coordinates[1]) for each in (shared, plain))
            assert found[0] == pytest.approx(expected[0], rel=1e-12)
            torch.testing.assert_close(found[1], expected[1], rtol=1e-9, atol=1e-13)
            torch.testing.assert_close(found[2](), expected[2](), rtol=1e-9, atol=1e-13)


def test_a_first_convolution_is_shared_where_it_fits_and_along_lines_alone(
    as_on_a_gpu, monkeypatch
):
    _, landscape = landscape_of(LeNet)
    directions = torch.eye(2, landscape.dimension).double()
    line = AffineSubspace(landscape.initial_point(), directions[:1])
    plane = AffineSubspace(landscape.initial_point(), directions)
    assert isinstance(landscape.restrict(line), SharedFirstLayerRestriction)
    assert type(landscape.restrict(plane)) is RestrictedLandscape
    moved = landscape.restrict(line).rebased(torch.ones(1).double(), directions)
    assert type(moved) is RestrictedLandscape
    share_convolutions(monkeypatch, 2 * 70 * 6 * 784 - 1)
    assert type(landscape.restrict(line)) is RestrictedLandscape


class WithScale(nn.Sequential):
    """Its own parameter comes before those of its layers."""

    def __init__(self) -> None:
        super().__init__(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
        self.scale = nn.Parameter(torch.ones(2))


def test_only_convolutions_as_they_are_count_as_linear():
    images = torch.rand(3, 784)
    lenet = LeNet()
    assert FirstConvolution.of(lenet, images) is not None
    parametrized = LeNet()
    torch.nn.utils.parametrizations.weight_norm(parametrized[1])
    assert FirstConvolution.of(parametrized, images) is None
    reflecting = nn.Sequential(
        nn.Conv1d(1, 2, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(12, 2)
    )
    assert FirstConvolution.of(reflecting, torch.rand(3, 1, 6)) is None
    assert FirstConvolution.of(WithScale(), torch.rand(3, 1, 6)) is None


def test_a_parameter_of_the_chain_itself_is_not_taken_for_its_first_layers():
    chain = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    chain.scale = nn.Parameter(torch.ones(5).double())
    chain.register_parameter("scale", chain.scale)
    landscape = NetworkLandscape(
        chain, torch.rand(6, 3).double(), torch.rand(6, 2).double(), "mean_squared_error"
    )
    directions = torch.randn(2, landscape.dimension).double()
    subspace = AffineSubspace(landscape.initial_point(), directions)
    assert type(landscape.restrict(subspace)) is RestrictedLandscape


def test_lbfgs_goes_the_same_way_with_a_shared_first_convolution(monkeypatch):
    _, plain = landscape_of(LeNet)
    share_convolutions(monkeypatch)
    _, shared = landscape_of(LeNet)
    runs = [
        lowroad.lbfgs(
            each,
            each.initial_point(),
            iterations=12,
            line_search=lowroad.GoldenSection(budget=6, first_step=0.2),
        )
        for each in (plain, shared)
    ]
    torch.testing.assert_close(runs[1].point, runs[0].point, rtol=1e-6, atol=1e-8)
    assert runs[1].value == pytest.approx(runs[0].value, rel=1e-8)


def test_more_points_than_fit_are_evaluated_in_groups(monkeypatch):
    """Any number of points: 7 points in groups of 2 give the same numbers."""
    _, landscape = landscape_of(FCP)
    generator = torch.Generator().manual_seed(2)
    directions = 0.02 * torch.randn(3, landscape.dimension, generator=generator).double()
    subspace = AffineSubspace(landscape.initial_point(), directions)
    coordinates = torch.randn(7, 3, generator=generator).double()
    weights = torch.rand(7, generator=generator).double()

    def numbers():
        restricted = landscape.restrict(subspace)
        return [
            restricted.values(coordinates),
            *restricted.values_and_gradients(coordinates),
            *restricted.values_and_subspace_gradients(coordinates, weights),
        ]

    whole = numbers()
    monkeypatch.setattr(shared_first_layer, "FLOATS_AT_MOST", 2 * 50 * 500)
    assert landscape.restrict(subspace)._most == 2
    for one, other in zip(numbers(), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("layers", ["flatten", "hooked", "shared weights", "frozen", "conv"])
def test_first_layers_are_recognised_only_where_they_are_linear_in_a_fixed_input(layers):
    linear, images = nn.Linear(16, 16), torch.rand(5, 4, 4)
    rest: list[nn.Module] = [nn.Tanh(), nn.Linear(16, 10)]
    module = nn.Sequential(nn.Flatten(), linear, *rest)
    if layers == "hooked":
        linear.register_forward_hook(lambda module, arguments, output: 2 * output)
    elif layers == "shared weights":
        module = nn.Sequential(nn.Flatten(), linear, nn.Tanh(), linear)
    elif layers == "frozen":
        linear.weight.requires_grad_(False)
    elif layers == "conv":
        module = nn.Sequential(nn.Conv1d(4, 4, 1), nn.Flatten(), *rest)
    landscape = NetworkLandscape(module, images, torch.arange(5), "cross_entropy")
    point = landscape.initial_point()
    restricted = landscape.restrict(AffineSubspace(point, torch.ones_like(point)[None]))
    assert isinstance(restricted, SharedFirstLayerRestriction) == (layers == "flatten")
    value = float(restricted.values(torch.zeros(1, 1))[0])
    expected = F.cross_entropy(module(images), torch.arange(5)).item()
    assert value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error"])
def test_activations_in_place_are_taken_and_leave_the_data(loss):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    targets = torch.randn(40, 3, generator=generator, dtype=torch.float64).softmax(1)
    plain = nn.Sequential(nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    for first in (0, 1):  # beginning with an activation, and with the linear layer
        module = copy.deepcopy(plain[first:])
        for layer in module:
            if isinstance(layer, nn.ReLU):
                layer.inplace = True
        before = inputs.clone()
        landscape = NetworkLandscape(module, inputs, targets, loss)
        expected = NetworkLandscape(plain[first:], inputs, targets, loss)
        at, along = landscape.initial_point(), torch.ones(1, landscape.dimension).double()
        line = landscape.restrict(AffineSubspace(at, along))
        value, gradient = line.value_and_gradient(torch.full((1,), 0.1, dtype=torch.float64))
        wanted, wanted_gradient = expected.value_and_gradient(at + 0.1 * along[0])
        assert value == pytest.approx(wanted, rel=1e-12)
        torch.testing.assert_close(gradient, wanted_gradient)
        assert torch.equal(inputs, before)
        assert all(m.inplace for m in module if isinstance(m, nn.ReLU))


def test_lines_over_several_chunks_handed_on_and_reused(monkeypatch):
    """Products are handed over in place; a previous line, or one handed on twice, stays correct."""
    monkeypatch.setattr(shared_first_layer, "SAMPLES_AT_MOST", 32)
    monkeypatch.setattr(shared_first_layer, "LEAST_SAMPLES", 32)
    _, landscape = landscape_of(FCP, samples=70)
    generator = torch.Generator().manual_seed(2)
    a, b, c = torch.randn(3, 1, landscape.dimension, generator=generator).double() / 50
    at, half = landscape.initial_point(), torch.full((1,), 0.5, dtype=torch.float64)
    line = landscape.restrict(AffineSubspace(at, a))
    assert len(list(line._chunks(1))) == 3
    value, slope, late = line.value_and_slope(half)
    moved, unused = line.rebased(half, b), line.rebased(half, c)
    second = moved.rebased(half, c)  # of a line that was never evaluated
    for each, point in (
        (moved, at + a[0] / 2 + b[0] / 2),
        (unused, at + a[0] / 2 + c[0] / 2),
        (second, at + a[0] / 2 + b[0] / 2 + c[0] / 2),
        (line, at + a[0] / 2),
    ):
        wanted, gradient = landscape.value_and_gradient(point)
        found, found_gradient = each.value_and_gradient(half)
        assert found == pytest.approx(wanted, rel=1e-12)
        torch.testing.assert_close(found_gradient, gradient)
    assert value == pytest.approx(wanted, rel=1e-12)
    torch.testing.assert_close(late(), gradient)
    torch.testing.assert_close(slope, a @ gradient)


@pytest.mark.parametrize("last", [nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Identity()])
def test_values_that_overwrite_outputs_are_those_of_gradients_to_the_bit(last):
    """Squared errors overwrite the outputs, not the data, the products or a user's outputs."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(700, 6, generator=generator)
    targets = torch.rand(700, 9, generator=generator)
    kept = inputs.clone(), targets.clone()
    module = nn.Sequential(nn.Linear(6, 5), last, nn.Linear(5, 9), copy.deepcopy(last))
    landscape = NetworkLandscape(module, inputs, targets, "mean_squared_error")
    point = torch.randn(landscape.dimension, generator=generator)
    line = landscape.restrict(AffineSubspace(point, torch.ones_like(point)[None]))
    for alpha in (0.5, -0.3, 0.5):
        at = torch.tensor([alpha])
        value = float(line.values(at[None])[0])
        assert value == line.value_and_slope(at)[0]
        z = module_at(module, point + alpha)(inputs.double()).detach()
        assert value == pytest.approx(float((z - targets).square().mean()), rel=1e-5)
    assert torch.equal(inputs, kept[0])
    assert torch.equal(targets, kept[1])
    seen: list[torch.Tensor] = []
    module[3].register_forward_hook(lambda layer, given, output: seen.append(output))
    hooked = NetworkLandscape(module, inputs, targets, "mean_squared_error")
    line = hooked.restrict(AffineSubspace(point, torch.ones_like(point)[None]))
    seen.clear()
    value = float(line.values(torch.tensor([[0.5]]))[0])
    expected = (torch.cat(seen).detach() - targets).square().mean()
    assert value == pytest.approx(float(expected), rel=1e-5)


def module_at(module, point):
    moved = copy.deepcopy(module).double()
    nn.utils.vector_to_parameters(point.double(), moved.parameters())
    return moved
