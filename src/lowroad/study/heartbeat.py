"""A run's heartbeat: what it is doing now, told to others through one small file.

While a run goes on, a thread of it rewrites ``DIR/running/HOST.PID.json`` every few seconds; at its
end the file goes. A file that is no longer rewritten belongs to a run that was killed. Nobody waits
for such a file or decides by it what to do: it is for people who ask for the status.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowroad.study.files import host_name, is_alive, is_number, read_regular, scan, write_atomically
from lowroad.study.progress import RunProgress
from lowroad.study.store import Store

EVERY = 15.0  # seconds between two beats
DEAD_AFTER = 120.0  # seconds without a beat; also bridges clocks of machines that differ by a bit


class Heartbeat:
    """Beats from the beginning of a ``with`` block to its end.

    Args:
        store: where the run stores its records.
        progress: what the run is doing.

    Raises:
        OSError: on entering, if the directory cannot be written: better before the first task
            than after it. Later beats that fail are left out.
    """

    def __init__(self, store: Store, progress: RunProgress) -> None:
        self._path = store.running / f"{host_name()}.{os.getpid()}.json"
        self._progress = progress
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, daemon=True)

    def __enter__(self) -> Heartbeat:
        for path in scan(self._path.parent):
            if path.suffix == ".json" and _is_dead_here(path):
                path.unlink(missing_ok=True)
        self.beat()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def beat(self) -> None:
        """Write what is running: seconds under way by hash.

        Raises:
            OSError: the file cannot be written.
        """
        self._last = time.monotonic()
        now = self._progress.seconds
        tasks = {name: now - task.began for name, task in list(self._progress.running.items())}
        self._told = tasks.keys()
        write_atomically(self._path, json.dumps(tasks).encode())

    def _beat_on(self) -> None:
        while not self._end.wait(min(EVERY, 1.0)):
            late = time.monotonic() - self._last >= EVERY
            if late or self._told != self._progress.running.copy().keys():
                with suppress(OSError):
                    self.beat()


@dataclass(frozen=True)
class Alive:
    """The runs that are alive.

    Attributes:
        runs: how many there are.
        workers: how many tasks they have under way.
        seconds: how long each task has been under way, by hash.
    """

    runs: int
    workers: int
    seconds: dict[str, float]


def alive(store: Store) -> Alive:
    """Which runs are alive in a directory, and what they are doing."""
    beats = list(_beats(store))
    seconds: dict[str, float] = {}
    for beat in beats:
        for name, value in beat.items():  # two runs may do the same task
            seconds[name] = max(value, seconds.get(name, 0.0))
    return Alive(len(beats), sum(map(len, beats)), seconds)


def _beats(store: Store) -> Iterator[dict[str, float]]:
    for path in scan(store.running):
        if path.suffix != ".json" or not is_number(path.stem.rpartition(".")[2]):
            continue
        try:
            age = time.time() - path.lstat().st_mtime
            tasks = json.loads(read_regular(path))
        except (OSError, ValueError, RecursionError):
            continue  # its run has just ended, or this is no heartbeat
        if age < DEAD_AFTER and not _is_dead_here(path) and _is_beat(tasks):
            yield tasks


def _is_beat(tasks: Any) -> bool:
    """Whether what a file holds is seconds by hash; others may write what they like."""
    return isinstance(tasks, dict) and all(
        isinstance(s, int | float) and 0 <= s < 1e9 for s in tasks.values()
    )


def _is_dead_here(path: Path) -> bool:
    """Whether the run was on this machine and its process is gone."""
    host, _, process = path.stem.partition(".")
    try:
        written = path.lstat().st_mtime
    except OSError:  # its run has just ended
        return False
    return host == host_name() and is_number(process) and not is_alive(int(process), written)
