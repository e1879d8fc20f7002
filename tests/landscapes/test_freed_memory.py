"""A process that evaluates networks keeps the memory that it frees, unless its user says else."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FREED = """
import os, psutil, torch, lowroad
net = torch.nn.Linear(1, 1)
lowroad.NetworkLandscape(net, torch.ones(1, 1), torch.ones(1, 1), "mean_squared_error")
resident = lambda: psutil.Process().memory_info().rss / 2**20
torch.ones(6 * 2**20)  # 24 MiB, that are freed at once
before = resident()
held = torch.ones(6 * 2**20)
while_held = resident()
del held
print(while_held - before, while_held - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
@pytest.mark.parametrize("settings", [{}, {"MALLOC_MMAP_THRESHOLD_": "100000"}])
def test_freed_memory_is_kept_unless_the_environment_says_else(settings):
    unset = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FREED], env=unset | settings, capture_output=True, text=True
    )
    taken, returned = map(float, done.stdout.split())
    if settings:
        assert taken > 20
        assert returned > 20
    else:
        assert taken < 4
        assert returned < 4
