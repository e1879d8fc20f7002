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
from math import nan
from typing import Any

from lowroad.study.store import DamagedRecordError, Store, write_atomically

SUMMARY = ("train_value", "validation_value", "representatives")


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
            state = store.path(name).stat()
            row = old.get(name)
            if row is None or (row.bytes, row.modified) != (state.st_size, state.st_mtime_ns):
                attributes = store.read_attributes(name)
                row = IndexRow(
                    record=name,
                    title=str(attributes.get("title", "")),
                    seconds=float(attributes.get("seconds", nan)),
                    summary=json.dumps({n: attributes[n] for n in SUMMARY if n in attributes}),
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
        for line in csv.DictReader(io.StringIO(store.index_file.read_text(encoding="utf-8"))):
            row = IndexRow(**{name: kinds.get(name, str)(text) for name, text in line.items()})
            if row.numbers.get("train_value", 0.0) is not None:
                rows[row.record] = row
    except (OSError, ValueError, TypeError, OverflowError, RecursionError, csv.Error):
        return {}  # there is none, or it is damaged
    return rows


def _write(store: Store, rows: dict[str, IndexRow]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(IndexRow)], lineterminator="\n")
    table.writeheader()
    table.writerows(map(asdict, rows.values()))
    write_atomically(store.index_file, text.getvalue().encode())
