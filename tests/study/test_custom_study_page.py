"""docs/custom_study.md: its modules and its study file run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from lowroad.study.run import prepare_run
from lowroad.study.study_file import read_study
from preloaded_process import preloaded

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
    process = preloaded().Process(target=run_study, args=(tmp_path,), daemon=True)
    process.start()
    process.join(120)
    assert process.exitcode == 0


SHORTER = [
    "train={seeds=2,keep=2}", "problems.wells.train={seeds=2,keep=2}", "paths.pairs=1",
    "paths.steps=2", "paths.finders.sines.steps=2", "optimizers.signs.epochs=2",
]  # fmt: skip
"""The same study with as many kinds of tasks and fewer of each."""


def run_study(folder: Path) -> None:
    """In a process of its own, since the page's modules have common names."""
    assert prepare_run(read_study(folder / "study.toml"), folder / "out", folder).notes == []
    run = prepare_run(read_study(folder / "study.toml", SHORTER), folder / "short", folder)
    summary = run.execute(1, lambda progress, event: None)
    assert not summary.failed, summary
    assert not summary.waiting, summary
