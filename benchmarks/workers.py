"""What a second worker brings: the time of 16 SGD runs of FCP with one and with two workers.

    python benchmarks/workers.py [--runs 16] [--images 60000] [--epochs 80] [--repeats 1]

Every worker is a process with one thread; starting the workers and loading the data counts. Each
repeat begins with another number of workers. Prints seconds and their ratio, and checks
that both stores hold the same bits.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

from lowroad.execution.events import Event
from lowroad.execution.executor import execute
from lowroad.study.config import StudyConfig
from lowroad.study.run import prepare_run
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study
from lowroad.study.worker import run_task


def seconds(config: StudyConfig, workers: int) -> tuple[float, dict[str, str]]:
    """How long the training runs take, and the digests of their records."""

    def on_event(event: Event) -> list[object]:
        if event.kind == "failed":
            raise SystemExit(f"{event.task} failed: {event.error}")
        return []

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        tasks = prepare_run(config, store.directory, None).tasks
        start = time.perf_counter()
        execute(tasks, partial(run_task, store.directory), workers, on_event)
        took = time.perf_counter() - start
        digests = {name: store.read_attributes(name)["content_sha256"] for name in store.hashes()}
    assert len(digests) == len(tasks)
    return took, digests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    config = parse_study(
        {
            "name": "workers",
            "problems": {
                "FCP": {
                    "from": "lowroad.paper:problem",
                    "network": "FCP",
                    "train_images": arguments.images,
                }
            },
            "optimizers": {"sgd": {"method": "sgd", "epochs": arguments.epochs}},
            "train": {"seeds": arguments.runs, "keep": 2},
            "paths": {"pairs": 0},
        }
    )
    ratios = []
    for repeat in range(arguments.repeats):
        took, digests = {}, {}
        for workers in (1, 2) if repeat % 2 == 0 else (2, 1):
            took[workers], digests[workers] = seconds(config, workers)
        assert digests[1] == digests[2]
        ratios.append(took[2] / took[1])
        print(f"1 worker {took[1]:.1f} s, 2 workers {took[2]:.1f} s: {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
