"""Polygonal chains."""

from __future__ import annotations

from dataclasses import dataclass

from lowroad.paths.basis import Basis, HatBasis
from lowroad.paths.curve import CurveFinder


@dataclass(frozen=True, kw_only=True)
class PolygonalChainFinder(CurveFinder):
    """Straight segments through `terms` corners between the ends (Garipov et al. 2018).

    See `CurveFinder` for what is minimized and how.

    Attributes:
        terms: how many inner corners.

    >>> from lowroad.landscapes import AnaPot
    >>> surface = AnaPot()
    >>> found = PolygonalChainFinder(terms=6, objective="max_flux").find(surface, *surface.ends)
    >>> round(found.refined_height, 2)
    2.81
    """

    terms: int = 12

    @property
    def basis(self) -> Basis:
        """The hat functions."""
        return HatBasis(self.terms)
