"""The kinds of task, training run, path and sharpness, and the hash of what determines each."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any, Literal

from lowroad.mnist_sources import SHA256
from lowroad.study.config import (
    DataSettings,
    LbfgsSettings,
    NetworkName,
    PathSettings,
    PlaneSettings,
    Settings,
    SgdSettings,
    SharpnessSettings,
)

Optimizer = Literal["sgd", "lbfgs"]
Side = Literal["train", "test"]
WeightSet = Literal["sgd_train", "sgd_test", "lbfgs_train", "lbfgs_test"]

OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "lbfgs")
SIDES: tuple[Side, ...] = ("train", "test")
WEIGHT_SETS: tuple[WeightSet, ...] = ("sgd_train", "sgd_test", "lbfgs_train", "lbfgs_test")

VERSION = 1
"""To be raised when the same settings come to mean another computation; old records stay valid
for what they say but are no longer found."""

DATASET = hashlib.sha256(json.dumps(SHA256, sort_keys=True).encode()).hexdigest()
"""Digest of the whole data set, from the digests of its files."""


def derived_seed(*parts: str | int) -> int:
    """A seed in [0, 2^63) from a hash of ``parts``: independent of order, workers and each other.

    >>> derived_seed(0, "FCP", "initial weights", 3) == derived_seed(0, "FCP", "shuffling", 3)
    False
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class _Task(Settings):
    def determinants(self) -> dict[str, Any]:
        """Everything that determines the record, and nothing else."""
        raise NotImplementedError

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the determinants as canonical JSON; the record's name in the store."""
        return hashlib.sha256(canonical_json(self.determinants()).encode()).hexdigest()


class TrainingTask(_Task):
    """One training run: a network, an optimizer and the index of its seed."""

    network: NetworkName
    activation: Literal["softplus", "relu"]
    data: DataSettings
    study_seed: int
    seed: int
    settings: SgdSettings | LbfgsSettings

    @property
    def optimizer(self) -> Optimizer:
        """Name of the optimizer that the settings belong to."""
        return "sgd" if isinstance(self.settings, SgdSettings) else "lbfgs"

    @property
    def group(self) -> str:
        """Name of the tasks that take about as long as this one."""
        return f"training {self.network} {self.optimizer}"

    def __str__(self) -> str:
        return f"{self.group} seed {self.seed}"

    def determinants(self) -> dict[str, Any]:
        """Everything that determines the record, and nothing else."""
        return {
            "task": "training",
            "version": VERSION,
            "dataset": DATASET,
            **self.model_dump(mode="json"),
            "optimizer": self.optimizer,
        }

    def generator_seed(self, use: str) -> int:
        """Seed for a use of random numbers; both optimizers get the same initial weights."""
        return derived_seed(self.study_seed, self.network, use, self.seed)


class PathTask(_Task):
    """One path between the weights of two training runs, on one landscape.

    With ``plane`` the heights on the plane through its ends and its peak are part of the record.
    """

    network: NetworkName
    activation: Literal["softplus", "relu"]
    data: DataSettings
    study_seed: int
    weights: WeightSet
    landscape: Side
    seeds: tuple[int, int]
    records: tuple[str, str]
    settings: PathSettings
    plane: PlaneSettings | None = None

    @property
    def group(self) -> str:
        """Name of the tasks that take about as long as this one."""
        return f"path {self.network} on {self.landscape}"

    def __str__(self) -> str:
        return f"{self.group}, {self.weights} {self.seeds[0]}-{self.seeds[1]}"

    def determinants(self) -> dict[str, Any]:
        """Everything that determines the record; network, data and seeds are in the records' names.

        The number of pairs is not part of it: other pairs do not change this path.
        """
        plane = self.plane and {"plane": self.plane.model_dump(mode="json", exclude={"pairs"})}
        return {
            **(plane or {}),
            "task": "path",
            "version": VERSION,
            "records": self.records,
            "weights": self.weights,
            "landscape": self.landscape,
            "settings": self.settings.model_dump(mode="json", exclude={"pairs"}),
        }

    def generator_seed(self) -> int:
        """Seed for the mini-batches of the path's steps."""
        return derived_seed("path", *self.records, self.weights, self.landscape)


class SharpnessTask(_Task):
    """The curvature of the training loss at one point of a training run."""

    network: NetworkName
    activation: Literal["softplus", "relu"]
    data: DataSettings
    study_seed: int
    weights: WeightSet
    seed: int
    record: str
    settings: SharpnessSettings

    @property
    def group(self) -> str:
        """Name of the tasks that take about as long as this one."""
        return f"sharpness {self.network}"

    def __str__(self) -> str:
        return f"{self.group}, {self.weights} seed {self.seed}"

    def determinants(self) -> dict[str, Any]:
        """Everything that determines the record; network, data and seed are in the run's name."""
        return {
            "task": "sharpness",
            "version": VERSION,
            "record": self.record,
            "weights": self.weights,
            "settings": self.settings.model_dump(mode="json", exclude={"runs"}),
        }

    def generator_seed(self) -> int:
        """Seed for the iteration's first vector and the trace's random vectors."""
        return derived_seed("sharpness", self.record, self.weights)


Task = TrainingTask | PathTask | SharpnessTask


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and without spaces, so that equal values give equal text.

    >>> canonical_json({"b": 1.0, "a": [1e-3]})
    '{"a":[0.001],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
