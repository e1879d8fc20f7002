"""Study files: TOML read into a :class:`StudyConfig` with readable errors, and written back."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from lowroad.study.config import NetworkSettings, StudyConfig


class StudyFileError(ValueError):
    """A study file that cannot be used: one readable line for each problem.

    Attributes:
        problems: the lines, each beginning with the place of the problem.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(_printable(line) for line in problems)
        super().__init__("\n".join(self.problems))


def parse_study(raw: Mapping[str, Any]) -> StudyConfig:
    """Check a study given as nested dictionaries.

    Raises:
        StudyFileError: with one line for each unknown key, wrong type or conflict.

    >>> parse_study({"name": "a", "train": {"sgd": {"epoch": 3}}})
    Traceback (most recent call last):
    lowroad.study.study_file.StudyFileError: train.sgd.epoch: no such setting; did you mean ...
    """
    try:
        return StudyConfig.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # A mistake in [train] shows again inside each network's completed table: say it once.
        plain = {(detail["loc"], detail["type"]) for detail in details}
        own = [
            detail
            for detail in details
            if detail["loc"][:1] != ("network",) or (detail["loc"][2:], detail["type"]) not in plain
        ]
        lines = [line for detail in own for line in _describe(detail)]
        raise StudyFileError(list(dict.fromkeys(lines))) from None


def read_study(path: Path, assignments: Sequence[str] = ()) -> StudyConfig:
    """Read a study file and apply assignments such as ``"train.seeds=8"`` to it.

    Raises:
        StudyFileError: the file is missing, is no TOML, or holds wrong settings.
    """
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8"))
    except tomllib.TOMLDecodeError as error:
        # Python 3.11 to 3.13 give the place only inside the message.
        message, _, place = str(error).rpartition(" (at ")
        line = place.removeprefix("line ").split(",")[0].rstrip(")")
        where = f"{path}:{line}" if line.isdigit() else str(path)
        raise StudyFileError([f"{where}: {message or place.rstrip(')')}"]) from None
    except UnicodeDecodeError as error:
        raise StudyFileError([f"{path}: expected UTF-8 text; byte {error.start} is not"]) from None
    except RecursionError:
        raise StudyFileError([f"{path}: tables or lists are nested too deeply"]) from None
    except OSError as error:
        raise StudyFileError([f"{path}: cannot be read: {error.strerror}"]) from None
    for assignment in assignments:
        _assign(raw, assignment)
    try:
        return parse_study(raw)
    except StudyFileError as error:
        raise StudyFileError([f"{path}: {line}" for line in error.problems]) from None


def _assign(raw: dict[str, Any], assignment: str) -> None:
    """Apply ``key.key=value``; the value is TOML, and anything else counts as a string."""
    key, equals, text = assignment.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise StudyFileError([f"--set {assignment}: expected KEY=VALUE such as train.seeds=8"])
    value: Any = text.strip()
    try:
        parsed = tomllib.loads(f"value = {text}")
        value = parsed["value"] if len(parsed) == 1 else value
    except (tomllib.TOMLDecodeError, RecursionError):
        pass
    table = raw
    for depth, part in enumerate(parts[:-1], start=1):
        below = table.setdefault(part, {})
        if not isinstance(below, dict):
            place = ".".join(parts[:depth])
            raise StudyFileError([f"--set {assignment}: {place} is a value, not a table"])
        table = below
    table[parts[-1]] = value


def _describe(detail: Any) -> Iterable[str]:
    """Lines for one of pydantic's errors: the place, what was expected, what came."""
    loc = tuple(part for part in detail["loc"] if part != "[key]")
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{_key(p)}" for p in loc)[1:]
    kind, message, came = detail["type"], str(detail["msg"]), detail["input"]
    if kind == "extra_forbidden":
        yield f"{place}: no such setting{_suggest(loc)}"
    elif kind == "missing":
        yield f'{place}: missing; expected a line such as {place} = "quick"'
    elif kind == "value_error" and not loc:
        yield from message.removeprefix("Value error, ").splitlines()
    else:
        expected = message.removeprefix("Value error, ")
        for start in ("Input should be ", "String should "):
            expected = expected.replace(start, "expected " + ("to " if "String" in start else ""))
        for theirs, ours in _WORDS.items():
            expected = re.sub(theirs, ours, expected)
        nearest = ""
        if kind == "literal_error" and isinstance(came, str):
            nearest = _nearest(came, re.findall("'(.+?)'", str(detail["ctx"]["expected"])))
        yield f"{place or 'study'}: {expected}, got {_show(came)}{nearest}"


_WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "a string",
    r"a valid dictionary( or instance of \w+)?": "a table",
    "a valid tuple": 'a list such as ["FCP", "LSTM"]',
}


def _show(value: Any) -> str:
    """A value as in a study file, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    return _shortened(f'"{value}"' if isinstance(value, str) else repr(value))


def _key(name: str) -> str:
    """A key as in a study file: quoted unless it is a bare one."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _shortened(f'"{name}"')


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _printable(text: str) -> str:
    """Text on one line, with escapes for what a terminal could not show or would obey."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    spelled = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), spelled, n=1, cutoff=0.6)
    return f'; did you mean "{spelled[close[0]]}"?' if close else ""


def _suggest(loc: Sequence[int | str]) -> str:
    """The nearest known name: the same name elsewhere, a similar one here, or one elsewhere."""
    parts = [str(part) for part in loc]
    model: type[BaseModel] = StudyConfig
    if parts[0] == "network":
        model, parts = NetworkSettings, parts[2:]
    places = list(_places(model, ""))
    here, name = ".".join(parts[:-1]), parts[-1]
    known = [last for parent, last in places if parent == here]
    homes = {last: f"{parent}.{last}" if parent else last for parent, last in reversed(places)}
    if name in homes:
        return f'; did you mean "{homes[name]}"?'
    if near := _nearest(name, known):
        return near
    if close := difflib.get_close_matches(name, homes, n=1, cutoff=0.6):
        return f'; did you mean "{homes[close[0]]}"?'
    return f"; known here: {', '.join(known)}"


def _places(model: type[BaseModel], parent: str) -> Iterable[tuple[str, str]]:
    """Parent table and name of every setting."""
    for name, field in model.model_fields.items():
        yield parent, name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _places(field.annotation, f"{parent}.{name}" if parent else name)


def to_toml(config: StudyConfig) -> str:
    """The study as a TOML file with every setting; reading it gives an equal study.

    >>> config = parse_study({"name": "tiny", "networks": ["FCP"]})
    >>> parse_study(tomllib.loads(to_toml(config))) == config
    True
    """
    return "\n".join(_toml_lines(_document(config), ())) + "\n"


def _document(config: StudyConfig) -> dict[str, Any]:
    """The study as nested dictionaries, with only the differences in the networks' tables."""
    document = config.model_dump(mode="json", exclude_none=True)
    base = {key: document[key] for key in NetworkSettings.model_fields}
    document["network"] = {
        name: _difference(base, table) for name, table in document.pop("network").items()
    }
    return document


def differences(old: StudyConfig, new: StudyConfig) -> list[str]:
    """What changed from ``old`` to ``new``, one line a setting: ``train.seeds: 8 -> 16``."""
    before, after = (_flat(_document(config), "") for config in (old, new))
    lines = []
    for place in dict.fromkeys([*before, *after]):
        was, now = before.get(place, "unset"), after.get(place, "unset")
        if was != now:
            lines.append(f"{place}: {_show(was)} -> {_show(now)}")
    return lines


def _flat(table: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def _difference(base: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """Those entries of ``table`` that differ from ``base``."""
    result: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            if inner := _difference(base[key], value):
                result[key] = inner
        elif value != base.get(key):
            result[key] = value
    return result


def _toml_lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterable[str]:
    for key, value in table.items():
        if not isinstance(value, dict):
            yield f"{key} = {_toml_value(value)}"
    for key, value in table.items():
        if isinstance(value, dict):
            if any(not isinstance(item, dict) for item in value.values()):
                yield f"\n[{'.'.join((*path, key))}]"
            yield from _toml_lines(value, (*path, key))


def _toml_value(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'  # names, activations and gammas: none needs an escape
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return repr(value)
