"""The cluster file: what a SLURM job is, and how many of them there are."""

from __future__ import annotations

import datetime
import re
import tomllib
from pathlib import Path
from typing import Any

from dask.utils import parse_bytes

from lowroad.execution.clusters import Slurm
from lowroad.nearest import nearest

NEEDED = ("cores", "memory", "walltime")
TEXT, COUNT, LIST, TABLE = "a text", "a number from 1 to 9999", "a list of texts", "a table"
# Those of dask_jobqueue.SLURMCluster's parameters that a user may choose. lowroad sets the number
# of processes itself.
ENTRIES = {
    "account": TEXT,
    "cores": COUNT,
    "death_timeout": COUNT,
    "interface": TEXT,
    "job_cpu": COUNT,
    "job_directives_skip": LIST,
    "job_extra_directives": LIST,
    "job_mem": TEXT,
    "job_name": TEXT,
    "job_script_prologue": LIST,
    "local_directory": TEXT,
    "log_directory": TEXT,
    "memory": TEXT,
    "python": TEXT,
    "queue": TEXT,
    "scheduler_options": TABLE,
    "shebang": TEXT,
    "walltime": TEXT,
    "worker_extra_args": LIST,
}


def read_slurm(path: Path) -> Slurm:
    """Read a cluster file: a table `[job]`, and `jobs = { least = 0, most = 20 }`.

    Raises:
        ValueError: it cannot be read or is no TOML, an entry is unknown, missing or of another
            type, or a value is out of range; the message names the file and what was expected.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path}: expected a cluster file: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from error
    try:
        return _slurm(path, content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _slurm(path: Path, content: dict[str, Any]) -> Slurm:
    unknown = content.keys() - {"jobs", "job"}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; expected jobs and [job]")
    job, jobs = content.get("job"), content.get("jobs", {})
    if not isinstance(job, dict):
        raise ValueError(f"expected a table [job] with {', '.join(NEEDED)}")
    missing = [name for name in NEEDED if name not in job]
    if missing:
        raise ValueError(f"[job] needs {', '.join(missing)}")
    if type(job["walltime"]) in (int, datetime.time):  # minutes, or TOML's own 12:00:00
        job["walltime"] = str(job["walltime"])
    for name, value in job.items():
        _check(name, value)
    if not isinstance(jobs, dict) or jobs.keys() - {"least", "most"}:
        raise ValueError(f"expected jobs = {{ least = 0, most = 20 }}, got {jobs!r}")
    least, most = jobs.get("least", 0), jobs.get("most", 1)
    if not (type(least) is int and type(most) is int and 0 <= least <= most and most > 0):
        raise ValueError(f"expected 0 <= least <= most and most >= 1 in jobs, got {jobs!r}")
    return Slurm(path, job, seconds_of(job["walltime"]), least, most)


def _check(name: str, value: Any) -> None:
    """Raise a ValueError if this is no entry of `[job]`."""
    kind = ENTRIES.get(name)
    if name == "processes":
        raise ValueError("[job] processes: leave it out, there is one for each of the cores")
    if kind is None:
        raise ValueError(f"[job] has no setting {name}{nearest(name, ENTRIES)}")
    right = {
        TEXT: isinstance(value, str) and bool(value) and "\n" not in value,
        COUNT: type(value) is int and 0 < value < 10_000,
        LIST: isinstance(value, list) and all(isinstance(item, str) for item in value),
        TABLE: isinstance(value, dict),
    }
    if not right[kind]:
        raise ValueError(f"[job] {name}: expected {kind}, got {value!r}")
    if name == "memory" and _bytes(value) < 1:
        raise ValueError(f'[job] memory: expected a size such as "64GB", got {value!r}')


def _bytes(size: str) -> int:
    """Return a size in bytes; 0 where it is none."""
    try:
        return int(parse_bytes(size))
    except (ValueError, OverflowError):
        return 0


def seconds_of(walltime: str) -> int:
    """Return a walltime of SLURM in seconds.

    That is minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes or
    days-hours:minutes:seconds.

    Raises:
        ValueError: it has another form, or is no time at all.

    >>> seconds_of("1-02:00:00"), seconds_of("00:30:00"), seconds_of("30:00"), seconds_of("30")
    (93600, 1800, 1800, 1800)
    >>> seconds_of("1-12"), seconds_of("1-12:30")
    (129600, 131400)
    """
    form = re.fullmatch(r"(?:(\d{1,4})-)?(\d{1,9})(?::(\d{1,9}))?(?::(\d{1,9}))?", walltime, re.A)
    seconds = 0
    if form is not None:
        days, *parts = (None if part is None else int(part) for part in form.groups())
        first, second, third = parts
        if days is not None or third is not None:
            hours, minutes, rest = first, second, third
        else:
            hours, minutes, rest = 0, first, second
        seconds = (((days or 0) * 24 + (hours or 0)) * 60 + (minutes or 0)) * 60 + (rest or 0)
    if not seconds:
        raise ValueError(f'expected a walltime such as "12:00:00" or "1-12", got {walltime!r}')
    return seconds
