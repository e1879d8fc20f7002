"""Points that a landscape's symmetries bring nearer to each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NEARER = 1e-6  # the least part of the distance that counts as nearer


@dataclass(frozen=True)
class SymmetricImage:
    """A point moved nearer to another one by a symmetry: an equal place of the landscape.

    A path between the two points as they are also performs the symmetry (it turns a cluster,
    exchanges atoms); one to this image does not.

    Attributes:
        point: the image [d], whose value is that of the point.
        method: which symmetries were tried, and how.
        raw_distance: the Euclidean distance of the points as they are.
        distance: the distance now, which is smaller.
        same: whether the two points are one state: what is left is below the landscape's tolerance.
    """

    point: Tensor
    method: str
    raw_distance: float
    distance: float
    same: bool

    def __str__(self) -> str:
        """Return a sentence.

        >>> print(SymmetricImage(torch.zeros(1), "mirrored", 2.0, 0.0, True))
        the ends are the same state: distance 2 as they are, 0 by symmetry (mirrored)
        """
        what = "are the same state" if self.same else "lie nearer to each other by a symmetry"
        return (
            f"the ends {what}: distance {self.raw_distance:.6g} as they are, {self.distance:.3g} "
            f"by symmetry ({self.method})"
        )

    @classmethod
    def between(
        cls, reference: Tensor, point: Tensor, image: Tensor, method: str, tolerance: float
    ) -> SymmetricImage | None:
        """Return the image of `point` [d], or None where it is not nearer to `reference` [d]."""
        raw, distance = (
            float(torch.linalg.vector_norm(each.double() - reference.double()))
            for each in (point, image)
        )
        if not distance < (1 - NEARER) * raw:
            return None
        return cls(image, method, raw, distance, distance <= tolerance)
