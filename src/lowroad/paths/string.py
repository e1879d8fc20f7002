"""The simplified string method with a climbing image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lowroad.paths.image_chain import ImageChainFinder
from lowroad.paths.images import Chain


@dataclass(frozen=True, kw_only=True)
class StringFinder(ImageChainFinder):
    """Images moved by the landscape across the path and spaced evenly after every step.

    Sources: E, Ren & Vanden-Eijnden 2007 (simplified string); Ren & Vanden-Eijnden 2013 (climbing:
    the two halves are spaced evenly each).

    >>> from lowroad.landscapes import MullerBrown
    >>> surface = MullerBrown()
    >>> found = StringFinder().find(surface, *surface.ends)
    >>> round(found.refined_height, 3)
    -40.665
    """

    def _forces(self, chain: Chain) -> Tensor:
        return chain.across()

    def _respace(self, chain: Tensor, climber: int | None) -> Tensor:
        if climber is None:
            return evenly_spaced(chain)
        left = evenly_spaced(chain[: climber + 2])
        return torch.cat([left[:-1], evenly_spaced(chain[climber + 1 :])])


def evenly_spaced(chain: Tensor) -> Tensor:
    """Return as many images [n, d], evenly spaced along the polygon through `chain` [n, d].

    >>> evenly_spaced(torch.tensor([[0.0], [3.0], [4.0]]))[:, 0]
    tensor([0., 2., 4.])
    """
    lengths = chain.diff(dim=0).norm(dim=1)
    places = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    wanted = torch.linspace(0, 1, len(chain), dtype=chain.dtype, device=chain.device) * places[-1]
    right = torch.searchsorted(places, wanted[1:-1]).clamp(1, len(chain) - 1)
    fraction = (wanted[1:-1] - places[right - 1]) / (places[right] - places[right - 1])
    inner = torch.lerp(chain[right - 1], chain[right], fraction[:, None])
    return torch.cat([chain[:1], inner, chain[-1:]])
