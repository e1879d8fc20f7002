"""Studies on another device than the processor."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

import fake_device
from fake_device import ELSEWHERE, PretendDevice
from lowroad.landscapes import network
from lowroad.study import work
from lowroad.study.checkpoint import Checkpoint
from lowroad.study.device import device_of
from lowroad.study.run import prepare_run
from lowroad.study.store import Store


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(network, "FlatModule", fake_device.FlatModule)
    monkeypatch.setattr(
        work, "device_of", lambda choice: ELSEWHERE if choice == "auto" else torch.device("cpu")
    )
    work.on_device.cache_clear()
    with PretendDevice():
        yield
    work.on_device.cache_clear()


def assert_same_arrays(store: Store, expected: Store, name: str) -> None:
    found, wanted = store.read(name).arrays, expected.read(name).arrays
    assert found.keys() == wanted.keys()
    for key in wanted:
        np.testing.assert_array_equal(found[key], wanted[key])


def test_a_study_stores_there_what_it_stores_here(tiny, finished, tmp_path, pretend, monkeypatch):
    places = []

    def landscape_of(task, images, *generator):
        landscape = made(task, images, *generator)
        places.append((landscape.device, landscape.inputs.device, landscape.targets.device))
        return landscape

    made = work.network_landscape
    monkeypatch.setattr(work, "network_landscape", landscape_of)
    summary = prepare_run(tiny, tmp_path).perform(1, lambda *_: None, "auto")
    assert (summary.performed, summary.failed) == (14, [])
    assert set(places) == {(ELSEWHERE, ELSEWHERE, ELSEWHERE)}
    for name in Store(finished.directory).hashes():
        assert_same_arrays(Store(tmp_path), Store(finished.directory), name)


@pytest.mark.parametrize("devices", [("cpu", "auto"), ("auto", "cpu")])
def test_a_run_goes_on_from_the_checkpoint_of_another_device(
    devices, tiny, finished, tmp_path, pretend, monkeypatch
):
    monkeypatch.setattr(work, "Checkpoint", functools.partial(Checkpoint, every=0.0))
    run = prepare_run(tiny, tmp_path)

    def cut_short(step: int, height: float) -> None:
        if step == 2:
            raise InterruptedError

    steps: list[int] = []
    for task in run.tasks:
        with pytest.raises(InterruptedError):
            work.perform(tmp_path, task, cut_short, devices[0])
        assert run.agenda.store.checkpoint_path(task.hash).exists()
        work.perform(tmp_path, task, lambda step, height: steps.append(step), devices[1])
        assert_same_arrays(run.agenda.store, Store(finished.directory), task.hash)
    assert 1 not in steps[:2]


def test_workers_take_the_cuda_devices_in_turn(monkeypatch):
    assert device_of("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    devices = []
    for number in range(3):
        monkeypatch.setattr("lowroad.study.device.worker_number", lambda number=number: number)
        devices.append(str(device_of("auto")))
    assert devices == ["cuda:0", "cuda:1", "cuda:0"]
    assert device_of("cpu") == torch.device("cpu")


def test_convolutions_keep_their_digits_and_order_while_a_task_runs():
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.deterministic
    with work.task_arithmetic():
        assert (cudnn.allow_tf32, cudnn.deterministic) == (False, True)
    assert (cudnn.allow_tf32, cudnn.deterministic) == before
