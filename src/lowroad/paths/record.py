"""The record of a search: the rows of its history, and whether the height still changes."""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np
from torch import Tensor

from lowroad.landscapes import Evaluations
from lowroad.paths.found_path import History


class Record:
    """The rows of a `History` so far, and whether the height still changes.

    Args:
        evaluations: the running count of the search.
        tolerance: the relative change below which a height counts as the same.
        steps: the number of steps over which that is judged.
    """

    def __init__(self, evaluations: Evaluations, tolerance: float = 0.0, steps: int = 1) -> None:
        self._evaluations = evaluations
        self._tolerance, self._span = tolerance, steps
        self._rows: list[tuple[int, float, float, float, float]] = []
        self._floor = np.inf
        self._lowest: list[float] = []

    def add(self, step: int, values: Tensor) -> None:
        """Add the values [T] of a path that is `step` steps old."""
        height, spent = float(values.max()), self._evaluations
        total = float(values.sum())
        self._rows.append((step, height, total, spent.gradients, spent.values))
        self._floor = min(self._floor, float(values[0]), float(values[-1]))
        lowest = self._lowest[-1] if self._lowest else np.inf
        self._lowest.append(min(lowest, height))

    def state(self) -> dict[str, Any]:
        """Return the rows and the count so far as plain data; rows that follow may be added."""
        return {
            "rows": self._rows,
            "lowest": self._lowest,
            "length": len(self._rows),
            "floor": float(self._floor),
            "spent": vars(self._evaluations).copy(),
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        length = state["length"]
        self._rows, self._lowest = state["rows"][:length], state["lowest"][:length]
        self._floor = state["floor"]
        for name, spent in state["spent"].items():
            setattr(self._evaluations, name, spent)

    @property
    def finite(self) -> bool:
        """Whether the last row is finite."""
        return bool(np.isfinite(self._rows[-1][2]))

    @property
    def steady(self) -> bool:
        """Whether the lowest height fell by less than the tolerance over the last steps.

        The change is relative to the height above the lower end, so that adding a constant to the
        landscape or scaling it changes nothing.
        """
        steps = [row[0] for row in self._rows[-len(self._lowest) :]]
        before = bisect.bisect_right(steps, steps[-1] - self._span)
        if before == 0:
            return False
        lowest = self._lowest[-1]
        return self._lowest[before - 1] - lowest <= self._tolerance * (lowest - self._floor)

    def history(self) -> History:
        """Return the rows as arrays."""
        columns = np.array(self._rows, dtype=np.float64).reshape(-1, 5).T
        return History(columns[0].astype(np.int64), *columns[1:])
