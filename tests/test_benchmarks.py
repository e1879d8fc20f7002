"""The benchmark for a GPU runs from end to end without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
def test_the_program_for_a_gpu_runs_on_the_processor():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "gpu.py", "--device", "cpu", "--small", "--networks", "FCP"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "L-BFGS iteration" in done.stdout


def test_operations_are_those_of_the_layers(monkeypatch):
    """784 · 50 weights and 10 + 50 · 50 … of FCP, twice each: what an iteration needs at least."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    first, behind = gpu.operations(gpu.made("FCP", "cpu", 100), "FCP")
    assert (first, behind) == (2 * 784 * 50, 2 * (50 * 50 + 50 * 10))
    first, behind = gpu.operations(gpu.made("Autoencoder", "cpu", 100), "Autoencoder")
    assert (first, behind) == (2 * 784 * 32, 2 * (2 * 32 * 32 + 32 * 784))
