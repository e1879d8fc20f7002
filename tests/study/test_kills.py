"""Studies killed at random moments, and two runs of one at once, end in the same records."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lowroad.study.config import StudyConfig
from lowroad.study.resolve import resolve_study
from lowroad.study.status import status
from lowroad.study.store import Store
from lowroad.study.study_file import to_toml
from lowroad.study.verify import verify
from preloaded_process import preloaded

from .conftest import HERE, Finished, digests, prepared


def go_on(config: StudyConfig, directory: Path) -> None:
    summary = prepared(config, directory).execute(1, lambda progress, event: None)
    assert (summary.failed, summary.waiting) == ([], 0)


def is_in_group(process: int, group: int) -> bool:
    """Whether a living process belongs to a group."""
    try:
        dead = psutil.Process(process).status() == psutil.STATUS_ZOMBIE
        return not dead and os.getpgid(process) == group
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(4, marks=pytest.mark.slow),
        pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_killed_at_random_moments_the_records_are_the_same(
    tiny: StudyConfig, finished: Finished, tmp_path: Path, kills: int
) -> None:
    """Two workers, no reader; the group or the driver alone is killed without a warning."""
    draw = random.Random(kills)
    study, out = tmp_path / "study.toml", tmp_path / "out"
    study.write_text(to_toml(tiny))
    (tmp_path / "tiny_network_problem.py").write_text(
        (HERE / "tiny_network_problem.py").read_text()
    )
    command = [sys.executable, "-m", "lowroad.cli", "run", str(study), "--out", str(out)]
    store, resolved = Store(out), resolve_study(tiny, HERE)
    stored: dict[str, str] = {}
    written: dict[str, int] = {}
    groups: list[int] = []
    for kill in range(kills):
        run = subprocess.Popen(
            [*command, "--workers", "2", "--shard", "1/1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        groups.append(run.pid)
        more = draw.randint(0, 4)  # records, which it shall write before its end
        end = time.monotonic() + 60
        while run.poll() is None and not (
            list(store.running.glob(f"*.{run.pid}.json"))
            and len(store.hashes()) >= len(stored) + more
        ):
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.3))
        if run.poll() is not None:  # all was stored by those before it
            assert run.returncode == 0
            assert len(digests(out)) == len(finished.digests)
            break
        if kill % 2:
            run.kill()
        else:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait(30)
        assert list(store.running.glob(f"*.{run.pid}.json"))
        assert status(resolved, out).runs == 0
        now = digests(out)
        assert verify(out).damaged == []
        assert {name: now[name] for name in stored} == stored
        assert now == {name: finished.digests[name] for name in now}
        stored = now
        times = {name: store.path(name).stat().st_mtime_ns for name in now}
        assert {name: times[name] for name in written} == written
        written = times
    end = time.monotonic() + 60
    while any(is_in_group(process, group) for group in groups for process in psutil.pids()):
        assert time.monotonic() < end, "workers outlive their driver"
        time.sleep(0.1)
    go_on(tiny, out)
    assert digests(out) == finished.digests
    assert list(store.running.iterdir()) == []
    assert not list(out.rglob(".*"))


@pytest.mark.slow
def test_two_runs_in_one_directory_at_once(
    tiny: StudyConfig, finished: Finished, tmp_path: Path
) -> None:
    context = preloaded()
    runs = [context.Process(target=go_on, args=(tiny, tmp_path), daemon=True) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(120)
        assert run.exitcode == 0
    assert digests(tmp_path) == finished.digests
    assert verify(tmp_path).damaged == []
    assert not list(tmp_path.rglob(".*"))
