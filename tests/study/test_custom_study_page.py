"""docs/custom_study.md: its modules and its study file run as they are printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

PAGE = (Path(__file__).parents[2] / "docs" / "custom_study.md").read_text(encoding="utf-8")


def test_the_study_runs(tmp_path: Path) -> None:
    problem, own, optimizers = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    study, checkpoints = re.findall(r"```toml\n(.+?)```", PAGE, re.DOTALL)
    made: dict[str, Any] = {}
    exec(compile(own, "docs/custom_study.md", "exec"), made)
    for each in made["found"]:  # every one of them a minimum of the Müller-Brown surface
        assert (
            min(abs(each.value - lowest) for lowest in (-146.69951, -108.16672, -80.76781)) < 1e-4
        )
    (tmp_path / "problem.py").write_text(problem)
    (tmp_path / "optimizers.py").write_text(optimizers)
    (tmp_path / "study.toml").write_text(study + checkpoints)
    (tmp_path / "checkpoints").mkdir()
    torch.save(torch.zeros(25), tmp_path / "checkpoints" / "a.pt")
    code = f"""
from pathlib import Path
from lowroad.study.run import prepare_run
from lowroad.study.study_file import read_study
folder = Path({str(tmp_path)!r})
run = prepare_run(read_study(folder / "study.toml"), folder / "out", folder)
summary = run.execute(1, lambda progress, event: None)
assert not summary.failed and not summary.waiting, summary
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
