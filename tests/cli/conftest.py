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
networks = ["FCP"]
data = { train = 40, test = 20 }
train = { seeds = 2, keep = 2, sgd = { epochs = 1, batch_size = 20 }, lbfgs = { iterations = 2 } }
paths = { pairs = 1, points = 5, terms = 2, steps = 2 }
"""


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
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


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
    (folder / "tiny.toml").write_text(TINY)
    result = call("run", folder / "tiny.toml", "--out", folder / "out", "--workers", 1)
    assert result.code == 0, result
    assert "Study tiny in" in result.out
    assert "12 tasks, 0 stored, 12 to do, 1 worker" in result.out
    assert "12/12" in result.out
    assert result.out.rstrip().endswith(f"Report: {folder / 'out' / 'report.html'}")
    return folder / "out"
