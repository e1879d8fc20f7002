"""Work that ends in kill -9, importable by the processes that do it."""

from __future__ import annotations

import errno
import functools
import os
import signal
import threading
from pathlib import Path
from typing import Any

from lowroad.execution.executor import Event, Report
from lowroad.study import work
from lowroad.study.checkpoint import Checkpoint
from lowroad.study.config import StudyConfig
from lowroad.study.device import Device
from lowroad.study.progress import Tally
from lowroad.study.run import prepare_run


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def perform_or_die(directory: Path, task: Any, report: Report, device: Device) -> dict[str, float]:
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

    return work.perform(directory, task, deadly, device)


def find_no_room(directory: Path, task: Any, report: Report, device: Device) -> dict[str, float]:
    """Do a task as a worker does whose user has filled the quota."""
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "a record")


def run_and_die(config: StudyConfig, directory: Path, events: int, seconds: float) -> None:
    """Go on with a study, with a checkpoint after every step, and die soon after some events."""
    work.Checkpoint = functools.partial(Checkpoint, every=0.0)  # type: ignore[assignment,misc]
    left = iter(range(events, -1, -1))

    def watch(tally: Tally, event: Event) -> None:
        if next(left, None) == 0:
            threading.Timer(seconds, die).start()

    prepare_run(config, directory).perform(1, watch)
    threading.Event().wait()  # for the end that is on its way
