"""`lowroad connect` with aligned units and re-estimated statistics, from files to files."""

from __future__ import annotations

import copy
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import update_bn
from typer.testing import CliRunner

from lowroad.cli import app
from lowroad.connect import Options, connect, parse_finder
from lowroad.connect.records import curves_of
from lowroad.landscapes import BatchNormLandscape, MullerBrown, NetworkLandscape

POINTS = 11
LINE = parse_finder("straight", [f"points={POINTS}"])


class Sorted(nn.Module):
    def forward(self, x):
        return x.sort(1).values


def plain():
    return nn.Sequential(nn.Linear(20, 12), nn.Tanh(), nn.Linear(12, 4))


def normalized():
    return nn.Sequential(
        nn.Linear(20, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Linear(64, 4),
    )  # fmt: skip


def data():
    """Twelve clusters in four classes."""
    generator = torch.Generator().manual_seed(0)
    centres = 1.2 * torch.randn(12, 20, generator=generator)
    cluster = torch.randint(0, 12, (200,), generator=generator)
    return centres[cluster] + 0.7 * torch.randn(200, 20, generator=generator), cluster % 4


def landscape_of(module):
    return NetworkLandscape(module.eval(), *data(), "cross_entropy", chunk=200)


def plain_landscape():
    return landscape_of(plain())


def normalized_landscape():
    return landscape_of(normalized())


def trained(make, folder, seeds=(1, 2)):
    """Write a checkpoint for each seed and return the modules."""
    inputs, labels = data()
    modules = []
    for seed in seeds:
        torch.manual_seed(seed)
        module = make()
        optimizer = torch.optim.Adam(module.parameters(), lr=0.005)
        for _ in range(60):
            optimizer.zero_grad()
            F.cross_entropy(module(inputs), labels).backward()
            optimizer.step()
        if make is normalized:
            update_bn([inputs], module)
        torch.save(module.state_dict(), folder / f"{seed}.pt")
        modules.append(module.eval())
    return modules


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folder):
    with xr.open_dataset(folder / "path.nc", engine="h5netcdf") as stored:
        return json.loads((folder / "summary.json").read_text()), stored.load()


def curves_between(*arguments):
    (record,) = connect(*arguments)
    return curves_of(record)


def loss(module):
    inputs, labels = data()
    return F.cross_entropy(module(inputs), labels).item()


def test_raw_and_aligned_side_by_side(folder):
    _, second = trained(plain, folder)
    curves = curves_between(
        [folder / "1.pt", folder / "2.pt"], plain_landscape(),
        parse_finder("fourier", [f"points={POINTS}", "steps=20"]), folder / "out",
        Options(align=True, save_path=folder / "points.safetensors"),
    )  # fmt: skip
    assert [c.key for c in curves] == ["straight_", "aligned_straight_", "", "aligned_"]
    numbers, stored = read(folder / "out")
    assert numbers["aligned_straight_height"] < numbers["straight_height"]
    assert numbers["aligned_straight_length"] < numbers["straight_length"]
    for curve in curves:
        height = curve["profile"].max()
        assert numbers[f"{curve.key}height"] == height == stored[f"{curve.key}profile"].max()
        barrier = height - max(curve["profile"][[0, -1]])
        assert stored.attrs[f"{curve.key}barrier"] == pytest.approx(barrier)
    assert (folder / "out" / "profile.png").read_bytes().startswith(b"\x89PNG")
    points = load_file(folder / "points.safetensors")
    assert points["t"].tolist() == stored["t"].values.tolist()
    ends = [points[f"{side}points"][-1] for side in ("", "aligned_")]
    assert not torch.equal(*ends)
    landscape = plain_landscape()
    for end in ends:
        expected = second(landscape.inputs).detach()
        torch.testing.assert_close(landscape.outputs(end), expected, rtol=1e-5, atol=1e-6)


def test_statistics_reestimated_and_interpolated(folder):
    modules = trained(normalized, folder)
    curves = curves_between(
        [folder / "1.pt", folder / "2.pt"], normalized_landscape(), LINE, folder / "out",
        Options(reestimate_batch_norm=True),
    )  # fmt: skip
    assert [c.key for c in curves] == [
        "straight_", "interpolated_straight_", "", "interpolated_",
    ]  # fmt: skip
    numbers, stored = read(folder / "out")
    middle = copy.deepcopy(modules[0])
    states = [module.state_dict() for module in modules]
    middle.load_state_dict({n: (states[0][n] + states[1][n]) / 2 for n in states[0]})
    fixed = stored["interpolated_straight_profile"].values
    expected = [loss(modules[0]), loss(middle), loss(modules[1])]
    assert fixed[[0, POINTS // 2, -1]] == pytest.approx(expected, rel=1e-5)
    update_bn([data()[0]], middle.train())
    profile = stored["straight_profile"].values
    assert profile[POINTS // 2] == pytest.approx(loss(middle.eval()), rel=1e-5)
    assert profile[[0, -1]] == pytest.approx(fixed[[0, -1]], rel=1e-4)
    assert profile.max() < 0.8 * fixed.max()
    assert numbers["interpolated_straight_height"] == fixed.max()
    assert "interpolated_outcome" not in numbers


def test_both_from_the_command_line(folder, monkeypatch):
    trained(normalized, folder)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    result = CliRunner().invoke(
        app,
        ["connect", "1.pt", "2.pt", "--landscape", "test_variants:normalized_landscape",
         "--align", "--reestimate-batch-norm", "--finder", "straight", "--out", "here"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    numbers, stored = read(folder / "here")
    for side in ("", "aligned_"):
        for kind in ("straight_", "interpolated_straight_", "", "interpolated_"):
            assert f"{numbers[f'{side}{kind}height']:.6g}" in result.output
        # the aligned network has its statistics permuted along
        ends = (f"{side}interpolated_end_height", "end_height")
        assert numbers[ends[0]] == pytest.approx(numbers[ends[1]], rel=1e-4)
    assert numbers["aligned_height"] < numbers["height"]
    assert stored["aligned_interpolated_profile"].max() > stored["aligned_profile"].max()


def test_options_that_do_not_fit_the_model(folder):
    modules = trained(plain, folder)
    trained(normalized, folder, seeds=(3, 4))
    np.save(folder / "a.npy", MullerBrown().ends[0].numpy())
    np.save(folder / "b.npy", MullerBrown().ends[1].numpy())
    state = modules[0].state_dict()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    renumbered = {
        "0.weight": state["0.weight"][order],
        "0.bias": state["0.bias"][order],
        "2.weight": state["2.weight"][:, order],
        "2.bias": state["2.bias"],
    }
    torch.save(renumbered, folder / "renumbered.pt")
    untraced = nn.Sequential(nn.Linear(20, 12), Sorted(), nn.Linear(12, 4))
    state = untraced.state_dict()
    torch.save(state, folder / "5.pt")
    torch.save({name: value + 0.1 for name, value in state.items()}, folder / "6.pt")
    align, reestimate = {"align": True}, {"reestimate_batch_norm": True}
    for first, second, landscape, options, message in (
        ("a.npy", "b.npy", MullerBrown(), align, "need a NetworkLandscape, got MullerBrown"),
        ("a.npy", "b.npy", MullerBrown(), reestimate, "need a NetworkLandscape, got MullerB"),
        ("1.pt", "2.pt", plain_landscape(), reestimate, "no batch norm"),
        ("1.pt", "renumbered.pt", plain_landscape(), align, "are the same network"),
        ("1.pt", "1.pt", plain_landscape(), align, "same point"),
        ("3.pt", "4.pt", normalized_landscape(), {}, "--reestimate-batch-norm"),
        ("5.pt", "6.pt", landscape_of(untraced), align, r"what sort does .* name the axes"),
        ("3.pt", "4.pt", BatchNormLandscape(normalized_landscape()), reestimate, "already"),
    ):
        files = [folder / first, folder / second]
        with pytest.raises(ValueError, match=message):
            connect(files, landscape, LINE, folder / "out", Options(**options))
    assert not (folder / "out").exists()


def test_the_example_of_the_docs(folder):
    """What the docs say of it, in orders of magnitude."""
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "two_networks.py"))
    for seed in (0, 1):
        torch.save(example["train"](seed).state_dict(), folder / f"{seed}.pt")
    curves = curves_between(
        [folder / "0.pt", folder / "1.pt"], example["landscape"](), LINE, folder / "out",
        Options(align=True, reestimate_batch_norm=True),
    )  # fmt: skip
    height = {curve.key: curve["profile"].max() for curve in curves}
    assert height["aligned_straight_"] < height["straight_"] / 5
    assert height["straight_"] < height["interpolated_straight_"] / 2
    assert height["aligned_straight_"] < height["aligned_interpolated_straight_"] / 2


@pytest.mark.parametrize("match", ["weights", "activations"])
def test_the_aligned_checkpoint_is_kept(folder, match):
    """It is the second network, its units numbered as the first's, for `load_state_dict`."""
    _, second = trained(plain, folder)
    curves = curves_between(
        [folder / "1.pt", folder / "2.pt"], plain_landscape(), LINE, folder / "out",
        Options(align=True, match=match, save_aligned=folder / "aligned"),
    )  # fmt: skip
    state = torch.load(folder / "aligned" / "2-aligned-to-1.pt", weights_only=True)
    module = plain()
    module.load_state_dict(state)
    inputs, _ = data()
    torch.testing.assert_close(module(inputs), second(inputs), rtol=1e-4, atol=1e-5)
    assert not torch.equal(state["0.weight"], second.state_dict()["0.weight"])
    heights = {curve.key: curve["profile"].max() for curve in curves}
    assert heights["aligned_straight_"] < heights["straight_"]
    with pytest.raises(ValueError, match="expected one of weights, activations, got 'names'"):
        connect([folder / "1.pt", folder / "2.pt"], plain_landscape(), LINE, folder / "out",
                Options(align=True, match="names"))  # fmt: skip
