"""Lennard-Jones clusters, and how to align one cluster with another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lowroad.landscapes.arrangements import Array, equal_to, nearest_motion, nearest_of
from lowroad.landscapes.landscape import Landscape
from lowroad.landscapes.surfaces import StationaryPoint
from lowroad.landscapes.symmetry import SymmetricImage


class LennardJones(Landscape):
    """V = 4 Σ_{i<j} (r_ij⁻¹² − r_ij⁻⁶) of n atoms in reduced units, over [3 n] coordinates.

    A point is the flattened positions [n, 3]. Shifts, rotations, reflections and permutations of
    the atoms do not change V: see `symmetric_image` before connecting two points.

    Args:
        atoms: n, at least 2.

    Raises:
        ValueError: for fewer than two atoms.

    >>> pair = LennardJones(2)
    >>> apart = torch.tensor([0.0, 0, 0, 2 ** (1 / 6), 0, 0], dtype=torch.float64)
    >>> round(pair.value(apart), 12)
    -1.0
    """

    batched = True
    free_gradients = True

    def __init__(self, atoms: int) -> None:
        if atoms < 2:
            raise ValueError(f"expected at least two atoms, got {atoms}")
        self.atoms, self.dimension = atoms, 3 * atoms
        self.dtype, self.device = torch.float64, torch.device("cpu")
        self._first, self._second = torch.triu_indices(atoms, atoms, offset=1)

    def values(self, points: Tensor) -> Tensor:
        """Return V [n] at `points` [n, 3 atoms]; infinite where two atoms coincide."""
        self.check_points(points)
        return self._pairs(points)[0]

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return V [n] and ∇V [n, 3 atoms]."""
        self.check_points(points)
        values, inverse_squares, differences = self._pairs(points)
        sixth = inverse_squares**3
        factors = (24 * sixth - 48 * sixth**2) * inverse_squares
        along = factors[:, :, None] * differences
        gradients = torch.zeros(len(points), self.atoms, 3, dtype=self.dtype)
        gradients.index_add_(1, self._first, along)
        gradients.index_add_(1, self._second, -along)
        return values, gradients.reshape(points.shape)

    def symmetric_image(self, reference: Tensor, point: Tensor) -> SymmetricImage | None:
        """Return a cluster moved nearest to another, see `Landscape.symmetric_image`."""
        self.check_points(torch.stack([reference, point]))
        x, y = (each.detach().view(-1, 3).numpy() for each in (reference, point))
        image = nearest_motion(x, y, np.zeros(self.atoms, dtype=np.int64), mirror=True)
        return SymmetricImage.between(
            reference,
            point,
            torch.from_numpy(image.reshape(-1)),
            "atoms exchanged, the whole shifted, turned and mirrored: assignment and Kabsch",
            equal_to(x),
        )

    def _pairs(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return V [n], r⁻² [n, pairs] and x_i − x_j [n, pairs, 3]."""
        x = points.view(len(points), self.atoms, 3)
        differences = x[:, self._first] - x[:, self._second]
        inverse_squares = 1 / differences.square().sum(2)
        sixth = inverse_squares**3
        # sixth (sixth − 1), not sixth² − sixth: infinity for coinciding atoms, not a NaN
        return 4 * (sixth * (sixth - 1)).sum(1), inverse_squares, differences


def aligned(
    start: Tensor,
    end: Tensor,
    generator: torch.Generator,
    *,
    tries: int = 200,
    permute: bool = True,
    reflect: bool = True,
    landscape: Landscape | None = None,
) -> Tensor:
    """Return `end` moved as near to `start` as shifts, rotations and permutations can bring it.

    From each of `tries` random rotations, the best permutation (`linear_sum_assignment`) and the
    best rotation (Kabsch) follow each other until neither changes anything; the nearest wins. Not
    an exhaustive search.

    Positions do not say what may be moved: without `landscape` they are taken to be isolated atoms
    of one kind. Of atoms in a cell, on a slab, held by constraints or of several kinds, give the
    landscape; then `end` comes in its image by that landscape's own symmetries
    (`Landscape.symmetric_image`), and where it has none, as it is.

    Args:
        start: positions [3 n].
        end: positions [3 n]; its centre is moved to that of `start`.
        generator: draws the rotations.
        tries: how many.
        permute: whether the atoms are of one kind.
        reflect: whether mirror images count as the same.
        landscape: of the two points, for its symmetries; the settings above are not used then.

    >>> g = torch.Generator().manual_seed(0)
    >>> here = torch.tensor([0.0, 0, 0, 1, 0, 0, 0, 2, 0], dtype=torch.float64)
    >>> there = torch.tensor([5.0, 0, 2, 5, 0, 0, 5, 1, 0], dtype=torch.float64)  # turned, renamed
    >>> float((aligned(here, there, g) - here).norm().round(decimals=9))
    0.0
    """
    if landscape is not None:
        image = landscape.symmetric_image(start, end)
        return end if image is None else image.point
    if start.shape != end.shape or start.ndim != 1 or len(start) % 3:
        raise ValueError(
            f"expected two vectors of one length, three to an atom, got {list(start.shape)} and "
            f"{list(end.shape)}"
        )
    here, there = (each.detach().double().view(-1, 3).numpy() for each in (start, end))
    centre = here.mean(0)
    here, there = here - centre, there - there.mean(0)

    def turned() -> Iterator[Array]:
        yield there
        for _ in range(tries - 1):
            q, r = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
            turn = q * r.diagonal().sign()  # equally likely only so (Mezzadri 2007)
            turn = -turn if not reflect and torch.det(turn) < 0 else turn
            yield there @ turn.numpy()

    kinds = np.zeros(len(here), dtype=np.int64) if permute else np.arange(len(here))
    nearest = nearest_of(here, turned(), kinds, reflect) + centre
    return torch.from_numpy(nearest.reshape(-1)).to(end)


# the seven atoms' four minima, lowest first, to ten digits
# fmt: off
LENNARD_JONES_7 = (
    StationaryPoint((
        -0.4534013986, -0.8418774716, 0.0, 0.0, 0.0, 0.5738701694,
        -0.1280337260, 0.9475958360, 0.0, 0.8616525994, 0.4145905264, 0.0,
        0.0, 0.0, -0.5738701686, -0.9407817934, 0.1710559083, 0.0,
        0.6605643190, -0.6913647994, 0.0,
    ), -16.505384),
    StationaryPoint((
        -0.2594302632, 0.5019621555, 0.4072611379, -0.2594302656, 0.1017174159, -0.6383425488,
        0.6499779098, -0.5009894281, -0.4064719256, 0.6499779073, -0.1015203005, 0.6371055338,
        -1.1716429335, 0.0, 0.0, 0.6499779086, 0.6025097283, -0.2306336065,
        -0.2594302634, -0.6036795701, 0.2310814075,
    ), -15.935043),
    StationaryPoint((
        0.5093593393, -0.3972228848, -0.3955018181, -0.5986847846, -0.2425066863, -0.3955018138,
        0.0893254438, 0.6397295845, -0.3955017986, 0.9923801388, 0.4019791653, 0.2200010349,
        -0.8443142529, 0.6584368033, 0.2200010347, -0.1480658854, -1.0604159848, 0.2200010386,
        0.0, 0.0, 0.5265023224,
    ), -15.593211),
    StationaryPoint((
        -0.6427808465, 0.6456640662, 0.1488281845, 1.0833979532, 0.2391419256, -0.3817262457,
        0.0, 0.0, -0.4975851245, -0.3931266844, -0.3966523620, 0.4816906265,
        -1.0833979570, -0.2391419178, -0.3817262451, 0.6427808505, -0.6456640680, 0.1488281793,
        0.3931266869, 0.3966523596, 0.4816906250,
    ), -15.533060),
)
# fmt: on
