"""What the command line says when something is wrong, and its exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

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
    except KeyboardInterrupt:
        fail("Interrupted", INTERRUPTED)
    except Exception as error:
        from lowroad.execution.clusters import ClusterError
        from lowroad.paper.mnist import MnistError

        if isinstance(error, MnistError | ClusterError):
            fail(str(error), FAILED)
        raise


def study_in(directory: Path) -> Path:
    """The study file of a directory; ends the command where there is none."""
    if not directory.is_dir():
        fail(f"{directory}: there is no such directory", WRONG_USAGE)
    study = directory / "study.toml"
    if not study.is_file():
        fail(f"{directory}: no study here ({study} is missing)", WRONG_USAGE)
    return study
