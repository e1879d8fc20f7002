"""Study files: TOML read into a :class:`StudyConfig` with readable errors, and written back."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from lowroad.study.config import StudyConfig
from lowroad.study.setting_errors import printable, setting_errors, shortened, shown

DEEPEST = 20  # parts of a key
LONGEST = 10_000  # bits of a whole number
LARGEST = 10_000_000  # bytes of a study file


class StudyFileError(ValueError):
    """A study file that cannot be used: one readable line for each problem.

    Attributes:
        problems: the lines, each beginning with the place of the problem.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(printable(line) for line in problems)
        super().__init__("\n".join(self.problems))


def parse_study(raw: Mapping[str, Any]) -> StudyConfig:
    """Check a study given as nested dictionaries.

    Raises:
        StudyFileError: with one line for each unknown key, wrong type or conflict.

    >>> parse_study({"name": "a", "problems": {"p": {"from": "m:f"}}, "train": {"seed": 3}})
    Traceback (most recent call last):
    lowroad.study.study_file.StudyFileError: train.seed: no such setting; did you mean ...
    """
    try:
        return StudyConfig.model_validate(raw)
    except ValidationError as error:
        raise StudyFileError(setting_errors(error, StudyConfig)) from None
    except RecursionError:
        raise StudyFileError(["tables or lists are nested too deeply"]) from None


def read_study(path: Path, assignments: Sequence[str] = ()) -> StudyConfig:
    """Read a study file and apply assignments such as ``"train.seeds=8"`` to it.

    Raises:
        StudyFileError: the file is missing, is no TOML, or holds wrong settings.
    """
    try:
        text = _content(path).decode("utf-8-sig")  # Windows' editors write a byte order mark
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Python 3.11 to 3.13 give the place only inside the message.
        message, _, place = str(error).rpartition(" (at ")
        line = place.removeprefix("line ").split(",")[0].rstrip(")")
        where = f"{path}:{line}" if line.isdigit() else str(path)
        told = _mistake(message, text.split("\n")[int(line) - 1]) if line.isdigit() else str(error)
        raise StudyFileError([f"{where}: {told}"]) from None
    except UnicodeDecodeError as error:
        raise StudyFileError([f"{path}: expected UTF-8 text; byte {error.start} is not"]) from None
    except RecursionError:
        raise StudyFileError([f"{path}: tables or lists are nested too deeply"]) from None
    except StudyFileError:
        raise
    except ValueError:  # of Python's own limit
        raise StudyFileError([f"{path}: a number has too many digits"]) from None
    except OSError as error:
        raise StudyFileError([f"{path}: cannot be read: {error.strerror}"]) from None
    for assignment in assignments:
        _assign(raw, assignment)
    if _has_long_number(raw):
        raise StudyFileError([f"{path}: a number has too many digits"])
    try:
        return parse_study(raw)
    except StudyFileError as error:
        raise StudyFileError([f"{path}: {line}" for line in error.problems]) from None


def overridden(config: StudyConfig, assignments: Sequence[str]) -> list[str]:
    """Which problems keep their own value of a setting that was assigned for all."""
    lines = []
    for assignment in assignments:
        key = assignment.partition("=")[0].strip()
        for name, problem in config.problems.items():
            own: Any = problem.sections
            for part in _parts(key, own):
                own = own.get(part) if isinstance(own, Mapping) else None
            if own is not None and not isinstance(own, Mapping):
                lines.append(
                    f"--set {key}: the problem {name} keeps its own value, {shown(own)}; "
                    f"--set problems.{name}.{key}=... changes it"
                )
    return lines


def _mistake(message: str, line: str) -> str:
    """What is wrong with a line that is no TOML, and what to write instead."""
    name = ".".join(re.findall("'(.+?)'", message))
    if message.startswith("Cannot declare"):
        return f"[{shortened(name)}] is there twice: write the table's settings in one place"
    if message.startswith("Cannot mutate"):
        return f"{shortened(name)} has been written whole above: add the setting there"
    bare = re.fullmatch(r"\s*([\w.-]+)\s*=\s*([A-Za-z][\w.:/-]*)\s*(#.*)?", line)
    if bare is None:
        return f"{message}, in: {shortened(line.strip())}"
    word = {"True": "true", "yes": "true", "False": "false", "no": "false"}.get(bare[2])
    right = shortened(f"{bare[1]} = {word or json.dumps(bare[2])}")
    return f"{bare[2][:60]} is no value{'' if word else '; text needs quotes'}: write {right}"


def _has_long_number(raw: Any) -> bool:
    """Whether there is a number that Python does not write out, such as a long hexadecimal one."""
    waiting = [raw]
    while waiting:
        value = waiting.pop()
        if isinstance(value, int) and value.bit_length() > LONGEST:
            return True
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise StudyFileError([f"{path}: expected a study file, got no regular file"])
    if path.stat().st_size > LARGEST:
        raise StudyFileError([f"{path}: expected at most {LARGEST:,} bytes"])
    return path.read_bytes()


def _parts(key: str, table: Any) -> list[str]:
    """The parts of a key; a name that has dots itself is one where its table has it."""
    left = [part.strip() for part in key.split(".", maxsplit=DEEPEST)]
    parts: list[str] = []
    while left:
        known: Mapping[str, Any] = table if isinstance(table, Mapping) else {}
        number = next((n for n in range(len(left), 1, -1) if ".".join(left[:n]) in known), 1)
        parts.append(".".join(left[:number]))
        left, table = left[number:], known.get(parts[-1])
    return parts


def _assign(raw: dict[str, Any], assignment: str) -> None:
    """Apply ``key.key=value``; the value is TOML, and anything else counts as a string."""
    key, equals, text = assignment.partition("=")
    parts = _parts(key, raw)
    assignment = shortened(assignment)
    if not equals or not all(parts) or len(parts) > DEEPEST:
        raise StudyFileError([f"--set {assignment}: expected KEY=VALUE such as train.seeds=8"])
    value: Any = text.strip()
    try:
        parsed = tomllib.loads(f"value = {text}")
        value = parsed["value"] if len(parsed) == 1 else value
    except (ValueError, RecursionError):  # a bare word, or a number of thousands of digits
        pass
    table = raw
    for depth, part in enumerate(parts[:-1], start=1):
        below = table.setdefault(part, {})
        if not isinstance(below, dict):
            place = ".".join(parts[:depth])
            raise StudyFileError([f"--set {assignment}: {place} is a value, not a table"])
        table = below
    table[parts[-1]] = value


def to_toml(config: StudyConfig) -> str:
    """The study as a TOML file with every setting; reading it gives an equal study.

    >>> config = parse_study(
    ...     {
    ...         "name": "tiny",
    ...         "problems": {"a": {"from": "m:f"}},
    ...         "optimizers": {"b": {"method": "sgd"}},
    ...     }
    ... )
    >>> parse_study(tomllib.loads(to_toml(config))) == config
    True
    """
    return tomli_w.dumps(document(config, full=True))


def document(config: StudyConfig, full: bool = False) -> dict[str, Any]:
    """The study as nested dictionaries, as a file has them; with all defaults if `full`."""
    return config.model_dump(mode="json", exclude_none=True, by_alias=True, exclude_unset=not full)


def differences(old: StudyConfig, new: StudyConfig) -> list[str]:
    """What changed from ``old`` to ``new``, one line for each setting: ``train.seeds: 8 -> 16``."""
    before, after = (_flat(document(config, full=True), "") for config in (old, new))
    lines = []
    for place in dict.fromkeys([*before, *after]):
        was, now = before.get(place, "unset"), after.get(place, "unset")
        if was != now:
            lines.append(f"{place}: {shown(was)} -> {shown(now)}")
    return lines


def _flat(table: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
