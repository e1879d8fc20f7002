"""Carry out tasks with dask's distributed scheduler: here, on a running cluster, or by SLURM."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import queue
import time
import traceback
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import dask.config
from distributed import Client, Future, KilledWorker, LocalCluster, get_worker

from lowroad.execution.clusters import ClusterError, Scheduler, Slurm, Workers
from lowroad.execution.executor import Event, Function, OnEvent, one_line

TOPIC = "lowroad"
SECONDS_BETWEEN_REPORTS = 0.5
SECONDS_TO_REPLACE_A_WORKER = 60
SECONDS_TO_CONNECT = 30
SECONDS_BETWEEN_COUNTS = 1.0
DEATHS_OF_A_PREEMPTIBLE_TASK = 20  # a queue may take workers away again and again
# Keep freed memory: dask asks for it to be given back at once, and then a third of the time goes
# into touching the same pages again and again. 32 MiB is glibc's largest threshold.
ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": 2**31,
    "MALLOC_MMAP_THRESHOLD_": 2**25,
    "MALLOC_ARENA_MAX": 1,
}

SETTINGS = {
    # A terminal's Ctrl-C reaches every process of its group, but only the driver shall act on it.
    "distributed.worker.preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],
    # Tasks hold their memory outside dask's sight: spilling and pausing would not free any of it.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "logging.distributed": "critical",
    **{f"distributed.nanny.pre-spawn-environ.{name}": n for name, n in ENVIRONMENT.items()},
}


def execute_on_workers(
    tasks: Iterable[Any], function: Function, workers: Workers, on_event: OnEvent
) -> None:
    """Do what :func:`lowroad.execution.executor.execute` promises, on worker processes.

    A task whose worker dies is tried again on another one, up to dask's ``allowed-failures``. Dask
    suspects every task that is with a dying worker, so a task that it gives up is tried once more
    with no other beside it, after all others, before it fails. Workers end when the calling process
    does, however it ends; those of a running scheduler stay, for others.

    Raises:
        ClusterError: the scheduler does not answer, or SLURM's package is not installed.
    """
    start = time.monotonic()
    waiting = deque(tasks)
    if not waiting:
        return
    running: dict[Future[Any], Any] = {}
    names: dict[Any, Any] = {}
    suspects: deque[Any] = deque()
    alone: Any = None  # the suspect under way
    news: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def tell(kind: Any, task: Any, **details: Any) -> None:
        waiting.extend(on_event(Event(kind, task, time.monotonic() - start, **details)))

    with dask.config.set(SETTINGS), _client(workers) as client:
        count = _WorkerCount(client, workers)
        if _has_dashboard() and client.dashboard_link:
            tell("dashboard", None, result=client.dashboard_link)
        client.subscribe_topic(TOPIC, lambda event: news.put(event[1]))
        try:
            while waiting or running or suspects:
                if not waiting and not running:
                    alone = suspects.popleft()
                    waiting.append(alone)
                # Two tasks a worker: none waits for the driver, and the scheduler stays small.
                most = 1 if alone is not None else 2 * count.now()
                while waiting and len(running) < most:
                    task = waiting.popleft()
                    future = client.submit(_call, function, task, pure=False)
                    running[future], names[future.key] = task, task
                    future.add_done_callback(news.put)
                item = news.get()
                if isinstance(item, Future):
                    task = running.pop(item)
                    del names[item.key]
                    if alone is None and isinstance(item.exception(), KilledWorker):
                        suspects.append(task)
                    else:
                        _tell_end(tell, task, item)
                        alone = None
                elif item["key"] in names:
                    tell(item["kind"], names[item["key"]], **item["details"])
            if isinstance(workers, int):
                # Closing fails while dask is replacing a worker that has just died.
                with contextlib.suppress(TimeoutError):
                    client.wait_for_workers(workers, timeout=SECONDS_TO_REPLACE_A_WORKER)
        except BaseException:
            # Without this, closing waits for the tasks under way.
            client.cancel(list(running), force=True)
            raise


@contextlib.contextmanager
def _client(workers: Workers) -> Iterator[Client]:
    if isinstance(workers, Scheduler):
        file = workers.address if workers.address.endswith(".json") else None
        try:
            client = Client(
                None if file else workers.address, scheduler_file=file, timeout=SECONDS_TO_CONNECT
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(
                f"no dask scheduler answers at {workers.address} ({one_line(error)}); start one "
                "with `dask scheduler` and give its address"
            ) from error
        with client:
            yield client
    else:
        cluster = _slurm(workers) if isinstance(workers, Slurm) else _local(workers)
        with cluster, Client(cluster) as client:
            yield client


def _local(workers: int) -> LocalCluster:
    with warnings.catch_warnings():
        # Beside another study dask finds its usual port taken, and takes another one.
        warnings.filterwarnings("ignore", r"\s*Port \d+ is already in use")
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0" if _has_dashboard() else None,
            silence_logs=logging.CRITICAL,
        )


def _slurm(slurm: Slurm) -> Any:
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise ClusterError(
            "SLURM jobs need dask-jobqueue: pip install 'lowroad[cluster]'"
        ) from error
    lifetime, stagger = slurm.lifetime
    exports = [f"export {name}={value}" for name, value in ENVIRONMENT.items()]
    given = {
        "job_script_prologue": [*exports, *slurm.job.get("job_script_prologue", [])],
        "worker_extra_args": [
            *("--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{stagger}s"),
            *slurm.job.get("worker_extra_args", []),
        ],
    }
    with dask.config.set({"distributed.scheduler.allowed-failures": DEATHS_OF_A_PREEMPTIBLE_TASK}):
        # One process of one thread for each core, as everywhere.
        cluster = SLURMCluster(**{"processes": slurm.job["cores"], **slurm.job, **given})
    cluster.adapt(minimum_jobs=slurm.least, maximum_jobs=slurm.most)
    return cluster


def _has_dashboard() -> bool:
    return importlib.util.find_spec("bokeh") is not None


class _WorkerCount:
    """How many workers there are, asked for now and then: they come and go on a cluster."""

    def __init__(self, client: Client, workers: Workers) -> None:
        self._client, self._fixed = client, workers if isinstance(workers, int) else None
        self._asked, self._count = 0.0, 1

    def now(self) -> int:
        """Return the number, at least 1."""
        if self._fixed is not None:
            return self._fixed
        if (now := time.monotonic()) - self._asked > SECONDS_BETWEEN_COUNTS:
            self._asked = now
            self._count = len(self._client.scheduler_info(n_workers=-1)["workers"])
        return max(self._count, 1)


def _tell_end(tell: Any, task: Any, future: Future[Any]) -> None:
    try:
        result = future.result()
    except KilledWorker:
        error = "its worker processes died again and again (killed, or out of memory)"
        tell("failed", task, error=error)
    except Exception as error:
        trace = "".join(traceback.format_exception(error))
        tell("failed", task, error=one_line(error), trace=trace)
    else:
        tell("finished", task, result=result)


def _call(function: Function, task: Any) -> Any:
    """What a worker does with a task."""
    worker = get_worker()
    key = worker.get_current_task()
    last = 0.0

    def report(step: int, height: float) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > SECONDS_BETWEEN_REPORTS:
            last = now
            details = {"step": step, "height": height}
            worker.log_event(TOPIC, {"kind": "progress", "key": key, "details": details})

    worker.log_event(TOPIC, {"kind": "started", "key": key, "details": {}})
    return function(task, report)
