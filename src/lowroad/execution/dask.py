"""Carry out tasks on local worker processes with dask's distributed scheduler."""

from __future__ import annotations

import contextlib
import logging
import queue
import time
import traceback
import warnings
from collections import deque
from collections.abc import Iterable
from typing import Any

import dask.config
from distributed import Client, Future, KilledWorker, LocalCluster, get_worker

from lowroad.execution.executor import Event, Function, OnEvent, one_line

TOPIC = "lowroad"
SECONDS_BETWEEN_REPORTS = 0.5
SECONDS_TO_REPLACE_A_WORKER = 60

SETTINGS = {
    # A terminal's Ctrl-C reaches every process of its group, but only the driver shall act on it.
    "distributed.worker.preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],
    # Tasks hold their memory outside dask's sight: spilling and pausing would not free any of it.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "logging.distributed": "critical",
    # Keep freed memory: dask asks for it to be given back at once, and then a third of the time
    # goes into touching the same pages again and again. 32 MiB is glibc's largest threshold.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**31,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**25,
    "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX": 1,
}


def execute_on_workers(
    tasks: Iterable[Any], function: Function, workers: int, on_event: OnEvent
) -> None:
    """Do what :func:`lowroad.execution.executor.execute` promises, on ``workers`` processes.

    A task whose worker dies is tried again on another one, up to dask's ``allowed-failures``. Dask
    suspects every task that is with a dying worker, so a task that it gives up is tried once more
    with no other beside it, after all others, before it fails. Workers end when the calling process
    does, however it ends.
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

    with (
        dask.config.set(SETTINGS),
        _cluster(workers) as cluster,
        Client(cluster) as client,
    ):
        client.subscribe_topic(TOPIC, lambda event: news.put(event[1]))
        try:
            while waiting or running or suspects:
                if not waiting and not running:
                    alone = suspects.popleft()
                    waiting.append(alone)
                # Two tasks a worker: none waits for the driver, and the scheduler stays small.
                most = 1 if alone is not None else 2 * workers
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
            # Closing fails while dask is replacing a worker that has just died.
            with contextlib.suppress(TimeoutError):
                client.wait_for_workers(workers, timeout=SECONDS_TO_REPLACE_A_WORKER)
        except BaseException:
            # Without this, closing waits for the tasks under way.
            client.cancel(list(running), force=True)
            raise


def _cluster(workers: int) -> LocalCluster:
    with warnings.catch_warnings():
        # Beside another study dask finds its usual port taken, and takes another one.
        warnings.filterwarnings("ignore", r"\s*Port \d+ is already in use")
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )


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
