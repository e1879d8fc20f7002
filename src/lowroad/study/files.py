"""Files that many processes share: written whole or not at all, read only if regular."""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

LARGEST = 100_000_000  # bytes of a file of text
CLOCK = 2.0  # seconds by which the times of processes and of files may disagree


class IrregularFileError(OSError):
    """Something of the file's name is there, but no regular file."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def _irregular(path: Path, mode: int) -> IrregularFileError:
    kinds = {
        stat.S_ISDIR: "a folder",
        stat.S_ISLNK: "a symbolic link",
        stat.S_ISFIFO: "a named pipe",
        stat.S_ISSOCK: "a socket",
    }
    kind = next((name for test, name in kinds.items() if test(mode)), "a device")
    return IrregularFileError(errno.EINVAL, f"expected a regular file, got {kind}", str(path))


def open_regular(path: Path) -> int:
    """Open a regular file for reading; nothing else is opened, so that nothing blocks.

    Raises:
        IrregularFileError: it is a folder, a link, a pipe, a socket or a device.
        OSError: it is not there, or cannot be read.
    """
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):
        raise _irregular(path, mode)
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    mode = os.fstat(file).st_mode  # it may have been replaced in between
    if not stat.S_ISREG(mode):
        os.close(file)
        raise _irregular(path, mode)
    return file


def read_regular(path: Path, largest: int = LARGEST) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: as for `open_regular`, or the file is larger than ``largest`` bytes.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        if os.fstat(file.fileno()).st_size > largest:
            raise OSError(errno.EFBIG, f"expected at most {largest:,} bytes", str(path))
        return file.read()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment it has its old content or its new one.

    Raises:
        OSError: it cannot be written; it names the file.
    """
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of `path` once all is on the disk.

    The folder is made if it is missing. The temporary name says who writes, so that others can tell
    a leftover from a file being written.

    Raises:
        OSError: it cannot be written; it names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = f"{host_name()}.{os.getpid()}.{secrets.token_hex(4)}"
    temporary = path.parent / f".{path.name}.{writer}.tmp"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):  # it cannot be removed where it could not be made
            temporary.unlink()
        if isinstance(error, OSError):  # one of `write` names no file, others the temporary one
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_irregular(path: Path) -> bool:
    """Whether something is there that is no regular file."""
    try:
        return not stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def remove_if_left_over(path: Path, day: float = 86_400.0) -> None:
    """Remove a temporary file whose writer is gone."""
    parts = path.name.split(".")
    if not path.name.startswith(".") or parts[-1] != "tmp" or len(parts) < 5:
        return
    host, pid = parts[-4], parts[-3]
    try:
        here, written = host == host_name() and is_number(pid), path.lstat().st_mtime
        old = time.time() - written > day
        if old or (here and int(pid) != os.getpid() and not is_alive(int(pid), written)):
            path.unlink(missing_ok=True)
    except (FileNotFoundError, IsADirectoryError):
        pass  # its writer has just finished, or it is no file of ours


def host_name() -> str:
    """This machine's name, as it stands in the names of files."""
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) or "unknown"


def is_number(text: str) -> bool:
    """Whether a text is a whole number in plain digits."""
    return re.fullmatch("[0-9]{1,300}", text) is not None


def is_alive(pid: int, at: float) -> bool:
    """Whether the process of this machine that had a number at a time (of `time.time`) still runs.

    A process that has ended but that nobody has waited for does not run, nor does one whose number
    another one has got since.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= at + CLOCK
    except (psutil.NoSuchProcess, OverflowError):  # no process has such a number
        return False
    except psutil.AccessDenied:
        return True


def scan(folder: Path) -> Iterator[Path]:
    """What is in a folder; nothing where there is no folder."""
    try:
        yield from folder.iterdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
