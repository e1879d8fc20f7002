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
import xarray as xr
from rich.console import Console
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from typer.testing import CliRunner

from lowroad.cli import app
from lowroad.connect import Options, connect
from lowroad.connect import memory as memory_module
from lowroad.connect.memory import check_memory, needed_bytes
from lowroad.connect.progress import SearchDisplay
from lowroad.connect.search import Search
from lowroad.landscapes import MullerBrown, NetworkLandscape
from lowroad.landscapes import landscape as landscape_module
from lowroad.paths import (
    BezierPathFinder,
    ElasticBandFinder,
    FourierPathFinder,
    StraightLine,
    StringFinder,
)
from lowroad.paths.keeper import Keeper

FINDERS = {
    "Adam": FourierPathFinder(terms=3, points=9, steps=40, learning_rate=0.05, smoothness=1e-3),
    "L-BFGS": BezierPathFinder(terms=3, points=9, steps=40, optimizer="lbfgs"),
    "max flux": BezierPathFinder(terms=3, points=9, steps=40, objective="max_flux"),
    "mini-batches": FourierPathFinder(terms=3, points=9, steps=40, batch_size=13, noise=0.1),
    "max flux by Adam": BezierPathFinder(
        terms=3, points=9, steps=40, objective="max_flux", optimizer="adam", batch_size=13
    ),
    "string": StringFinder(points=9, images=5, steps=40, tolerance=0.0),
    "band": ElasticBandFinder(points=9, images=5, steps=40, tolerance=0.0, optimizer="fire"),
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
    kept = out / "search-1-2.pt"
    first = torch.load(kept, weights_only=True)["state"]["step"]
    assert first == {"L-BFGS": 20, "max flux": 20, "max flux by Adam": 20}.get(name, 25)

    steps: list[int] = []
    monkeypatch.setattr(SearchDisplay, "step", lambda self, at, height: steps.append(at))
    (record,) = connect(files[:2], surface, finder, out, Options(resume=True))
    assert steps[0] in (first, first + 1)  # L-BFGS tells after a step
    assert steps[-1] <= 40
    assert {path.name for path in out.iterdir()} == {
        "path.nc", "profile.png", "report.html", "summary.json",
    }  # fmt: skip
    (whole,) = connect(files[:2], surface, finder, tmp_path / "whole")
    xr.testing.assert_identical(record, whole)  # the same bits, costs and history included


def test_an_interrupt_in_the_middle_of_a_step_waits(files, tmp_path, monkeypatch):
    out, surface, finder, step = (
        tmp_path / "out",
        landscape(),
        FINDERS["Adam"],
        torch.optim.Adam.step,
    )
    taken = []

    def interrupted(self, *arguments):
        taken.append(1)
        if len(taken) == 7:
            signal.raise_signal(signal.SIGINT)
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        connect(files[:2], surface, finder, out)
    assert torch.load(out / "search-1-2.pt", weights_only=True)["state"]["step"] == 7
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (record,) = connect(files[:2], surface, finder, out, Options(resume=True))
    (whole,) = connect(files[:2], surface, finder, tmp_path / "whole")
    xr.testing.assert_identical(record, whole)


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
    (out / "search-1-2.pt").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match=r"search-1-2\.pt: damaged"):
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
    while "step" not in told:
        told = process.stderr.readline()
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "go on by the same command with --resume" in rest
    assert "Traceback" not in rest
    kept = torch.load(tmp_path / "lowroad-connect" / "search-1-2.pt", weights_only=True)["state"]
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


class Peak(TorchDispatchMode):
    """The most bytes that live tensors, made while this is on, took together."""

    def __enter__(self):
        self.live, self.peak = {}, 0
        return super().__enter__()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.live = {key: each for key, each in self.live.items() if not each[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.live.values()))
        return made


@pytest.mark.parametrize(
    "finder",
    [
        BezierPathFinder(terms=1, steps=3, points=5, refinements=1),
        BezierPathFinder(terms=6, steps=3, points=5, refinements=1),
        BezierPathFinder(terms=2, steps=30, points=5, refinements=1, optimizer="lbfgs"),
        StringFinder(images=8, steps=40, points=5, refinements=1, tolerance=0.0),
        StringFinder(images=8, steps=30, points=5, refinements=1, optimizer="fire"),
    ],
    ids=str,
)
def test_the_estimate_is_a_bound_of_what_is_needed(finder, monkeypatch):
    for module in (memory_module, landscape_module):
        monkeypatch.setattr(module, "FLOATS_AT_ONCE", 1)  # as for a large network: one at a time
    torch.manual_seed(0)
    inputs, labels = torch.randn(4, 50), torch.zeros(4).long()
    with Peak() as memory:
        net = nn.Sequential(nn.Tanh(), nn.Linear(50, 1000), nn.Tanh(), nn.Linear(1000, 2))
        surface = NetworkLandscape(net, inputs, labels, "cross_entropy")
        ends = [torch.randn(surface.dimension) for _ in range(2)]
        finder.find(surface, *ends, torch.Generator().manual_seed(0), keeper=Keeper())
    share = memory.peak / needed_bytes(finder, surface)
    # a chain's L-BFGS forgets what it knows whenever the forces grow
    forgets = isinstance(finder, StringFinder) and finder.optimizer == "lbfgs"
    assert (0.1 if forgets else 0.3) < share < 1


def test_what_is_counted_grows_with_each_part():
    surface = landscape()
    small = needed_bytes(StraightLine(points=9), surface)
    assert needed_bytes(FINDERS["Adam"], surface) > small
    assert needed_bytes(FINDERS["L-BFGS"], surface) > needed_bytes(FINDERS["Adam"], surface)
    assert needed_bytes(FINDERS["Adam"], surface, ends=9) > needed_bytes(FINDERS["Adam"], surface)
