"""The highest value on a path, estimated from values and forces of its images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor

from lowroad.paths.path import Path

PIECES = 20  # of a gap between images, whose lengths are added


def spline_height(path: Path, values: Tensor, gradients: Tensor) -> float:
    """Return the maximum of the cubic spline through the images' values and tangential slopes.

    The spline L(s) over the arc length s has at each image its value and the slope ∇L·τ along the
    path's unit tangent τ; at the ends, whose gradients are not evaluated, the slope is that of the
    cubic through the nearest three values and the neighbour's slope. Exact where L(s) is a cubic.
    It costs no evaluation, and it bounds nothing: the path may be higher or lower.
    Source: Henkelman & Jónsson 2000, appendix.

    Args:
        path: a spline through the images, whose knots are the images' t.
        values: of the images, ends included, [m + 2].
        gradients: of the inner images, [m, d].

    Returns:
        The maximum, at least the highest image's; NaN where a value or a slope is not finite.

    >>> from lowroad.paths.images import through_images
    >>> x = torch.linspace(-1, 1, 4, dtype=torch.float64)[:, None]  # L = x³ − x, by four images
    >>> height = spline_height(through_images(x), (x**3 - x)[:, 0], (3 * x**2 - 1)[1:-1])
    >>> abs(height - 2 / 3**1.5) < 1e-12
    True
    """
    knots = path.basis.knots  # type: ignore[attr-defined]
    t = torch.tensor([0.0, *knots, 1.0], dtype=torch.float64)
    part = torch.arange(PIECES, dtype=torch.float64) / PIECES
    fine = torch.cat([(t[:-1, None] + t.diff()[:, None] * part).reshape(-1), t[-1:]])
    lengths = path.step_lengths(fine).reshape(-1, PIECES).sum(1)
    place = np.concatenate([[0.0], lengths.cumsum(0).cpu().numpy()])
    near = 1e-3 * torch.minimum(t.diff()[:-1], t.diff()[1:])
    tangents = (path(t[1:-1] + near) - path(t[1:-1] - near)).double()
    inner = (gradients.double() * tangents).sum(1) / tangents.norm(dim=1)
    level, slopes = values.double().cpu().numpy(), inner.cpu().numpy()
    if not (np.isfinite(level).all() and np.isfinite(slopes).all() and (np.diff(place) > 0).all()):
        return float("nan")
    first = _end_slope(place[:3], level[:3], slopes[0])
    last = _end_slope(place[:-4:-1], level[:-4:-1], slopes[-1])
    spline = CubicHermiteSpline(place, level, np.concatenate([[first], slopes, [last]]))
    tops = spline.derivative().roots(extrapolate=False)
    tops = tops[np.isfinite(tops)]  # a constant piece has NaN
    return float(max([level.max(), *spline(tops)]))


def _end_slope(
    place: NDArray[np.float64], level: NDArray[np.float64], slope: np.float64
) -> np.float64:
    """The slope at the first of three places, of the cubic that has `slope` at the second."""
    one, two = place[1] - place[0], place[2] - place[1]
    # L(s) = level[1] + slope (s − s₁) + b (s − s₁)² + c (s − s₁)³
    left = (level[0] - level[1] + slope * one) / one**2
    right = (level[2] - level[1] - slope * two) / two**2
    c = (right - left) / (one + two)
    b = left + c * one
    return np.float64(slope - 2 * b * one + 3 * c * one**2)
