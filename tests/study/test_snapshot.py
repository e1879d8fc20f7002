"""SnapshotFiles in the middle of a training run."""

from __future__ import annotations

import hashlib
import io

import pytest
import torch

from lowroad.landscapes import NetworkLandscape
from lowroad.optimizers import lbfgs, sgd
from lowroad.study.snapshot import SnapshotFile


class Killed(Exception):
    pass


def landscape():
    generator = torch.Generator().manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Softplus(), torch.nn.Linear(5, 3))
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.rand(p.shape, generator=generator) - 0.5)
    inputs = torch.randn(40, 6, generator=generator)
    return NetworkLandscape(
        module, inputs, torch.randint(0, 3, (40,), generator=generator), "cross_entropy"
    )


def train(optimizer, callback=None, resume=None):
    surface = landscape()
    start = surface.initial_point()
    if optimizer == "sgd":
        (found,) = sgd(
            surface,
            start[None],
            generators=[torch.Generator().manual_seed(1)],
            epochs=50,
            batch_size=8,
            momentum=0.5,
            callback=callback,
            resume=resume,
        )
        return found
    return lbfgs(surface, start, iterations=50, callback=callback, resume=resume)


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_a_killed_and_resumed_run_ends_in_the_same_bits(optimizer, tmp_path):
    whole = train(optimizer)
    snapshot = SnapshotFile(tmp_path / "task.pt", every=0.0)

    def until_killed(progress):
        snapshot.note(progress)
        if progress.step == 33:
            raise Killed

    with pytest.raises(Killed):
        train(optimizer, until_killed)
    steps = []
    resumed = train(
        optimizer,
        lambda progress: steps.append(progress.step),
        resume=SnapshotFile(tmp_path / "task.pt").load(),
    )
    assert 1 < steps[0] <= 34, "the run began anew"
    assert torch.equal(resumed.point, whole.point)
    assert resumed.history.values.tolist() == whole.history.values.tolist()
    assert (resumed.value, resumed.step, resumed.outcome, resumed.evaluations) == (
        whole.value,
        whole.step,
        whole.outcome,
        whole.evaluations,
    )


def test_snapshots_are_no_more_frequent_than_asked(tmp_path):
    snapshot = SnapshotFile(tmp_path / "task.pt", every=3600.0)
    train("sgd", snapshot.note)
    assert snapshot.load() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"not torch's own", b"", "a text", {"version": "0"}])
def test_a_whole_snapshot_of_another_kind_is_not_read(content, tmp_path):
    snapshot = SnapshotFile(tmp_path / "task.pt")
    buffer = io.BytesIO(content if isinstance(content, bytes) else b"")
    if not isinstance(content, bytes):
        torch.save(content, buffer)
    body = buffer.getvalue()
    snapshot.path.write_bytes(hashlib.sha256(body).digest() + body)
    assert snapshot.load() is None


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_snapshot_is_not_read(damage, tmp_path):
    snapshot = SnapshotFile(tmp_path / "task.pt", every=0.0)
    train("lbfgs", snapshot.note)
    assert snapshot.load() is not None
    content = bytearray(snapshot.path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    snapshot.path.write_bytes(content[: {"flip": None, "truncate": 900, "empty": 0}[damage]])
    assert snapshot.load() is None
