"""What happens to tasks while they are carried out, and how it is told."""

from __future__ import annotations

import traceback
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
        system: the error of the operating system that it was, if it was one (``"failed"``).
    """

    kind: Literal["note", "started", "progress", "finished", "failed"]
    task: Any
    seconds: float
    step: int = 0
    value: float = float("nan")
    result: Any = None
    error: str = ""
    trace: str = ""
    system: OSError | None = None


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


def described(error: BaseException) -> dict[str, Any]:
    """What an event of the kind ``"failed"`` says of an error; it can be pickled whatever came."""
    trace = "".join(traceback.format_exception(error))
    told = {"error": one_line(error), "trace": trace}
    if not isinstance(error, OSError) or not isinstance(error.errno, int):
        return told
    return {**told, "system": OSError(error.errno, str(error.strerror), error.filename)}
