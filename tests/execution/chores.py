"""Functions for the executor's tests, importable by its workers."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from lowroad.execution.clusters import ClusterError, Workers
from lowroad.execution.events import Event, worker_number
from lowroad.execution.executor import execute


def chore(task: Any, report: Callable[[int, float], None]) -> Any:
    """Do what the task's name says."""
    name, _, argument = str(task).partition(" ")
    if "BLIND" in os.environ:
        raise ClusterError("sees nothing")
    if name == "fail":
        raise ValueError(f"asked to fail\n{argument}")
    if name == "full":
        raise FullError(argument)
    if name == "die":
        os.kill(os.getpid(), 9)
    if name == "die-once" and not os.path.exists(argument):
        with open(argument, "w"):
            os.kill(os.getpid(), 9)
    if name == "sleep":
        end = time.monotonic() + float(argument)
        step = 0
        while time.monotonic() < end:
            time.sleep(0.05)
            step += 1
            report(step, 1 / step)
    if name == "pid":
        return os.getpid()
    if name == "meet":
        return meet(argument)
    if name == "eat":
        eaten = bytearray(int(argument) * 2**20)
        time.sleep(10)
        return len(eaten)
    if name == "leave":
        raise SystemExit("asked to leave")
    if name == "unpicklable":
        return lambda: None
    if name == "listeners":
        return listeners(os.getppid())
    if name == "memory":
        return memory_settings()
    return f"did {task}"


class FullError(OSError):
    """A full disk in words of its own, as libraries have them; it cannot be pickled."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ENOSPC, "no room", path)
        self.lock = threading.Lock()

    def __str__(self) -> str:
        return "sorry"


def meet(argument: str) -> tuple[int, int]:
    """Wait until as many processes are here as shall meet, so that one does not do all."""
    count, folder = argument.split()
    open(os.path.join(folder, str(os.getpid())), "w").close()
    while len(os.listdir(folder)) < int(count):
        time.sleep(0.02)
    return os.getpid(), worker_number()


def listeners(process: int | None = None) -> list[str]:
    """The sockets with addresses of a process and its children; of this one by default."""
    import psutil

    parent = psutil.Process(process)
    return [
        str(each)
        for each_process in (parent, *parent.children(recursive=True))
        for each in each_process.net_connections("all")
        if each.laddr
    ]


def memory_settings() -> list[Any]:
    """What this worker does when its memory is nearly full, and the memory that it may use."""
    from distributed import get_worker

    memory = get_worker().memory_manager
    return [
        memory.memory_target_fraction,
        memory.memory_spill_fraction,
        memory.memory_pause_fraction,
        memory.memory_limit,
    ]


def carry_out(
    tasks: list[Any], workers: Workers, follow: Callable[[Event], list[Any]] = lambda event: []
) -> list[Event]:
    """Execute chores and return all that was told."""
    events: list[Event] = []

    def on_event(event: Event) -> list[Any]:
        events.append(event)
        return follow(event)

    execute(tasks, chore, workers, on_event)
    return events


def results(events: list[Event]) -> dict[Any, Any]:
    return {event.task: event.result for event in events if event.kind == "finished"}


def notes(events: list[Event]) -> list[str]:
    return [event.result for event in events if event.kind == "note"]
