"""Carry out independent tasks, in this process or on many worker processes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from lowroad.execution.clusters import ClusterError, Workers
from lowroad.execution.events import Event, Function, OnEvent, described


def execute(tasks: Iterable[Any], function: Function, workers: Workers, on_event: OnEvent) -> None:
    """Call ``function`` with every task; a task that fails does not stop the others.

    Args:
        tasks: picklable and hashable; begun in this order.
        function: picklable, ``function(task, report) -> result`` with a small result.
        workers: 1 runs in this process, more run in that many worker processes of one thread each;
            or the cluster that carries the tasks out.
        on_event: told about every event in this thread; the tasks that it returns are done too.

    Raises:
        ValueError: ``workers`` is not positive.
        ClusterError: the cluster cannot be had or is lost, or no worker can do the tasks, as
            `function` says by raising it; such a task counts as neither done nor failed.
        KeyboardInterrupt: after all workers have been stopped.

    >>> seen = []
    >>> def on_event(event):
    ...     seen.append((event.kind, event.task, event.result))
    ...     return [event.task + 10] if event.kind == "finished" and event.task < 10 else []
    >>> execute([1, 2], lambda task, report: task**2, workers=1, on_event=on_event)
    >>> [(task, result) for kind, task, result in seen if kind == "finished"]
    [(1, 1), (2, 4), (11, 121), (12, 144)]
    """
    if isinstance(workers, int) and workers < 1:
        raise ValueError(f"expected at least 1 worker, got {workers}")
    # Imported where they are used because a study in one process needs none of them.
    if workers == 1:
        _execute_here(tasks, function, on_event)
    elif isinstance(workers, int):
        from lowroad.execution.local import execute_locally

        execute_locally(tasks, function, workers, on_event)
    else:
        from lowroad.execution.dask import execute_on_cluster

        execute_on_cluster(tasks, function, workers, on_event)


def _execute_here(tasks: Iterable[Any], function: Function, on_event: OnEvent) -> None:
    start = time.monotonic()
    waiting = deque(tasks)

    def tell(kind: Any, task: Any, **details: Any) -> None:
        waiting.extend(on_event(Event(kind, task, time.monotonic() - start, **details)))

    while waiting:
        task = waiting.popleft()
        tell("started", task)

        def report(step: int, value: float, task: Any = task) -> None:
            tell("progress", task, step=step, value=value)

        try:
            result = function(task, report)
        except ClusterError:
            raise
        except (Exception, SystemExit) as error:
            tell("failed", task, **described(error))
        else:
            tell("finished", task, result=result)
