"""What a command line may be given, and what may happen to it: no traceback, no end by printing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lowroad.optimizers.method import settings_of
from lowroad.paths.registry import FINDERS, finder_settings
from lowroad.study.config import StudyConfig
from lowroad.study.heartbeat import alive
from lowroad.study.setting_errors import _places
from lowroad.study.store import Store
from lowroad.study.verify import verify

from .conftest import TINY, call

pytestmark = pytest.mark.timeout(120)


def start(study: Path, *more: str, **options: object) -> subprocess.Popen[str]:
    """The command in a process and a group of its own."""
    command = [sys.executable, "-m", "lowroad.cli", "run", str(study), "--shard", "1/1"]
    return subprocess.Popen(
        [*command, "--out", str(study.parent / "out"), *more],
        text=True,
        start_new_session=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},  # type: ignore[call-overload]
    )


RUNS_ONLY = ("--set", "paths.within=false")
LONG = ("--set", "optimizers.sgd.epochs=100000")


def wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(("closed", "workers"), [((1,), "1"), ((0, 1, 2), "2")])
def test_output_that_was_closed_at_the_start_does_not_end_the_study(
    study: Path, closed: tuple[int, ...], workers: str
) -> None:
    def close() -> None:
        for number in closed:
            os.close(number)

    run = start(study, "--workers", workers, *RUNS_ONLY, preexec_fn=close)
    _, told = run.communicate()
    assert (run.returncode, told) == (0, "")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reader_that_goes_away_does_not_end_the_study(study: Path, workers: str) -> None:
    run = start(study, "--workers", workers, *RUNS_ONLY)
    assert run.stdout is not None
    assert run.stderr is not None
    assert run.stdout.readline().startswith("Study tiny")
    run.stdout.close()
    run.stderr.close()
    assert run.wait(100) == 0
    assert len(Store(study.parent / "out").hashes()) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_terminal_does_not_end_the_study(study: Path) -> None:
    with open("/dev/full", "w") as full:
        run = start(study, "--workers", "1", *RUNS_ONLY, stdout=full, stderr=full)
        assert run.wait(100) == 0
    assert len(Store(study.parent / "out").hashes()) == 4


LONG_PATHS = ("--set", "paths.steps=1000000")
SIGNALS = [
    (signal.SIGINT, "1", LONG),
    (signal.SIGINT, "2", LONG_PATHS),
    (signal.SIGTERM, "2", LONG),
    (signal.SIGTERM, "1", LONG_PATHS),
    (signal.SIGHUP, "1", LONG),
]


@pytest.mark.parametrize(("kind", "workers", "long"), SIGNALS)
def test_a_signal_ends_a_run_soon_and_leaves_nothing(
    study: Path, kind: signal.Signals, workers: str, long: tuple[str, ...]
) -> None:
    if signal.getsignal(kind) is signal.SIG_IGN:
        pytest.skip("ignored here, and so by what is started here")
    run = start(study, "--workers", workers, *long)
    store, runs = Store(study.parent / "out"), 4 if long is LONG_PATHS else 0
    running = store.running

    def told() -> bool:
        """Whether the heartbeat names a task under way, which the status then shows."""
        return bool(alive(store).seconds.keys() - store.hashes())

    wait_for(lambda: len(store.hashes()) == runs and told())
    under_way = f"1 run under way with {workers} task"
    wait_for(lambda: under_way in call("status", study.parent / "out").out)
    begun = time.monotonic()
    run.send_signal(kind)
    _, errors = run.communicate(timeout=60)
    assert time.monotonic() - begun < 10  # below 2 s where nothing else keeps the machine busy
    assert run.returncode == 128 + kind
    assert "tasks are stored, nothing finished is lost" in errors
    assert f"To go on: lowroad run {study} --shard 1/1 --out {study.parent / 'out'} " in errors
    assert "Traceback" not in errors
    assert "leaked" not in errors
    assert list(running.iterdir()) == []
    found = verify(store.directory)
    assert (found.records, found.damaged) == (runs, [])


@pytest.mark.parametrize("phase", ["planning", "report"])
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_or_after_the_tasks_ends_the_command(
    study: Path, phase: str, kind: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: the signal comes while the study is planned, or its report written."""
    if signal.getsignal(kind) is signal.SIG_IGN:
        pytest.skip("ignored here")

    def interrupted(*arguments: object) -> None:
        os.kill(os.getpid(), kind)
        time.sleep(10)

    place = (
        "lowroad.study.run.prepare_run" if phase == "planning" else "lowroad.report.write_report"
    )
    monkeypatch.setattr(place, interrupted)
    before = signal.getsignal(kind)
    begun = time.monotonic()
    options = ("--workers", 1, *RUNS_ONLY, "--set", "train={seeds=1,keep=1}")
    result = call("run", study, "--out", study.parent / "out", *options)
    assert time.monotonic() - begun < 8
    assert result.code == 128 + kind
    assert result.errors == "Interrupted\n"
    assert signal.getsignal(kind) == before
    assert len(Store(study.parent / "out").hashes()) == (0 if phase == "planning" else 2)


def test_a_run_under_nohup_goes_on(study: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    run = start(study, "--workers", "1", *RUNS_ONLY, preexec_fn=ignore)
    wait_for(lambda: bool(list((study.parent / "out").glob("running/*.json"))))
    run.send_signal(signal.SIGHUP)
    assert run.wait(100) == 0


BROKEN = {
    "raises": ("def net(hidden=3):\n    return helper()\n\ndef helper():\n    return 1 / 0\n", 2),
    "imports": ("import not_there\n\ndef net(hidden=3):\n    return 1\n", 1),
    "syntax": ("def net(hidden=3)\n    return 1\n", 0),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_error_in_the_users_code_shows_the_users_own_frames(study: Path, kind: str) -> None:
    code, frames = BROKEN[kind]
    module = study.parent / f"broken_{kind}.py"
    module.write_text(code)
    study.write_text(TINY.replace("cli_problem:net", f"broken_{kind}:net"))
    for command in (["run", study], ["run", study, "--dry-run"]):
        result = call(*command, "--out", study.parent / "out")
        assert result.code == 1
        assert result.errors.startswith("problems.net: an error in your code:\n")
        files = [line for line in result.errors.splitlines() if line.startswith("  File ")]
        assert len(files) == max(frames, 1)
        assert all(str(module) in line for line in files)
        told = {"raises": "ZeroDivisionError: division by zero", "imports": "not_there"}
        assert told.get(kind, "SyntaxError") in result.errors.splitlines()[-1]


FAILING = """
import torch
from cli_problem import net as real


def net(hidden: int = 3):
    problem = real(hidden)
    calls = []

    def start(generator):
        calls.append(1)
        if len(calls) > 3:
            return inner(generator)
        return first(generator)

    first = problem.start
    import dataclasses
    return dataclasses.replace(problem, start=start)


def inner(generator):
    raise ValueError("my own mistake")
"""


def test_a_failed_task_shows_the_users_own_frames_in_run_and_status(study: Path) -> None:
    module = study.parent / "failing.py"
    module.write_text(FAILING)
    study.write_text(TINY.replace("cli_problem:net", "failing:net"))
    out = study.parent / "out"
    result = call("run", study, "--out", out, "--workers", 1)
    assert result.code == 1
    for text in (result.errors, call("status", out).out):
        assert 'failing.py", line ' in text
        assert "ValueError: my own mistake" in text
        assert "lowroad/study/worker.py" not in text


DIGITS = "9" * 4301
HARD_SETTINGS = [
    f"seed={DIGITS}",
    f"train.seeds={DIGITS}",
    f"optimizers.sgd.epochs={DIGITS}",
    f"analysis.gamma={'9' * 400}",
    "seed=0x" + "f" * 5000,
    "optimizers.sgd.epochs=0o" + "7" * 9000,
    "paths.points=0b1" + "0" * 20_000,
    "train.seeds=[[0x" + "f" * 5000 + "]]",
    "analysis.gamma=1e308",
    "optimizers.sgd.learning_rate=1e300",
    "optimizers.sgd.learning_rate=1e-320",
    "optimizers.sgd.learning_rate={ grid = [0.1, 1e300] }",
    f"optimizers.sgd.learning_rate={'9' * 400}",
    "paths.learning_rate=1e300",
    "paths.learning_rate=1e-320",
    "paths.steps=" + "9" * 400,
    ".".join(["a"] * 3000) + "=1",
    ".".join(["a"] * 100_000) + "=1",
    "train.seeds=" + "[" * 50_000,
    "x=" + "é" * 700_000,
    "train.seeds=" + '"' + "y" * 700_000 + '"',
    "=1",
    "",
    "name=\x1b[2J",
]


@pytest.mark.parametrize("number", range(len(HARD_SETTINGS)))
def test_a_hard_setting_is_refused_in_a_line_before_anything_is_done(
    study: Path, number: int
) -> None:
    assignment = HARD_SETTINGS[number]
    out = study.parent / "out"
    calls = [call("run", study, "--set", assignment, "--out", out)]
    key, _, value = assignment.partition("=")
    if key.count(".") < 4000 and key and value:
        study.write_text(TINY + "".join(f"\n{key} = {value}\n"))
        calls.append(call("run", study, "--out", out))
    for result in calls:
        assert result.code == 2
        assert "Traceback" not in result.errors
        assert all(len(line) < 300 for line in result.errors.splitlines())
        assert "\x1b" not in result.errors
    assert not out.exists()


def test_many_mistakes_are_told_in_few_lines(study: Path) -> None:
    study.write_text("".join(f"k{number} = 1\n" for number in range(20_000)) + TINY)
    result = call("run", study, "--out", study.parent / "out")
    assert result.code == 2
    lines = result.errors.splitlines()
    assert len(lines) == 51
    assert lines[0].startswith(f"{study}: k0: no such setting")
    assert lines[-1] == f"{study}: and 19950 more"


@pytest.mark.parametrize(
    "shard",
    ["", "/", "1", "0/3", "4/3", "1/" + DIGITS, f"{DIGITS}/{DIGITS}", "²/3", "-1/3"],
)
def test_a_shard_that_is_none_is_refused(study: Path, shard: str) -> None:
    result = call("run", study, "--shard", shard, "--out", study.parent / "out")
    assert result.code == 2
    assert "expected I/N with 1 <= I <= N" in result.errors
    assert len(result.errors) < 200


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=40))
@example("1/3")
def test_any_shard_is_taken_or_refused(text: str) -> None:
    import typer

    from lowroad.cli.run_command import _shard

    found = None
    with contextlib.suppress(typer.Exit):
        found = _shard(text)
    if found is not None:
        first, count = found
        assert 0 <= first < count
        assert [int(each) for each in text.split("/")] == [first + 1, count]


def test_a_study_file_of_another_kind_is_refused(study: Path) -> None:
    pipe = study.parent / "pipe.toml"
    os.mkfifo(pipe)
    for path in (pipe, study.parent, Path("/dev/zero"), Path("/dev/null")):
        result = call("run", path, "--out", study.parent / "out")
        assert result.code == 2
        assert "expected a study file, got no regular file" in result.errors
    assert not (study.parent / "out").exists()


@pytest.mark.parametrize("command", ["status", "verify", "report", "export"])
@pytest.mark.parametrize("kind", ["a folder", "a named pipe"])
def test_a_folder_whose_study_file_is_none_is_no_study(
    tmp_path: Path, command: str, kind: str
) -> None:
    path = tmp_path / "study.toml"
    if kind == "a folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    more = ["--csv", tmp_path / "csv"] if command == "export" else []
    result = call(command, tmp_path, *more)
    assert result.code == 2
    assert "no study here" in result.errors


def known_keys() -> list[str]:
    """Every setting that a study with "sgd" and "lbfgs" has, by its key."""
    keys = {f"{table}.{name}" if table else name for table, name in _places(StudyConfig, "")}
    for method in ("sgd", "lbfgs"):
        keys |= {f"optimizers.{method}.{name}" for name in (*settings_of(method), "method")}
    for finder in FINDERS:
        keys |= {f"paths.{name}" for name in finder_settings(finder)}
    keys |= {f"problems.net.{each}" for each in ("train.seeds", "train.optimizers", "version")}
    keys |= {"paths.finders.b.finder", "optimizers.new.method", "checkpoints.a.files"}
    return sorted(keys)


ANY_VALUE = [
    "0",
    "1",
    "2",
    "-1",
    "64",
    "0.5",
    "1e-3",
    "1e30",
    "1e-30",
    "1e31",
    "true",
    "false",
    "nan",
    "inf",
    "99999999",
    "1979-05-27",
    "word",
    "é",
    "''",
    "[]",
    "{}",
    "{a=1}",
    '"sgd"',
    '"lbfgs"',
    '"1/D"',
    '"fourier"',
    '"strong_wolfe"',
    '"a.b:c"',
    '"json:dumps"',
    '"*.pt"',
    '["sgd"]',
    '["last"]',
    '[["sgd","lbfgs"]]',
    '[["sgd","sgd"]]',
    "[1,[2]]",
    "{grid=[1,2]}",
    "{grid=[]}",
    '{grid=[0.1,"x"]}',
    '["train","test"]',
]


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.sampled_from(known_keys()), st.sampled_from(ANY_VALUE)),
        min_size=1, max_size=2,
    )
)  # fmt: skip
def test_any_value_of_any_setting_is_planned_or_refused_in_lines(
    study: Path, changes: list[tuple[str, str]]
) -> None:
    assignments = [part for key, value in changes for part in ("--set", f"{key}={value}")]
    result = call("run", study, *assignments, "--dry-run", "--out", study.parent / "out")
    assert result.code in (0, 2), result
    assert "Traceback" not in result.errors
    assert all(len(line) < 500 for line in result.errors.splitlines())
    assert bool(result.errors) >= (result.code == 2)
