"""Files of weights as training programs leave them about, and files that are none."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from lowroad.landscapes import NetworkLandscape
from lowroad.problems import read_checkpoint


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()


def landscape_of(module):
    inputs = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    return NetworkLandscape(module, inputs, torch.zeros(9).long(), "cross_entropy")


class Wrapped(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


LANDSCAPE = landscape_of(network())
TRAINED = network(1)
STATE = TRAINED.state_dict()
POINT = torch.cat([p.detach().reshape(-1) for p in TRAINED.parameters()])


def prefixed(prefix, state=None):
    return {f"{prefix}{name}": tensor for name, tensor in (state or STATE).items()}


def lightning():
    momentum = {number: {"exp_avg": t, "step": torch.ones(())} for number, t in enumerate(STATE)}
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.5",
        "state_dict": prefixed("model."),
        "loops": {"fit_loop": {"state_dict": {}}},
        "optimizer_states": [{"state": momentum}],
        "hyper_parameters": {"lr": 0.1},
    }


ZEROS = {name: torch.zeros_like(tensor) for name, tensor in STATE.items()}
ONE = torch.ones(())
LAYOUTS = {
    "plain": (STATE, None, ""),
    "lightning": (lightning(), None, 'state_dict, without the prefix "model." of its names'),
    "net beside acc": ({"net": STATE, "acc": 91.5}, None, "net"),
    "distributed": (prefixed("module."), None, 'without the prefix "module." of its names'),
    "compiled, distributed": (
        prefixed("_orig_mod.module."), None, 'without the prefix "_orig_mod.module." of its names',
    ),
    "averaged": (
        AveragedModel(TRAINED).state_dict(), None, 'without the prefix "module." of its names',
    ),
    "moving average": ({"state_dict": ZEROS, "state_dict_ema": STATE}, "state_dict_ema",
                       "state_dict_ema"),
    "lightning with a loss's weights and a metric": (
        {"state_dict": prefixed("model.") | {"loss.weight": torch.ones(3), "acc.total": ONE}},
        None, "state_dict.model",
    ),
    "one network of two": (
        prefixed("generator.") | prefixed("discriminator.", {"0.weight": torch.ones(2, 2)}),
        None, "generator",
    ),
    "a prefix as the key": (prefixed("model.") | prefixed("ema.module.", ZEROS), "model", "model"),
    "usual before others": ({"ema": ZEROS, "model": STATE}, None, "model"),
    "what fits before what is usual": (
        {"model": {"other": torch.ones(3)}, "generator": {"net": STATE}}, None, "generator.net",
    ),
    "deep key": ({"a": {"ema": STATE}, "b": {"ema": ZEROS}}, "a.ema", "a.ema"),
    "beside numbers": ({**STATE, "epoch": 3}, None, ""),
    "a key with a table within": ({"ema": {"state_dict": prefixed("module.")}, "model": ZEROS},
                                  "ema", 'ema: state_dict, without the prefix "module."'),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".tar", ".pt", ".anything", ""])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_whatever_the_suffix(tmp_path, layout, suffix):
    content, key, taken = LAYOUTS[layout]
    path = tmp_path / f"a{suffix}"
    old = suffix == ".tar"
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    found = read_checkpoint(path, LANDSCAPE, key)
    assert torch.equal(found.point, POINT)
    assert torch.equal(found.frozen["1.running_mean"], STATE["1.running_mean"])
    assert found.taken.startswith(taken)
    assert bool(found.taken) == bool(taken)


def test_a_wrapped_model_takes_the_bare_ones_file(tmp_path):
    torch.save(STATE, tmp_path / "a.pt")
    found = read_checkpoint(tmp_path / "a.pt", landscape_of(Wrapped(network())))
    assert torch.equal(found.point, POINT)
    assert found.taken == 'with the prefix "model." before its names'
    torch.save(prefixed("module."), tmp_path / "a.pt")
    found = read_checkpoint(tmp_path / "a.pt", landscape_of(Wrapped(network())))
    assert torch.equal(found.point, POINT)
    torch.save(prefixed("model."), tmp_path / "a.pt")
    assert read_checkpoint(tmp_path / "a.pt", landscape_of(Wrapped(network()))).taken == ""


def test_several_networks_of_one_kind_beside_each_other_need_a_key(tmp_path):
    torch.save({"state_dict": prefixed("model.") | prefixed("ema.", ZEROS)}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"choose a key of state_dict\.model, state_dict\.ema"):
        read_checkpoint(tmp_path / "a.ckpt", LANDSCAPE)
    found = read_checkpoint(tmp_path / "a.ckpt", LANDSCAPE, "state_dict.model")
    assert torch.equal(found.point, POINT)


def test_a_network_that_lacks_something_is_refused_whatever_is_beside(tmp_path):
    state = prefixed("model.") | {"loss.weight": torch.ones(3)}
    del state["model.0.bias"]
    torch.save(state, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"0\.bias"):
        read_checkpoint(tmp_path / "a.ckpt", LANDSCAPE)


def test_places_in_a_sequence_are_no_prefixes(tmp_path):
    torch.save({"1.weight": torch.ones(2, 3), "1.bias": torch.ones(2)}, tmp_path / "a.pt")
    landscape = landscape_of(nn.Sequential(nn.Linear(3, 2)))
    with pytest.raises(ValueError, match=r"0\.bias is missing"):
        read_checkpoint(tmp_path / "a.pt", landscape)


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_by_their_index(tmp_path, kind):
    names = list(STATE)
    places = {name: f"model-{1 + i % 2}.{kind}" for i, name in enumerate(names)}
    for shard in set(places.values()):
        part = {name: STATE[name].clone() for name in names if places[name] == shard}
        (save_file if kind == "safetensors" else torch.save)(part, tmp_path / shard)
    index = tmp_path / f"model.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    for path in (index, tmp_path):
        assert torch.equal(read_checkpoint(path, LANDSCAPE).point, POINT)
    (tmp_path / f"model-2.{kind}").unlink()
    with pytest.raises(FileNotFoundError, match=f"model-2.{kind}: there is no such file"):
        read_checkpoint(index, LANDSCAPE)
    for bad, message in (
        ({"weight_map": {**places, names[0]: "../a.pt"}}, "expected shards beside the index"),
        ({"weight_map": {**places, names[0]: index.name}}, "expected shards beside the index"),
        ({"weight_map": {names[0]: 3}}, "expected the index of a sharded checkpoint"),
        ({"weight_map": {"absent": f"model-1.{kind}"}}, "lacks 'absent', which the index names"),
        ([1], "of another kind"),
        ({}, "expected the index of a sharded checkpoint"),
    ):
        index.write_text(json.dumps(bad))
        with pytest.raises(ValueError, match=message):
            read_checkpoint(index, LANDSCAPE)
    index.write_text('{"a": ' * 100_000)
    with pytest.raises(ValueError, match="expected the index of a sharded checkpoint"):
        read_checkpoint(index, LANDSCAPE)


class Own:
    pass


def test_what_is_no_tensor_is_named_with_the_way_to_save_again(tmp_path):
    path = tmp_path / "a.ckpt"
    cases = [
        ({"state_dict": STATE, "acc": np.float64(1)}, r"objects of numpy\.[\w.]+, numpy\.dtype"),
        ({"state_dict": STATE, "config": Own()}, r"objects of [\w.]*test_checkpoint_files\.Own"),
        (
            TRAINED,
            r"objects of torch\.nn.*, torch\.nn\.modules\.container\.Sequential, .* not read",
        ),
        ({"state_dict": STATE, "open": print}, r"objects of builtins\.print"),
    ]
    for content, message in cases:
        for new in (True, False):
            torch.save(content, path, _use_new_zipfile_serialization=new)
            expected = message if new else r"objects of [\w.]+"
            with pytest.raises(ValueError, match=f"a.ckpt: holds {expected}") as caught:
                read_checkpoint(path, LANDSCAPE)
            assert "torch.load('a.ckpt', weights_only=False)" in str(caught.value)
            assert "torch.save(content['state_dict'], 'weights.pt')" in str(caught.value)
            assert "\n" not in str(caught.value)
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    with pytest.raises(ValueError, match=r"torch.jit.ScriptModule .*torch.jit.load\('a.ckpt'\)"):
        read_checkpoint(path, LANDSCAPE)


def npy(header: bytes, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def archive(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("weights.pt"), io.BytesIO())
    return buffer.getvalue()


DAMAGED = r"a\.npy: the header of the \.npy file is damaged; save the vector again by numpy\.save$"
HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000000,), }\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(HUGE, bytes(64)), "its header tells of more than 1e15 bytes of numbers, and 64 are"),
        (npy(HUGE.replace(b"0000,", b"0" * 60 + b","), bytes(64)), "more than 1e15 bytes"),
        (npy(HUGE.replace(b"10000000000000000", b"9"), bytes(64)), "72 bytes of numbers, and 64"),
        (npy(HUGE.replace(b"10000000000000000", b"-9"), bytes(64)), DAMAGED),
        (npy(HUGE.replace(b"<f8", b"<f9"), bytes(64)), DAMAGED),
        (npy(HUGE.replace(b"shape", b"shade"), bytes(64)), DAMAGED),
        (npy(HUGE.replace(b"10000000000000000", b"__import__('os')"), bytes(64)), DAMAGED),
        (npy(HUGE.replace(b"10000000000000000,", b"9" * 5000), bytes(64)), DAMAGED),
        (npy(b"{'descr': '<f8', 'fortran_order'"), DAMAGED),
        (npy(b"[" * 9_000), DAMAGED),
        (npy(b"[" * 20_000), DAMAGED),
        (npy(b""), DAMAGED),
        (npy(HUGE.replace(b"<f8", b"|O")), "holds Python objects, which are not read"),
        (b"\x93NUMPY\x09\x00" + npy(HUGE)[8:], DAMAGED),
        (b"\x93NUMPY", DAMAGED),
        (npy(HUGE.replace(b"10000000000000000", b"0")), r"shape \[34\], got \[0\]"),
        (
            npy(HUGE.replace(b"10000000000000000", b"8").replace(b"<f8", b"<i8"), bytes(64)),
            r"shape \[34\], got \[8\]",
        ),
        (archive(**{"a.npy": b"", "b.npy": b""}), "an .npz archive of 2 arrays"),
        (archive(**{"x/data.pkl": bytes(10**6)}), "got a packed one"),
        (archive(), "cannot be read as tensors"),
        (tar(), "a tar archive; unpack it"),
        (pickle.dumps(list(range(9))), "cannot be read as tensors"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "of another kind"),
    ],
)
def test_files_that_hold_no_weights(tmp_path, content, message):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_checkpoint(path, LANDSCAPE)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe: expected a regular file"):
        read_checkpoint(tmp_path / "pipe", LANDSCAPE)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"one \*.index.json or model.safetensors .*got none"):
        read_checkpoint(tmp_path / "folder", LANDSCAPE)
    save_file(STATE, tmp_path / "folder" / "model.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "folder", LANDSCAPE).point, POINT)


def test_several_weights_that_fit(tmp_path):
    torch.save({"ema": STATE, "net": ZEROS}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"several that fit: choose a key of ema, net$"):
        read_checkpoint(tmp_path / "a.pt", LANDSCAPE)
    torch.save({"a": {"ema": STATE}, "b": {"ema": ZEROS}}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"expected the key 'ema' once, got a, b$"):
        read_checkpoint(tmp_path / "a.pt", LANDSCAPE, "ema")


def test_numbers_that_are_not_finite_are_named(tmp_path):
    state = {name: tensor.clone() for name, tensor in STATE.items()}
    state["2.bias"][1] = torch.nan
    state["1.running_var"][:] = torch.inf
    torch.save(state, tmp_path / "a.pt")
    message = r"a.pt: expected finite weights, got 5 that are not in 2.bias, 1.running_var$"
    with pytest.raises(ValueError, match=message):
        read_checkpoint(tmp_path / "a.pt", LANDSCAPE)


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))

    def forward(self, x):
        return self.layer(x) + self.mask


def test_a_mask_of_infinities_is_the_models_own(tmp_path):
    module = Masked()
    torch.save(module.state_dict(), tmp_path / "a.pt")
    landscape = NetworkLandscape(
        module, torch.randn(5, 3), torch.ones(5, 2), lambda out, target: (out * target)[:, 0].mean()
    )
    assert torch.equal(read_checkpoint(tmp_path / "a.pt", landscape).frozen["mask"], module.mask)


# property-based: whatever the bytes, an error that says so or the weights


def valid_files() -> list[bytes]:
    files = []
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save({"state_dict": STATE, "epoch": 3}, buffer, _use_new_zipfile_serialization=new)
        files.append(buffer.getvalue())
    buffer = io.BytesIO()
    np.save(buffer, POINT.numpy())
    files.append(buffer.getvalue())
    from safetensors.torch import save

    return [*files, save(STATE), b'{"weight_map": {"0.weight": "a.bin"}}']


VALID = valid_files()
MAGICS = [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x80\x02", b"{", bytes(8) + b"{", b"\x80\x04"]


def read_or_refuse(folder, content, key=None):
    path = folder / "a.file"
    path.write_bytes(content)
    try:
        found = read_checkpoint(path, LANDSCAPE, key)
    except (ValueError, OSError) as error:
        message = str(error)
    else:
        message = ""
        assert found.point.shape == POINT.shape
    assert "\n" not in message
    assert len(message) < 1000


@settings(max_examples=150)
@given(st.sampled_from(MAGICS), st.binary(max_size=200))
def test_any_bytes(folder, magic, rest):
    read_or_refuse(folder, magic + rest)


@settings(max_examples=150)
@given(st.data())
def test_files_cut_short_or_changed(folder, data):
    content = bytearray(data.draw(st.sampled_from(VALID)))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(content), data.draw(st.integers(0, len(content)))]))
    read_or_refuse(folder, bytes(content[:cut]))


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9),
    st.binary(max_size=9),
    st.sampled_from([torch.zeros(3), torch.ones(4, 3), torch.ones(2, dtype=torch.complex64),
                     torch.eye(3).to_sparse(), torch.zeros(2, device="meta"), torch.ones(4).bool(),
                     torch.empty(0), torch.ones(1).expand(10**12)]),
)  # fmt: skip
KEYS = st.one_of(
    st.sampled_from([*STATE, "module.0.weight", "state_dict", "model", "ema", "n_averaged"]),
    st.text(max_size=5), st.integers(0, 9),
)  # fmt: skip
CONTENTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(KEYS, inner, max_size=6),
        st.dictionaries(KEYS, inner, max_size=3).map(lambda d: {**STATE, **d}),
    ),
    max_leaves=12,
)


@settings(max_examples=100)
@given(CONTENTS, st.sampled_from([None, "ema", "model", "state_dict.ema", ""]))
def test_nested_contents(folder, content, key):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    read_or_refuse(folder, buffer.getvalue(), key)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")
