"""Checkpoints: where a long task is, kept so that a killed worker costs minutes, not hours."""

from __future__ import annotations

import hashlib
import io
import time
from pathlib import Path
from typing import Any

import torch

from lowroad import __version__
from lowroad.optimizers import Progress
from lowroad.study.device import CPU, moved
from lowroad.study.store import write_atomically

EVERY = 120.0  # seconds between two checkpoints of a task
DIGEST = hashlib.sha256().digest_size


class Checkpoint:
    """The checkpoint of one task: a snapshot behind its own SHA-256, in one file.

    A run resumed from a snapshot ends in the same bits as an uninterrupted one, so a checkpoint
    changes no result. A damaged one is never read as data: the task then begins anew.

    Args:
        path: where the file is, or would be.
        every: seconds between two checkpoints.
    """

    def __init__(self, path: Path, every: float = EVERY) -> None:
        self.path, self._every = path, every
        self._last = time.monotonic()

    def load(self, device: torch.device = CPU) -> dict[str, Any] | None:
        """Return the snapshot with its points on `device`.

        None where none is whole, or it is of another version of lowroad or torch.
        """
        try:
            content = self.path.read_bytes()
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
        return moved(snapshot, device) if version == __version__ else None

    def note(self, progress: Progress) -> None:
        """Write a checkpoint when the last one is old enough.

        Raises:
            OSError: the file cannot be written.
        """
        if time.monotonic() - self._last < self._every:
            return
        buffer = io.BytesIO()
        torch.save({"version": __version__, "snapshot": moved(progress.snapshot(), CPU)}, buffer)
        body = buffer.getvalue()
        write_atomically(self.path, hashlib.sha256(body).digest() + body)
        self._last = time.monotonic()

    def remove(self) -> None:
        """Remove the file: the task is done."""
        self.path.unlink(missing_ok=True)
