"""Where tasks are carried out besides this machine: a running scheduler, or a SLURM queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Keep freed memory: dask asks for it to be given back at once, and then a third of the time goes
# into touching the same pages again and again. 32 MiB is glibc's largest threshold.
ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": 2**31,
    "MALLOC_MMAP_THRESHOLD_": 2**25,
    "MALLOC_ARENA_MAX": 1,
}


class ClusterError(Exception):
    """The cluster cannot be had or is lost, or its workers cannot do the tasks."""


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
        file: the cluster file that says so.
        job: one job, as `dask_jobqueue.SLURMCluster` takes it (`cores`, `memory`, `walltime`,
            `queue`, `account`, `job_extra_directives`, …).
        seconds: how long a job may last, its walltime.
        least: how many jobs stay in the queue while the study runs.
        most: how many jobs at once.
    """

    file: Path
    job: dict[str, Any] = field(hash=False)
    seconds: int
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
        reserve = min(600, self.seconds // 4)
        return self.seconds - reserve, reserve // 2


Workers = int | Scheduler | Slurm
"""How many processes on this machine, or the cluster that carries tasks out."""
