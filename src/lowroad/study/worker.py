"""Doing a task: from its description and the records before it to a new record."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

import lowroad
from lowroad.execution.clusters import ClusterError
from lowroad.execution.events import Report
from lowroad.problems import Problem
from lowroad.study.content import read_sound
from lowroad.study.device import CPU, Device, device_of
from lowroad.study.measurements import MEASUREMENTS, Context
from lowroad.study.references import Facts, check_import, make_problem
from lowroad.study.resolve import examine
from lowroad.study.snapshot import SnapshotFile
from lowroad.study.store import Store
from lowroad.study.tasks import Task, canonical_json

_checked: set[tuple[str, str]] = set()  # problems whose fingerprint this process has compared


def run_task(
    directory: Path,
    task: Task,
    report: Report,
    folder: Path | None = None,
    device: Device = "cpu",
    sources: Mapping[str, str] = MappingProxyType({}),
    facts: Mapping[str, Facts] = MappingProxyType({}),
) -> dict[str, float]:
    """Do a task with one thread and write its record; what a worker is told to do.

    Args:
        directory: the study's.
        task: what to do.
        report: told where the task is.
        folder: the study's own modules.
        device: where the arithmetic happens.
        sources: as `Study.sources`.
        facts: as `Study.facts`; not from the directory, where another run may have its own.

    Returns:
        The numbers that progress shows, such as ``{"train": …}`` or ``{"path height": …}``.

    Raises:
        ClusterError: this process does not see the study's directory, or does not have the
            problem's module or data, or has imported another source than that of the run.
    """
    store = Store(directory)
    if not store.study_file.exists():
        raise ClusterError(
            f"{platform.node()} does not see {store.study_file}: every worker needs the study's "
            "directory, on a file system that they share"
        )
    where = device_of(device)
    problem = make_problem(task.problem, folder, str(where))
    for path in {task.problem.path, task.settings.get("method", "")} & sources.keys():
        check_import(path, folder, sources[path])
    with task_arithmetic():
        _compare_fingerprint(problem, task, facts.get(task.problem.label))
        return perform(task, problem, store, report, where, folder)


def perform(
    task: Task,
    problem: Problem,
    store: Store,
    report: Report,
    device: torch.device = CPU,
    folder: Path | None = None,
) -> dict[str, float]:
    """Do a task on a problem and write its record into a store."""
    start = time.perf_counter()
    measurement = MEASUREMENTS[task.measurement]
    records = [read_sound(store, name) for name in task.records]
    snapshot = None
    if task.measurement == "training":
        snapshot = SnapshotFile(store.snapshot_path(task.trajectory))
    dataset = measurement.run(task, Context(problem, records, report, snapshot, device, folder))
    digests = [str(record.attributes["content_sha256"]) for record in records]
    attributes = {
        "title": str(task),
        "task": canonical_json(task.hash_inputs()),
        "computed_from": json.dumps(dict(zip(task.records, digests, strict=True))),
        "seconds": time.perf_counter() - start,
        **provenance(device),
    }
    store.write(task.hash, dataset.assign_attrs(attributes))
    if snapshot is not None:  # after the record, which a full disk must not cost
        snapshot.write()
    return {
        label: float(dataset.attrs[name])
        for label, name in measurement.shown.items()
        if name in dataset.attrs
    }


def _compare_fingerprint(problem: Problem, task: Task, facts: Facts | None) -> None:
    """Refuse a problem that is another one here than where the study was started.

    Raises:
        ClusterError: when it is.
    """
    key = task.problem.label, canonical_json(task.problem.hash_inputs())
    if key in _checked or facts is None:
        return
    lines = facts.differences(examine(problem, task.problem.label, task.study_seed))
    if lines:
        raise ClusterError(
            f"on {platform.node()} the problem {task.problem.label} is another one than where "
            f"the study was started (other data?): {'; '.join(lines)}"
        )
    _checked.add(key)


@contextmanager
def task_arithmetic() -> Iterator[None]:
    """Let torch use one thread, so that sums have one order wherever a task runs.

    Numbers too small for float32's normal form count as zero: at training losses of 1e-9 most
    gradients by the outputs are such, and a processor is slow with them. Convolutions on a CUDA
    device keep float32's digits, of which its fast form drops the last four, and their sums have
    one order, too.
    """
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    tf32, one_order = cudnn.allow_tf32, cudnn.deterministic
    torch.set_num_threads(1)
    cudnn.allow_tf32, cudnn.deterministic = False, True
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        cudnn.allow_tf32, cudnn.deterministic = tf32, one_order
        torch.set_num_threads(threads)


def provenance(device: torch.device) -> dict[str, str]:
    """What does not determine a record but belongs to its origin."""
    machine = f"{platform.node()}, {platform.system()} {platform.machine()}"
    versions = {
        "lowroad": lowroad.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine if device == CPU else f"{machine}, {device}",
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }
