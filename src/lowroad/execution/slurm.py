"""Jobs of a SLURM queue as a dask cluster: as many as there is work for, renewed when they end."""

from __future__ import annotations

import itertools
import logging
import math
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import dask.config
from distributed.core import Status

from lowroad.execution.clusters import ClusterError, Slurm
from lowroad.execution.events import one_line

_on_interrupt = signal.getsignal(signal.SIGINT)
from dask_jobqueue.slurm import SLURMCluster, SLURMJob  # noqa: E402

# the import lets an interrupt end the process as if all had gone well
signal.signal(signal.SIGINT, _on_interrupt)

DEATHS_OF_A_PREEMPTIBLE_TASK = 20  # a queue may take workers away again and again
SECONDS_TO_COME_BACK = 60  # for a job without workers: it may be replacing one that died


class SlurmJobs(SLURMCluster):
    """A scheduler in this process whose workers come with jobs.

    Not by dask's own `adapt`, which asks for single workers: it takes back a job of several
    processes before all of them have arrived, ends jobs that are at work together with idle ones,
    and never renews one that has ended.

    Args:
        slurm: the jobs.
        environment: variables to export in every job.

    Raises:
        ClusterError: there is no SLURM here, or the job is refused before it is submitted.
    """

    def __init__(self, slurm: Slurm, environment: Mapping[str, Any]) -> None:
        if shutil.which("sbatch") is None:
            raise ClusterError("there is no sbatch here: --slurm needs a machine that submits jobs")
        self._slurm, self._refused = slurm, dict[str, str]()
        self._pause_until = 0.0
        self._last_seen: dict[str, float] = {}
        self._numbers = itertools.count()
        lifetime, stagger = slurm.lifetime
        exports = [f"export {name}={value}" for name, value in environment.items()]
        given = {
            "job_cls": _job_class(self._refused),
            "silence_logs": logging.CRITICAL,
            "processes": slurm.job["cores"],  # of one thread each, as everywhere
            "job_script_prologue": [*exports, *slurm.job.get("job_script_prologue", [])],
            "worker_extra_args": [
                *("--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{stagger}s"),
                *slurm.job.get("worker_extra_args", []),
            ],
        }
        deaths = {"distributed.scheduler.allowed-failures": DEATHS_OF_A_PREEMPTIBLE_TASK}
        try:
            with dask.config.set(deaths):
                super().__init__(**{**slurm.job, **given})
        except Exception as error:
            raise ClusterError(f"{slurm.file}: {one_line(error)}") from error

    def _new_worker_name(self, worker_number: int) -> str:
        return f"slurm-{next(self._numbers)}"  # never that of a job that has ended

    def adjust(self, tasks: int, workers: Mapping[str, bool]) -> None:
        """Have as many jobs as there is work for.

        Args:
            tasks: how many tasks are left, those under way included.
            workers: the workers that there are, by name, and whether they have a task.

        A job that is refused while others have come is asked for again after a while: queues have
        limits, and their answers time out.

        Raises:
            ClusterError: the first job cannot be submitted.
        """
        now, cores = time.monotonic(), self._slurm.job["cores"]
        # One by one: another thread adds to them.
        refused = {job: self._refused.pop(job) for job in list(self._refused)}
        if refused and not (workers or self._last_seen):
            reason = next(iter(refused.values()))
            raise ClusterError(f"{self._slurm.file}: no job can be submitted: {reason}")
        if refused:
            self._pause_until = now + SECONDS_TO_COME_BACK
        busy: dict[str, bool] = defaultdict(bool)
        for name, has_task in workers.items():
            job = name.rpartition("-")[0] if cores > 1 else name
            busy[job] |= has_task
            self._last_seen[job] = now
        jobs = list(self.worker_spec)
        gone = [
            job
            for job in jobs
            if job in refused
            or (job not in busy and now - self._last_seen.get(job, now) > SECONDS_TO_COME_BACK)
        ]
        wanted = min(self._slurm.most, max(self._slurm.least, math.ceil(tasks / cores)))
        queued = [job for job in jobs if job not in self._last_seen and job not in refused]
        idle = [job for job in jobs if job in busy and not busy[job]]
        surplus = max(len(jobs) - len(gone) - wanted, 0)
        if ending := gone + (queued + idle)[:surplus]:
            self.sync(self.scale_down, ending)
        if len(self.worker_spec) < wanted and now >= self._pause_until:
            self.scale(jobs=wanted)


def _job_class(refused: dict[str, str]) -> type[SLURMJob]:
    class Job(SLURMJob):
        """A job that keeps the error when it is refused; dask would print it and wait for ever."""

        async def start(self) -> None:
            try:
                await super().start()
            except (RuntimeError, ValueError, OSError) as error:
                refused[str(self.name)] = str(error)
                self.status = Status.running  # as dask demands

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed  # as dask demands

    return Job
