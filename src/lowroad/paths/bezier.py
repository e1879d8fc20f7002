"""Bézier curves."""

from __future__ import annotations

from dataclasses import dataclass

from lowroad.paths.basis import Basis, BernsteinBasis
from lowroad.paths.curve import CurveFinder


@dataclass(frozen=True, kw_only=True)
class BezierPathFinder(CurveFinder):
    """A Bézier curve with `terms` control points between the ends (Garipov et al. 2018).

    See `CurveFinder` for what is minimized and how.

    Attributes:
        terms: how many inner control points; degree terms + 1.

    >>> from lowroad.landscapes import AnaPot
    >>> surface = AnaPot()
    >>> found = BezierPathFinder(terms=4, objective="max_flux").find(surface, *surface.ends)
    >>> round(found.refined_height, 2)
    2.81
    """

    terms: int = 3

    @property
    def basis(self) -> Basis:
        """The Bernstein polynomials."""
        return BernsteinBasis(self.terms)
