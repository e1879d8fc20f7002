"""`lowroad plane`: values through checkpoints, gone on with after an interruption."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from typer.testing import CliRunner

from lowroad.cli import app
from lowroad.connect.planes import plane
from lowroad.landscapes import MullerBrown, NetworkLandscape


def landscape():
    torch.manual_seed(0)
    inputs, targets = torch.randn(20, 3), torch.randint(0, 2, (20,))
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    return NetworkLandscape(module, inputs, targets, "cross_entropy")


@pytest.fixture
def files(tmp_path):
    for seed in range(3):
        torch.manual_seed(seed + 1)
        module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
        torch.save(module.state_dict(), tmp_path / f"{seed}.pt")
    return [tmp_path / f"{seed}.pt" for seed in range(3)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_plane_is_written_and_holds_the_values(files, tmp_path, count):
    out = tmp_path / "out"
    table = plane(files[:count], landscape(), out, resolution=5)
    stored = xr.load_dataset(out / "plane.nc")
    xr.testing.assert_identical(stored, table)
    loss = landscape()
    states = [torch.load(file, weights_only=True) for file in files[:count]]
    expected = [loss.value(loss.point_of(state)) for state in states]
    assert stored["point_value"].values.tolist() == pytest.approx(expected, rel=1e-12)
    corner = torch.from_numpy(
        stored["origin"].values
        + float(stored["u"][0]) * stored["directions"].values[0]
        + float(stored["v"][4]) * stored["directions"].values[1]
    ).float()
    assert float(stored["value"][4, 0]) == pytest.approx(loss.value(corner), rel=1e-5)
    assert (out / "plane.png").stat().st_size > 5000
    assert b"surface" in (out / "plane.html").read_bytes()


def test_the_random_direction_between_two_is_filter_normalized_and_orthogonal(files, tmp_path):
    table = plane(files[:2], landscape(), tmp_path / "out", resolution=3, seed=4)
    assert table["point"].values.tolist() == ["0.pt", "1.pt"]
    a, b = (landscape().point_of(torch.load(f, weights_only=True)).double() for f in files[:2])
    line = (b - a) / (b - a).norm()
    first, second = torch.from_numpy(table["directions"].values)
    torch.testing.assert_close(first, line, atol=1e-12, rtol=0)
    assert float(first @ second) == pytest.approx(0, abs=1e-12)
    # what was drawn is second + s · line, s such that biases do not move; its rows have the norms
    # of a's, up to one factor
    biases = [slice(15, 20), slice(30, 32)]
    s = -second[15] / line[15]
    drawn = second + s * line
    for bias in biases:
        torch.testing.assert_close(drawn[bias], torch.zeros_like(drawn[bias]), atol=1e-7, rtol=0)
    rows = [drawn[:15].reshape(5, 3).norm(dim=1), drawn[20:30].reshape(2, 5).norm(dim=1)]
    own = [a[:15].reshape(5, 3).norm(dim=1), a[20:30].reshape(2, 5).norm(dim=1)]
    factor = torch.cat(rows) / torch.cat(own)
    torch.testing.assert_close(factor, factor[0].expand(7), rtol=1e-5, atol=0)
    assert table["value"].dims == ("v", "u")
    assert float(table["v"].mean()) == pytest.approx(0, abs=1e-12)


def test_of_a_file_that_holds_several_one_is_chosen(files, tmp_path, monkeypatch):
    """For `plane` and `sharpness` as for `connect`: the key, what moves, and what was taken."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "several_landscape.py").write_text(inspect.getsource(landscape).replace(
        "def landscape", "import torch\nfrom torch import nn\n"
        "from lowroad.landscapes import NetworkLandscape\n\ndef landscape"
    ))  # fmt: skip
    states = [torch.load(file, weights_only=True) for file in files]
    ema = {f"module.{name}": tensor for name, tensor in states[1].items()}
    torch.save({"state_dict": states[0], "state_dict_ema": ema}, "both.pt")
    runner = CliRunner()
    loss = landscape()
    for command, more in (("plane", ["--resolution", "3"]), ("sharpness", [])):
        asked = [command, "both.pt", "--landscape", "several_landscape:landscape", *more]
        for chosen, state in (([], states[0]), (["--key", "state_dict_ema"], states[1])):
            result = runner.invoke(app, [*asked, *chosen, "--trainable", "2.*"])
            assert result.exit_code == 0, result.output
            assert f"{loss.value(loss.point_of(state)):.6g}" in result.output
            if chosen:
                assert re.search("state_dict_ema.*module\\.", result.output)
        result = runner.invoke(app, [*asked, "--trainable", "3.*"])
        assert result.exit_code == 2, result.output
    table = xr.load_dataset("lowroad-plane/plane.nc")
    assert table.sizes["component"] == 12  # the last layer's


def test_an_interrupted_plane_is_gone_on_with(files, tmp_path):
    whole = plane(files[:1], landscape(), tmp_path / "whole", resolution=6)

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    rows = []
    with pytest.raises(KeyboardInterrupt):
        plane(files[:1], landscape(), tmp_path / "part", resolution=6, callback=stop)
    resumed = plane(
        files[:1], landscape(), tmp_path / "part", resolution=6,
        callback=lambda done, total: rows.append(done),
    )  # fmt: skip
    assert rows == [5, 6]
    np.testing.assert_array_equal(resumed["value"], whole["value"])
    rows.clear()
    plane(files[1:2], landscape(), tmp_path / "part", resolution=6,
          callback=lambda done, total: rows.append(done))  # fmt: skip
    assert rows == [1, 2, 3, 4, 5, 6]  # another checkpoint begins anew
    (tmp_path / "part" / "rows.npz").write_bytes(b"PK broken")
    plane(files[1:2], landscape(), tmp_path / "part", resolution=6)


def test_the_command(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plane_landscape.py").write_text(
        "from lowroad.landscapes import MullerBrown\ndef surface():\n    return MullerBrown()\n"
    )
    np.save("a.npy", MullerBrown().ends[0].numpy())
    runner = CliRunner()
    asked = ["plane", "a.npy", "--landscape", "plane_landscape:surface", "--resolution", "5"]
    result = runner.invoke(app, [*asked, "--extent", "0.1"])
    assert result.exit_code == 0, result.output
    assert "point: -146.7" in result.output
    assert (tmp_path / "lowroad-plane" / "plane.html").exists()
    for more, message in (
        (["a.npy"], "the two points are the same: give one"),
        (["a.npy"] * 3, "two, for their line and a random direction, or three"),
        (["--normalize", "filter"], "MullerBrown has none"),
        (["--extent", "inf"], "finite extent above 0"),
    ):
        result = runner.invoke(app, [*asked, *more])
        assert result.exit_code == 2
        assert message in result.output
