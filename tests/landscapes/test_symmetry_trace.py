"""Units that may be renumbered are found in any architecture, and nothing else is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from landscapes.architectures import (
    Attentive,
    Gated,
    Packed,
    Recurrent,
    ResNet,
    Separable,
    Transformer,
    UShaped,
    Written,
)
from lowroad.landscapes import (
    BatchNormLandscape,
    NetworkLandscape,
    PermutationSpec,
    activation_matching,
    weight_matching,
)
from lowroad.landscapes.permutations import as_point, tensors_of

NUMBERS, WORDS, SERIES = torch.randn(12, 3), torch.randint(0, 9, (12, 5)), torch.randn(12, 5, 3)

# a network, its inputs, the sizes of its groups: known from how each is written
ARCHITECTURES = {
    "a residual network": (
        lambda: ResNet(2, 4), torch.randn(12, 3, 8, 8), [4, 4, 4, 8, 8, 8, 16, 16, 16]
    ),
    "a transformer": (Transformer, WORDS, [2, 2, 4, 4, 8, 12, 12]),
    "GPT-2's attention": (Attentive, SERIES, [2, 4, 8]),
    "a GRU": (Recurrent, SERIES, [6, 6]),
    "an LSTM": (lambda: Recurrent(nn.LSTM), SERIES, [6, 6]),
    "a plain recurrent network": (lambda: Recurrent(nn.RNN), SERIES, [6, 6]),
    "both directions": (lambda: Recurrent(bidirectional=True), SERIES, [6, 6]),
    "a GRU of packed sequences": (Packed, WORDS, [5, 6]),
    "an LSTM of packed sequences": (lambda: Packed(nn.LSTM), WORDS, [5, 6]),
    "writing into tensors": (Written, NUMBERS, [4]),
    "separable convolutions": (Separable, torch.randn(12, 1, 4, 4), [2, 2, 4]),
    "a concatenation": (UShaped, torch.randn(12, 2, 8), [4, 6]),
    "gates and weight norm": (Gated, WORDS, [5, 6]),
    "one hidden unit": (
        lambda: nn.Sequential(nn.Linear(3, 1), nn.Tanh(), nn.Linear(1, 4), nn.GELU(),
                              nn.Linear(4, 2)),
        NUMBERS, [4],
    ),
    "batch norm on the input": (
        lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)),
        NUMBERS, [6],
    ),
}  # fmt: skip


def landscape_of(make, inputs, dtype=torch.float64):
    torch.manual_seed(0)
    module = make().to(dtype).eval()
    for parameter in module.parameters():  # norms and biases too: no two units are alike
        parameter.data += 0.1 * torch.randn_like(parameter)
    inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
    landscape = NetworkLandscape(module, inputs, torch.zeros(len(inputs)).long(), "cross_entropy")
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return BatchNormLandscape(landscape) if norms else landscape


@pytest.fixture(params=ARCHITECTURES)
def case(request):
    make, inputs, sizes = ARCHITECTURES[request.param]
    return landscape_of(make, inputs), sizes


def renumbered(landscape, spec, seed=1):
    generator = torch.Generator().manual_seed(seed)
    mixed = {g: torch.randperm(n, generator=generator) for g, n in spec.sizes.items()}
    return as_point(spec.permute(landscape.parameters_at(landscape.initial_point()), mixed)), mixed


def test_all_groups_are_found(case):
    landscape, sizes = case
    assert sorted(PermutationSpec.of(landscape).sizes.values()) == sizes


def test_renumbering_keeps_the_function(case):
    landscape, _ = case
    copy, _ = renumbered(landscape, PermutationSpec.of(landscape))
    point = landscape.initial_point()
    assert not torch.equal(copy, point)
    torch.testing.assert_close(
        landscape.outputs(copy), landscape.outputs(point), rtol=1e-9, atol=1e-11
    )


def test_any_other_renumbering_would_change_the_function(case):
    """Exchange two entries of one axis that the spec leaves alone: something must change."""
    landscape, _ = case
    spec = PermutationSpec.of(landscape)
    point = landscape.initial_point()
    tensors, before = landscape.parameters_at(point), landscape.outputs(point)
    for name, tensor in tensors.items():
        entries = spec.axes.get(name, (None,) * tensor.ndim)
        for i, entry in enumerate(entries):
            if entry is None and tensor.shape[i] > 1:
                order = torch.arange(tensor.shape[i])
                order[[0, 1]] = order[[1, 0]]
                moved = as_point(tensors | {name: tensor.index_select(i, order)})
                assert (landscape.outputs(moved) - before).abs().max() > 1e-9, (name, i)


def test_a_renumbered_copy_is_recovered(case):
    landscape, _ = case
    copy, mixed = renumbered(landscape, PermutationSpec.of(landscape))
    aligned = weight_matching(landscape, landscape.initial_point(), copy)
    assert aligned.distance < 1e-12
    for group, order in mixed.items():
        assert torch.equal(aligned.permutations[group], order.argsort())


def test_activations_find_all_units_that_stand_alone(case):
    landscape, _ = case
    point = landscape.initial_point()
    spec = PermutationSpec.of(landscape)
    together = {
        group
        for entries in spec.axes.values()
        for entry in entries
        if isinstance(entry, tuple) and sum(isinstance(part, str) for part in entry) > 1
        for group in entry
        if isinstance(group, str)
    }
    generator = torch.Generator().manual_seed(1)
    mixed = {
        g: torch.randperm(n, generator=generator)
        for g, n in spec.sizes.items()
        if g not in together
    }
    copy = as_point(spec.permute(landscape.parameters_at(point), mixed))
    aligned = activation_matching(landscape, point, copy)
    for group, order in mixed.items():
        assert torch.equal(aligned.permutations[group], order.argsort()), group


def test_an_aligned_network_can_be_saved(case):
    landscape, _ = case
    point = landscape.initial_point()
    copy, _ = renumbered(landscape, PermutationSpec.of(landscape))
    before = landscape.outputs(copy)
    state = weight_matching(landscape, point, copy).state_dict()
    module = landscape.module
    module.load_state_dict(state)
    with torch.no_grad():
        after = module(landscape.inputs)
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-11)
    first, own = tensors_of(landscape, point), dict(module.named_parameters())
    assert all(torch.allclose(own[name], first[name], rtol=1e-12) for name in own)


@pytest.mark.slow
def test_a_permuted_resnet_20_is_recognised():
    make, images = lambda: ResNet(3, 16), torch.randn(64, 3, 32, 32)
    landscape = landscape_of(make, images, torch.float32)
    spec = PermutationSpec.of(landscape)
    for seed in range(2):
        copy, mixed = renumbered(landscape, spec, seed)
        aligned = weight_matching(landscape, landscape.initial_point(), copy)
        assert aligned.distance == 0
        assert all(torch.equal(aligned.permutations[g], o.argsort()) for g, o in mixed.items())


def test_a_branch_on_the_data_is_taken_as_they_take_it():
    """Attention masks are tested for padding in this way."""

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x, mask):
            hidden = torch.tanh(self.first(x))
            return self.second(hidden if bool(mask.all()) else hidden * mask[:, None])

    torch.manual_seed(0)
    for mask in (torch.ones(12), (torch.arange(12) < 7).float()):
        landscape = NetworkLandscape(
            Masked(), {"x": NUMBERS, "mask": mask},
            objective=lambda net, batch: net(**batch).matmul(torch.tensor([1.0, 2.0])).var(),
        )  # fmt: skip
        first = landscape.initial_point()
        order = torch.tensor([2, 0, 3, 1])
        spec = PermutationSpec.of(landscape)
        assert list(spec.sizes.values()) == [4]
        moved = spec.permute(landscape.parameters_at(first), dict.fromkeys(spec.sizes, order))
        assert weight_matching(landscape, first, as_point(moved)).distance == 0


def test_sizes_that_do_not_follow_are_asked_for():
    axes, tensors = {"w": (("heads", "size"), None)}, {"w": torch.zeros(6, 2)}
    with pytest.raises(ValueError, match="the sizes of 'heads' and 'size' do not follow"):
        PermutationSpec(axes, tensors)
    spec = PermutationSpec(axes, tensors, {"heads": 2})
    assert spec.sizes == {"heads": 2, "size": 3}
    w = torch.arange(12.0).view(6, 2)
    moved = spec.permute({"w": w}, {"heads": torch.tensor([1, 0]), "size": torch.tensor([2, 0, 1])})
    assert moved["w"][:, 0].tolist() == [10, 6, 8, 4, 0, 2]
    assert math.prod(spec.sizes.values()) == 6


def test_compiled_modules_are_traced_as_they_are_written():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    data = torch.randn(20, 3), torch.randint(0, 2, (20,)), "cross_entropy"
    plain = NetworkLandscape(module, *data)
    compiled = NetworkLandscape(torch.compile(module, backend="eager"), *data)
    first, second = torch.randn(2, plain.dimension)
    for matching in (weight_matching, activation_matching):
        expected = matching(plain, first, second)
        assert torch.equal(matching(compiled, first, second).point, expected.point)
        assert not torch.equal(expected.point, second)
