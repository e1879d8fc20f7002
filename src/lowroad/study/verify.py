"""Verifying a whole directory: every record and snapshot, planned or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lowroad.study.content import origins_of, read_sound
from lowroad.study.store import DamagedRecordError, Store
from lowroad.study.study_file import StudyFileError


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        records, snapshots: how many are sound.
        damaged: a line for each that is not.
        study_file: what is wrong with the study file and the list of the study's problems.
    """

    records: int
    snapshots: int
    damaged: list[str]
    study_file: tuple[str, ...]


def verify(directory: Path) -> Verification:
    """Verify everything in a study's directory, and change nothing.

    A record is sound if its checksum fits its bytes and its name the hash inputs that it holds, if
    it has its measurement's variables, shapes and finite numbers, and if the records that it was
    computed from, where they are there, have the content that they had then.
    """
    from lowroad.study.run import read_known  # both here because of torch
    from lowroad.study.snapshot import SnapshotFile

    store = Store(directory)
    damaged: list[str] = []
    digests: dict[str, str] = {}
    origins: dict[str, dict[str, str]] = {}
    known = read_known(store)
    dimensions = {} if known is None else known.dimensions
    for name in sorted(store.hashes()):
        try:
            record = read_sound(store, name, dimensions)
            origins[name] = origins_of(record.attributes) or {}
            digests[name] = str(record.attributes["content_sha256"])
        except DamagedRecordError as error:
            damaged.append(str(error))
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
    return Verification(len(digests), snapshots, damaged, _problems(directory))


def _problems(directory: Path) -> tuple[str, ...]:
    from lowroad.study.results import read_resolved

    try:
        read_resolved(directory)
    except StudyFileError as error:
        return error.problems
    except OSError as error:
        return (str(error),)
    return ()
