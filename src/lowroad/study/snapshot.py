"""Snapshots: where a training run is, so that a killed worker costs minutes, not hours.

The last one stays when the run is done: a run of the same trajectory with a larger budget goes on
from it.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lowroad import __version__
from lowroad.optimizers import Progress
from lowroad.study.device import CPU, moved
from lowroad.study.files import read_regular, write_atomically

EVERY = 120.0  # seconds between two writes of a run
DIGEST = hashlib.sha256().digest_size


class SnapshotFile:
    """The snapshot of one trajectory behind its own SHA-256, in one file.

    A run resumed from a snapshot ends in the same bits as an uninterrupted one, so it
    changes no result. A damaged one is never read as data: the run then begins anew.

    Args:
        path: where the file is, or would be.
        every: seconds between two writes.
    """

    def __init__(self, path: Path, every: float = EVERY) -> None:
        self.path, self._every = path, every
        self._last = time.monotonic()
        self._latest: Callable[[], dict[str, Any] | None] | None = None

    def load(self, device: torch.device = CPU, most: float = float("inf")) -> dict[str, Any] | None:
        """Return the snapshot with its points on `device`.

        None where none is whole, it is of another version of lowroad or torch, or it has gone
        further than `most` epochs or iterations.
        """
        try:
            content = read_regular(self.path, 2**40)
        except OSError:
            return None
        digest, body = content[:DIGEST], content[DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            return None
        try:
            content = torch.load(io.BytesIO(body), weights_only=True)
            version, snapshot = content["version"], content["snapshot"]
        except Exception:  # torch raises all kinds where the bytes are none of its own
            return None
        if version != __version__ or snapshot.get("iteration", snapshot.get("epoch", 0)) > most:
            return None
        return moved(snapshot, device)

    def note(self, progress: Progress) -> None:
        """Write a snapshot when the last one is old enough.

        Raises:
            OSError: the file cannot be written.
        """
        self._latest = progress.snapshot
        if time.monotonic() - self._last >= self._every:
            self.write()

    def write(self) -> None:
        """Write the latest snapshot, where the run makes any.

        Raises:
            OSError: the file cannot be written.
        """
        state = None if self._latest is None else self._latest()
        if state is None:
            return
        buffer = io.BytesIO()
        torch.save({"version": __version__, "snapshot": moved(state, CPU)}, buffer)
        body = buffer.getvalue()
        write_atomically(self.path, hashlib.sha256(body).digest() + body)
        self._last = time.monotonic()
