"""`lowroad run`, its messages and exit codes, as a user meets them; and what is wrong usage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import lowroad
import lowroad.report
from lowroad.cli import directory_commands
from lowroad.cli.run_command import _same_command
from lowroad.study import run
from lowroad.study.measurements import MEASUREMENTS
from lowroad.study.resolve import resolve_study
from lowroad.study.store import Store
from lowroad.study.study_file import read_study
from lowroad.study.tasks import Task

from .conftest import Outcome, call


def test_help_and_version_answer_at_once_without_torch() -> None:
    code = "import sys, lowroad.cli; print({'torch', 'xarray', 'distributed'} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
    start = time.monotonic()
    out = subprocess.check_output([sys.executable, "-m", "lowroad.cli", "--help"], text=True)
    assert time.monotonic() - start < 3
    for command in ("new", "run", "status", "verify", "report", "export", "data", "connect"):
        assert f"\n  {command} " in out
    assert call("--version") == Outcome(0, f"lowroad {lowroad.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage:"),
        (["--bogus"], "No such option"),
        (["walk"], "No such command"),
        (["run"], "Missing argument 'STUDY.toml'"),
        (["run", "{study}", "--workers", "0"], "Invalid value for '--workers'"),
        (["run", "{study}", "--workers", "two"], "Invalid value for '--workers'"),
        (["run", "nowhere.toml"], "nowhere.toml: cannot be read: No such file or directory"),
        (["run", "{study}", "--set", "train.seeds"], "--set train.seeds: expected KEY=VALUE"),
        (
            ["run", "{study}", "--set", "optimizers.sgd.epoch=3"],
            '{study}: optimizers.sgd.epoch: sgd has no such setting; did you mean "epochs"?',
        ),
        (["run", "{study}", "--out", "{study}"], "{study}: expected a directory, got a file"),
        (["status", "nowhere"], "nowhere: there is no such directory"),
        (["report", "nowhere"], "nowhere: there is no such directory"),
        (["status", "{folder}"], "{folder}: no study here"),
        (["verify", "{folder}"], "{folder}: no study here"),
        (["export", "{folder}"], "give --csv OUT or --zarr OUT"),
        (["export", "{folder}", "--csv", "out"], "{folder}: no study here"),
        (["report", "{folder}"], "{folder}: no study here"),
    ],
)
def test_wrong_usage_is_said_and_gives_2(study: Path, arguments: list[str], message: str) -> None:
    names = {"study": study, "folder": study.parent}
    result = call(*(argument.format(**names) for argument in arguments))
    assert result.code == 2
    assert message.format(**names) in (result.out + result.errors)
    assert "Traceback" not in result.out + result.errors
    left = {path.name for path in study.parent.iterdir()} - {"__pycache__"}
    assert left == {"tiny.toml", "cli_problem.py"}


def test_a_dry_run_does_nothing(study: Path) -> None:
    out = study.parent / "out"
    result = call("run", study, "--out", out, "--dry-run", "--set", "train.seeds=3")
    assert result.code == 0
    assert "0 of 14 tasks stored" in result.out
    assert not out.exists()


@pytest.mark.usefixtures("quick_report")
def test_a_run_writes_the_report_again_if_something_in_it_may_have_changed(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Path(shutil.copytree(done, tmp_path / "copy"))
    page = directory / "report.html"

    def writes(*more: str) -> bool:
        time.sleep(0.02)  # the clocks of file systems are coarse
        result = call("run", directory / "study.toml", "--out", directory, *more)
        assert result.code == 0
        assert "12 tasks, 12 stored, 0 to do" in result.out
        assert f"Report: {page}" in result.out
        return "Writing the report" in result.out

    writes()  # all files are new here
    assert not writes()
    page.unlink()
    assert [writes(), writes()] == [True, False]
    record = next((directory / "records").glob("*/*.nc"))
    record.write_bytes(record.read_bytes())
    os.utime(record, (0, 0))  # like a copy that keeps the old time
    assert [writes(), writes()] == [True, False]
    gamma = ("--set", "analysis.gamma=0.5")
    assert [writes(*gamma), writes(*gamma)] == [True, False]
    code = tmp_path / "lowroad" / "cli" / "directory_commands.py"
    code.parent.mkdir(parents=True)
    code.touch()
    monkeypatch.setattr(directory_commands, "__file__", str(code))
    assert [writes(), writes()] == [True, False]


@pytest.mark.usefixtures("quick_report")
def test_changed_settings_are_said(done: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(done, tmp_path / "copy"))
    study = directory / "study.toml"
    result = call("run", study, "--out", directory, "--workers", 1, "--set", "paths.steps=3")
    assert result.code == 0
    assert "paths.steps: 2 -> 3" in result.errors
    assert "12 tasks, 4 stored, 8 to do" in result.out


def test_failed_tasks_are_named_and_give_1(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ArithmeticError("no luck")

    monkeypatch.setitem(MEASUREMENTS, "path", replace(MEASUREMENTS["path"], run=fail))
    out = study.parent / "out"
    result = call("run", study, "--out", out, "--workers", 1)
    assert result.code == 1
    assert result.errors.count("ArithmeticError: no luck") == 8
    assert "8 of 12 tasks failed. Running again does what is missing." in result.errors
    for line in result.errors.splitlines():
        if line.startswith("  traceback: "):
            assert "Traceback" in Path(line.removeprefix("  traceback: ")).read_text()
    status = call("status", out)
    assert "4 of 12 tasks stored" in status.out


@pytest.mark.parametrize("damage", ["failed", "damaged"])
def test_what_could_not_begin_is_counted_and_gives_1(
    study: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first training run fails, or its record is damaged as soon as it is stored."""
    from lowroad.study import worker

    real, out = worker.run_task, study.parent / "out"
    trainings: list[Task] = []

    def run_task(directory: Path, task: Task, *arguments: Any, **options: Any) -> dict[str, float]:
        trainings.append(task)
        first = len(trainings) == 1
        if first and damage == "failed":
            raise ArithmeticError("no luck")
        shown = real(directory, task, *arguments, **options)
        if first:
            Store(directory).path(task.hash).write_bytes(b"")
        return shown

    monkeypatch.setattr(worker, "run_task", run_task)
    settings = ("--set", "sharpness.runs=1", "--set", "sharpness.samples=20")
    command = ["run", study, "--out", out, "--workers", 1, *settings]
    result = call(*command)
    assert result.code == 1
    assert "6 could not begin because tasks before them failed" in result.errors
    assert ("1 of 16 tasks failed" in result.errors) == (damage == "failed")
    path = Store(out).path(trainings[0].hash)
    assert (f"{path}: damaged record: the file is empty" in result.errors) == (damage == "damaged")
    assert not (out / "report.html").exists()


def test_without_data_the_error_says_what_to_do_and_gives_1(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lowroad.paper.image_problem import _data

    _data.cache_clear()
    monkeypatch.setenv("LOWROAD_DATA", str(study.parent / "nowhere"))
    from_paper = ("--set", "problems.net.from=lowroad.paper:problem")
    for arguments in (["run", study, "--out", study.parent / "out", *from_paper], ["data"]):
        result = call(*arguments)
        assert result.code in (1, 2)
        assert "does not hold MNIST" in result.errors
        assert "Traceback" not in result.errors


def test_a_new_study_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("new", "mine").code == 0
    assert read_study(tmp_path / "mine" / "study.toml").name == "mine"
    study = resolve_study(read_study(tmp_path / "mine" / "study.toml"), tmp_path / "mine")
    assert study.facts["spirals"].samples == {"train": 400, "test": 400}
    assert call("new", "mine").code == 2
    assert call("new", "no spaces").code == 2
    longest = "n" * 100
    assert call("new", longest).code == 0
    assert read_study(tmp_path / longest / "study.toml").name == longest
    assert call("new", longest + "n").code == 2  # a study cannot have such a name


def test_sections_that_keep_their_own_value_are_said(study: Path) -> None:
    own = ("--set", "problems.net.train.seeds=2", "--set", "train.seeds=3")
    result = call("run", study, "--out", study.parent / "out", "--dry-run", *own)
    assert "--set train.seeds: the problem net keeps its own value, 2" in result.errors
    assert "0 of 12 tasks stored" in result.out


def test_the_command_to_go_on_with_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "lowroad"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program), "run", "my study.toml"])
    monkeypatch.setenv("PATH", str(program.parent))
    assert _same_command() == "lowroad run 'my study.toml'"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _same_command() == f"{program} run 'my study.toml'"


def test_a_directory_that_cannot_be_written_gives_1(study: Path) -> None:
    result = call("run", study, "--out", "/proc/lowroad")
    assert result.code == 1
    assert "/proc/lowroad" in result.errors


def test_a_full_disk_ends_the_run_with_what_to_do(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lowroad.study import store

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    out = study.parent / "out"
    result = call("run", study, "--out", out, "--workers", 1)
    assert result.code == 1
    assert f"No space left on device: '{out / 'problems.json'}'" in result.errors
    assert "make room and run the same command again" in result.errors
    assert [path for path in out.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("quick_report")
def test_shards_say_what_they_wait_for_and_write_no_report(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "sharded"
    command = ["run", study, "--workers", "1", "--out", out, "--shard"]
    first = call(*command, "1/2")
    assert first.code == 0
    assert "(shard 1 of 2: 2 now)" in first.out
    assert "10 of the study's tasks are not stored" in first.out
    assert "(shard 2 of 2: 2 now)" in call(*command, "2/2").out  # and then its paths
    last = call(*command, "1/2")
    assert "All tasks of the study are stored" in last.out
    assert not (out / "report.html").exists()
    assert "Report:" in call("report", out).out


@pytest.mark.parametrize(
    ("options", "devices", "workers", "told"),
    [
        (["--device", "auto"], 3, 3, "3 workers, 3 CUDA devices"),
        (["--device", "auto", "--workers", "2"], 1, 2, "2 workers, 1 CUDA device"),
        (["--device", "auto", "--workers", "2"], 0, 2, "2 workers, no CUDA device"),
        (["--workers", "2"], 3, 2, "2 workers\n"),
    ],
)
def test_workers_and_devices_belong_together(
    options: list[str],
    devices: int,
    workers: int,
    told: str,
    study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the run passes on to its workers, which take them from there."""
    given = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    monkeypatch.setattr(
        run,
        "execute",
        lambda tasks, function, workers, on_event: given.append((workers, function.keywords)),
    )
    outcome = call("run", study, "--out", tmp_path / "run", *options)
    assert told in outcome.out
    device = "auto" if "auto" in options else "cpu"
    passed = [(number, each["device"], each["folder"]) for number, each in given]
    assert passed == [(workers, device, study.parent)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "0/2"], "expected I/N with 1 <= I <= N"),
        (["--shard", "half"], "expected I/N with 1 <= I <= N"),
        (["--workers", "2", "--scheduler", "tcp://a:1"], "exclude each other"),
        (["--slurm", "nowhere.toml"], "nowhere.toml: expected a cluster file: No such file"),
    ],
)
def test_where_to_run_is_checked_before_anything_is_written(
    study: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    outcome = call("run", study, "--out", tmp_path / "none", *arguments)
    assert outcome.code == 2
    assert message in outcome.errors
    assert not (tmp_path / "none").exists()
