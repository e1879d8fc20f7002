"""State dicts: what PyTorch and safetensors load gives the same outputs here; what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn
from torch.nn.utils import parametrizations, weight_norm

from lowroad.landscapes import NetworkLandscape


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x):
        return self.head(torch.tanh(self.embed(x)))


class Frozen(nn.Module):
    """A frozen backbone with batch norm and a complex buffer, as rotary embeddings have it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))
        self.backbone.requires_grad_(False)
        self.register_buffer("turns", torch.polar(torch.ones(5), torch.rand(5)))
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        return self.head((self.backbone(x) * self.turns).real)


class Scalar(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale, self.layer = nn.Parameter(torch.rand(())), nn.Linear(4, 3)

    def forward(self, x):
        return self.scale * self.layer(x)


def normed():
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def without_counts(module):
    return {n: t for n, t in module.state_dict().items() if "num_batches" not in n}


def old_names(module):
    """What `torch.nn.utils.weight_norm` wrote before there were parametrizations."""
    old = weight_norm(nn.Linear(4, 3))
    return {"0.weight_g": old.weight_g, "0.weight_v": old.weight_v, "0.bias": old.bias}


def in_bfloat16(module):
    return {
        name: t.bfloat16() if name.startswith("backbone") and t.is_floating_point() else t
        for name, t in module.state_dict().items()
    }


CASES = {
    "tied, once, the first name": (Tied, lambda m: {"embed.weight": m.embed.weight}),
    "tied, once, the other name": (Tied, lambda m: {"head.weight": m.embed.weight}),
    "tied, twice": (Tied, lambda m: m.state_dict()),
    "batch norm without counts": (normed, without_counts),
    "old weight norm": (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 3))),
                        old_names),
    "spectral norm": (lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 3))),
                      lambda m: m.state_dict()),
    "a bfloat16 backbone": (Frozen, in_bfloat16),
    "a scalar of one dimension": (Scalar, lambda m: m.state_dict() | {"scale": torch.rand(1)}),
    "all in float16": (normed, lambda m: {n: t.half() for n, t in m.state_dict().items()}),
    "whole numbers": (Scalar, lambda m: {n: t.mul(9).int() for n, t in m.state_dict().items()}),
}  # fmt: skip


def made(make, seed):
    torch.manual_seed(seed)
    module = make().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return module


def landscape_of(module):
    torch.manual_seed(9)
    if isinstance(module, Tied):
        inputs, labels = torch.randint(0, 7, (11,)), torch.randint(0, 7, (11,))
    else:
        inputs, labels = torch.randn(11, 4), torch.randint(0, 3, (11,))
    return NetworkLandscape(module, inputs, labels, "cross_entropy")


@pytest.mark.parametrize("case", CASES)
def test_what_pytorch_loads_gives_the_same_outputs(case):
    make, state_of = CASES[case]
    landscape, state = landscape_of(made(make, 1)), state_of(made(make, 2))
    before = copy.deepcopy(landscape.module.state_dict())
    read = landscape.read_state(state)
    own = {name: tensor for name, tensor in before.items() if name in read.frozen}
    after = landscape.module.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in own.items())
    loaded = made(make, 3)
    if "once" in case:  # what safetensors' load_model takes, and load_state_dict does not
        (tensor,) = state.values()
        loaded.embed.weight.data.copy_(tensor)
    else:
        loaded.load_state_dict(state, strict=True)
    found = landscape.with_buffers(read.frozen).outputs(read.trainable)
    assert torch.equal(found, loaded(landscape.inputs).detach())


def test_a_file_of_save_model(tmp_path):
    saved, loaded = made(Tied, 2), made(Tied, 3)
    save_model(saved, str(tmp_path / "a.safetensors"))
    load_model(loaded, tmp_path / "a.safetensors")
    from safetensors.torch import load_file

    state = load_file(tmp_path / "a.safetensors")
    assert len(state) == 1
    landscape = landscape_of(made(Tied, 1))
    found = landscape.outputs(landscape.point_of(state))
    assert torch.equal(found, loaded(landscape.inputs).detach())


def test_frozen_tensors_that_differ_in_the_last_bits_are_another_network():
    module = made(Frozen, 1)
    landscape, state = landscape_of(module), module.state_dict()
    state["backbone.0.weight"] = state["backbone.0.weight"] * (1 + 1e-6)
    with pytest.raises(ValueError, match=r"backbone\.0\.weight is not a trainable parameter"):
        landscape.point_of(state)
    state = module.state_dict() | {"backbone.1.num_batches_tracked": torch.tensor(7)}
    assert torch.equal(landscape.point_of(state), landscape.initial_point())


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.eye(3, 4).to_sparse(), r"layer\.weight is sparse"),
        (torch.eye(3, 4).to_sparse_csr(), r"layer\.weight is sparse"),
        (torch.zeros(3, 4, device="meta"), r"layer\.weight is without numbers"),
        (torch.zeros(3, 4, dtype=torch.complex64), r"layer\.weight is complex"),
        (torch.nested.nested_tensor([torch.ones(4)] * 3), "weight is nested"),
        (torch.quantize_per_tensor(torch.ones(3, 4), 0.1, 0, torch.qint8), "weight is quantized"),
        (3.0, r"While copying|expected torch\.Tensor"),
    ],
)
def test_tensors_that_hold_no_dense_real_numbers(tensor, message):
    module = made(Scalar, 1)
    landscape, state = landscape_of(module), module.state_dict() | {"layer.weight": tensor}
    with pytest.raises(ValueError, match=message):
        landscape.point_of(state)


def test_two_architectures_show_their_first_differences():
    def deep(width):
        return nn.Sequential(*(nn.Linear(4, 4) for _ in range(20)), nn.Linear(4, width))

    landscape = landscape_of(deep(3))
    state = deep(5).state_dict()
    for name in [name for name in state if name.endswith("bias")]:
        state[name.replace("bias", "shift")] = state.pop(name)
    with pytest.raises(ValueError, match="do not fit") as caught:
        landscape.point_of(state)
    message = str(caught.value)
    for part in (
        "0.bias is missing; 1.bias is missing",
        "and 18 more like this",
        "0.shift is not in the model",
        "20.weight has shape [5, 4], the model's is [3, 4]",
    ):
        assert part in message
    assert len(message) < 500


def test_some_parameters_alone():
    module = made(normed, 1)
    whole = landscape_of(module)
    head = whole.with_trainable("3.*")
    assert head.dimension == 3 * 5 + 3
    value, gradient = head.value_and_gradient(head.initial_point())
    expected, over_all = whole.value_and_gradient(whole.initial_point())
    assert value == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(gradient, over_all[-head.dimension :])
    both = whole.with_trainable("3.weight", "0.*")
    assert both.dimension == whole.dimension - 3 - 10
    assert whole.dimension == whole.initial_point().numel()
    other = made(normed, 2)
    point, frozen = head.read_state(other.state_dict())
    found = head.with_buffers(frozen).outputs(point)
    assert torch.equal(found, other(whole.inputs).detach())
    with pytest.raises(ValueError, match=r"trainable parameters \(0\.weight.*got 'haed\.\*'"):
        whole.with_trainable("3.*", "haed.*")
