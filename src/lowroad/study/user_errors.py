"""Errors in the user's own code, told with the user's own part of the traceback."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import lowroad

OURS = Path(lowroad.__file__).parent
MOST_FRAMES = 10


class UserCodeError(Exception):
    """A module of the study's folder raised.

    Args:
        place: what it was called for, such as "problems.net".
        error: what it raised.
        folder: the study's folder.
    """

    def __init__(self, place: str, error: BaseException, folder: Path) -> None:
        trace = "".join(traceback.format_exception(error, chain=False))
        super().__init__(f"{place}: an error in your code:\n{users_part(trace, folder)}")


def is_users(error: BaseException, folder: Path | None) -> bool:
    """Whether an error comes from a module of the study's folder, not from a refusal of ours."""
    if folder is None:
        return False
    if isinstance(error, SyntaxError) and error.filename is not None:
        return Path(error.filename).is_relative_to(folder)
    frames = traceback.extract_tb(error.__traceback__)
    files = [Path(frame.filename) for frame in frames]
    return not files[-1].is_relative_to(OURS) and any(f.is_relative_to(folder) for f in files)


def users_part(trace: str, folder: Path | None) -> str:
    """Those frames of a traceback that are in the study's folder, and what was raised.

    All of it where none is.
    """
    parts = re.split(r'(?m)^(?=  File "|\S)', trace)
    frames = [part for part in parts if part.startswith('  File "')]
    own = [
        frame for frame in frames
        if folder is not None and Path(frame.split('"')[1]).is_relative_to(folder)
    ]  # fmt: skip
    if not own:
        return trace.rstrip()
    raised = parts[parts.index(frames[-1]) + 1 :]
    return "".join([*own[-MOST_FRAMES:], *raised]).rstrip()
