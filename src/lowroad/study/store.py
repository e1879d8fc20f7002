"""The store: one immutable netCDF-4 file for each finished task, under the hash of the task.

Layout of a store ``DIR``::

    DIR/study.toml           the study as it was run last
    DIR/problems.json        what its problems and optimizers were made of, and their fingerprints
    DIR/records/ab/abcd….nc  a record; xarray, MATLAB, R and Julia open it as it is
    DIR/failures/abcd….txt   the traceback of a task that failed
    DIR/quarantine/abcd….nc  what was damaged or in the way
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import xarray as xr
from numpy.typing import NDArray

from lowroad.study.files import (
    IrregularFileError,
    is_irregular,
    open_regular,
    remove_if_left_over,
    scan,
    write_atomically,
)
from lowroad.study.netcdf import (
    as_netcdf,
    attributes_of,
    content_digest,
    digest_of_parts,
    dimensions_of,
    infinite,
    variables_of,
)

FORMAT = 2
FOOTER = re.compile(rb"\nlowroad record, format (\d+), sha256 ([0-9a-f]{64})\n\Z")
FOOTER_LENGTH = len(b"\nlowroad record, format 2, sha256 \n") + 64
OTHER_FOLDERS = ("failures", "snapshots", "running")
OF_THE_REPORT = ("report.html", "answers.json", "claims.json")
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of the file system that say: no room."""


class DamagedRecordError(Exception):
    """A record that is not what was once written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)  # what pickle calls it with again, after a worker raised it
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: damaged record: {self.reason}"


@dataclass(frozen=True)
class Outline:
    """What a record holds but for its arrays' numbers.

    Attributes:
        attributes: by name.
        sizes: of each array, by dimension.
        infinite: coordinates and points that hold anything but finite numbers; not the last point,
            since a run may have diverged.
    """

    attributes: dict[str, Any]
    sizes: dict[str, dict[str, int]]
    infinite: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """What a record holds: arrays with their dimensions, and attributes, by name."""

    arrays: dict[str, NDArray[Any]]
    attributes: dict[str, Any]
    dimensions: dict[str, tuple[str, ...]]

    @property
    def outline(self) -> Outline:
        """The record without its numbers."""
        sizes = {
            name: dict(zip(dimensions, self.arrays[name].shape, strict=True))
            for name, dimensions in self.dimensions.items()
            if name in self.arrays
        }
        return Outline(self.attributes, sizes, infinite(self.arrays, self.dimensions))


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
        names = {path.name.removesuffix(".nc"): path for path in self._listing()}
        return {name for name, path in names.items() if path == self.path(name)}

    def _listing(self) -> Iterator[Path]:
        for folder in scan(self.records):
            yield from scan(folder)

    def write(self, task_hash: str, dataset: xr.Dataset) -> None:
        """Write a record; it is there as a whole or not at all.

        Raises:
            OSError: the file cannot be written (no space, no permission); nothing is left of it.
        """
        dataset = dataset.assign_attrs(content_sha256=content_digest(dataset))
        content = as_netcdf(dataset)
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
            kept = {n: v for n, v in variables_of(file).items() if n not in without}
            arrays = {name: variable[()] for name, variable in kept.items()}
            dimensions = {name: dimensions_of(variable) for name, variable in kept.items()}
            if not without:
                found = digest_of_parts(
                    attributes,
                    {
                        name: (dimensions[name], arrays[name], attributes_of(variable))
                        for name, variable in kept.items()
                    },
                )
                if attributes.get("content_sha256") != found:
                    raise DamagedRecordError(
                        self.path(task_hash), "its content does not fit its content_sha256"
                    )
            return Record(arrays, attributes, dimensions)

    def read_outline(self, task_hash: str) -> Outline:
        """Read a record's attributes and its arrays' dimensions and shapes; raises as ``read``."""
        with self._open(task_hash) as (file, attributes):
            variables = variables_of(file)
            dimensions = {name: dimensions_of(variable) for name, variable in variables.items()}
            sizes = {
                name: dict(zip(dimensions[name], variable.shape, strict=True))
                for name, variable in variables.items()
            }
            return Outline(attributes, sizes, infinite(variables, dimensions))

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
            attributes = attributes_of(file)
            task = str(attributes.get("task", ""))
            if hashlib.sha256(task.encode()).hexdigest() != task_hash:
                raise DamagedRecordError(path, "it is the record of another task")
            try:
                yield file, attributes
            except (KeyError, ValueError, AttributeError, TypeError, OSError):
                raise DamagedRecordError(path, "it holds no netCDF file of ours") from None

    def _verified(self, task_hash: str) -> bytes:
        path = self.path(task_hash)
        try:
            with os.fdopen(open_regular(path), "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - FOOTER_LENGTH))
                footer = FOOTER.search(file.read(FOOTER_LENGTH))
                if not size:
                    raise DamagedRecordError(path, "the file is empty")
                if not footer:  # seen before the rest is read, however large that is
                    raise DamagedRecordError(
                        path, "it is cut short or changed: no checksum at its end"
                    )
                if footer[1] != str(FORMAT).encode():
                    raise DamagedRecordError(
                        path, f"expected format {FORMAT}, got {footer[1].decode()}"
                    )
                file.seek(0)
                body = file.read(size - FOOTER_LENGTH)
        except FileNotFoundError:
            raise
        except IrregularFileError as error:
            raise DamagedRecordError(path, str(error.strerror)) from None
        except OSError as error:
            raise DamagedRecordError(path, f"cannot be read ({error.strerror})") from None
        if hashlib.sha256(body).hexdigest() != footer[2].decode():
            raise DamagedRecordError(path, "its content does not fit its checksum")
        return body

    def quarantine(self, task_hash: str, check: Callable[[], None]) -> Path | None:
        """Move a record that cannot be used into the quarantine and return where it is now.

        None where another run was quicker: it has moved the record, or has replaced it by one that
        passes `check`, which raises `DamagedRecordError` otherwise.
        """
        try:
            check()
        except FileNotFoundError:
            return None
        except DamagedRecordError:
            pass
        else:
            return None
        try:
            return self._set_aside(self.path(task_hash))
        except FileNotFoundError:
            return None

    def _set_aside(self, path: Path) -> Path:
        folder = self.directory / "quarantine"
        if os.path.lexists(folder) and not folder.is_dir():
            os.replace(folder, moved := self.directory / "not the quarantine")
            folder.mkdir()
            os.replace(moved, folder / "quarantine")
        folder.mkdir(exist_ok=True)
        target, number = folder / path.name, 1
        while os.path.lexists(target):
            number += 1
            target = folder / f"{path.stem}-{number}{path.suffix}"
        os.replace(path, target)
        return target

    def make_room(self) -> list[str]:
        """Move into the quarantine what stands where a file or a folder of the store belongs.

        Returns:
            A line for each.
        """
        folders = [self.records, *(self.directory / name for name in OTHER_FOLDERS)]
        files = [self.study_file, self.problems_file, self.index_file]
        files += [self.directory / name for name in OF_THE_REPORT]
        found = [path for path in folders if os.path.lexists(path) and not path.is_dir()]
        within = list(scan(self.records))
        found += [p for p in within if re.fullmatch("[0-9a-f]{2}", p.name) and not p.is_dir()]
        for folder, ending in (("failures", ".txt"), ("snapshots", ".pt"), ("running", ".json")):
            files += [p for p in scan(self.directory / folder) if p.suffix == ending]
        files += [path for path in self._listing() if path.suffix == ".nc"]
        found += [path for path in files if is_irregular(path)]
        return [
            f"{path}: no file or folder of this study; moved to {self._set_aside(path)}"
            for path in found
        ]

    def failure_path(self, task_hash: str) -> Path:
        """Where the traceback of a failed task is, or would be."""
        return self.directory / "failures" / f"{task_hash}.txt"

    def snapshot_path(self, task_hash: str) -> Path:
        """Where the snapshot of a trajectory is, or would be."""
        return self.directory / "snapshots" / f"{task_hash}.pt"

    def snapshots(self) -> list[Path]:
        """All snapshots, whosever they are."""
        return sorted(p for p in scan(self.directory / "snapshots") if p.suffix == ".pt")

    def failures(self) -> set[str]:
        """Hashes of the tasks that failed when they were tried last."""
        return {path.stem for path in scan(self.directory / "failures") if path.suffix == ".txt"}

    def remove_leftovers(self) -> None:
        """Remove temporary files of writers that are gone."""
        for folder in (self.directory, *(self.directory / name for name in OTHER_FOLDERS)):
            for path in scan(folder):
                remove_if_left_over(path)
        for path in self._listing():
            remove_if_left_over(path)
