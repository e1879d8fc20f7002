"""`lowroad plane`: values through checkpoints, gone on with after an interruption."""

from __future__ import annotations

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


@pytest.mark.parametrize("count", [1, 3])
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
        (["a.npy"], "one checkpoint, for a plane along two random directions, or three"),
        (["--normalize", "filter"], "MullerBrown has none"),
        (["--extent", "inf"], "finite extent above 0"),
    ):
        result = runner.invoke(app, [*asked, *more])
        assert result.exit_code == 2
        assert message in result.output
