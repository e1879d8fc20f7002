"""The memory of a limited-memory quasi-Newton method."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def weakest_curvature(dtype: torch.dtype) -> float:
    """Return the cosine of s and y below which the whole memory is dropped.

    The paper's 1e-4 in float32, which lies a thousand times above its rounding; 1e-8 in float64,
    where pairs of that weakness still carry the curvature of a badly scaled landscape.
    """
    return 1e-8 if dtype == torch.float64 else 1e-4


def dot(first: Tensor, second: Tensor) -> float:
    """Return the product of two vectors, in float64 where it overflows in float32."""
    product = float(first @ second)
    return product if math.isfinite(product) else float(first.double() @ second.double())


class CurvatureMemory:
    """The last m pairs s = Δx, y = Δg, and the direction −H g that they imply.

    Args:
        size: m.

    Attributes:
        stride: |s| of the last step where the gradient hardly changed along it, or the curvature
            was negative, else 0.

    Raises:
        ValueError: when m is not a whole number of at least 1.
    """

    def __init__(self, size: int) -> None:
        if not size >= 1 or size % 1:
            raise ValueError(f"expected a history of at least one pair, got {size}")
        self.size = int(size)
        self.pairs: list[tuple[Tensor, Tensor, float]] = []  # s, y, 1 / s·y; oldest first
        self.stride = 0.0

    def __len__(self) -> int:
        return len(self.pairs)

    def add(self, step: Tensor, change: Tensor) -> None:
        """Append s and y, or drop everything.

        It is dropped where s·y is below c |s||y|, or where s·y or y·y cannot be represented. H does
        not depend on a common factor of s and y: one is divided out where y·y would overflow or
        vanish.
        """
        if not 0.0 < float(change @ change) < math.inf:
            largest = float(step.abs().max()) * float(change.abs().max())
            if 0.0 < largest < math.inf:
                factor = 2.0 ** -round(math.log2(largest) / 2)
                step, change = factor * step, factor * change
        product, square = float(step @ change), float(change @ change)
        weakest = weakest_curvature(step.dtype) * float(step.norm()) * float(change.norm())
        if math.inf > product > weakest > 0.0 and 0.0 < square < math.inf > 1.0 / product:
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
        if not torch.isfinite(p).all() or not dot(p, gradient) < 0.0:
            self.clear()
            return -gradient
        return p

    def state(self) -> dict[str, Any]:
        """Return the memory as plain data."""
        return {"size": self.size, "pairs": list(self.pairs), "stride": self.stride}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> CurvatureMemory:
        """Return the memory that `state` was made of."""
        memory = cls(state["size"])
        memory.pairs = [(s, y, float(inverse)) for s, y, inverse in state["pairs"]]
        memory.stride = state.get("stride", 0.0)
        return memory
