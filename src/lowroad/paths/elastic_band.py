"""The nudged elastic band with a climbing image and images inserted where needed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lowroad.landscapes import Landscape
from lowroad.paths.image_chain import ImageChainFinder
from lowroad.paths.images import Chain, through_images

WITHIN = (0.25, 0.5, 0.75)  # where a gap between two images is evaluated


@dataclass(frozen=True, kw_only=True)
class ElasticBandFinder(ImageChainFinder):
    """Images held apart by springs along the path and moved by the landscape across it.

    F_i = −∇L(x_i)|⊥ + k (|x_{i+1} − x_i| / g_i − |x_i − x_{i−1}| / g_{i−1}) τ_i with the improved
    tangent τ of Henkelman & Jónsson 2000; the highest image feels no spring and climbs along τ
    (Henkelman, Uberuaga & Jónsson 2000). The gaps g are 1 until images are inserted.

    With `insertions`, the spline of a relaxed band is evaluated at three points of every gap. In
    the middle of the gap whose values exceed the linear interpolation of the two images' values
    most, and by more than `insert_above` of the images' range of values, an image is inserted; g is
    halved on both its sides and the band relaxes again. It climbs once no gap needs an image or all
    are inserted. Sources: Kolsbjerg, Groves & Hammer 2016 (AutoNEB); Draxler et al. 2018.

    Attributes:
        spring: k, in units of (present chain's range of values) / (ends' distance)².
        insertions: the largest number of inserted images.
        insert_above: the excess above which an image is inserted, as a fraction of the images'
            range of values.

    >>> from lowroad.landscapes import MullerBrown
    >>> surface = MullerBrown()
    >>> found = ElasticBandFinder().find(surface, *surface.ends)
    >>> round(found.refined_height, 3)
    -40.665
    """

    spring: float = 20.0
    insertions: int = 0
    insert_above: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.spring > 0:
            raise ValueError(f"expected a spring constant > 0, got {self.spring}")
        if self.insertions < 0:
            raise ValueError(f"expected insertions >= 0, got {self.insertions}")
        if not self.insert_above >= 0:
            raise ValueError(f"expected insert_above >= 0, got {self.insert_above}")

    def _forces(self, chain: Chain) -> Tensor:
        spread = float(chain.values.max() - chain.values.min())
        distance = float((chain.x[-1] - chain.x[0]).norm())
        pull = self.spring * spread / distance**2 * (chain.lengths / chain.gaps).diff()
        return chain.across() + pull[:, None] * chain.tangents

    @property
    def _most_images(self) -> int:
        return self.images + self.insertions

    def _grown(self, landscape: Landscape, chain: Chain) -> tuple[Tensor, Tensor] | None:
        knots = chain.gaps.double().cumsum(0) / chain.gaps.double().sum()
        knots = torch.cat([knots.new_zeros(1), knots])
        fractions = knots.new_tensor(WITHIN)[:, None]
        between = torch.lerp(chain.values[:-1], chain.values[1:], fractions)
        path = through_images(chain.x, chain.gaps)
        points = path(torch.lerp(knots[:-1], knots[1:], fractions).reshape(-1))
        excess = (landscape.values(points).view(between.shape) - between).amax(0)
        gap = int(excess.argmax())  # a NaN counts as the largest
        spread = float(chain.values.max() - chain.values.min())
        if float(excess[gap]) <= self.insert_above * spread:
            return None
        middle = path(knots[gap : gap + 2].mean(0, keepdim=True))
        sides = chain.gaps[gap].expand(2) / 2
        return (
            torch.cat([chain.x[: gap + 1], middle, chain.x[gap + 1 :]]),
            torch.cat([chain.gaps[:gap], sides, chain.gaps[gap + 1 :]]),
        )
