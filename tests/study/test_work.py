"""What a worker sets while it does a task."""

from __future__ import annotations

import pytest
import torch

from lowroad.study.worker import task_arithmetic


def test_a_task_has_task_arithmetic_and_no_denormal_numbers():
    before = torch.get_num_threads()
    supported = torch.set_flush_denormal(False)
    tiny = torch.full((64,), 1e-30)
    with task_arithmetic():
        assert torch.get_num_threads() == 1
        product = tiny * 1e-10  # 1e-40 is below float32's normal numbers, 1.2e-38
    assert torch.get_num_threads() == before
    assert float((tiny * 1e-10)[0]) == pytest.approx(1e-40, rel=1e-4)
    if supported:
        assert not product.any()
