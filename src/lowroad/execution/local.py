"""Carry out tasks on worker processes of this machine.

Driver and workers talk through pipes that only they hold. Nothing listens, no file is shared, so no
other user of the machine can hand them anything.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from lowroad.execution import events
from lowroad.execution.clusters import ENVIRONMENT, ClusterError
from lowroad.execution.events import Event, Function, OnEvent, described
from lowroad.execution.streams import tolerate_closed_output

SECONDS_BETWEEN_REPORTS = 0.5
SECONDS_BETWEEN_LOOKS_AT_MEMORY = 1.0
SECONDS_TO_END = 5.0
MOST_DEATHS = 3  # of a task's workers, before it is tried alone, and of workers before their first
MOST_MEMORY = 0.95  # of a worker's part
DIED = "its worker processes died again and again (killed, or out of memory)"
ONE_THREAD = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}


class _Worker:
    """A worker process with its end of the pipe, and what it is doing.

    Attributes:
        number: which of the workers it is; another one takes the number when it dies.
        ready: whether it has begun and waits for tasks, or has one.
        task: a list of the task under way, empty for none.
    """

    def __init__(self, number: int, function: Function) -> None:
        self.number, self.ready, self.task = number, False, list[Any]()
        context = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # its own start lets interrupts through again
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function, number))
        with _environment({**ENVIRONMENT, **ONE_THREAD}), _no_interrupt():
            self.process.start()
        theirs.close()

    def give(self, task: Any) -> None:
        """Hand over a task; where the worker has just died, that is found when it is read from."""
        self.task = [task]
        with contextlib.suppress(OSError):
            self.pipe.send(task)

    def eats_more_than(self, most: float) -> bool:
        """Whether its process holds more bytes of memory than it may."""
        try:
            return bool(psutil.Process(self.process.pid).memory_info().rss > most)
        except psutil.Error:
            return False


def execute_locally(
    tasks: Iterable[Any], function: Function, workers: int, on_event: OnEvent
) -> None:
    """Do what :func:`lowroad.execution.executor.execute` promises, on processes of this machine.

    A task whose worker dies is tried again. After three deaths it is tried once more, with no other
    beside it, after all others, before it fails. A worker that holds more than its part of the
    machine's memory is killed. Workers end when the calling process does, however it ends.

    Raises:
        ClusterError: the workers cannot do the tasks, or end before their first.
    """
    from distributed.system import MEMORY_LIMIT  # here because it takes a second

    start, looked = time.monotonic(), 0.0
    waiting, suspects, deaths = deque(tasks), deque[Any](), Counter[Any]()
    pool: dict[int, _Worker] = {}
    stillborn, alone = 0, list[Any]()  # the suspect under way

    def tell(kind: Any, task: Any, **details: Any) -> None:
        waiting.extend(on_event(Event(kind, task, time.monotonic() - start, **details)))

    def bury(worker: _Worker) -> None:
        nonlocal stillborn, alone
        del pool[worker.number]
        _kill([worker])
        stillborn = 0 if worker.ready else stillborn + 1
        if stillborn > MOST_DEATHS:
            raise ClusterError(
                "worker processes end before their first task; what they printed says why (a "
                'script that starts them needs `if __name__ == "__main__":`)'
            )
        for task in worker.task:
            deaths[task] += 1
            if task in alone:
                alone = []
                tell("failed", task, error=DIED)
            elif deaths[task] > MOST_DEATHS:
                suspects.append(task)
            else:
                waiting.appendleft(task)

    try:
        while True:
            busy = sum(bool(worker.task) for worker in pool.values())
            if not waiting and not busy:
                if not suspects:
                    break
                alone = [suspects.popleft()]
                waiting.append(alone[0])
            wanted = min(workers, len(waiting) + busy)
            for number in range(workers):
                if len(pool) < wanted and number not in pool:
                    pool[number] = _Worker(number, function)
            for worker in pool.values():
                if worker.ready and not worker.task and waiting and not (alone and busy):
                    worker.give(waiting.popleft())
                    busy += 1
            pipes = {worker.pipe: worker for worker in pool.values()}
            for pipe in wait(list(pipes), timeout=SECONDS_BETWEEN_LOOKS_AT_MEMORY):
                worker = pipes[pipe]  # type: ignore[index]
                try:
                    kind, details = worker.pipe.recv()
                except Exception:  # half a message, of all kinds of errors, or none
                    bury(worker)
                    continue
                if kind == "ready":
                    worker.ready = True
                elif kind == "unusable":
                    raise ClusterError(details["error"])
                else:
                    task = worker.task[0]
                    if kind in ("finished", "failed"):
                        worker.task = []
                        alone = [] if task in alone else alone
                    tell(kind, task, **details)
            if (now := time.monotonic()) - looked > SECONDS_BETWEEN_LOOKS_AT_MEMORY:
                looked = now
                for worker in list(pool.values()):
                    if worker.eats_more_than(MOST_MEMORY * MEMORY_LIMIT / workers):
                        bury(worker)
        for worker in pool.values():
            with contextlib.suppress(OSError):
                worker.pipe.send_bytes(b"")
        for worker in pool.values():
            worker.process.join(SECONDS_TO_END)
    finally:
        _kill(pool.values())


def _kill(workers: Iterable[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()
        worker.pipe.close()


def _serve(pipe: Connection, function: Function, number: int) -> None:
    """What a worker process does: its tasks, until there are no more or the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tolerate_closed_output()
    events.set_worker_number(number)
    given: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, given), daemon=True).start()
    try:
        pipe.send(("ready", {}))
        while task := given.get():
            outcome = _done(pipe, function, task)
            try:
                pipe.send(outcome)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                pipe.send(("failed", described(error)))
    except OSError:
        os._exit(1)  # the driver is gone


def _listen(pipe: Connection, given: queue.SimpleQueue[bytes]) -> None:
    while True:
        try:
            given.put(pipe.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)  # the driver is gone: whatever is under way ends with it


def _done(pipe: Connection, function: Function, task: bytes) -> tuple[str, dict[str, Any]]:
    last = 0.0

    def report(step: int, value: float) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > SECONDS_BETWEEN_REPORTS:
            last = now
            pipe.send(("progress", {"step": step, "value": value}))

    pipe.send(("started", {}))
    try:
        return "finished", {"result": function(pickle.loads(task), report)}
    except ClusterError as error:
        return "unusable", {"error": str(error)}
    except (Exception, SystemExit) as error:
        return "failed", described(error)


@contextlib.contextmanager
def _environment(variables: dict[str, int]) -> Iterator[None]:
    """Set variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Let no interrupt reach processes that are started meanwhile.

    A terminal's Ctrl-C goes to every process of its group, but only the driver shall act on it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
