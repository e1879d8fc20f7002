"""Work that ends in kill -9, importable by the processes that do it."""

from __future__ import annotations

import errno
import functools
import os
import signal
import threading
from pathlib import Path
from typing import Any

from lowroad.execution.events import Event, Report
from lowroad.study import worker
from lowroad.study.config import StudyConfig
from lowroad.study.progress import RunProgress
from lowroad.study.run import prepare_run
from lowroad.study.snapshot import SnapshotFile


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_or_die(directory: Path, task: Any, report: Report, **options: Any) -> dict[str, float]:
    """Do a task as a worker does, but die in the middle of every third one, once each."""
    begun = directory.parent / "begun"
    begun.mkdir(exist_ok=True)
    mark = begun / task.hash
    doomed = not mark.exists() and len(list(begun.iterdir())) % 3 == 2
    mark.touch()

    def deadly(step: int, height: float) -> None:
        report(step, height)
        if doomed:
            (directory.parent / f"died-{task.hash}").touch()
            die()

    return worker.run_task(directory, task, deadly, **options)


def find_no_room(directory: Path, task: Any, report: Report, **options: Any) -> dict[str, float]:
    """Do a task as a worker does whose user has filled the quota."""
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "a record")


def run_and_die(
    config: StudyConfig, directory: Path, folder: Path, events: int, seconds: float
) -> None:
    """Go on with a study, with a snapshot after every step, and die soon after some events."""
    worker.SnapshotFile = functools.partial(SnapshotFile, every=0.0)  # type: ignore[assignment,misc]
    left = iter(range(events, -1, -1))

    def watch(progress: RunProgress, event: Event) -> None:
        if next(left, None) == 0:
            threading.Timer(seconds, die).start()

    prepare_run(config, directory, folder).execute(1, watch)
    threading.Event().wait()  # for the end that is on its way
