"""Searches that are interrupted, gone on with, told about, and refused where memory is short."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

from lowroad.cli import app
from lowroad.connect import Options, connect
from lowroad.connect import memory as memory_module
from lowroad.connect.memory import check_memory, needed_bytes
from lowroad.connect.progress import SearchDisplay
from lowroad.connect.search import Search
from lowroad.landscapes import MullerBrown, NetworkLandscape
from lowroad.paths import BezierPathFinder, FourierPathFinder, Path, StraightLine, StringFinder

FINDERS = {
    "Adam": FourierPathFinder(terms=3, points=9, steps=40, learning_rate=0.05, smoothness=1e-3),
    "L-BFGS": BezierPathFinder(terms=3, points=9, steps=40, optimizer="lbfgs"),
    "max flux": BezierPathFinder(terms=3, points=9, steps=40, objective="max_flux"),
    "mini-batches": FourierPathFinder(terms=3, points=9, steps=40, batch_size=10),
    "string": StringFinder(points=9, images=5, steps=40, tolerance=0.0),
}


def landscape():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Tanh(), nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2))
    inputs = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    labels = (inputs[:, 0] * inputs[:, 1] > 0).long()
    return NetworkLandscape(module, inputs, labels, "cross_entropy")


@pytest.fixture
def files(tmp_path):
    surface, g = landscape(), torch.Generator().manual_seed(1)
    names = []
    for name in "abc":
        point = torch.randn(surface.dimension, generator=g)
        for _ in range(50):
            point = point - 0.5 * surface.value_and_gradient(point)[1]
        np.save(tmp_path / f"{name}.npy", point.numpy())
        names.append(tmp_path / f"{name}.npy")
    return names


def interrupt_at(monkeypatch, step, heights=None):
    """Interrupt, as Ctrl-C does, at a step of a search."""

    def told(self, at, height):
        if heights is not None:
            heights.append(height)
        if at == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(SearchDisplay, "step", told)


@pytest.mark.parametrize("name", FINDERS)
def test_a_search_goes_on_where_it_was_interrupted(name, files, tmp_path, monkeypatch):
    finder, out, surface = FINDERS[name], tmp_path / "out", landscape()
    heights: list[float] = []
    interrupt_at(monkeypatch, 25, heights)
    with pytest.raises(KeyboardInterrupt):
        connect(files[:2], surface, finder, out)
    kept = out / "search-1-2.safetensors"
    with safe_open(kept, framework="pt") as file:
        assert file.metadata()["step"] == "25"
        rows = file.get_tensor("coefficients")
    if name == "string":
        assert float(surface.values(rows).max()) <= heights[-1] * (1 + 1e-5)
    else:
        # the path that was evaluated at the interruption
        ends = [torch.from_numpy(np.load(file)) for file in files[:2]]
        path = Path(*ends, rows, finder.basis)
        grid = torch.linspace(0, 1, 9)
        if name in ("Adam", "L-BFGS"):
            top = float(path.values(surface, grid[1:-1]).max())
            assert top == pytest.approx(heights[-1], rel=1e-4)

    steps: list[int] = []
    monkeypatch.setattr(SearchDisplay, "step", lambda self, at, height: steps.append(at))
    (record,) = connect(files[:2], surface, finder, out, Options(resume=True))
    assert steps[0] in (25, 26)  # L-BFGS tells after a step
    assert steps[-1] <= 40
    assert not kept.exists()
    if name in ("Adam", "L-BFGS", "max flux"):
        ends = record.attrs["start_height"], record.attrs["end_height"]
        assert record.attrs["height"] <= max(heights[-1], *ends) * (1 + 1e-4)
    assert record.attrs["height"] <= record.attrs["straight_height"]
    assert {path.name for path in out.iterdir()} == {
        "path.nc", "profile.png", "report.html", "summary.json",
    }  # fmt: skip


def test_other_settings_do_not_go_on(files, tmp_path, monkeypatch):
    out, surface = tmp_path / "out", landscape()
    interrupt_at(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        connect(files[:2], surface, FINDERS["Adam"], out)
    for other, finder in ((files[:2], FINDERS["L-BFGS"]), (files[1:], FINDERS["Adam"])):
        with pytest.raises(ValueError, match="of a search with other checkpoints or settings"):
            connect(other, surface, finder, out, Options(resume=True))
    monkeypatch.undo()
    connect(files[:2], surface, FINDERS["Adam"], out)  # anew
    with pytest.raises(ValueError, match="of other checkpoints or settings; give the same"):
        connect(files[:2], surface, FINDERS["Adam"], out, Options(resume=True, seed=1))
    (out / "path.nc").write_bytes(b"no record")
    with pytest.raises(ValueError, match=r"path\.nc: damaged"):
        connect(files[:2], surface, FINDERS["Adam"], out, Options(resume=True))
    (out / "path.nc").unlink()
    (out / "search-1-2.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match=r"search-1-2\.safetensors: damaged"):
        connect(files[:2], surface, FINDERS["Adam"], out, Options(resume=True))


def test_finished_pairs_are_not_searched_again(files, tmp_path, monkeypatch):
    out, surface, finder = tmp_path / "out", landscape(), FINDERS["Adam"]
    searched = []
    run = Search.run

    def counted(self, *arguments):
        if len(searched) == 2:
            raise KeyboardInterrupt
        searched.append(arguments[5])
        return run(self, *arguments)

    monkeypatch.setattr(Search, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        connect(files, surface, finder, out)
    assert sorted(path.name for path in (out / "paths").iterdir()) == ["1-2.nc", "1-3.nc"]
    monkeypatch.setattr(Search, "run", run)
    monkeypatch.setattr(
        SearchDisplay, "begin", lambda self, label, steps=0, first=0: searched.append(label)
    )
    resumed = connect(files, surface, finder, out, Options(resume=True))
    assert searched[2:] == ["b.npy – c.npy, straight line", "b.npy – c.npy, path found"]
    whole = connect(files, surface, finder, tmp_path / "whole")
    for first, second in zip(resumed, whole, strict=True):
        assert first.attrs == pytest.approx(second.attrs)


def test_no_empty_folder_is_left(files, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        connect(files[:2], landscape(), FINDERS["Adam"], tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with pytest.raises(KeyboardInterrupt):
        connect(files[:2], landscape(), FINDERS["Adam"], tmp_path / "old")
    assert list((tmp_path / "old").iterdir()) == []


MODULE = """
import torch
from lowroad import FunctionLandscape

def landscape():
    return FunctionLandscape(lambda x: ((x**2 - 1) ** 2).sum(1), dimension=2)
"""


def test_a_request_to_terminate_keeps_the_path(tmp_path, monkeypatch):
    (tmp_path / "valley.py").write_text(MODULE)
    for name, place in (("a", -1.0), ("b", 1.0)):
        np.save(tmp_path / f"{name}.npy", np.array([place, place]))
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "lowroad.cli", "connect", "a.npy", "b.npy",
               "--landscape", "valley:landscape", "--set", "steps=10000000"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    told = ""
    while "path found" not in told:
        told = process.stderr.readline()
        assert process.poll() is None
    time.sleep(1.5)
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "go on by the same command with --resume" in rest
    assert "Traceback" not in rest
    kept = load_file(tmp_path / "lowroad-connect" / "search-1-2.safetensors")
    assert kept["coefficients"].abs().max() > 0


def test_the_message_of_an_interruption(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rough.py").write_text(MODULE.replace("dimension=2", "dimension=32"))
    arguments = ["connect", "a.npy", "b.npy", "--landscape", "rough:landscape"]
    interrupt_at(monkeypatch, 3)
    monkeypatch.syspath_prepend(tmp_path)
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(ord(name)).normal(size=32))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 130
    assert "Interrupted: what was found is kept" in result.output
    interrupt_at(monkeypatch, 0)
    result = CliRunner().invoke(app, [*arguments, "--out", "none"])
    assert result.exit_code == 130
    assert result.output.rstrip().endswith("Interrupted")


def test_a_log_has_lines_and_the_time_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    text = io.StringIO()
    with SearchDisplay(3, Console(file=text, width=200)) as display:
        display.begin("a – b, straight line")
        display.finish(2.5, "measured")
        display.begin("a – b, path found", steps=100)
        for step in range(100):
            display.step(step, 1 / (1 + step))
            now[0] += 1.0
        display.finish(0.01, "budget spent")
    lines = text.getvalue().splitlines()
    assert lines[:3] == [
        "0:00 a – b, straight line …",
        "0:00 a – b, straight line: height 2.5 (measured)",
        "0:00 a – b, path found …",
    ]
    # 95 more steps of a second, and 100 in each of two more searches
    assert "0:05 a – b, path found: step 5/100, height 0.1667, about 4:55 left" in lines
    assert lines[-1] == "1:40 a – b, path found: height 0.01 (budget spent)"
    assert len(lines) == 3 + 19 + 1


def test_a_search_that_goes_on_knows_its_pace(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    display = SearchDisplay(1, Console(file=io.StringIO()))
    display.begin("a – b", steps=100, first=60)
    now[0] = 20.0
    assert display.seconds_left(70) == pytest.approx(60.0)  # 10 steps took 20 s, 30 are left


def test_a_terminal_has_a_bar_and_the_height():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=150)
    with SearchDisplay(1, console) as display:
        display.begin("a – b, path found", steps=10)
        display.step(4, 0.125)
        time.sleep(0.15)
        display.finish(0.1, "budget spent")
    assert "step 4/10, height 0.125" in text.getvalue()
    assert "a – b, path found: height 0.1 (budget spent)" in text.getvalue()


def test_short_memory_is_refused_with_numbers(files, tmp_path, monkeypatch):
    surface = landscape()
    monkeypatch.setattr(memory_module, "available_bytes", lambda device: 10_000)
    with pytest.raises(ValueError, match=r"on 38 parameters needs about .* GB, and 1e-05 GB are"):
        connect(files[:2], surface, FINDERS["Adam"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    for finder in (
        StringFinder(images=100_000),
        BezierPathFinder(terms=100_000, points=100_000),
    ):
        with pytest.raises(ValueError, match="take fewer terms, images or points"):
            check_memory(finder, MullerBrown() if finder.points > 51 else surface)


PEAK = """
import resource, sys, torch
from torch import nn
from lowroad import NetworkLandscape
from lowroad.connect.memory import needed_bytes
from lowroad.connect import parse_finder

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

width = 200_000
def make():
    net = nn.Sequential(nn.Tanh(), nn.Linear(4, width, bias=False), nn.AdaptiveAvgPool1d(2))
    return NetworkLandscape(net, torch.ones(2, 4), torch.zeros(2).long(), "cross_entropy")
parse_finder("bezier", ["points=3", "steps=1"]).find(
    NetworkLandscape(nn.Linear(4, 2), torch.ones(2, 4), torch.zeros(2).long(), "cross_entropy"),
    torch.zeros(10), torch.ones(10))
finder = parse_finder(sys.argv[1], sys.argv[2:])
before = peak()
surface = make()
ends = torch.randn(2, surface.dimension).unbind()
finder.find(surface, *ends, torch.Generator())
print((peak() - before) / needed_bytes(finder, surface))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["bezier", "terms=4", "steps=2", "points=5"],
        ["string", "images=8", "steps=4", "points=5", "refinements=0"],
    ],
)
def test_the_estimate_is_about_right(arguments):
    """The measured peak is neither far below the estimate, nor above."""
    command = [sys.executable, "-c", PEAK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0.3 < float(done.stdout) < 1.05


def test_what_is_counted_grows_with_each_part():
    surface = landscape()
    small = needed_bytes(StraightLine(points=9), surface)
    assert needed_bytes(FINDERS["Adam"], surface) > small
    assert needed_bytes(FINDERS["L-BFGS"], surface) > needed_bytes(FINDERS["Adam"], surface)
    assert needed_bytes(FINDERS["Adam"], surface, ends=9) > needed_bytes(FINDERS["Adam"], surface)
