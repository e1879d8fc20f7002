"""Commands called in this process, a tiny study, and its directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lowroad
import lowroad.report
from lowroad.cli import app
from lowroad.study.results import StudyResults

TINY = """
name = "tiny"
problems.net = { from = "cli_problem:net" }
optimizers.sgd = { method = "sgd", epochs = 1, batch_size = 20 }
optimizers.lbfgs = { method = "lbfgs", iterations = 2 }
train = { seeds = 2, keep = 2 }
paths = { pairs = 1, points = 5, terms = 2, steps = 2 }
metrics = { solutions = false }
"""
PROBLEM = """
import torch
import lowroad
from torch import nn


def net(hidden: int = 3) -> lowroad.Problem:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(60, 4, generator=generator), torch.arange(60) % 2
    return lowroad.network_problem(
        lambda: nn.Sequential(nn.Linear(4, hidden), nn.Tanh(), nn.Linear(hidden, 2)),
        (x[:40], y[:40]), (x[40:], y[40:]),
    )
"""


def write_study(folder: Path) -> Path:
    """A study file with its module beside it."""
    (folder / "cli_problem.py").write_text(PROBLEM)
    (folder / "tiny.toml").write_text(TINY)
    return folder / "tiny.toml"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    errors: str


def call(*arguments: object) -> Outcome:
    """Run a command in this process; an exception that gets out is a failure of the test."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path)


@pytest.fixture
def quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report in no time; the real one is written for `done`."""

    def write_report(results: StudyResults, directory: Path, style: str) -> Path:
        (directory / "report.html").write_text(f"{results.missing} missing, {style}")
        return directory / "report.html"

    monkeypatch.setattr(lowroad.report, "write_report", write_report)


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a study that was run through the command line."""
    folder = tmp_path_factory.mktemp("cli")
    result = call("run", write_study(folder), "--out", folder / "out", "--workers", 1)
    assert result.code == 0, result
    assert "Study tiny in" in result.out
    assert "12 tasks, 0 stored, 12 to do, 1 worker" in result.out
    assert "12/12" in result.out
    assert result.out.rstrip().endswith(f"Report: {folder / 'out' / 'report.html'}")
    return folder / "out"
