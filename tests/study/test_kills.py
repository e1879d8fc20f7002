"""A study whose driver and workers are killed at random moments ends in the same records."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lowroad.study.config import StudyConfig
from lowroad.study.store import Store
from lowroad.study.study_file import to_toml
from lowroad.study.verify import verify

from .conftest import HERE, Finished, digests, prepared


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
    stored: dict[str, str] = {}
    for kill in range(kills):
        run = subprocess.Popen(
            [*command, "--workers", "2", "--shard", "1/1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + 60  # until it works, and then a moment more
        running = Store(out).running
        while not list(running.glob(f"*.{run.pid}.json")) and run.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(draw.uniform(0.0, 3.0))
        if run.poll() is not None:  # all was stored by those before it
            assert run.returncode == 0
            assert len(digests(out)) == len(finished.digests)
            break
        if kill % 2:
            run.kill()
        else:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait(30)
        now = digests(out)
        assert verify(out).damaged == []
        assert {name: now[name] for name in stored} == stored
        assert now == {name: finished.digests[name] for name in now}
        stored = now
    assert prepared(tiny, out).execute(1, lambda progress, event: None).failed == []
    assert digests(out) == finished.digests
