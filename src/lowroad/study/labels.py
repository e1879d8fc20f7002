"""Names within a study: weight sets, and the pairs of sets that paths connect."""

from __future__ import annotations

from typing import NamedTuple

SELECTIONS = ("train", "test", "validation", "last")
"""By what a run's point is chosen: lowest training, test or validation value, or the last one."""


class WeightSet(NamedTuple):
    """Points of one problem that belong together: a source, and how a point of a run is chosen.

    Attributes:
        source: the name of an optimizer or of a table of checkpoints in the study file.
        selection: one of `SELECTIONS`; "" where a run has one point only.

    >>> str(WeightSet("sgd", "train")), str(WeightSet("published", ""))
    ('sgd/train', 'published')
    """

    source: str
    selection: str

    def __str__(self) -> str:
        return f"{self.source}/{self.selection}" if self.selection else self.source

    @classmethod
    def of(cls, text: str) -> WeightSet:
        """Return the weight set that `str` writes as `text`."""
        source, _, selection = text.partition("/")
        return cls(source, selection)


class SetPair(NamedTuple):
    """Two weight sets whose points are connected; equal ones for paths within a set."""

    first: WeightSet
    second: WeightSet

    @property
    def within(self) -> bool:
        """Whether both are the same set."""
        return self.first == self.second
