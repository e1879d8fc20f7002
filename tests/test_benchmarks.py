"""Benchmarks run from end to end, on few images and without a GPU."""

from __future__ import annotations

import re
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

    first, behind = gpu.operations(gpu.made("FCP", "cpu", 100).train, "FCP")
    assert (first, behind) == (2 * 784 * 50, 2 * (50 * 50 + 50 * 10))
    first, behind = gpu.operations(gpu.made("Autoencoder", "cpu", 100).train, "Autoencoder")
    assert (first, behind) == (2 * 784 * 32, 2 * (2 * 32 * 32 + 32 * 784))


@pytest.mark.slow
def test_an_iteration_is_compared_with_the_naive_form_and_with_the_bound():
    command = [sys.executable, BENCHMARKS / "lbfgs_iteration.py", "--networks", "FCP"]
    done = subprocess.run(
        [*command, "--images", "200", "--iterations", "2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    line = re.search(
        r"times faster \(losses (\S+) and (\S+)\), (\d+)% of the bound\n$", done.stdout
    )
    assert line is not None, done.stdout
    assert float(line[1]) == pytest.approx(float(line[2]), rel=1e-3)
    assert 0 <= int(line[3]) < 100


@pytest.mark.slow
def test_deep_networks_are_recognised_and_their_planes_timed():
    program = BENCHMARKS / "deep_networks.py"
    for asked, told in (
        (["plane", "--resolution", "2", "--images", "20"], r"2² points in .* of as many plain"),
        (["permuted", "--seeds", "1"], "1 of 1 recognised exactly"),
    ):
        done = subprocess.run(
            [sys.executable, program, *asked], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert re.search(told, done.stdout)


@pytest.mark.slow
def test_more_measurements_find_a_minimum_that_is_no_higher():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "test_minimum.py", "--seeds", "2", "--images", "1000",
         "--epochs", "3", "--every", "3"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    numbers = re.findall(r"(\d\.\d{4}) ± \d", done.stdout)
    assert len(numbers) == 2, done.stdout
    assert 0 < float(numbers[1]) <= float(numbers[0]) < 2.4
