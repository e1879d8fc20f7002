"""Where tasks are carried out besides this machine: a running scheduler, or a SLURM queue."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NEEDED = ("cores", "memory", "walltime")
OWN = {"jobs", "job"}


class ClusterError(Exception):
    """The cluster cannot be had, or its workers cannot do the study."""


@dataclass(frozen=True)
class Scheduler:
    """A dask scheduler that is running already, with workers that see the study's directory.

    Attributes:
        address: such as `tcp://10.0.0.1:8786`, or the path of its `--scheduler-file`.
    """

    address: str

    def __str__(self) -> str:
        return f"the workers of {self.address}"


@dataclass(frozen=True)
class Slurm:
    """Jobs of a SLURM queue, as many as there is work for.

    Attributes:
        job: one job, as `dask_jobqueue.SLURMCluster` takes it (`cores`, `memory`, `walltime`,
            `queue`, `account`, `job_extra_directives`, …).
        least: how many jobs stay in the queue while the study runs.
        most: how many jobs at once.
    """

    job: dict[str, Any] = field(hash=False)
    least: int = 0
    most: int = 1

    def __str__(self) -> str:
        return f"up to {self.most} SLURM job{'s' if self.most > 1 else ''}"

    @property
    def lifetime(self) -> tuple[int, int]:
        """Seconds after which a worker ends by itself, and by how much that is spread at random.

        A worker that ends before its job is killed hands its task over to another one, which goes
        on from the task's checkpoint.
        """
        walltime = seconds_of(str(self.job["walltime"]))
        reserve = min(600, walltime // 4)
        return walltime - reserve, reserve // 2


Workers = int | Scheduler | Slurm
"""How many processes on this machine, or the cluster that carries tasks out."""


def read_slurm(path: Path) -> Slurm:
    """Read a cluster file: a table `[job]`, and `jobs = { least = 0, most = 20 }`.

    Raises:
        ValueError: it is no TOML, a key is unknown or missing, or a value is out of range.
        OSError: it cannot be read.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from error
    unknown = content.keys() - OWN
    if unknown:
        raise ValueError(f"{path}: unknown: {', '.join(sorted(unknown))}; expected jobs and [job]")
    job, jobs = content.get("job"), content.get("jobs", {})
    if not isinstance(job, dict):
        raise ValueError(f"{path}: expected a table [job] with {', '.join(NEEDED)}")
    missing = [name for name in NEEDED if name not in job]
    if missing:
        raise ValueError(f"{path}: [job] needs {', '.join(missing)}")
    try:
        seconds_of(str(job["walltime"]))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(jobs, dict) or jobs.keys() - {"least", "most"}:
        raise ValueError(f"{path}: expected jobs = {{ least = 0, most = 20 }}, got {jobs!r}")
    least, most = jobs.get("least", 0), jobs.get("most", 1)
    if not (isinstance(least, int) and isinstance(most, int) and 0 <= least <= most and most > 0):
        raise ValueError(f"{path}: expected 0 <= least <= most and most >= 1, got {jobs!r}")
    return Slurm(job, least, most)


def seconds_of(walltime: str) -> int:
    """Return SLURM's `days-hours:minutes:seconds`, without its front parts if need be, in seconds.

    Raises:
        ValueError: it has another form.

    >>> seconds_of("1-02:00:00"), seconds_of("00:30:00"), seconds_of("30:00")
    (93600, 1800, 1800)
    """
    form = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", walltime)
    if form is None or (form[1] and not form[2]):
        raise ValueError(f'expected a walltime such as "12:00:00", got {walltime!r}')
    days, hours, minutes, seconds = (int(part or 0) for part in form.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
