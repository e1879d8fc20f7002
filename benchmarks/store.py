"""What the store costs at the size of a large study, on made-up records.

    python benchmarks/store.py [--records 10000] [--planned 100000] [--parameters 42200]
        [--directory DIR]

Plans as many tasks of an empty store, makes a finished study of FCP with that many records and
weight vectors of that length (an FCP has 42,200; 2.4 GB in all) in DIR or in a temporary folder,
and times what the commands do with it. The first `run` writes the report, the second finds that
nothing has changed. Prints a table of seconds, by the clock and of the processor, and of the memory
at most.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import xarray as xr

from lowroad.study.config import StudyConfig
from lowroad.study.resolve import resolve_study
from lowroad.study.resolved import Study
from lowroad.study.results import load_results
from lowroad.study.run import prepare_run
from lowroad.study.schedule import Schedule
from lowroad.study.status import status
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study
from lowroad.study.tasks import Task, canonical_json
from lowroad.study.verify import verify


def settings(seeds: int, keep: int, pairs: int) -> StudyConfig:
    """FCP on few images with the paper's two optimizers."""
    return parse_study(
        {
            "name": "store",
            "problems": {
                "FCP": {
                    "from": "lowroad.paper:problem",
                    "network": "FCP",
                    "train_images": 100,
                    "test_images": 100,
                }
            },
            "optimizers": {"sgd": {"method": "sgd"}, "lbfgs": {"method": "lbfgs"}},
            "train": {"seeds": seeds, "keep": keep},
            "paths": {"pairs": pairs},
            "metrics": {"solutions": False},
        }
    )


def plan(directory: Path, tasks: int) -> str:
    """All training runs, and all paths as if each run was done one after the other."""
    study = resolve_study(settings(max(tasks // 2 - 4512, 48), 48, 1128), None)
    schedule = Schedule(study, Store(directory))
    with mock.patch.object(Schedule, "summary", return_value={"train_value": 1.0}):
        waiting = schedule.begin()
        known = len(waiting)
        while waiting:
            more = schedule.finished(waiting.pop())
            known += len(more)
            waiting += more
    assert known == schedule.total
    return f"{known:,} tasks"


def study(records: int) -> StudyConfig:
    """A fifth of the records training runs and the others paths between 48 of them."""
    return settings(max(records // 10, 48), 48, min(records // 10, 1128))


def make(directory: Path, config: StudyConfig, parameters: int) -> str:
    """A record for every task, with random numbers of the right shapes."""
    generator = np.random.default_rng(0)
    run = prepare_run(config, directory, None)
    waiting, made = run.tasks, 0
    with mock.patch("os.fsync"):  # ten thousand of them take minutes
        while waiting:
            task = waiting.pop()
            run.schedule.store.write(task.hash, record(task, parameters, generator))
            waiting += run.schedule.finished(task)
            made += 1
    return f"{made:,} records"


def record(task: Task, parameters: int, generator: np.random.Generator) -> xr.Dataset:
    def numbers(*shape: int) -> Any:
        return generator.random(shape)

    point = "parameter", numbers(parameters).astype(np.float32)
    common = {
        "task": canonical_json(task.hash_inputs()),
        "title": str(task),
        "computed_from": "{}",
        "outcome": "out of steps",
        "values_evaluated": 1.0,
        "gradients_evaluated": 1.0,
        "seconds": 1.0,
        "created": "2026-01-01T00:00:00+00:00",
        "machine": "none",
        "versions": "none",
    }
    if task.measurement == "path":
        return xr.Dataset(
            {
                "profile": ("t", numbers(51)),
                "totals": ("step", numbers(101)),
                "heights": ("step", numbers(101)),
                "peak_point": point,
                "projection": (("t", "axis"), numbers(51, 2)),
                "distance": ("t", numbers(51)),
            },
            coords={"t": np.linspace(0, 1, 51), "step": np.arange(101)},
            attrs=common
            | {"height": 1.0, "straight_height": 2.0, "length": 3.0, "straight_length": 2.0}
            | {"barrier": 0.5, "start_value": 0.1, "end_value": 0.5, "converged": 0},
        )
    return xr.Dataset(
        {
            "train_values": ("step", numbers(81)),
            "test_values": ("step", numbers(81)),
            "evaluations": ("step", np.arange(81.0)),
            "elapsed": ("step", np.arange(81.0)),
            "train_point": point,
            "test_point": point,
            "last_point": point,
        },
        coords={"step": np.arange(81)},
        attrs=common
        | {
            "train_value": float(generator.random()),
            "test_value": 1.0,
            "train_step": 80,
            "test_step": 80,
            "last_step": 80,
        },
    )


def resume(directory: Path, config: StudyConfig) -> str:
    run = prepare_run(config, directory, None)
    assert run.tasks == []
    return f"{len(run.schedule.done):,} stored"


def read(directory: Path) -> str:
    return f"{load_results(directory).table('path', 'FCP').sizes['path']:,} paths"


def command(name: str, *arguments: Any) -> str:
    subprocess.check_call(
        [sys.executable, "-m", "lowroad.cli", name, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
    )
    return "as a command"


def timed(name: str, function: Callable[..., str], *arguments: Any) -> None:
    start, before = time.perf_counter(), processor()
    what = function(*arguments)
    seconds, of_processor = time.perf_counter() - start, processor() - before
    memory = max(resource.getrusage(who).ru_maxrss for who in WHO) / 1024
    print(
        f"{name:<10} {what:<20} {seconds:7.1f} s, processor {of_processor:7.1f} s, "
        f"at most {memory:,.0f} MB so far",
        flush=True,
    )


WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def processor() -> float:
    """Seconds of the processor, of this process and of its children that have ended."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, WHO))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--planned", type=int, default=100_000)
    parser.add_argument("--parameters", type=int, default=42_200)
    parser.add_argument("--directory", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as folder:
        directory, config = Path(folder), study(arguments.records)
        timed("plan", plan, directory / "empty", arguments.planned)
        resolved: Study = resolve_study(config, None)
        timed("make", make, directory, config, arguments.parameters)
        for _ in range(2):  # the second time the index is there
            timed("resume", resume, directory, config)
            timed("status", lambda: f"{len(status(resolved, directory).rows)} rows")
            timed("verify", lambda: f"{verify(directory).records:,} sound")
        timed(
            "results",
            lambda: f"{load_results(directory).table('path', 'FCP').sizes['path']:,} paths",
        )
        for _ in range(2):
            timed("run", command, "run", directory / "study.toml", "--out", directory)


if __name__ == "__main__":
    main()
