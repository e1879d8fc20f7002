"""Processes that begin with all imported that a study needs, so that each starts at once."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext

MODULES = (
    "lowroad.study.run",
    "lowroad.study.worker",
    "lowroad.optimizers.method",
    "lowroad.paths.registry",
    "lowroad.analysis.planes",
    "dask.array",  # xarray imports it for the first array
    "torch._dynamo",  # torch imports it for the first step of an optimizer
)


def preloaded() -> ForkServerContext:
    """A context whose processes are forked from one that has imported all this."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(MODULES))
    return context
