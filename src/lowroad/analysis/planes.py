"""The plane through two or three points of a landscape, and the projections of paths on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from lowroad.landscapes import AffineSubspace, Landscape
from lowroad.paths import FoundPath, Path

__all__ = ["is_straight", "plane_axes", "plane_through", "plane_values"]

RowCallback = Callable[[NDArray[np.float64]], None]
"""Called after each row with all values so far, [rows, len(u)]."""


def plane_axes(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Return orthonormal axes of the plane through three points, by Gram-Schmidt.

    e_1 = (b − a) / |b − a| and e_2 = r / |r| with r = (c − a) − ((c − a) · e_1) e_1, so that a is
    at (0, 0), b at (|b − a|, 0) and c above that line. Computed in float64 whatever the points are.

    Args:
        first: a [d].
        second: b [d].
        third: c [d].

    Returns:
        e_1 and e_2 as float64 [2, d].

    Raises:
        ValueError: when the points differ in length or are not finite, or when they lie on one line
            up to the rounding of their type.

    >>> plane_axes(torch.zeros(3), torch.tensor([2.0, 0, 0]), torch.tensor([1.0, 0, 3])).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    points = (first, second, third)
    shapes = [list(point.shape) for point in points]
    if first.ndim != 1 or any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"expected three points of one shape [d], got {shapes}")
    if not all(bool(torch.isfinite(point).all()) for point in points):
        raise ValueError("expected three finite points, got components that are not finite")
    a, b, c = (point.double() for point in points)
    # what the rounding of the given components may have moved a point by
    rounding = (
        8 * max(torch.finfo(p.dtype).eps for p in points) * max(float(p.norm()) for p in points)
    )
    along, rest = b - a, c - a
    length = float(along.norm())
    if length > rounding:
        along = along / length
        for _ in range(2):  # once more, for what rounding left
            rest = rest - (rest @ along) * along
    away = float(rest.norm())
    if length <= rounding or away <= rounding:
        raise ValueError(
            "the three points lie on one line and span no plane: the first two are "
            f"{length:.3g} apart and the third is {away:.3g} away from their line, with a rounding "
            f"of {rounding:.3g}; choose a third point off the line (a straight path's own peak "
            "never is)"
        )
    return torch.stack([along, rest / away])


def plane_values(
    landscape: Landscape,
    origin: Tensor,
    axes: Tensor,
    u: Tensor,
    v: Tensor,
    known: NDArray[np.float64] | None = None,
    callback: RowCallback | None = None,
) -> NDArray[np.float64]:
    """Values L(origin + u_j axes_0 + v_i axes_1) on a grid, row by row, as [len(v), len(u)].

    They are taken through `landscape.restrict`, so a network whose first layer is linear multiplies
    its data with three vectors, not with every point of the grid.

    Args:
        landscape: L.
        origin: [d].
        axes: [2, d].
        u: [m].
        v: [k].
        known: the first rows, from an earlier call that was interrupted; they are not done again.
        callback: called after each row, to show or store what there is.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    >>> grid = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> plane_values(bowl, torch.zeros(2).double(), torch.eye(2).double(), grid, grid).tolist()
    [[0.0, 1.0], [1.0, 2.0]]
    """
    restricted = landscape.restrict(AffineSubspace(origin, axes.to(origin)))
    rows = [] if known is None else list(known)
    for y in v[len(rows) :]:
        places = torch.stack([u, y.expand_as(u)], dim=1).to(origin)
        rows.append(_array(restricted.values(places)))
        if callback is not None:
            callback(np.stack(rows))
    return np.stack(rows)


def plane_through(
    landscape: Landscape,
    points: Mapping[str, Tensor],
    paths: Mapping[str, FoundPath] | None = None,
    *,
    projections: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]] | None = None,
    direction: Tensor | None = None,
    resolution: int = 41,
    margin: float = 0.2,
    known: NDArray[np.float64] | None = None,
    callback: RowCallback | None = None,
) -> xr.Dataset:
    """Values on the plane through three points, and paths projected on it.

    The plane is x(u, v) = a + u e_1 + v e_2 with `plane_axes`; the grid holds the three points and
    the paths' projections with a margin around them. Two points and a direction d make a plane as
    a, b and a + d do, on a square grid with the line from a to b in its middle. A path's point x is
    projected to u = (x − a) · e_1, v = (x − a) · e_2, and its distance |x − x(u, v)| says how far
    it is from what the plane shows. The values are those of `plane_values`.

    Args:
        landscape: L.
        points: a, b and c [d] by their names, of the landscape's type: two minima and the peak of a
            path between them, say.
        paths: found paths by their names, all on the same grid of t.
        projections: results of `project_path` for the same three points, in place of paths.
        direction: with two points, d [d] that the plane contains besides their line, such as one
            of `random_directions`; only the part of it that is orthogonal to the line counts.
        resolution: values of u and of v on the grid.
        margin: how far the grid goes beyond what it holds, as a fraction of its larger side.
        known: see `plane_values`.
        callback: see `plane_values`.

    Returns:
        A dataset with `value` over (`v`, `u`), and over `point` the `position` (with `axis`, "u"
        or "v") and `point_value`. With paths, over (`path`, `t`): `projection` (with `axis`),
        `distance`, `profile`, the path's own heights, and `projected_value`, those of its
        projection; the coordinate `straight` says which paths are straight lines. `origin` over
        `component` and `directions` over (`axis`, `component`) lead from the plane back to points.

    Raises:
        ValueError: for any other number of points than three, or two with a direction, points on
            one line (see `plane_axes`), a direction along the line or of no length, points or
            paths that do not fit the landscape, paths on different grids, fewer than two values
            per side, or a negative margin.
        TypeError: when points are of another type than the landscape's.

    Source: Garipov et al. 2018, Fig. 1.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=3)
    >>> corners = torch.eye(3, dtype=torch.float64)
    >>> plane = plane_through(bowl, dict(zip("abc", corners)), resolution=5)
    >>> plane["point_value"].values.tolist()
    [1.0, 1.0, 1.0]
    >>> plane["position"].sel(point="c", axis="u").item()  # halfway between a and b
    0.707106...
    """
    if len(points) != (3 if direction is None else 2):
        raise ValueError(
            "a plane goes through three points, or through two and along a direction, got "
            f"{len(points)} points{'' if direction is None else ' and a direction'}: {list(points)}"
        )
    check_grid(resolution, margin)
    paths = paths or {}
    for point in points.values():
        landscape.check_points(point[None])
    for name, found in paths.items():
        _check_path(name, found, landscape, next(iter(paths.values())))
    corners = torch.stack(list(points.values()))
    origin = corners[0].double()
    along = None if direction is None else direction.to(origin)
    axes = plane_axes(*corners) if along is None else _axes_along(corners, along)

    position = (corners.double() - origin) @ axes.T
    projected = {name: _projected(f.path, f.t, origin, axes) for name, f in paths.items()}
    for name, (own, away) in (projections or {}).items():
        projected[name] = torch.from_numpy(own), torch.from_numpy(away)
    shown = torch.cat([position, *(places for places, _ in projected.values())])
    if direction is not None:
        middle, half = position.mean(0), position.mean(0).flip(0)  # (l/2, 0) and (0, l/2)
        shown = torch.cat([shown, torch.stack([middle + half, middle - half])])
    u, v = grid_around(shown, resolution, margin)
    restricted = landscape.restrict(AffineSubspace(corners[0], axes.to(corners)))
    values = plane_values(landscape, corners[0], axes, u, v, known, callback)
    table = xr.Dataset(
        {
            "value": (("v", "u"), values),
            "position": (("point", "axis"), _array(position)),
            "point_value": ("point", _array(landscape.values(corners))),
            "origin": ("component", _array(origin)),
            "directions": (("axis", "component"), _array(axes)),
        },
        coords={"u": _array(u), "v": _array(v), "point": list(points), "axis": ["u", "v"]},
    )
    if projected:
        places, distances = zip(*projected.values(), strict=True)
        under = [restricted.values(each.to(corners)) for each in places]
        table = table.assign(
            projection=(("path", "t", "axis"), _array(torch.stack(places))),
            distance=(("path", "t"), _array(torch.stack(distances))),
            projected_value=(("path", "t"), _array(torch.stack(under))),
        ).assign_coords(path=list(projected))
    if paths:
        table = table.assign(
            profile=(("path", "t"), np.stack([found.profile for found in paths.values()])),
        ).assign_coords(
            t=next(iter(paths.values())).t,
            straight=("path", [is_straight(found.path) for found in paths.values()]),
        )
    return table


def _axes_along(ends: Tensor, direction: Tensor) -> Tensor:
    """Return the orthonormal axes of the plane that holds two points [2, d] and a direction."""
    if direction.shape != ends[0].shape or not bool(torch.isfinite(direction).all()):
        raise ValueError(
            f"expected a finite direction of shape {list(ends[0].shape)}, got "
            f"{list(direction.shape)} with {int((~torch.isfinite(direction)).sum())} components "
            "that are not finite"
        )
    if not bool((ends[0] != ends[1]).any()):
        raise ValueError("the two points are the same: give one, for a plane around it")
    size, length = float((ends[1] - ends[0]).double().norm()), float(direction.norm())
    if not length:
        raise ValueError("the direction has no length")
    return plane_axes(ends[0], ends[1], ends[0] + direction * (size / length))


def check_grid(resolution: int, margin: float) -> None:
    """Refuse a grid that is none."""
    if resolution < 2:
        raise ValueError(f"expected a resolution of at least 2, got {resolution}")
    if not 0 <= margin < np.inf:
        raise ValueError(f"expected a finite margin >= 0, got {margin}")


def grid_around(shown: Tensor, resolution: int, margin: float) -> tuple[Tensor, Tensor]:
    """Return values of u and v [resolution] that hold all of `shown` [n, 2], which may have NaN."""
    places = shown[torch.isfinite(shown).all(1)]
    low, high = places.min(0).values, places.max(0).values
    border = margin * float((high - low).max())
    u, v = (
        torch.linspace(float(a) - border, float(b) + border, resolution, dtype=torch.float64)
        for a, b in zip(low, high, strict=True)
    )
    return u, v


def project_path(
    found: FoundPath, start: Tensor, end: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where a path's points are on the plane through its ends and its peak.

    Returns:
        Coordinates [T, 2] on the plane, as `plane_through` has them, and distances from it [T];
        NaN where the peak is an end of the path, or on the line between them.
    """
    try:
        axes = plane_axes(start, end, found.peak_point)
    except ValueError:
        return np.full((len(found.t), 2), np.nan), np.full(len(found.t), np.nan)
    places, distances = _projected(found.path, found.t, start.double(), axes)
    return _array(places), _array(distances)


def is_straight(path: Path) -> bool:
    """Whether a path is the straight line between its ends: none of its shapes moves it."""
    return not bool(path.coefficients.any())


def _check_path(name: str, found: FoundPath, landscape: Landscape, first: FoundPath) -> None:
    try:
        landscape.check_points(found.path.start[None])
    except (ValueError, TypeError) as error:
        raise type(error)(f"the path {name!r} is not of this landscape: {error}") from error
    if not np.array_equal(found.t, first.t):
        raise ValueError(
            f"expected paths on one grid of t, but {name!r} has {len(found.t)} points and the "
            f"first path {len(first.t)}: find all with the same points="
        )


def _projected(
    path: Path, t: NDArray[np.float64], origin: Tensor, axes: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a path's coordinates on the plane [T, 2] and its distances from it [T].

    Point by point, which bounds the memory in many dimensions, and by the rest itself: the
    difference of two squares would lose half of the digits.
    """
    subspace = path.subspace
    places, distances = [], []
    for coordinates in path.coordinates(torch.from_numpy(t)):
        rest = subspace.points(coordinates[None])[0].double() - origin
        places.append(axes @ rest)
        distances.append((rest - places[-1] @ axes).norm())
    return torch.stack(places), torch.stack(distances)


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.cpu().numpy()
