"""The code in docs/optimizers.md and the example run."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "train_your_module.py"


def test_the_code_of_the_page_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "optimizers.md").read_text(), re.S)
    assert len(blocks) == 6
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/optimizers.md", "exec"), names)
    assert names["found"].point.numpy() == pytest.approx([1.0, 1.0], abs=1e-6)
    assert float(names["loss"]) < 0.1


def run_example(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *map(str, arguments)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")


def test_the_example_trains_and_resumes_in_the_same_bits(monkeypatch, capsys, tmp_path):
    straight, killed = tmp_path / "straight.pt", tmp_path / "killed.pt"
    run_example(monkeypatch, "--steps", 20, "--checkpoint", straight)
    run_example(monkeypatch, "--steps", 10, "--checkpoint", killed)
    capsys.readouterr()
    run_example(monkeypatch, "--steps", 20, "--checkpoint", killed)
    printed = capsys.readouterr().out
    loss, accuracy = re.search(r"step   20  loss (\S+)  test accuracy (\S+)", printed).groups()
    assert float(loss) < 0.5
    assert float(accuracy) > 0.75
    states = [torch.load(path, weights_only=True) for path in (straight, killed)]
    for name, values in states[0]["module"].items():
        assert torch.equal(values, states[1]["module"][name])
