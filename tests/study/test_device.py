"""Which device a worker uses, and how it calculates there."""

from __future__ import annotations

import torch

from lowroad.study.device import device_of
from lowroad.study.worker import task_arithmetic


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
    with task_arithmetic():
        assert (cudnn.allow_tf32, cudnn.deterministic) == (False, True)
    assert (cudnn.allow_tf32, cudnn.deterministic) == before
