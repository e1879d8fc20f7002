"""A task of a study, and the hash of what determines its record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lowroad.study.references import NUMERICS, ProblemReference


@dataclass(frozen=True, eq=False)
class Task:
    """One computation: a measurement of one problem, with what it depends on.

    Attributes:
        measurement: the name of the measurement.
        problem: what it is made on.
        labels: what tells it from the study's other tasks of the measurement, such as optimizer and
            seed; part of the hash, since seeds are derived from labels.
        settings: what else determines it.
        study_seed: the study's seed.
        records: hashes of the records that it is computed from.
        group: the name of tasks that take about as long as this one.
        work: rough seconds that it takes.
        budget: settings that say how far a trajectory goes, not which one it is.
        origin: the file that it reads, which is known by its digest.
    """

    measurement: str
    problem: ProblemReference
    labels: Mapping[str, str | int]
    settings: Mapping[str, Any]
    study_seed: int
    group: str
    records: tuple[str, ...] = ()
    work: float = 0.0
    budget: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""

    def hash_inputs(self) -> dict[str, Any]:
        """Everything that determines the record, and nothing else."""
        return {**self._inputs, "budget": dict(self.budget)}

    @property
    def _inputs(self) -> dict[str, Any]:
        return {
            "measurement": self.measurement,
            "numerics": NUMERICS,
            "problem": {"label": self.problem.label, **self.problem.hash_inputs()},
            "labels": dict(self.labels),
            "settings": dict(self.settings),
            "study_seed": self.study_seed,
            "records": list(self.records),
        }

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the hash inputs as canonical JSON; the record's name in the store."""
        return digest_of(self.hash_inputs())

    @cached_property
    def trajectory(self) -> str:
        """The same without the budget: the name of the snapshot from which longer runs go on."""
        return digest_of(self._inputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __str__(self) -> str:
        return f"{self.group}{told(self.labels)}"


def told(labels: Mapping[str, str | int]) -> str:
    """Labels as they stand behind the name of a task's group.

    >>> told({"set": "sgd/test", "seed": 3}), told({"set": "published", "seed": "epoch_90.pt"})
    (', sgd/test seed 3', ', published epoch_90.pt')
    """
    if "seed_1" in labels:
        first, second = labels["first"], labels["second"]
        sets = f"{first}" if first == second else f"{first} to {second}"
        return f", {sets} {labels['seed_1']}-{labels['seed_2']}"
    sets = f", {labels['set']}" if "set" in labels else ""
    if "seed" not in labels:
        return sets
    return (
        f"{sets} seed {labels['seed']}"
        if isinstance(labels["seed"], int)
        else (f"{sets} {labels['seed']}")
    )


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(inputs: Any) -> str:
    """SHA-256 of a value as canonical JSON."""
    return hashlib.sha256(canonical_json(inputs).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and without spaces, so that equal values give equal text.

    >>> canonical_json({"b": 1.0, "a": [1e-3]})
    '{"a":[0.001],"b":1.0}'
    """
    return _CANONICAL.encode(value)
