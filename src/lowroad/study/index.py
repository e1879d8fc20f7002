"""The index: which record is which, in one table that can be rebuilt at any time.

Opening ten thousand files takes seconds, reading them whole takes longer. ``DIR/index.csv`` keeps
what a glance needs. It is derived: without it, or where it is out of date, the records themselves
are read, and nothing that is computed depends on it.
"""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any

from lowroad.study.content import read_outline
from lowroad.study.files import read_regular, write_atomically
from lowroad.study.store import DamagedRecordError, Store

SUMMARY = frozenset({"train_value", "validation_value", "representatives"})


@dataclass(frozen=True)
class IndexRow:
    """A record: its task in words, numbers that plans and estimates need, and its file's state."""

    record: str
    title: str
    seconds: float
    summary: str
    bytes: int
    modified: int

    @property
    def numbers(self) -> dict[str, Any]:
        """Those attributes of the record that a plan needs."""
        return dict(json.loads(self.summary))


@dataclass(frozen=True)
class Index:
    """The records that are sound as far as the index knows, by hash, and a line for each other."""

    rows: dict[str, IndexRow]
    damaged: list[str]


def read_index(store: Store) -> Index:
    """Read the index, and bring it up to date by reading records that are new or have changed.

    A record of the same size and time as before is not read again: only ``lowroad verify`` and
    ``lowroad run`` look at every byte. The file is rewritten if there was something new and the
    directory can be written.
    """
    old = _read(store)
    rows: dict[str, IndexRow] = {}
    damaged = []
    for name in sorted(store.hashes()):
        try:
            state = store.path(name).lstat()
            row = old.get(name)
            if row is None or (row.bytes, row.modified) != (state.st_size, state.st_mtime_ns):
                attributes = read_outline(store, name)
                row = IndexRow(
                    record=name,
                    title=str(attributes.get("title", "")),
                    seconds=float(attributes["seconds"]),
                    summary=json.dumps(
                        {n: attributes[n] for n in sorted(SUMMARY & attributes.keys())}
                    ),
                    bytes=state.st_size,
                    modified=state.st_mtime_ns,
                )
            rows[name] = row
        except DamagedRecordError as error:
            damaged.append(str(error))
        except FileNotFoundError:
            continue  # set aside by a run going on at the same time
    if rows != old:
        with suppress(OSError):
            _write(store, rows)
    return Index(rows, damaged)


def _read(store: Store) -> dict[str, IndexRow]:
    kinds = {"seconds": float, "bytes": int, "modified": int}
    rows = {}
    try:
        text = io.StringIO(read_regular(store.index_file).decode())
        for line in csv.DictReader(text):
            row = IndexRow(**{name: kinds.get(name, str)(text) for name, text in line.items()})
            if _is_row(row):
                rows[row.record] = row
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        csv.Error,
    ):
        return {}  # there is none, or it is damaged
    return rows


def _is_row(row: IndexRow) -> bool:
    """Whether a row holds numbers that may be believed; others may write what they like."""
    numbers = json.loads(row.summary)
    listed = [n for each in numbers.values() for n in (each if isinstance(each, list) else [each])]
    known = numbers.keys() <= SUMMARY and all(isinstance(n, int | float) for n in listed)
    return known and 0 <= row.seconds < 1e9


def _write(store: Store, rows: dict[str, IndexRow]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(IndexRow)], lineterminator="\n")
    table.writeheader()
    table.writerows(map(asdict, rows.values()))
    write_atomically(store.index_file, text.getvalue().encode())
