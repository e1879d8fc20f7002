"""The straight line, the reference for every path."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape
from lowroad.outcome import Outcome
from lowroad.paths.basis import SineBasis
from lowroad.paths.finder import Callback, PathFinder, Search
from lowroad.paths.path import Path
from lowroad.paths.record import Record


@dataclass(frozen=True, kw_only=True)
class StraightLine(PathFinder):
    """θ(t) = (1 − t) start + t end, measured without any search.

    >>> from lowroad.landscapes import CurvyValley
    >>> surface = CurvyValley()
    >>> round(StraightLine().find(surface, *surface.ends).refined_height, 6)
    2.976668
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.starts != 1:
            raise ValueError(f"expected one start: there is one straight line, got {self.starts}")

    def _search(
        self,
        landscape: CountingLandscape,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator | None,
        callback: Callback | None,
        initial: Path | None,
    ) -> Search:
        nothing = Record(landscape.evaluations, tolerance=0, steps=1).history()
        return Search(Path.straight(start, end, SineBasis(0)), nothing, Outcome.MEASURED)
