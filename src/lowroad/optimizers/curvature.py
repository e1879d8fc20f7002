"""The memory of a limited-memory quasi-Newton method."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

WEAKEST_CURVATURE = 1e-4  # the cosine of s and y below which the whole memory is dropped


class CurvatureMemory:
    """The last m pairs s = Δx, y = Δg, and the direction −H g that they imply.

    Args:
        size: m.

    Raises:
        ValueError: when m is below 1.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"expected a history of at least one pair, got {size}")
        self.size = size
        self.pairs: list[tuple[Tensor, Tensor, float]] = []  # s, y, 1 / s·y; oldest first

    def __len__(self) -> int:
        return len(self.pairs)

    def add(self, step: Tensor, change: Tensor) -> None:
        """Append s and y, or drop everything when s·y < 1e-4 |s||y| or is not finite."""
        product = float(step @ change)
        if product > WEAKEST_CURVATURE * float(step.norm()) * float(change.norm()) > 0.0:
            self.pairs = [*self.pairs, (step, change, 1.0 / product)][-self.size :]
        else:
            self.clear()

    def clear(self) -> None:
        """Drop all pairs."""
        self.pairs = []

    def direction(self, gradient: Tensor) -> Tensor:
        """Return p = −H g by the two-loop recursion (Nocedal & Wright, Algorithm 7.4).

        The initial scaling is γ = s·y / y·y of the newest pair. Without pairs, p = −g; a direction
        that is not finite or does not descend drops the memory.
        """
        if not self.pairs:
            return -gradient
        p = -gradient
        weights = []
        for s, y, inverse in reversed(self.pairs):
            weights.append(inverse * float(s @ p))
            p.sub_(y, alpha=weights[-1])
        _, y, inverse = self.pairs[-1]
        p *= 1.0 / (inverse * float(y @ y))
        for (s, y, inverse), weight in zip(self.pairs, reversed(weights), strict=True):
            p.add_(s, alpha=weight - inverse * float(y @ p))
        if not torch.isfinite(p).all() or not float(p @ gradient) < 0.0:
            self.clear()
            return -gradient
        return p

    def state(self) -> dict[str, Any]:
        """Return the memory as plain data."""
        return {"size": self.size, "pairs": list(self.pairs)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> CurvatureMemory:
        """Return the memory that `state` was made of."""
        memory = cls(state["size"])
        memory.pairs = [(s, y, float(inverse)) for s, y, inverse in state["pairs"]]
        return memory
