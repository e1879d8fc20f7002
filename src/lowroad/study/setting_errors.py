"""Errors of settings in words: the place in the study file, what was expected, what came."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from lowroad.nearest import nearest

MOST_LINES = 50


def setting_errors(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line for each problem, with the nearest known name of `model` for a slip."""
    details = error.errors(include_url=False)
    lines: dict[str, None] = {}
    for number, detail in enumerate(details):
        if len(lines) >= MOST_LINES:
            return [*lines, f"and {len(details) - number} more"]
        lines |= dict.fromkeys(_describe(detail, model))
    return list(lines)


def _describe(detail: Any, model: type[BaseModel]) -> Iterable[str]:
    """Lines for one of pydantic's errors: the place, what was expected, what came."""
    loc = tuple(part for part in detail["loc"] if part != "[key]")
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{_key(p)}" for p in loc)[1:]
    kind, message, came = detail["type"], str(detail["msg"]), detail["input"]
    if kind == "extra_forbidden":
        yield f"{place}: no such setting{_suggest(loc, model)}"
    elif kind == "missing":
        yield f'{place}: missing; expected a line such as {place} = "..."'
    elif kind == "value_error" and not loc:
        yield from message.removeprefix("Value error, ").splitlines()
    else:
        expected = message.removeprefix("Value error, ")
        for start in ("Input should be ", "String should "):
            expected = expected.replace(start, "expected " + ("to " if "String" in start else ""))
        for theirs, ours in _WORDS.items():
            expected = re.sub(theirs, ours, expected)
        hint = ""
        if kind == "literal_error" and isinstance(came, str):
            hint = nearest(came, re.findall("'(.+?)'", str(detail["ctx"]["expected"])))
        yield f"{place or 'study'}: {expected}, got {shown(came)}{hint}"


_WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "a string",
    r"a valid dictionary( or instance of \w+)?": "a table",
    "a valid tuple": 'a list such as ["sgd", "adam"]',
    "to match pattern '.+'": "a name of letters, digits, '.', '_' and '-', a letter or digit first",
}


def shown(value: Any) -> str:
    """A value as in a study file, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    return shortened(f'"{value}"' if isinstance(value, str) else repr(value))


def _key(name: str) -> str:
    """A key as in a study file: quoted unless it is a bare one."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else shortened(f'"{name}"')


def shortened(text: str) -> str:
    """At most 60 characters of a text."""
    return text if len(text) <= 60 else text[:57] + "..."


def printable(text: str) -> str:
    """Text on one line, with escapes for what a terminal could not show or would obey."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _suggest(loc: Sequence[int | str], model: type[BaseModel]) -> str:
    """The nearest known name: the same name elsewhere, a similar one here, or one elsewhere."""
    parts = [str(part) for part in loc]
    if parts[0] == "problems" and len(parts) > 2:
        parts = parts[2:]
    places = list(_places(model, ""))
    here, name = ".".join(parts[:-1]), parts[-1]
    known = [last for parent, last in places if parent == here]
    homes = {last: f"{parent}.{last}" if parent else last for parent, last in reversed(places)}
    if name in homes:
        return f'; did you mean "{homes[name]}"?'
    if "did you mean" in (hint := nearest(name, known)):
        return hint
    if close := difflib.get_close_matches(name, homes, n=1, cutoff=0.6):
        return f'; did you mean "{homes[close[0]]}"?'
    return hint if known else ""


def _places(model: type[BaseModel], parent: str) -> Iterable[tuple[str, str]]:
    """Parent table and name of every setting."""
    for name, field in model.model_fields.items():
        yield parent, name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _places(field.annotation, f"{parent}.{name}" if parent else name)
