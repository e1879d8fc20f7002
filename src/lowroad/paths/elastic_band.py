"""The nudged elastic band with a climbing image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lowroad.paths.image_chain import Chain, ImageChainFinder


@dataclass(frozen=True, kw_only=True)
class ElasticBandFinder(ImageChainFinder):
    """Images held apart by springs along the path and moved by the landscape across it.

    F_i = −∇L(x_i)|⊥ + k (|x_{i+1} − x_i| − |x_i − x_{i−1}|) τ_i with the improved tangent τ of
    Henkelman & Jónsson 2000; the highest image feels no spring and climbs along τ (Henkelman,
    Uberuaga & Jónsson 2000).

    Attributes:
        spring: k, in units of (first chain's range of heights) / (ends' distance)².

    >>> from lowroad.landscapes import MullerBrown
    >>> surface = MullerBrown()
    >>> found = ElasticBandFinder().find(surface, *surface.ends)
    >>> round(found.refined_height, 3)
    -40.665
    """

    spring: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.spring > 0:
            raise ValueError(f"expected a spring constant > 0, got {self.spring}")

    def _forces(self, chain: Chain) -> Tensor:
        spread = float(chain.heights.max() - chain.heights.min())
        distance = float((chain.x[-1] - chain.x[0]).norm())
        pull = self.spring * spread / distance**2 * chain.lengths.diff()
        return chain.across() + pull[:, None] * chain.tangents
