"""What the command line says when something is wrong, and its exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 129 hung up, 143 terminated.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


def warn(message: str) -> None:
    """Tell about something that does not stop the command."""
    typer.echo(message, err=True)


def fail(message: str, code: int) -> NoReturn:
    """End the command with a message and an exit code."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn errors that a user can mend into messages without a traceback."""
    from lowroad.study.study_file import StudyFileError

    try:
        yield
    except StudyFileError as error:
        fail(str(error), WRONG_USAGE)
    except OSError as error:
        from lowroad.study.store import FULL

        advice = "\nAll records are kept: make room and run the same command again."
        fail(f"{error}{advice if error.errno in FULL else ''}", FAILED)
    except KeyboardInterrupt as error:
        fail("Interrupted", code_of(error))
    except Exception as error:
        from lowroad.execution.clusters import ClusterError
        from lowroad.paper.mnist import MnistError
        from lowroad.study.user_errors import UserCodeError

        if isinstance(error, MnistError | ClusterError | UserCodeError):
            fail(str(error), FAILED)
        raise


class Signalled(KeyboardInterrupt):
    """A signal that ends the command, as an interrupt does.

    Attributes:
        number: which signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def code_of(interrupt: KeyboardInterrupt) -> int:
    """The exit code after an interrupt: 128 and the signal's number."""
    return 128 + getattr(interrupt, "number", signal.SIGINT)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let TERM and HUP end what is done inside as an interrupt does, so that it cleans up."""

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Signalled(number)

    here = threading.current_thread() is threading.main_thread()  # no other may set handlers
    kinds = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    changed = [kind for kind in kinds if here and signal.getsignal(kind) == signal.SIG_DFL]
    for kind in changed:  # not one that is ignored, as under nohup
        signal.signal(kind, end)
    try:
        yield
    finally:
        for kind in changed:
            signal.signal(kind, signal.SIG_DFL)


def study_in(directory: Path) -> Path:
    """The study file of a directory; ends the command where there is none."""
    if not directory.is_dir():
        fail(f"{directory}: there is no such directory", WRONG_USAGE)
    study = directory / "study.toml"
    if not study.is_file():
        fail(f"{directory}: no study here ({study} is missing)", WRONG_USAGE)
    return study
