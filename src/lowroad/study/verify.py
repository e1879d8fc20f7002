"""Verifying a whole directory: every record and checkpoint, planned or not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lowroad.study.store import DamagedRecordError, Store
from lowroad.study.study_file import StudyFileError, read_study


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        records, checkpoints: how many are sound.
        damaged: a line for each that is not.
        study_file: what is wrong with the study file.
    """

    records: int
    checkpoints: int
    damaged: list[str]
    study_file: tuple[str, ...]


def verify(directory: Path) -> Verification:
    """Verify the checksums of everything in a study's directory, and change nothing.

    A record is sound if its seal fits its bytes and its name fits the task that it says it holds.
    """
    store = Store(directory)
    damaged: list[str] = []
    records = checkpoints = 0
    for name in sorted(store.hashes()):
        try:
            _verify_record(store, name)
        except DamagedRecordError as error:
            damaged.append(str(error))
        except FileNotFoundError:
            pass  # set aside by a run going on at the same time
        else:
            records += 1
    for path in store.checkpoints():
        from lowroad.study.checkpoint import Checkpoint  # here because of torch

        if Checkpoint(path).load() is not None:
            checkpoints += 1
        elif path.exists():
            damaged.append(
                f"{path}: damaged checkpoint, or of another version: its task will begin anew"
            )
    return Verification(records, checkpoints, damaged, _problems(store.study_file))


def _problems(study_file: Path) -> tuple[str, ...]:
    try:
        read_study(study_file)
    except StudyFileError as error:
        return error.problems
    return ()


def _verify_record(store: Store, name: str) -> None:
    path = store.path(name)
    try:
        task = store.read_attributes(name).get("task")
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise DamagedRecordError(path, f"its content is no HDF5 ({error})") from None
    if hashlib.sha256(str(task).encode()).hexdigest() != name:
        raise DamagedRecordError(path, "its name is not the hash of its task")
