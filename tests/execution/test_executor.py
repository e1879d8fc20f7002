"""One conformance suite for both ways of carrying out tasks, and the faults of processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lowroad.execution.clusters import ClusterError, Scheduler, Workers, read_slurm
from lowroad.execution.executor import Event, execute

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the workers get it from here and find `chores`
from chores import chore  # noqa: E402


def carry_out(
    tasks: list[Any], workers: Workers, follow: Callable[[Event], list[Any]] = lambda event: []
) -> list[Event]:
    events: list[Event] = []

    def on_event(event: Event) -> list[Any]:
        if event.kind == "dashboard":
            return []
        events.append(event)
        return follow(event)

    execute(tasks, chore, workers, on_event)
    return events


def results(events: list[Event]) -> dict[Any, Any]:
    return {event.task: event.result for event in events if event.kind == "finished"}


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_whatever_happens_to_the_others(workers: int) -> None:
    def follow(event: Event) -> list[str]:
        if event.kind == "finished" and event.task == "first":
            return ["follower 1", "follower 2"]
        return []

    events = carry_out(["first", "fail x", "second", "sleep 0.3"], workers, follow)
    done = ["first", "second", "sleep 0.3", "follower 1", "follower 2"]
    assert results(events) == {task: f"did {task}" for task in done}
    ((task, error, trace),) = [(e.task, e.error, e.trace) for e in events if e.kind == "failed"]
    assert (task, error) == ("fail x", "ValueError: asked to fail")
    assert "in chore" in trace
    for task in [*done, "fail x"]:
        kinds = [event.kind for event in events if event.task == task]
        assert (kinds[0], kinds[-1]) == ("started", "failed" if task == "fail x" else "finished")
    progress = [event for event in events if event.kind == "progress"]
    assert {event.task for event in progress} == {"sleep 0.3"}
    assert progress[0].height == 1 / progress[0].step


@pytest.mark.parametrize("workers", [1, 2])
def test_no_tasks_take_no_time(workers: int) -> None:
    start = time.monotonic()
    assert carry_out([], workers) == []
    assert time.monotonic() - start < 5


def test_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 worker, got 0"):
        carry_out(["first"], 0)


def test_one_worker_is_this_process_and_two_are_two_others() -> None:
    assert set(results(carry_out(["pid 1"], 1)).values()) == {os.getpid()}
    pids = results(carry_out([f"pid {i}" for i in range(6)] + ["sleep 0.5"], 2))
    others = {pid for task, pid in pids.items() if task.startswith("pid")}
    assert os.getpid() not in others
    assert len(others) == 2
    assert not any(psutil.pid_exists(pid) for pid in others)


@pytest.mark.filterwarnings("error::UserWarning")
def test_two_at_a_time_do_not_mind_each_other() -> None:
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # somebody else's already
            taken.bind(("127.0.0.1", 8787))  # the port that dask takes where it can
            taken.listen()
        assert results(carry_out(["first"], 2)) == {"first": "did first"}


def test_a_task_that_kills_its_workers_fails_and_the_others_go_on(tmp_path: Path) -> None:
    once = f"die-once {tmp_path / 'died'}"
    events = carry_out(["die", once, *(f"job {i}" for i in range(6))], 2)
    failed = [event for event in events if event.kind == "failed"]
    assert [event.task for event in failed] == ["die"]
    assert "worker processes died" in failed[0].error
    assert results(events) == {
        task: f"did {task}" for task in [once, *map("job {}".format, range(6))]
    }


def test_local_workers_have_numbers():
    for workers in (1, 2):
        events = carry_out([f"number {i}" for i in range(6)], workers)
        numbers = {event.result for event in events if event.kind == "finished"}
        assert numbers == set(range(workers))


DRIVER = """
import sys
sys.path.insert(0, {here!r})
from chores import chore
from lowroad.execution.executor import execute

def tell(event):
    if event.kind == "started":
        print("started", flush=True)
    return []

if __name__ == "__main__":
    try:
        execute(["sleep 60", "sleep 60", "sleep 60"], chore, {workers}, tell)
    except KeyboardInterrupt:
        sys.exit("interrupted")
"""


def start_driver(workers: int) -> subprocess.Popen[str]:
    """A process in a group of its own that executes long tasks, once they have begun."""
    code = textwrap.dedent(DRIVER).format(here=str(HERE), workers=workers)
    driver = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert driver.stdout is not None
    for _ in range(workers):
        assert driver.stdout.readline() == "started\n"
    return driver


def group(leader: int) -> list[int]:
    """Processes of a group that are not mere zombies."""
    alive = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass
    return alive


def wait_until_gone(leader: int, seconds: float) -> list[int]:
    end = time.monotonic() + seconds
    while (alive := group(leader)) and time.monotonic() < end:
        time.sleep(0.1)
    return alive


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_from_the_terminal_ends_all_quietly(workers: int) -> None:
    driver = start_driver(workers)
    assert len(group(driver.pid)) >= workers
    os.killpg(driver.pid, signal.SIGINT)
    _, errors = driver.communicate(timeout=30)
    assert (driver.returncode, errors) == (1, "interrupted\n")
    assert wait_until_gone(driver.pid, 10) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_driver_that_is_killed(kind: signal.Signals) -> None:
    driver = start_driver(2)
    assert len(group(driver.pid)) >= 3
    driver.send_signal(kind)
    assert driver.wait(30) == -kind
    assert wait_until_gone(driver.pid, 20) == []


def test_started_and_finished_events_are_told_once_each() -> None:
    events = carry_out([f"job {i}" for i in range(9)], 2)
    counts = Counter((event.kind, event.task) for event in events)
    assert set(counts.values()) == {1}
    assert len(counts) == 18


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler with two workers, as somebody else might have started it."""
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    commands = [
        ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
        *[["worker", "--nthreads", "1", "--no-dashboard"]] * 2,
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", *command, "--scheduler-file", str(file)],
            env={**os.environ, "PYTHONPATH": str(HERE)},
            **quiet,
        )
        for command in commands
    ]
    end = time.monotonic() + 30
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.05)
    yield json.loads(file.read_text())["address"]
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(30)


@pytest.mark.slow
def test_a_running_scheduler_does_the_tasks_and_stays(scheduler: str) -> None:
    for _ in range(2):
        events = carry_out(
            ["fail x", *(f"pid {i}" for i in range(6)), "sleep 1"], Scheduler(scheduler)
        )
        pids = {pid for task, pid in results(events).items() if task.startswith("pid")}
        assert len(results(events)) == 7
        assert 1 <= len(pids) <= 2
        assert os.getpid() not in pids
        assert all(psutil.pid_exists(pid) for pid in pids)


def test_a_scheduler_that_does_not_answer_is_an_error_that_says_so(monkeypatch) -> None:
    monkeypatch.setattr("lowroad.execution.dask.SECONDS_TO_CONNECT", 0.5)
    with pytest.raises(ClusterError, match=r"no dask scheduler answers at tcp://127.0.0.1:9"):
        carry_out(["first"], Scheduler("tcp://127.0.0.1:9"))


SBATCH = """#!/bin/bash
# Stands in for SLURM: the job runs here at once, and its number is its process group.
script={folder}/job-$$.sh
cp "${@: -1}" "$script"
setsid bash "$script" >> {folder}/jobs.log 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
for job in "$@"; do kill -- -$job 2>/dev/null; done
true
"""
CLUSTER = """
jobs = {{ most = 2 }}

[job]
cores = 1
memory = "1 GB"
walltime = "00:20:00"
interface = "lo"
local_directory = "{folder}"
log_directory = "{folder}"
python = "{python}"
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_slurm_jobs_do_the_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text.replace("{folder}", str(tmp_path)))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    file = tmp_path / "cluster.toml"
    file.write_text(CLUSTER.format(folder=tmp_path, python=sys.executable))
    events = carry_out(["fail x", *(f"pid {i}" for i in range(6)), "sleep 2"], read_slurm(file))
    assert len(results(events)) == 7
    assert os.getpid() not in results(events).values()
    assert [event.error for event in events if event.kind == "failed"] == [
        "ValueError: asked to fail"
    ]
    log = (tmp_path / "jobs.log").read_text()
    assert "Start worker at" in log


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs = 3\n[job]\ncores = 1\nmemory = '1 GB'\nwalltime = '30:00'", "jobs = { least"),
        ("jobs = { least = 3, most = 2 }\n[job]\ncores=1\nmemory='1 GB'\nwalltime='30:00'", "most"),
        ("[job]\ncores = 1\nmemory = '1 GB'", r"\[job\] needs walltime"),
        ("[job]\ncores = 1\nmemory = '1 GB'\nwalltime = 'a day'", "walltime such as"),
        ("queue = 'normal'", "unknown: queue"),
        ("[job", "not a TOML file"),
        ("", r"a table \[job\]"),
    ],
)
def test_cluster_files_that_cannot_be_used_say_why(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_slurm(file)


def test_workers_end_before_their_slurm_job_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text("[job]\ncores = 4\nmemory = '8 GB'\nwalltime = '1-00:00:00'")
    slurm = read_slurm(file)
    lifetime, stagger = slurm.lifetime
    assert lifetime + stagger < 24 * 3600
    assert lifetime - stagger > 23 * 3600
    assert str(slurm) == "up to 1 SLURM job"
