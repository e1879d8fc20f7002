"""The store: one immutable netCDF-4 file for each finished task, under the hash of the task.

Layout of a store ``DIR``::

    DIR/study.toml           the study as it was run last
    DIR/problems.json        what its problems and optimizers were made of, and their fingerprints
    DIR/records/ab/abcd….nc  a record; xarray, MATLAB, R and Julia open it as it is
    DIR/failures/abcd….txt   the traceback of a task that failed
    DIR/quarantine/abcd….nc  records that were found damaged and moved out of the way
    DIR/snapshots/abcd….pt   where a training run is, or how far it went; longer runs go on from it
    DIR/running/HOST.PID.json  what a run is doing, as long as it lives
    DIR/index.csv            which record is which; derived, see ``index.py``

A record ends with a *checksum footer*, a line with the SHA-256 of all bytes before it. HDF5 ignores
what follows its own end of file, so other programs do not see it; the store verifies it before it
looks into a file, and so never parses damaged bytes. A record also holds the hash inputs of its
task: one that lies under another task's name is as damaged as one whose bytes have changed.

Files are written under a temporary name, flushed and renamed, and never written to again: many
processes share a store without locks.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

FORMAT = 2
FOOTER = re.compile(rb"\nlowroad record, format (\d+), sha256 ([0-9a-f]{64})\n\Z")
FOOTER_LENGTH = len(b"\nlowroad record, format 2, sha256 \n") + 64
OTHER_FOLDERS = ("failures", "snapshots", "running")
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of the file system that say: no room."""
PROVENANCE = frozenset({"seconds", "elapsed", "created", "machine", "versions", "content_sha256"})
"""Variables and attributes that may differ between two runs of the same task."""


class DamagedRecordError(Exception):
    """A record that is not what was once written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)  # what pickle calls it with again, after a worker raised it
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: damaged record: {self.reason}"


@dataclass(frozen=True)
class Record:
    """What a record holds: arrays with their dimensions, and attributes, by name."""

    arrays: dict[str, NDArray[Any]]
    attributes: dict[str, Any]
    dimensions: dict[str, tuple[str, ...]]


class Store:
    """The records in a directory, which need not exist before something is written.

    Args:
        directory: the study's directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self.records = self.directory / "records"
        self.study_file = self.directory / "study.toml"
        self.running = self.directory / "running"
        self.index_file = self.directory / "index.csv"
        self.problems_file = self.directory / "problems.json"

    def path(self, task_hash: str) -> Path:
        """Where the record of a task is, or would be."""
        return self.records / task_hash[:2] / f"{task_hash}.nc"

    def hashes(self) -> set[str]:
        """Hashes of all records, from the directory listing alone."""
        return {path.name.removesuffix(".nc") for path in self._listing() if path.suffix == ".nc"}

    def _listing(self) -> Iterator[Path]:
        for folder in _scan(self.records):
            yield from _scan(folder)

    def write(self, task_hash: str, dataset: xr.Dataset) -> None:
        """Write a record; it is there as a whole or not at all.

        Raises:
            OSError: the file cannot be written (no space, no permission); nothing is left of it.
        """
        dataset = dataset.assign_attrs(content_sha256=content_digest(dataset))
        content = _as_netcdf(dataset)
        digest = hashlib.sha256(content).hexdigest()
        footer = f"\nlowroad record, format {FORMAT}, sha256 {digest}\n".encode()
        write_atomically(self.path(task_hash), content + footer)
        self.failure_path(task_hash).unlink(missing_ok=True)

    def read(self, task_hash: str, without: frozenset[str] = frozenset()) -> Record:
        """Read a record into memory, but for the arrays in `without`, after verifying it.

        Raises:
            FileNotFoundError: there is no such record.
            DamagedRecordError: the file is not what was written, or is the record of another task.
        """
        # Not through xarray, which takes 30 ms a file.
        with self._open(task_hash) as (file, attributes):
            kept = {
                name: variable
                for name, variable in file.items()
                if name not in without and not _is_only_a_dimension(variable)
            }
            return Record(
                {name: variable[()] for name, variable in kept.items()},
                attributes,
                {name: _dimensions(variable) for name, variable in kept.items()},
            )

    def read_attributes(self, task_hash: str) -> dict[str, Any]:
        """Read only a record's attributes; raises as ``read`` does."""
        with self._open(task_hash) as (_, attributes):
            return attributes

    @contextmanager
    def _open(self, task_hash: str) -> Iterator[tuple[h5py.File, dict[str, Any]]]:
        path = self.path(task_hash)
        try:
            file = h5py.File(io.BytesIO(self._verified(task_hash)))
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise DamagedRecordError(path, "it holds no netCDF file") from None
        with file:
            attributes = _attributes(file)
            task = str(attributes.get("task", ""))
            if hashlib.sha256(task.encode()).hexdigest() != task_hash:
                raise DamagedRecordError(path, "it is the record of another task")
            try:
                yield file, attributes
            except KeyError as error:
                raise DamagedRecordError(path, f"it lacks {error}") from None

    def verify(self, task_hash: str) -> None:
        """Verify a record's checksum and whose record it is; raises as ``read`` does."""
        self.read_attributes(task_hash)

    def _verified(self, task_hash: str) -> bytes:
        path = self.path(task_hash)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DamagedRecordError(path, f"cannot be read ({error.strerror})") from None
        if not content:
            raise DamagedRecordError(path, "the file is empty")
        footer = FOOTER.search(content[-FOOTER_LENGTH:])
        if not footer:
            raise DamagedRecordError(path, "it is cut short or changed: no checksum at its end")
        if int(footer[1]) != FORMAT:
            raise DamagedRecordError(path, f"expected format {FORMAT}, got {int(footer[1])}")
        body = content[:-FOOTER_LENGTH]
        if hashlib.sha256(body).hexdigest() != footer[2].decode():
            raise DamagedRecordError(path, "its content does not fit its checksum")
        return body

    def quarantine(self, task_hash: str) -> Path | None:
        """Move a damaged record into the quarantine and return where it is now.

        None where another run was quicker: it has moved the record, or has replaced it by a sound
        one, which stays.
        """
        try:
            self.verify(task_hash)
        except FileNotFoundError:
            return None
        except DamagedRecordError:
            pass
        else:
            return None
        folder = self.directory / "quarantine"
        folder.mkdir(exist_ok=True)
        target, number = folder / f"{task_hash}.nc", 1
        while target.exists():
            number += 1
            target = folder / f"{task_hash}-{number}.nc"
        try:
            os.replace(self.path(task_hash), target)
        except FileNotFoundError:
            return None
        return target

    def failure_path(self, task_hash: str) -> Path:
        """Where the traceback of a failed task is, or would be."""
        return self.directory / "failures" / f"{task_hash}.txt"

    def snapshot_path(self, task_hash: str) -> Path:
        """Where the snapshot of a trajectory is, or would be."""
        return self.directory / "snapshots" / f"{task_hash}.pt"

    def snapshots(self) -> list[Path]:
        """All snapshots, whosever they are."""
        return sorted(p for p in _scan(self.directory / "snapshots") if p.suffix == ".pt")

    def failures(self) -> set[str]:
        """Hashes of the tasks that failed when they were tried last."""
        return {path.stem for path in _scan(self.directory / "failures") if path.suffix == ".txt"}

    def remove_leftovers(self) -> None:
        """Remove temporary files of writers that are gone."""
        for folder in (self.directory, *(self.directory / name for name in OTHER_FOLDERS)):
            for path in _scan(folder):
                _remove_if_left_over(path)
        for path in self._listing():
            _remove_if_left_over(path)


def _as_netcdf(dataset: xr.Dataset) -> bytes:
    """The bytes of a netCDF-4 file; equal data sets give equal bytes."""
    # Not with `Dataset.to_netcdf`, which asks for locks of the scheduler when a worker calls it.
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        file.dimensions = {str(name): size for name, size in dataset.sizes.items()}
        file.attrs.update(dataset.attrs)
        for name, variable in dataset.variables.items():
            written = file.create_variable(str(name), variable.dims, data=variable.values)
            written.attrs.update(variable.attrs)
    return buffer.getvalue()


def _attributes(file: h5py.File) -> dict[str, Any]:
    """The file's attributes as plain Python values, without netCDF's own."""
    return {name: _plain(value) for name, value in file.attrs.items() if name[0] != "_"}


def _is_only_a_dimension(variable: h5py.Dataset) -> bool:
    """Whether an HDF5 data set merely stands for a netCDF dimension without coordinates."""
    return bytes(variable.attrs.get("NAME", b"")).startswith(b"This is a netCDF dimension but not")


def _dimensions(variable: h5py.Dataset) -> tuple[str, ...]:
    """Names of a netCDF variable's dimensions."""
    if "DIMENSION_LIST" not in variable.attrs:
        return (variable.name.rpartition("/")[2],) if variable.ndim else ()
    file = variable.file
    return tuple(
        file[reference[0]].name.rpartition("/")[2] for reference in variable.attrs["DIMENSION_LIST"]
    )


def content_digest(dataset: xr.Dataset) -> str:
    """SHA-256 over names, dimensions, types, bytes and attributes, without provenance.

    Two records of the same task have equal digests, whenever and wherever they were computed.
    """
    digest = hashlib.sha256()

    def add(*parts: Any) -> None:
        digest.update(repr(parts).encode())

    add(sorted((key, _plain(value)) for key, value in dataset.attrs.items() if _lasting(key)))
    for name in sorted(filter(_lasting, map(str, dataset.variables))):
        variable = dataset.variables[name]
        values = np.ascontiguousarray(variable.values)
        add(name, variable.dims, values.shape, values.dtype.str)
        add(sorted((key, _plain(value)) for key, value in variable.attrs.items()))
        digest.update(values.tobytes())
    return digest.hexdigest()


def _lasting(name: Any) -> bool:
    return name not in PROVENANCE


def _plain(value: Any) -> Any:
    """An attribute as Python values: netCDF holds numbers as arrays of one."""
    if isinstance(value, np.ndarray) and value.size == 1:
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment it has its old content or its new one.

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
            file.write(content)
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


def _remove_if_left_over(path: Path, day: float = 86_400.0) -> None:
    parts = path.name.split(".")
    if not path.name.startswith(".") or parts[-1] != "tmp" or len(parts) < 5:
        return
    host, pid = parts[-4], parts[-3]
    try:
        here = host == host_name() and pid.isdigit()
        old = time.time() - path.stat().st_mtime > day
        if old or (here and int(pid) != os.getpid() and not is_alive(int(pid))):
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        pass  # its writer has just finished


def host_name() -> str:
    """This machine's name, as it stands in the names of files."""
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) or "unknown"


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _scan(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except (FileNotFoundError, NotADirectoryError):
        return
