"""FourierPathFinder, Algorithm 2 of Yu & Morozov 2026."""

from __future__ import annotations

from dataclasses import dataclass

from lowroad.paths.basis import Basis, SineBasis
from lowroad.paths.curve import CurveFinder


@dataclass(frozen=True, kw_only=True)
class FourierPathFinder(CurveFinder):
    """θ(t) = (1 − t) start + t end + Σ_n b_n sin(nπt), n = 1 … `terms`: Eq. (3).

    The defaults are the paper's for networks (10 terms, 51 points, 100 Adam steps of rate 1e-3);
    the value of its smoothness is missing in the text. See `CurveFinder` for what is minimized.

    Attributes:
        terms: N, how many sines.

    >>> from lowroad.landscapes import TwoWells
    >>> surface = TwoWells()
    >>> finder = FourierPathFinder(
    ...     terms=15, points=101, learning_rate=0.01, steps=300, smoothness=35.0
    ... )
    >>> found = finder.find(surface, *surface.ends)
    >>> round(found.height, 2)  # the straight line's is 1.10; the lowest possible is 0.62
    0.68
    """

    terms: int = 10

    @property
    def basis(self) -> Basis:
        """The sines."""
        return SineBasis(self.terms)
