"""`lowroad sharpness` on a checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from lowroad.cli import app

LANDSCAPE = """
import torch
from torch import nn
from lowroad import NetworkLandscape

def landscape():
    inputs = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    model = nn.Linear(2, 1, bias=False).double()
    return NetworkLandscape(model, inputs, torch.zeros(2, 1).double(), "mean_squared_error")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bowl_for_sharpness.py").write_text(LANDSCAPE)
    model = nn.Linear(2, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    torch.save(model.state_dict(), "a.pt")
    return tmp_path


def test_the_command_in_a_bowl(folder):
    """H = diag(1, 9): ½ · 9 · 0.1² by ascent."""
    asked = ["sharpness", "a.pt", "--landscape", "bowl_for_sharpness:landscape"]
    result = CliRunner().invoke(app, [*asked, "--eigenvalues", "2", "--radius", "0.1", "--density"])
    assert result.exit_code == 0, result.output
    found = json.loads((folder / "lowroad-sharpness" / "sharpness.json").read_text())
    np.testing.assert_allclose(found["eigenvalues"], [9, 1], rtol=1e-12)
    assert found["trace"] == pytest.approx(10)
    assert found["ascent"] == pytest.approx(0.045, rel=1e-3)
    assert found["moments"]["2"] == [pytest.approx(82), 0.0]
    assert (folder / "lowroad-sharpness" / "spectrum.png").stat().st_size > 3000
    assert "largest eigenvalues  9, 1" in result.output
    for more, message in (
        (["--eigenvalues", "3"], "expected 1 to 2 eigenvalues"),
        (["--matrix", "fisher"], "'hessian' or 'gauss_newton'"),
        (["--radius", "-1"], "positive finite radius"),
    ):
        result = CliRunner().invoke(app, [*asked, "--eigenvalues", "2", *more])
        assert result.exit_code == 2
        assert message in result.output
