"""Carry out tasks with dask's distributed scheduler: on a running cluster, or by SLURM."""

from __future__ import annotations

import platform
import queue
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from distributed import Client, Future, KilledWorker, Worker, get_worker

from lowroad import __version__
from lowroad.execution.clients import client_of, dashboard_of
from lowroad.execution.clusters import ClusterError, Scheduler, Slurm
from lowroad.execution.events import Event, Function, OnEvent, described

TOPIC = "lowroad"
SECONDS_BETWEEN_REPORTS = 0.5
SECONDS_BETWEEN_COUNTS = 1.0
SECONDS_TO_FETCH_A_RESULT = 10.0


class UnusableWorkerError(Exception):
    """A worker cannot do any of the tasks.

    Args:
        address: the worker's.
        reason: which machine, and why.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason


def execute_on_cluster(
    tasks: Iterable[Any], function: Function, workers: Scheduler | Slurm, on_event: OnEvent
) -> None:
    """Do what :func:`lowroad.execution.executor.execute` promises, on worker processes.

    A task whose worker dies is tried again on another one, up to dask's ``allowed-failures``. Dask
    suspects every task that is with a dying worker, so a task that it gives up is tried once more
    with no other beside it, after all others, before it fails. The workers of a running scheduler
    stay, for others, except for those that cannot do the tasks.

    Raises:
        ClusterError: the cluster cannot be had or is lost, or no worker is left that can do the
            tasks.
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

    def note(text: str) -> None:
        tell("note", None, result=text)

    with client_of(workers) as client:
        pool = _Pool(client, workers, note)
        if dashboard := dashboard_of(client):
            note(f"the workers: {dashboard}")
        client.subscribe_topic(TOPIC, lambda event: news.put(event[1]))
        try:
            while waiting or running or suspects:
                if not waiting and not running:
                    alone = suspects.popleft()
                    waiting.append(alone)
                # Two tasks a worker: none waits for the driver, and the scheduler stays small.
                count = pool.count(len(waiting) + len(running) + len(suspects))
                most = 2 * max(count, 1) if alone is None else 1
                while waiting and len(running) < most:
                    task = waiting.popleft()
                    future = client.submit(_call, function, task, __version__, pure=False)
                    running[future], names[future.key] = task, task
                    future.add_done_callback(news.put)
                try:
                    item = news.get(timeout=SECONDS_BETWEEN_COUNTS)
                except queue.Empty:
                    continue
                if isinstance(item, Future):
                    result, error = _outcome(item)
                    if item.cancelled():  # only dask itself cancels tasks here
                        raise pool.lost()
                    if isinstance(error, OSError) and item.status != "error":
                        # It cannot be fetched. Either its worker died with it and it is done anew,
                        # or the scheduler is lost and it will be cancelled.
                        item.add_done_callback(news.put)
                        continue
                    task = running.pop(item)
                    del names[item.key]
                    if isinstance(error, UnusableWorkerError):
                        waiting.appendleft(task)
                        pool.retire(error)
                    elif alone is None and isinstance(error, KilledWorker):
                        suspects.append(task)
                    else:
                        alone = None
                        if error is None:
                            tell("finished", task, result=result)
                        else:
                            tell("failed", task, **_described(error))
                elif item["key"] in names:
                    tell(item["kind"], names[item["key"]], **item["details"])
        except BaseException:
            # Without this, closing waits for the tasks under way.
            if client.status == "running":
                client.cancel(list(running), force=True)
            raise


class _Pool:
    """The workers: they come and go on a cluster, and some cannot do the tasks."""

    def __init__(self, client: Client, workers: Scheduler | Slurm, note: Any) -> None:
        assert client.scheduler is not None
        self._client, self._address, self._note = client, client.scheduler.address, note
        self._jobs: Any = client.cluster if isinstance(workers, Slurm) else None
        self._asked, self._count = -SECONDS_BETWEEN_COUNTS, 0
        self._missed, self._seen = False, False
        self._reasons: dict[str, None] = {}

    def count(self, tasks: int) -> int:
        """Return how many there are, asked for now and then; tell when there is none.

        Args:
            tasks: how many are left to do, for which SLURM jobs are submitted.

        Raises:
            ClusterError: the scheduler is lost, or a job cannot be submitted.
        """
        if (now := time.monotonic()) - self._asked > SECONDS_BETWEEN_COUNTS:
            names = self._names()
            self._asked, self._count = now, len(names)
            if self._jobs is not None:
                # At work, or with a result that is not fetched yet.
                busy = [self._client.processing(), self._client.has_what()]
                self._jobs.adjust(
                    tasks, {name: any(b.get(at) for b in busy) for at, name in names.items()}
                )
            if self._count == 0 and not self._missed:
                kind = "left" if self._seen else "yet"
                self._note(
                    f"no worker {kind} at {self._address}; waiting (workers that end by "
                    "themselves, as without lowroad, say why in their own output)"
                )
            self._missed, self._seen = self._count == 0, self._seen or self._count > 0
        return self._count

    def retire(self, unusable: UnusableWorkerError) -> None:
        """Do without a worker from now on, and tell why.

        Raises:
            ClusterError: no other is left, or it cannot be retired.
        """
        self._client.retire_workers(workers=[unusable.address])
        if unusable.reason not in self._reasons:
            self._reasons[unusable.reason] = None
            self._note(f"a worker is not used: {unusable.reason}")
        left = self._names()
        if unusable.address in left:
            raise ClusterError(
                f"{unusable.reason}; dask cannot retire {unusable.address}, which holds results of "
                "others: stop it"
            )
        if not left:
            raise ClusterError(
                "no worker is left that can do the tasks:\n" + "\n".join(self._reasons)
            )

    def lost(self) -> ClusterError:
        """Return the error that says that the scheduler is gone."""
        return ClusterError(
            f"lost the connection to the scheduler at {self._address}; what is finished is stored: "
            "run the same command again to go on"
        )

    def _names(self) -> dict[str, str]:
        """The workers' names by their addresses."""
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
            return {address: str(worker["name"]) for address, worker in workers.items()}
        except (OSError, KeyError) as error:  # a client that is closed knows no workers
            raise self.lost() from error


def _outcome(future: Future[Any]) -> tuple[Any, Exception | None]:
    """The result or the error of a task; TimeoutError if the result cannot be fetched."""
    try:
        return future.result(timeout=SECONDS_TO_FETCH_A_RESULT), None
    except Exception as error:
        return None, error


def _described(error: Exception) -> dict[str, Any]:
    if isinstance(error, KilledWorker):
        return {"error": "its worker processes died again and again (killed, or out of memory)"}
    return described(error)


def _call(function: Function, task: Any, version: str) -> Any:
    """What a worker does with a task."""
    worker = get_worker()
    key = worker.get_current_task()
    last = 0.0

    def report(step: int, value: float) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > SECONDS_BETWEEN_REPORTS:
            last = now
            details = {"step": step, "value": value}
            worker.log_event(TOPIC, {"kind": "progress", "key": key, "details": details})

    try:
        _prepare(worker, version)
        worker.log_event(TOPIC, {"kind": "started", "key": key, "details": {}})
        return function(task, report)
    except ClusterError as error:
        raise UnusableWorkerError(worker.address, str(error)) from error


def _prepare(worker: Worker, version: str) -> None:
    """Set up a worker, wherever it comes from.

    Raises:
        ClusterError: it cannot do any task.
    """
    # Tasks hold their memory outside dask's sight: spilling and pausing would not free any of it,
    # and a paused worker would wait for ever. At 95% its nanny restarts it.
    memory = worker.memory_manager
    memory.memory_target_fraction = memory.memory_spill_fraction = False
    memory.memory_pause_fraction = False
    if version != __version__:
        raise ClusterError(
            f"{platform.node()} has lowroad {__version__}, but the study is run by {version}: "
            "install the same version everywhere"
        )
    threads, scheduler = worker.state.nthreads, worker.scheduler
    if threads > 1:
        assert scheduler is not None
        raise ClusterError(
            f"{platform.node()} has a worker of {threads} threads, and a task needs a process of "
            f"one thread: start `dask worker {scheduler.address} --nthreads 1 "
            f"--nworkers {threads}`"
        )
