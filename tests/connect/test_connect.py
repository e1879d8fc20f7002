"""`lowroad connect` from files to files, and its refusals."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

import lowroad
from lowroad.cli import app
from lowroad.connect import load_landscape, parse_finder, read_point
from lowroad.connect.records import Curve, record_of
from lowroad.connect.results import write_results
from lowroad.landscapes import MullerBrown, NetworkLandscape
from lowroad.paths import FourierPathFinder, StringFinder

MODULE = """
import torch
from torch import nn
from lowroad import NetworkLandscape

def model():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))

def landscape():
    g = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 3, generator=g)
    return NetworkLandscape(model(), inputs, (inputs[:, 0] > 0).long(), "cross_entropy")

def number():
    return 7

def broken():
    raise RuntimeError("no data here")

def exits():
    raise SystemExit("bye")
"""


def network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    inputs = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    return module, NetworkLandscape(module, inputs, (inputs[:, 0] > 0).long(), "cross_entropy")


def write_safetensors(path, state):
    """The format, written independently of the reader."""
    header, blobs, place = {"__metadata__": {"format": "pt"}}, b"", 0
    for name, tensor in state.items():
        blob = tensor.numpy().tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [place, place + len(blob)],
        }
        blobs, place = blobs + blob, place + len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + blobs)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "connect_example.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_every_kind_of_file_is_the_same_point(tmp_path):
    module, landscape = network()
    state = module.state_dict()
    vector = landscape.initial_point()
    torch.save(state, tmp_path / "a.pt")
    torch.save({"epoch": 3, "model_state_dict": state}, tmp_path / "b.pth")
    torch.save(vector, tmp_path / "c.pt")
    torch.save(dict(module.named_parameters()), tmp_path / "attached.pt")
    for kind in (">f4", np.longdouble):
        np.save(tmp_path / f"{np.dtype(kind).str[1:]}.npy", vector.numpy().astype(kind))
    np.save(tmp_path / "d.npy", vector.numpy().astype(np.float64))
    write_safetensors(tmp_path / "e.safetensors", state)
    for file in sorted(tmp_path.iterdir()):
        point = read_point(file, landscape)
        assert torch.equal(point, vector), file
        assert not point.requires_grad, file


def test_files_that_do_not_fit(tmp_path):
    module, landscape = network()
    state = module.state_dict()
    state["0.weight"] = torch.zeros(5, 3)
    state["extra"] = state.pop("2.bias")
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="do not fit the model") as caught:
        read_point(tmp_path / "a.pt", landscape)
    for part in (
        "a.pt",
        "0.weight has shape [5, 3], the model's is [4, 3]",
        "2.bias is missing",
        "extra is not in the model",
    ):
        assert part in str(caught.value)
    np.save(tmp_path / "b.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"expected a vector of shape \[26\], got \[3\]"):
        read_point(tmp_path / "b.npy", landscape)
    np.save(tmp_path / "c.npy", np.zeros(26, dtype=int))
    with pytest.raises(ValueError, match="floating-point numbers, got int64"):
        read_point(tmp_path / "c.npy", landscape)
    (tmp_path / "empty.pt").touch()
    with pytest.raises(ValueError, match=r"empty\.pt: the file is empty"):
        read_point(tmp_path / "empty.pt", landscape)
    (tmp_path / "d.safetensors").write_bytes(b"nonsense that is not a header")
    with pytest.raises(ValueError, match=r"d\.safetensors: expected a \.npy vector.*another kind"):
        read_point(tmp_path / "d.safetensors", landscape)
    with pytest.raises(FileNotFoundError, match=r"f\.pt: there is no such file"):
        read_point(tmp_path / "f.pt", landscape)
    torch.save(module, tmp_path / "e.pt")
    with pytest.raises(
        ValueError, match=r"holds objects of torch\.nn\.modules.*torch\.save\(content\.state"
    ):
        read_point(tmp_path / "e.pt", landscape)
    (tmp_path / "f.txt").write_text("1 2 3")
    with pytest.raises(ValueError, match=r"expected a \.npy vector"):
        read_point(tmp_path / "f.txt", landscape)
    torch.save(module.state_dict(), tmp_path / "g.pt")
    with pytest.raises(ValueError, match="a state dict needs a NetworkLandscape"):
        read_point(tmp_path / "g.pt", MullerBrown())


def test_other_batch_norm_statistics_are_refused():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    inputs = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    landscape = NetworkLandscape(module, inputs, torch.zeros(9).long(), "cross_entropy")
    state = module.state_dict()
    assert torch.equal(landscape.point_of(state), landscape.initial_point())
    state["1.running_mean"] = state["1.running_mean"] + 1
    with pytest.raises(ValueError, match=r"1\.running_mean is not a trainable parameter"):
        landscape.point_of(state)


def test_landscapes_by_name(folder):
    assert isinstance(load_landscape("connect_example:landscape"), NetworkLandscape)
    for name, message in {
        "connect_example": "package.module:function",
        "no_such_module:f": "cannot import no_such_module",
        "connect_example:absent": "no function absent",
        "connect_example:number": "must return a lowroad landscape, it returned int",
        "connect_example:broken": "no data here",
        "connect_example:exits": "bye",
    }.items():
        with pytest.raises(ValueError, match=message):
            load_landscape(name)


def test_finders_by_name():
    made = parse_finder("fourier", ["terms=5", "objective=max_flux", "batch_size=None"])
    assert made == FourierPathFinder(terms=5, objective="max_flux")
    assert parse_finder("string") == StringFinder()
    with pytest.raises(ValueError, match=r"did you mean .steps."):
        parse_finder("fourier", ["step=5"])
    with pytest.raises(ValueError, match=r"did you mean .fourier."):
        parse_finder("furier")
    with pytest.raises(ValueError, match="key=value"):
        parse_finder("fourier", ["steps"])
    with pytest.raises(ValueError, match="at least 3 points"):
        parse_finder("fourier", ["points=2"])
    with pytest.raises(
        ValueError, match=r"^steps: expected steps to be a whole number, got .many."
    ):
        parse_finder("fourier", ["steps=many"])


def test_the_command(folder, monkeypatch):
    landscape = load_landscape("connect_example:landscape")
    g = torch.Generator().manual_seed(1)
    for name in ("a", "b"):
        point = torch.randn(landscape.dimension, generator=g)
        for _ in range(100):
            point = point - 0.5 * landscape.value_and_gradient(point)[1]
        torch.save(point, folder / f"{name}.pt")
    arguments = ["connect", "a.pt", "b.pt", "--landscape", "connect_example:landscape"]
    result = CliRunner().invoke(
        app,
        [*arguments, "--set", "learning_rate=0.05", "--set", "points=21", "--out", "here",
         "--save-path", "here/points.safetensors"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    numbers = json.loads((folder / "here" / "summary.json").read_text())
    points = load_file(folder / "here" / "points.safetensors")["points"]
    with xr.open_dataset(folder / "here" / "path.nc", engine="h5netcdf") as stored:
        assert stored["profile"].max() == pytest.approx(numbers["height"])
        heights = load_landscape("connect_example:landscape").values(points)
        assert np.allclose(stored["profile"], heights, rtol=1e-4)
    assert numbers["height"] < numbers["straight_height"]
    assert f"{numbers['height']:.6g}" in result.output
    assert (folder / "here" / "profile.png").read_bytes().startswith(b"\x89PNG")

    bad = CliRunner().invoke(app, [*arguments, "--finder", "furier"])
    assert bad.exit_code == 2
    assert "fourier" in bad.output
    missing = CliRunner().invoke(app, ["connect", "a.pt", "c.pt", *arguments[3:]])
    assert missing.exit_code == 1
    assert "c.pt" in missing.output
    assert not (folder / "lowroad-connect").exists()
    (folder / "a file").touch()
    monkeypatch.setattr(FourierPathFinder, "find", None)  # never called
    taken = CliRunner().invoke(app, [*arguments, "--out", "a file"])
    assert taken.exit_code == 1
    assert "a file" in taken.output


def test_heights_that_json_does_not_have_are_null(tmp_path):
    barrier = lowroad.FunctionLandscape(
        lambda x: torch.where(x[:, 0].abs() < 0.5, torch.inf, x[:, 0] ** 2), dimension=1
    )
    ends = torch.tensor([-1.0], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64)
    line = lowroad.StraightLine().find(barrier, *ends)
    pair = {"first": "a", "second": "b"}
    curves = [Curve("straight_", "straight line", line), Curve("", "path found", line)]
    write_results(tmp_path, [record_of(curves, pair)], {})
    numbers = json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
    assert (numbers["height"], numbers["start_height"]) == (None, 1.0)
    assert numbers["outcome"] == "measured: nothing was searched for"
