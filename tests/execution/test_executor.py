"""One conformance suite for both ways of carrying out tasks, and the faults of processes."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import distributed.system
import psutil
import pytest

from lowroad.execution import local
from lowroad.execution.clusters import ClusterError
from lowroad.execution.events import Event

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the workers get it from here and find `chores`
from chores import carry_out, listeners, notes, results  # noqa: E402


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_whatever_happens_to_the_others(workers: int) -> None:
    def follow(event: Event) -> list[str]:
        if event.kind == "finished" and event.task == "first":
            return ["follower 1", "follower 2"]
        return []

    events = carry_out(["first", "fail x", "second", "full a", "sleep 0.3"], workers, follow)
    done = ["first", "second", "sleep 0.3", "follower 1", "follower 2"]
    assert results(events) == {task: f"did {task}" for task in done}
    failed = {event.task: event for event in events if event.kind == "failed"}
    assert {task: event.error for task, event in failed.items()} == {
        "fail x": "ValueError: asked to fail",
        "full a": "FullError: sorry",
    }
    assert all("in chore" in event.trace for event in failed.values())
    assert failed["fail x"].system is None
    assert failed["full a"].system is not None
    assert failed["full a"].system.errno == errno.ENOSPC
    assert str(failed["full a"].system) == f"[Errno {errno.ENOSPC}] no room: 'a'"
    for task in [*done, *failed]:
        kinds = [event.kind for event in events if event.task == task]
        assert (kinds[0], kinds[-1]) == ("started", "failed" if task in failed else "finished")
    progress = [event for event in events if event.kind == "progress"]
    assert {event.task for event in progress} == {"sleep 0.3"}
    assert progress[0].value == 1 / progress[0].step


@pytest.mark.parametrize("workers", [1, 2])
def test_no_tasks_take_no_time(workers: int) -> None:
    start = time.monotonic()
    assert carry_out([], workers) == []
    assert time.monotonic() - start < 5


def test_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 worker, got 0"):
        carry_out(["first"], 0)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_one_worker_is_this_process_and_several_are_others_with_numbers(
    tmp_path: Path, workers: int
) -> None:
    tasks = [f"meet {workers} {tmp_path}{'/' * i}" for i in range(workers)]
    pids, numbers = zip(*results(carry_out(tasks, workers)).values(), strict=True)
    assert set(numbers) == set(range(workers))
    assert len(set(pids)) == workers
    if workers == 1:
        assert pids == (os.getpid(),)
    else:
        assert os.getpid() not in pids
        assert not any(psutil.pid_exists(pid) for pid in pids)


def test_nobody_else_can_talk_to_driver_or_workers() -> None:
    """They hold nothing but unnamed pairs of sockets: there is no address to connect with."""
    before = listeners()  # what other tests in this process have left open is not this one's
    with socket.create_server(("127.0.0.1", 0)):  # which the next line can see
        assert len(set(listeners()) - set(before)) == 1
    events = carry_out(["listeners", "sleep 0.5"], 2)
    assert set(results(events)["listeners"]) <= set(before)
    assert notes(events) == []


def test_a_task_that_kills_its_workers_fails_and_the_others_go_on(tmp_path: Path) -> None:
    once = f"die-once {tmp_path / 'died'}"
    events = carry_out(["die", once, *(f"job {i}" for i in range(6))], 2)
    failed = [event for event in events if event.kind == "failed"]
    assert [event.task for event in failed] == ["die"]
    assert "worker processes died" in failed[0].error
    assert results(events) == {
        task: f"did {task}" for task in [once, *map("job {}".format, range(6))]
    }


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
    begun = time.monotonic()
    os.killpg(driver.pid, signal.SIGINT)
    _, errors = driver.communicate(timeout=30)
    assert time.monotonic() - begun < 5  # a fraction of it on a machine with nothing else to do
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
    counts = Counter((event.kind, event.task) for event in events if event.kind != "note")
    assert set(counts.values()) == {1}
    assert len(counts) == 18


def test_a_worker_that_takes_more_than_its_part_of_the_memory_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed.system, "MEMORY_LIMIT", 2 * 500 * 2**20)
    monkeypatch.setattr(local, "MOST_DEATHS", 1)
    events = carry_out(["eat 500", "first"], 2)
    ((task, error),) = [(each.task, each.error) for each in events if each.kind == "failed"]
    assert (task, error) == ("eat 500", local.DIED)
    assert results(events) == {"first": "did first"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_leaves_fails(workers: int) -> None:
    events = carry_out(["leave", "first"], workers)
    assert [each.error for each in events if each.kind == "failed"] == [
        "SystemExit: asked to leave"
    ]
    assert results(events) == {"first": "did first"}


def test_a_result_that_cannot_be_sent_fails_its_task() -> None:
    events = carry_out(["unpicklable", "first"], 2)
    assert [each.task for each in events if each.kind == "failed"] == ["unpicklable"]
    assert results(events) == {"first": "did first"}


def test_workers_that_cannot_begin_end_the_execution(tmp_path: Path) -> None:
    """A script without `if __name__ == "__main__"` runs itself again in each worker."""
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED.format(here=str(HERE)))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert "ClusterError: worker processes end before their first task" in done.stderr


UNGUARDED = """
import sys
sys.path.insert(0, {here!r})
from chores import carry_out

carry_out(["first", "second"], 2)
"""


def test_work_that_cannot_be_done_here_ends_the_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLIND", "yes")
    for workers in (1, 2):
        with pytest.raises(ClusterError, match="sees nothing"):
            carry_out(["first", "second"], workers)
