"""What is known of a study while it is carried out: trained runs, and which of them are kept."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lowroad.study.labels import SetPair
from lowroad.study.resolved import Study
from lowroad.study.tasks import Task

Stage = tuple[str, str]
"""A problem and a source; what follows from a source's runs waits for all of them."""


class Plan:
    """What measurements ask when they say which tasks follow.

    Args:
        study: the resolved study.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._records: dict[Stage, dict[int, str]] = {}
        self._kept: dict[Stage, list[int]] = {}
        self._by_value: dict[Stage, list[int]] = {}

    def note_runs(self, stage: Stage, runs: Mapping[int, Task]) -> None:
        """Note the runs of a stage, by seed, before they are stored."""
        self._records[stage] = {seed: task.hash for seed, task in runs.items()}

    def note_values(self, stage: Stage, values: Mapping[int, float]) -> None:
        """Note the lowest training values of a stage's runs, by seed."""
        self._by_value[stage] = sorted(values, key=lambda seed: _rank(float(values[seed]), seed))

    def note_kept(self, stage: Stage, representatives: list[int] | None = None) -> None:
        """Note which runs are kept: the lowest of all, or of those that are different solutions."""
        problem, source = stage
        order = self._by_value[stage] if representatives is None else representatives
        everything = source in self.study.config.checkpoints
        keep = len(order) if everything else self.study.config.settings(problem).train.kept
        self._kept[stage] = order[:keep]

    def by_value(self, problem: str, source: str) -> list[int]:
        """Seeds of a source's runs, the lowest training value first."""
        return self._by_value[problem, source]

    def ready(self, problem: str, source: str) -> bool:
        """Whether it is known which runs of a source are kept."""
        return (problem, source) in self._kept

    def kept(self, problem: str, source: str) -> list[int]:
        """Seeds of the kept runs, the lowest training value first."""
        return self._kept[problem, source]

    def number_kept(self, problem: str, source: str) -> int:
        """How many runs are kept, or at most will be."""
        if self.ready(problem, source):
            return len(self._kept[problem, source])
        if source in self.study.files:
            return len(self.study.files[source])
        return self.study.config.settings(problem).train.kept

    def record(self, problem: str, source: str, seed: int) -> str:
        """The hash of a run."""
        return self._records[problem, source][seed]

    def holds(self, task: Task) -> bool:
        """Whether a run is one of those compared, not a grid's candidate that was not chosen."""
        stage = task.problem.label, str(task.labels["source"])
        return self._records.get(stage, {}).get(int(task.labels["seed"])) == task.hash

    def completed_pairs(self, problem: str, source: str) -> list[SetPair]:
        """Pairs of weight sets that hold a source, both of whose sources are ready."""
        return [
            pair
            for pair in self.study.set_pairs(problem)
            if source in (pair.first.source, pair.second.source)
            and all(self.ready(problem, each.source) for each in pair)
        ]


def _rank(value: float, seed: int) -> tuple[bool, float, int]:
    finite = math.isfinite(value)
    return not finite, value if finite else 0.0, seed
