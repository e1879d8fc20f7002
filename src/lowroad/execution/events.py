"""What happens to tasks while they are carried out, and how it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

Report = Callable[[int, float], None]
"""How a running task tells where it is: ``report(step, value)``."""

Function = Callable[[Any, Report], Any]
"""What is done with a task: ``function(task, report) -> result``."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a task.

    Attributes:
        kind: what happened.
        task: the task, equal to the one handed in; None for ``"note"``.
        seconds: since the start of the execution.
        step, value: where a running task is (``"progress"``).
        result: what the function returned (``"finished"``), or a line about the workers
            (``"note"``).
        error: one line that says what went wrong (``"failed"``).
        trace: the traceback as text, empty if there is none (``"failed"``).
    """

    kind: Literal["note", "started", "progress", "finished", "failed"]
    task: Any
    seconds: float
    step: int = 0
    value: float = float("nan")
    result: Any = None
    error: str = ""
    trace: str = ""


OnEvent = Callable[[Event], Iterable[Any]]
"""Told about every event; returns further tasks that the event made possible."""


_number = 0


def set_worker_number(number: int) -> None:
    """Say which of a run's local worker processes this is."""
    global _number
    _number = number


def worker_number() -> int:
    """Return which of a run's local worker processes this is, from 0; 0 in any other process."""
    return _number


def one_line(error: BaseException) -> str:
    """An exception as one line: its type and the first line of its message.

    >>> one_line(ValueError("no such thing"))
    'ValueError: no such thing'
    """
    message = str(error).strip().splitlines()
    return f"{type(error).__name__}: {message[0]}" if message else type(error).__name__
