"""What a record of each measurement must hold: variables, shapes, numbers, finite values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lowroad.study.measurements import MEASUREMENTS
from lowroad.study.store import DamagedRecordError, Outline, Record, Store
from lowroad.study.tasks import canonical_json

NONE: Mapping[str, int] = {}


def read_sound(store: Store, name: str, dimensions: Mapping[str, int] = NONE) -> Record:
    """Read a record as a whole and check all that it holds.

    Args:
        store: where it is.
        name: the hash of its task.
        dimensions: lengths of problems' points, where they are known, as `Study.dimensions`.

    Raises:
        FileNotFoundError: there is no such record.
        DamagedRecordError: it is not what was written, or not what its measurement writes.
    """
    record = store.read(name)
    problem = _problem(record.outline, dimensions)
    if problem:
        raise DamagedRecordError(store.path(name), problem)
    return record


def read_outline(store: Store, name: str, dimensions: Mapping[str, int] = NONE) -> dict[str, Any]:
    """Return a record's attributes; checks what `read_sound` does but for the content digest."""
    outline = store.read_outline(name)
    if problem := _problem(outline, dimensions):
        raise DamagedRecordError(store.path(name), problem)
    return outline.attributes


def _problem(outline: Outline, dimensions_of: Mapping[str, int]) -> str | None:
    """What is wrong with the names, shapes and numbers of a record; None where nothing is."""
    task = json.loads(outline.attributes["task"])
    kind, problem = task.get("measurement"), canonical_json(task.get("problem"))
    measurement = MEASUREMENTS.get(kind)
    if measurement is None:
        return f"it is of no known measurement ({kind!r:.40})"
    lengths = {"parameter": dimensions_of[problem]} if problem in dimensions_of else {}
    for name, dimensions in measurement.required.items():
        if name not in outline.sizes:
            return f"it lacks the variable {name}"
        if tuple(outline.sizes[name]) != dimensions:
            got = tuple(outline.sizes[name])
            return f"{name}: expected the dimensions {dimensions}, got {got}"
    for name, sizes in outline.sizes.items():
        for along, length in sizes.items():
            if length < 1 or lengths.setdefault(along, length) != length:
                return (
                    f"{name}: expected {lengths.get(along, 1)} numbers along {along}, got {length}"
                )
    if outline.infinite:
        return f"{outline.infinite[0]} is not finite"
    for name in ("seconds", *sorted(measurement.numbers)):
        value = outline.attributes.get(name)
        if not all(map(_is_number, value if isinstance(value, list) else [value])):
            return f"it lacks the number {name}"
    if origins_of(outline.attributes) is None:
        return "it does not say what it was computed from"
    return None


def origins_of(attributes: Mapping[str, Any]) -> dict[str, str] | None:
    """Content digests by hash of the records that one was computed from; None if it has none."""
    try:
        origins = json.loads(attributes["computed_from"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    sound = isinstance(origins, dict) and all(isinstance(each, str) for each in origins.values())
    return origins if sound else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
