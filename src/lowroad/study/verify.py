"""Verifying a whole directory: every record and snapshot, planned or not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowroad.study.measurements import MEASUREMENTS
from lowroad.study.store import DamagedRecordError, Record, Store
from lowroad.study.study_file import StudyFileError, read_study


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        records, snapshots: how many are sound.
        damaged: a line for each that is not.
        study_file: what is wrong with the study file.
    """

    records: int
    snapshots: int
    damaged: list[str]
    study_file: tuple[str, ...]


def verify(directory: Path) -> Verification:
    """Verify everything in a study's directory, and change nothing.

    A record is sound if its checksum fits its bytes, its name the hash inputs that it holds, it has
    its measurement's variables with numbers, and the records that it was computed from, where they
    are there, have the content that they had then.
    """
    from lowroad.study.snapshot import SnapshotFile  # here because of torch

    store = Store(directory)
    damaged: list[str] = []
    digests: dict[str, str] = {}
    origins: dict[str, dict[str, str]] = {}
    for name in sorted(store.hashes()):
        try:
            record = store.read(name)
            if problem := _content_problem(record):
                raise DamagedRecordError(store.path(name), problem)
            origins[name] = json.loads(record.attributes["computed_from"])
            digests[name] = str(record.attributes["content_sha256"])
        except DamagedRecordError as error:
            damaged.append(str(error))
        except (KeyError, ValueError, AttributeError, TypeError, RecursionError):
            damaged.append(f"{store.path(name)}: damaged record: it lacks its attributes")
        except FileNotFoundError:
            pass  # quarantined by a run going on at the same time
    for name, inputs in origins.items():
        damaged += [
            f"{store.path(name)}: computed from another content of record {other}"
            for other, digest in inputs.items()
            if digests.get(other, digest) != digest
        ]
    snapshots = 0
    for path in store.snapshots():
        if SnapshotFile(path).load() is not None:
            snapshots += 1
        elif path.exists():
            damaged.append(
                f"{path}: damaged snapshot, or of another version: its run would begin anew"
            )
    return Verification(len(digests), snapshots, damaged, _problems(store.study_file))


def _content_problem(record: Record) -> str | None:
    """What is wrong with a record whose bytes are those that were written."""
    task: Any = json.loads(record.attributes["task"])
    measurement = MEASUREMENTS.get(task.get("measurement"))
    if measurement is None:
        return f"it is of no known measurement ({task.get('measurement')!r:.40})"
    if lacking := measurement.required - record.arrays.keys():
        return f"it lacks {', '.join(sorted(lacking))}"
    for name in measurement.required & measurement.on_demand:
        if not np.isfinite(record.arrays[name]).all():
            return f"{name} is not finite"
    return None


def _problems(study_file: Path) -> tuple[str, ...]:
    try:
        read_study(study_file)
    except StudyFileError as error:
        return error.problems
    return ()
