"""A study with everything that its file names, as it is kept in ``DIR/problems.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from lowroad.study.config import StudyConfig
from lowroad.study.labels import SetPair, WeightSet
from lowroad.study.references import Facts, ProblemReference
from lowroad.study.tasks import Task, canonical_json, told

INITIAL = "initial weights"
"""The use of random numbers that a run's start is drawn for."""


@dataclass(frozen=True)
class CheckpointFile:
    """A file of weights.

    Attributes:
        path: where it is.
        digest: SHA-256 of its content.
    """

    path: str
    digest: str

    @property
    def seed(self) -> int:
        """The number that stands where a training run has its seed."""
        return int(self.digest[:6], 16)


@dataclass(frozen=True)
class Study:
    """A study with everything that its file names.

    Attributes:
        config: the settings, with all defaults.
        folder: where the study's own modules are; None for a study without any.
        problems: the problems by name.
        facts: what is known of them.
        codes: version or digest of the source of each optimizer's method, by the method's path.
        files: the files of each table of checkpoints.
    """

    config: StudyConfig
    folder: Path | None
    problems: dict[str, ProblemReference]
    facts: dict[str, Facts]
    codes: dict[str, str]
    files: dict[str, tuple[CheckpointFile, ...]] = field(default_factory=dict)

    def selections(self, problem: str) -> tuple[str, ...]:
        """How points of runs of a problem are chosen."""
        facts = self.facts[problem]
        return self.config.selections(problem, facts.splits, facts.validation)

    def sets(self, problem: str) -> tuple[WeightSet, ...]:
        """All weight sets of a problem."""
        facts = self.facts[problem]
        return self.config.sets(problem, facts.splits, facts.validation)

    def set_pairs(self, problem: str) -> tuple[SetPair, ...]:
        """Pairs of weight sets of a problem that paths connect."""
        return self.config.set_pairs(problem, self.sets(problem))

    def splits(self, problem: str) -> tuple[str, ...]:
        """The splits on whose landscapes the problem's paths are measured."""
        return tuple(
            split
            for split in self.config.settings(problem).paths.splits
            if split in self.facts[problem].splits
        )

    def grid(self, problem: str, optimizer: str) -> list[dict[str, Any]]:
        """All combinations of an optimizer's settings; one where it has no grid."""
        return combinations(self.config.settings(problem).optimizers[optimizer].own)

    def run_name(self, source: str, seed: int) -> str:
        """What a run is called: the name of a checkpoint's file, or the run's seed."""
        return str(self._named(source).get(seed, seed))

    def _named(self, source: str) -> dict[int, str]:
        return {file.seed: Path(file.path).name for file in self.files.get(source, ())}

    def title(self, task: Task) -> str:
        """What a task is called in messages: its group, sets, and runs."""
        labels = task.labels
        if "seed_1" in labels:
            ends = [("first", "seed_1"), ("second", "seed_2")]
        elif "seed" in labels:
            ends = [("set" if "set" in labels else "source", "seed")]
        else:
            return str(task)
        names = dict(labels)
        for key, seed in ends:
            known = self._named(WeightSet.of(str(labels[key])).source)
            names[seed] = known.get(int(labels[seed]), labels[seed])
        return f"{task.group}{told(names)}"

    @property
    def dimensions(self) -> dict[str, int]:
        """The lengths of the problems' points, by the hash inputs of each problem."""
        return {
            canonical_json({"label": name, **reference.hash_inputs()}): self.facts[name].dimension
            for name, reference in self.problems.items()
        }

    @property
    def sources(self) -> dict[str, str]:
        """Digests of sources by import path, but for those whose version the study gives."""
        tables = [
            table for name in self.problems
            for table in self.config.settings(name).optimizers.values()
        ]  # fmt: skip
        pinned = {table.method for table in tables if table.version is not None}
        own = {method: code for method, code in self.codes.items() if method not in pinned}
        return own | {
            each.path: each.code
            for name, each in self.problems.items()
            if self.config.problems[name].version is None
        }

    def as_json(self) -> bytes:
        """What `load_study` reads beside the study file."""
        content = {
            "folder": None if self.folder is None else str(self.folder),
            "problems": {name: asdict(each) for name, each in self.problems.items()},
            "facts": {name: asdict(each) for name, each in self.facts.items()},
            "codes": self.codes,
            "files": {name: [asdict(f) for f in each] for name, each in self.files.items()},
        }
        return json.dumps({**content, "sha256": _digest(content)}, indent=1).encode()


def load_study(config: StudyConfig, content: bytes) -> Study:
    """Return the study that was run with a configuration.

    Raises:
        ValueError: when the content is not what `Study.as_json` wrote.
    """
    try:
        raw = json.loads(content)
        if raw.pop("sha256", None) not in (None, _digest(raw)):  # older ones have none
            raise ValueError("changed after it was written")
        if not config.problems.keys() == raw["problems"].keys() == raw["facts"].keys():
            raise ValueError("of other problems than the study's")
        return Study(
            config,
            None if raw["folder"] is None else Path(raw["folder"]),
            {name: ProblemReference(**each) for name, each in raw["problems"].items()},
            {name: Facts.from_json(each) for name, each in raw["facts"].items()},
            raw["codes"],
            {n: tuple(CheckpointFile(**f) for f in each) for n, each in raw["files"].items()},
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a list of a study's problems") from error


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def combinations(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Settings with each `{grid = [...]}` replaced by its values, in every combination, once each.

    >>> combinations({"lr": {"grid": [1, 2, 2]}, "epochs": 3})
    [{'lr': 1, 'epochs': 3}, {'lr': 2, 'epochs': 3}]
    """
    names, choices = list(settings), [_choices(value) for value in settings.values()]
    found: list[dict[str, Any]] = []
    for values in product(*choices):
        each = dict(zip(names, values, strict=True))
        if each not in found:
            found.append(each)
    return found


def _choices(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        if set(value) == {"grid"} and isinstance(value["grid"], list) and value["grid"]:
            return value["grid"]
        return combinations(value)
    return [value]
