"""Functions for the executor's tests, importable by its workers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from lowroad.execution.executor import worker_number


def chore(task: Any, report: Callable[[int, float], None]) -> Any:
    """Do what the task's name says."""
    name, _, argument = str(task).partition(" ")
    if name == "fail":
        raise ValueError(f"asked to fail\n{argument}")
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
    if name == "number":
        time.sleep(0.2)  # so that one worker does not do all
        return worker_number()
    return f"did {task}"
