"""Solutions from files: which files are read, and what is refused."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lowroad.problems import mueller_brown, network_problem, read_solution


@pytest.fixture
def problem():
    inputs = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    return network_problem(lambda: nn.Linear(3, 2), (inputs, (inputs[:, 0] > 0).long()))


@pytest.fixture
def module():
    torch.manual_seed(3)
    return nn.Linear(3, 2)


@pytest.fixture
def point(module):
    return torch.cat([module.weight.detach().reshape(-1), module.bias.detach()])


def test_every_kind_of_file(problem, module, point, tmp_path):
    state = module.state_dict()
    np.save(tmp_path / "vector.npy", point.numpy())
    torch.save(point, tmp_path / "vector.pt")
    torch.save(state, tmp_path / "state.pth")
    torch.save({"model_state_dict": state, "epoch": 3}, tmp_path / "nested.pt")
    save_file(state, tmp_path / "state.safetensors")
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 5
    for path in paths:
        assert torch.equal(read_solution(problem, path), point)


def test_a_key_chooses_among_weights(problem, module, point, tmp_path):
    path = tmp_path / "both.pt"
    other = {name: torch.zeros_like(value) for name, value in module.state_dict().items()}
    torch.save({"state_dict": other, "ema": module.state_dict()}, path)
    assert torch.equal(read_solution(problem, path, key="ema"), point)
    assert torch.equal(read_solution(problem, path), torch.zeros(8))
    with pytest.raises(ValueError, match=r"both.pt: expected the key 'best', got state_dict, ema"):
        read_solution(problem, path, key="best")
    torch.save(point, path)
    with pytest.raises(ValueError, match=r"both.pt: expected the key 'ema', got no table"):
        read_solution(problem, path, key="ema")


def test_a_changed_file_is_refused(problem, point, tmp_path):
    path = tmp_path / "vector.npy"
    np.save(path, point.numpy())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert torch.equal(read_solution(problem, path, digest=digest), point)
    np.save(path, point.numpy() + 1)
    with pytest.raises(ValueError, match=r"vector.npy: the file has changed"):
        read_solution(problem, path, digest=digest)


def test_an_energys_point(tmp_path):
    np.save(tmp_path / "saddle.npy", np.array([-0.822, 0.624]))
    point = read_solution(mueller_brown(), tmp_path / "saddle.npy")
    assert point.tolist() == [-0.822, 0.624]
    torch.save({"weight": torch.zeros(2)}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"state.pt: a state dict needs a NetworkLandscape"):
        read_solution(mueller_brown(), tmp_path / "state.pt")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", np.zeros(7), r"a.npy: expected a vector of shape \[8\], got \[7\]"),
        ("a.npy", np.zeros(8, dtype=int), "a.npy: expected floating-point numbers"),
        (
            "a.npy",
            np.array([np.nan] * 2 + [0.0] * 6),
            "a.npy: expected finite weights, got 2 that are not in weight",
        ),
        (
            "a.pt",
            torch.full((8,), torch.inf),
            "a.pt: expected finite weights, got 8 that are not in weight, bias",
        ),
        ("a.pt", {"weight": torch.zeros(2, 3)}, "a.pt: .*bias"),
        ("a.pt", {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, "a.pt: .*weight"),
        ("a.pt", {"weight": 3}, "a.pt: expected a state dict of tensors"),
        ("a.pt", [1.0], r"a.pt: expected a vector of shape \[8\], got list"),
        ("a.pt", b"no archive", "a.pt: expected a .npy vector, a file of torch.save, .* another"),
        ("a.pt", b"PK and no archive", "a.pt: cut short or damaged"),
        ("a.pt", b"\x80 and no pickle", "a.pt: cannot be read as tensors"),
        ("a.safetensors", b"\1\0\0\0\0\0\0\0{ and no header", "a damaged .safetensors file"),
        ("a.safetensors", b"\xff\0\0\0\0\0\0\0{}", "file is cut short"),
        ("a.npy", b"\x93NUMPY and no array", "a.npy: the header of the .npy file is damaged"),
        ("a.h5", b"", "a.h5: the file is empty; expected a .npy vector, a file of torch.save"),
        ("a.npy", torch.zeros(8, dtype=torch.int64), "floating-point numbers, got one that is tor"),
        ("a.npy", torch.zeros(8, dtype=torch.complex64), "numbers, got one that is complex"),
        ("a.npy", torch.zeros(8).to_sparse(), "numbers, got one that is sparse"),
        ("a.npy", torch.zeros(8, device="meta"), "numbers, got one that is without numbers"),
    ],
)
def test_refusals(problem, tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        read_solution(problem, path)


def test_a_missing_file(problem, tmp_path):
    for digest in (None, "0" * 64):
        with pytest.raises(FileNotFoundError, match=r"none.pt"):
            read_solution(problem, tmp_path / "none.pt", digest=digest)
