"""Affine subspaces: they contain almost all points that this package evaluates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AffineSubspace:
    """The points x(c) = origin + c · directions.

    A line search has one direction, a Fourier path's span 1 + N, a plotted plane two. The
    directions need not be orthogonal, of unit length, or independent; there may be none.

    Attributes:
        origin: [d].
        directions: [k, d].

    Raises:
        ValueError: when the shapes do not fit, or the types differ.

    >>> plane = AffineSubspace(torch.zeros(3), torch.eye(3)[:2])
    >>> plane.points(torch.tensor([[1.0, 2.0]]))
    tensor([[1., 2., 0.]])
    """

    origin: Tensor
    directions: Tensor

    def __post_init__(self) -> None:
        if self.origin.ndim != 1:
            raise ValueError(f"expected an origin of shape [d], got {list(self.origin.shape)}")
        if self.directions.ndim != 2 or self.directions.shape[1] != len(self.origin):
            raise ValueError(
                f"expected directions of shape [k, {len(self.origin)}], "
                f"got {list(self.directions.shape)}"
            )
        if self.directions.dtype != self.origin.dtype:
            raise ValueError(
                f"expected directions of the origin's type {self.origin.dtype}, "
                f"got {self.directions.dtype}"
            )

    @classmethod
    def line(cls, start: Tensor, end: Tensor) -> AffineSubspace:
        """Return the line with c = 0 at `start` [d] and c = 1 at `end` [d]."""
        return cls(start, (end - start)[None])

    @property
    def rank(self) -> int:
        """k, the number of directions."""
        return len(self.directions)

    def points(self, coordinates: Tensor) -> Tensor:
        """Return the points [n, d] at `coordinates` [n, k]."""
        if coordinates.ndim != 2 or coordinates.shape[1] != self.rank:
            raise ValueError(
                f"expected coordinates of shape [n, {self.rank}], got {list(coordinates.shape)}"
            )
        return torch.addmm(self.origin, coordinates.to(self.origin), self.directions)
