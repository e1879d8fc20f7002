"""What a search will need in memory, estimated before it begins."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

from lowroad.landscapes import Landscape, NetworkLandscape
from lowroad.landscapes.landscape import FLOATS_AT_ONCE
from lowroad.paths import PathFinder
from lowroad.paths.curve import CurveFinder
from lowroad.paths.image_chain import ImageChainFinder

CURVATURE = 74  # vectors for each coefficient that L-BFGS with 20 pairs remembers and works with
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def needed_bytes(finder: PathFinder, landscape: Landscape, ends: int = 2) -> int:
    """Return about how much memory a search needs besides the data and the network's activations.

    Counted in vectors of the landscape's dimension d: the ends, the landscape's own (a network's
    parameters, their gradient, and its sum in float64), the points that are made at once with their
    gradients, and for each coefficient of the path what its optimizer keeps.

    Args:
        finder: the path finder.
        landscape: the landscape that it searches.
        ends: the number of checkpoints that are held.
    """
    terms, each, square = 0, 0, 0
    if isinstance(finder, CurveFinder):
        terms = finder.basis.terms
        each = 11 if finder._uses_adam else 13 + CURVATURE
    elif isinstance(finder, ImageChainFinder):
        terms = finder._most_images - 2
        each = 18 + (CURVATURE if finder.optimizer == "lbfgs" else 0)
        square = terms
    at_once = min(finder.points, max(1, FLOATS_AT_ONCE // landscape.dimension))
    own = 6 if isinstance(landscape, NetworkLandscape) else 2
    vectors = ends + own + 2 + 2 * at_once + each * terms
    small = 8 * (4 * finder.points * (terms + 1) + 2 * square**2)
    return vectors * landscape.dimension * landscape.dtype.itemsize + small


def available_bytes(device: torch.device) -> int:
    """Return how much memory is free for this process on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    own = int(psutil.Process().memory_info().rss)
    for path in LIMITS:
        try:
            free = min(free, int(Path(path).read_text()) - own)
        except (OSError, ValueError):  # no such limit
            continue
    return max(free, 0)


def check_memory(finder: PathFinder, landscape: Landscape, ends: int = 2) -> None:
    """Refuse a search that needs more memory than there is.

    Raises:
        ValueError: with both numbers, and what would help.
    """
    needed, free = needed_bytes(finder, landscape, ends), available_bytes(landscape.device)
    if needed > free:
        raise ValueError(
            f"{type(finder).__name__} on {landscape.dimension:,} parameters needs about "
            f"{needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free: take fewer terms, images or "
            "points, Adam instead of L-BFGS, or fewer parameters (--trainable)"
        )
