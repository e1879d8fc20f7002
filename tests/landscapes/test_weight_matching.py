"""Permuted networks are the same function, and weight matching recovers the permutation."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from lowroad.landscapes import (
    BatchNormLandscape,
    FunctionLandscape,
    NetworkLandscape,
    PermutationSpec,
    weight_matching,
)
from lowroad.landscapes.permutations import as_point
from lowroad.paper.networks import FCP, LSTM, Autoencoder, LeNet

AXES = {
    "enter.weight": ("hidden", None),
    "enter.bias": ("hidden",),
    "around.weight": ("hidden", "hidden"),
    "leave.weight": (None, "hidden"),
}


class Residual(nn.Module):
    """Its second layer adds to the output of the first: not a chain, but one group of units."""

    def __init__(self, generator=None):
        super().__init__()
        self.enter, self.around = nn.Linear(784, 7), nn.Linear(7, 7, bias=False)
        self.leave = nn.Linear(7, 10)

    def forward(self, x):
        x = torch.tanh(self.enter(x))
        return self.leave(x + torch.tanh(self.around(x)))


def conv_bn(generator=None):
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 5, 5, stride=3, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(inplace=True),
        nn.Conv2d(5, 4, 3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 6),
        nn.BatchNorm1d(6),
        nn.Tanh(),
        nn.Linear(6, 10),
    )


def two_layer_lstm(generator=None):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = nn.LSTM(28, 6, num_layers=2, batch_first=True)
            self.norm, self.readout = nn.LayerNorm(6), nn.Linear(6, 10)

        def forward(self, x):
            return self.readout(self.norm(self.recurrent(x.unflatten(1, (28, 28)))[0][:, -1]))

    return Model()


MODELS = {
    "FCP": (FCP, None),
    "LeNet": (LeNet, None),
    "LSTM": (LSTM, None),
    "Autoencoder": (Autoencoder, None),
    "convolutions with batch norm": (conv_bn, None),
    "LSTM of two layers": (two_layer_lstm, None),
    "named axes": (Residual, AXES),
}


@pytest.fixture(params=MODELS)
def case(request):
    """A landscape, the axes, and two of its points."""
    make, axes = MODELS[request.param]
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    first, second = (make(generator=generator).double().eval() for _ in range(2))
    images = torch.rand(30, 784, generator=generator, dtype=torch.float64)
    targets, loss = torch.randint(0, 10, (30,), generator=generator), "cross_entropy"
    if make is Autoencoder:
        targets, loss = images, "mean_squared_error"
    landscape = NetworkLandscape(first, images, targets, loss)
    if make is conv_bn:
        landscape = BatchNormLandscape(landscape)
    return landscape, axes, landscape.initial_point(), landscape.point_of(second.state_dict())


@pytest.mark.parametrize("seed", [None, 1])
def test_alignment_keeps_the_function_and_comes_nearer(case, seed):
    landscape, axes, first, second = case
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    aligned = weight_matching(landscape, first, second, axes, generator)
    torch.testing.assert_close(
        landscape.outputs(aligned.point), landscape.outputs(second), rtol=1e-12, atol=1e-13
    )
    assert not torch.equal(aligned.point, second)
    assert aligned.raw_distance == pytest.approx(float((first - second).norm()), rel=1e-12)
    assert aligned.distance == pytest.approx(float((first - aligned.point).norm()), rel=1e-12)
    assert aligned.distance < aligned.raw_distance
    assert torch.equal(aligned.point.sort().values, second.sort().values)


@pytest.mark.parametrize("seed", range(3))
def test_a_permuted_copy_is_recovered_exactly(case, seed):
    landscape, axes, first, _ = case
    generator = torch.Generator().manual_seed(seed)
    spec = PermutationSpec.of(landscape, axes)
    mixed = {g: torch.randperm(n, generator=generator) for g, n in spec.sizes.items()}
    copy = as_point(spec.permute(landscape.parameters_at(first), mixed))
    aligned = weight_matching(landscape, first, copy, axes, generator if seed else None)
    assert aligned.raw_distance > 1
    assert aligned.distance == 0
    for group, order in mixed.items():
        assert torch.equal(aligned.permutations[group], order.argsort())


@pytest.mark.parametrize("seed", range(5))
def test_one_hidden_layer_is_aligned_best_of_all(seed):
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    inputs = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    landscape = NetworkLandscape(network, inputs, torch.zeros(5).long(), "cross_entropy")
    first, second = torch.randn(2, landscape.dimension, generator=generator).double()
    w, b, v, c = second.split([8, 4, 12, 3])
    distances = [
        torch.cat([w.view(4, 2)[p].flatten(), b[p], v.view(3, 4)[:, p].flatten(), c]) - first
        for p in map(list, itertools.permutations(range(4)))
    ]
    best = min(float(d.norm()) for d in distances)
    assert weight_matching(landscape, first, second).distance == pytest.approx(best, rel=1e-12)


def test_gates_and_pixels_are_traced():
    images = torch.rand(4, 784)

    def axes_of(module):
        targets = torch.zeros(4).long()
        landscape = NetworkLandscape(module.eval(), images, targets, "cross_entropy")
        return PermutationSpec.of(landscape).axes

    cells = "recurrent.weight_ih_l0"
    assert axes_of(LSTM()) == {
        "recurrent.weight_ih_l0": ((4, cells), None),
        "recurrent.weight_hh_l0": ((4, cells), cells),
        "recurrent.bias_ih_l0": ((4, cells),),
        "recurrent.bias_hh_l0": ((4, cells),),
        "readout.weight": (None, cells),
    }
    lenet = axes_of(LeNet())
    assert lenet["8.weight"] == ("8", ("4", 25))
    assert "12.bias" not in lenet
    assert axes_of(conv_bn())["8.running_var"] == ("7",)


class Sorted(nn.Module):
    def forward(self, x):
        return x.sort(1).values


def small(*layers, features=4):
    network = nn.Sequential(*layers).double().eval()
    inputs = torch.randn(9, features, generator=torch.Generator().manual_seed(0)).double()
    return NetworkLandscape(network, inputs, torch.zeros(9).long(), "cross_entropy")


@pytest.mark.parametrize(
    ("axes", "message"),
    {
        "no such name": ({"0.weights": ("h", None)}, "0.weights is not a trainable parameter"),
        "too few axes": ({"0.weight": ("h",)}, r"0.weight has 2 axes \[6, 4\]: .* got \('h',\)"),
        "two sizes": (
            {"0.weight": ("h", None), "2.weight": ("h", None)},
            r"axis 0 of 2.weight has length 3, which is not 1 × the 6 units of 'h'",
        ),
        "no multiple": ({"0.weight": ((4, "h"), None)}, "axis 0 of 0.weight has length 6"),
        "no group": ({"0.weight": ((4, 2), None)}, r"0.weight: expected a group's name"),
        "half a network": (
            {"0.weight": ("h", None), "0.bias": ("h",)},
            "renumbering the units of 'h' changes the network's outputs",
        ),
    }.values(),
)
def test_axes_that_do_not_fit_are_refused(axes, message):
    landscape = small(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    first, second = torch.randn(2, landscape.dimension, dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        weight_matching(landscape, first, second, axes)


@pytest.mark.parametrize("silent", [250, 600])
def test_axes_are_checked_where_the_data_tells_them_apart(silent):
    """The first chunks hold zeros alone, for which wrong axes change no output."""
    network = nn.Sequential(nn.Linear(4, 6, bias=False), nn.Tanh(), nn.Linear(6, 3)).double()
    inputs = torch.zeros(silent + 9, 4).double()
    inputs[silent:] = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.zeros(silent + 9).long()
    landscape = NetworkLandscape(network.eval(), inputs, labels, "cross_entropy", chunk=250)
    first, second = torch.randn(2, landscape.dimension, dtype=torch.float64)
    with pytest.raises(ValueError, match="'h' changes the network's outputs"):
        weight_matching(landscape, first, second, {"0.weight": ("h", None)})


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Linear(4, 6), nn.Softmax(1), nn.Linear(6, 3)], None),
        ([nn.Linear(4, 6), Sorted(), nn.Linear(6, 3)], r"what sort does .* name the axes"),
        ([nn.Linear(4, 3)], "no hidden units that can be renumbered were found"),
    ],
)  # fmt: skip
def test_networks_without_units_that_can_be_renumbered_are_refused(layers, message):
    landscape = small(*layers)
    first, second = torch.randn(2, landscape.dimension, dtype=torch.float64)
    if message is None:
        weight_matching(landscape, first, second)
    else:
        with pytest.raises(ValueError, match=message):
            weight_matching(landscape, first, second)


def test_a_module_may_name_its_own_axes():
    module = Residual().double()
    landscape = NetworkLandscape(module, torch.rand(9, 784).double(), torch.zeros(9).long(),
                                 "cross_entropy")  # fmt: skip
    first, second = torch.randn(2, landscape.dimension, dtype=torch.float64)
    found = weight_matching(landscape, first, second)
    module.permutation_axes = {name: axes for name, axes in AXES.items() if name != "leave.weight"}
    wrong = NetworkLandscape(module, landscape.inputs, landscape.targets, "cross_entropy")
    with pytest.raises(ValueError, match=r"units of 'hidden' changes .* permutation_axes"):
        weight_matching(wrong, first, second)
    module.permutation_axes = AXES
    named = NetworkLandscape(module, landscape.inputs, landscape.targets, "cross_entropy")
    aligned = weight_matching(named, first, second)
    assert aligned.distance < aligned.raw_distance
    assert torch.equal(aligned.point, found.point)


def test_fixed_statistics_forbid_renumbering():
    landscape = small(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    first, second = torch.randn(2, landscape.dimension, dtype=torch.float64)
    assert weight_matching(landscape, first, second).distance > 0  # all means 0, all variances 1
    means = landscape.with_buffers({"1.running_mean": torch.arange(6.0)})
    with pytest.raises(ValueError, match=r"'0' changes .* use a BatchNormLandscape"):
        weight_matching(means, first, second)


def test_points_with_gradients_and_of_another_length():
    landscape = small(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    first, second = torch.randn(2, landscape.dimension, dtype=torch.float64)
    plain = weight_matching(landscape, first, second)
    attached = weight_matching(landscape, first.requires_grad_(), second.requires_grad_())
    assert torch.equal(attached.point, plain.point)
    assert not attached.point.requires_grad
    with pytest.raises(ValueError, match=r"expected points of shape \[n, 51\]"):
        weight_matching(landscape, first, second[:-1])


def test_points_that_are_not_finite_are_refused():
    landscape = small(nn.Linear(4, 6), nn.Linear(6, 3))
    first = torch.zeros(landscape.dimension, dtype=torch.float64)
    with pytest.raises(ValueError, match="two finite points"):
        weight_matching(landscape, first, first / 0)


def test_only_networks_have_units_to_permute():
    surface = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    with pytest.raises(TypeError, match="landscape of a network"):
        weight_matching(surface, torch.zeros(2), torch.ones(2))


@pytest.mark.parametrize("batches", [False, True])
def test_a_module_that_returns_more_than_one_tensor(batches):
    class Beside(Residual):
        def forward(self, x):
            return super().forward(x), x

    def loss(outputs, targets):
        return nn.functional.cross_entropy(outputs[0], targets)

    torch.manual_seed(0)
    data = torch.randn(20, 784), torch.randint(0, 10, (20,))
    landscape = NetworkLandscape(Beside(), *(([data],) if batches else data), loss=loss)
    first = landscape.initial_point()
    own, order = landscape.parameters_at(first), torch.randperm(7)
    renumbered = {
        "enter.weight": own["enter.weight"][order],
        "enter.bias": own["enter.bias"][order],
        "around.weight": own["around.weight"][order][:, order],
        "leave.weight": own["leave.weight"][:, order],
        "leave.bias": own["leave.bias"],
    }
    assert torch.equal(weight_matching(landscape, first, as_point(renumbered)).point, first)
