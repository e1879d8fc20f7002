"""Planes through one point along random directions, and the plane in which training moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from lowroad.analysis.planes import RowCallback, check_grid, grid_around, plane_values
from lowroad.landscapes import Landscape, NetworkLandscape

__all__ = ["random_directions", "random_plane", "trajectory_plane"]

Normalization = Literal["filter", "layer", "none"]


def random_directions(
    landscape: Landscape,
    point: Tensor,
    count: int = 2,
    *,
    normalize: Normalization = "filter",
    generator: torch.Generator,
) -> Tensor:
    """Return random directions at a point, scaled like the weights there, as float64 [count, d].

    Each component is drawn from a normal distribution. Then

    - "filter": the part of a direction that belongs to one filter gets the filter's norm,
      d_ij ← d_ij |θ_ij| / |d_ij|. A filter is what makes one output: a convolution's [in, …], a row
      of a linear layer or of an embedding. Biases and the parameters of norms (all tensors with
      fewer than two axes) do not move.
    - "layer": the same for whole tensors, d_i ← d_i |θ_i| / |d_i|.
    - "none": the direction gets unit length. For landscapes that are no network's.

    So a step of 1 is as large as the weights, whatever their scale is: networks whose units are
    rescaled with their function unchanged have the same picture.

    Raises:
        ValueError: when the point does not fit or is not finite, a direction has no length
            (weights that are all zero, or only biases), or the normalization is not known.
        TypeError: when "filter" or "layer" is asked for on a landscape without parameters' names.

    Source: Li et al. 2018, "Visualizing the loss landscape of neural nets", Section 4.

    >>> from torch import nn
    >>> net = nn.Linear(2, 1)
    >>> loss = NetworkLandscape(net, torch.ones(1, 2), torch.ones(1, 1), "mean_squared_error")
    >>> point = torch.tensor([3.0, 4.0, 9.0])  # two weights and a bias
    >>> [direction] = random_directions(loss, point, 1, generator=torch.Generator().manual_seed(0))
    >>> round(float(direction.norm()), 6), float(direction[2])
    (5.0, 0.0)
    """
    landscape.check_points(point[None])
    if not bool(torch.isfinite(point).all()):
        raise ValueError("expected a finite point, got components that are not finite")
    shape = (count, landscape.dimension)
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)
    drawn = drawn.to(point.device)
    if normalize == "none":
        return drawn / drawn.norm(dim=1, keepdim=True)
    if normalize not in ("filter", "layer"):
        raise ValueError(f"normalize: expected 'filter', 'layer' or 'none', got {normalize!r}")
    if not isinstance(landscape, NetworkLandscape):
        raise TypeError(
            f"only a network has filters and layers, {type(landscape).__name__} has none: use "
            'normalize="none"'
        )
    parameters = landscape.parameters_at(point.detach().double().to(point))
    parts = drawn.split([p.numel() for p in parameters.values()], dim=1)
    scaled = []
    for part, weights in zip(parts, parameters.values(), strict=True):
        if weights.ndim < 2:
            scaled.append(torch.zeros_like(part))
            continue
        filters = len(weights) if normalize == "filter" else 1
        own = weights.detach().double().reshape(filters, -1).norm(dim=1)
        rows = part.reshape(count, filters, -1)
        scaled.append((rows * (own / rows.norm(dim=2))[..., None]).flatten(1))
    directions = torch.cat(scaled, dim=1)
    if not bool((directions.norm(dim=1) > 0).all()):
        raise ValueError(
            "a direction has no length: the weights that it is scaled by are all zero, or the "
            'network has only biases; use normalize="none"'
        )
    return directions


def random_plane(
    landscape: Landscape,
    point: Tensor,
    *,
    normalize: Normalization = "filter",
    generator: torch.Generator,
    extent: float = 1.0,
    resolution: int = 25,
    known: NDArray[np.float64] | None = None,
    callback: RowCallback | None = None,
) -> xr.Dataset:
    """Values around a point, on a plane along two random directions.

    The plane is x(u, v) = point + u d_1 + v d_2, u and v from −extent to extent, with the
    directions of `random_directions`, which are not orthogonal but nearly so in many dimensions.

    Args:
        landscape: L.
        point: [d], in the middle.
        normalize: how directions are scaled, see `random_directions`.
        generator: draws the directions.
        extent: how far the plane goes, in units of the directions.
        resolution: values of u and of v; an odd number has the point itself on the grid.
        known: see `plane_values`.
        callback: see `plane_values`.

    Returns:
        A dataset as of `plane_through`, with one point, "point".

    Raises:
        ValueError: as `random_directions`, and for a bad extent or resolution.
        TypeError: as `random_directions`.

    Source: Li et al. 2018, Section 4.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=9)
    >>> plane = random_plane(
    ...     bowl, torch.zeros(9).double(), normalize="none", resolution=3,
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    >>> plane["value"].sel(u=0).values.round(12).tolist()  # unit vectors up and down
    [1.0, 0.0, 1.0]
    """
    check_grid(resolution, 0.0)
    if not 0 < extent < math.inf:
        raise ValueError(f"expected a finite extent above 0, got {extent}")
    axes = random_directions(landscape, point, normalize=normalize, generator=generator)
    grid = torch.linspace(-extent, extent, resolution, dtype=torch.float64)
    return xr.Dataset(
        {
            "value": (
                ("v", "u"),
                plane_values(landscape, point.detach(), axes, grid, grid, known, callback),
            ),
            "position": (("point", "axis"), np.zeros((1, 2))),
            "point_value": ("point", [landscape.value(point.detach())]),
            "origin": ("component", point.detach().double().cpu().numpy()),
            "directions": (("axis", "component"), axes.cpu().numpy()),
        },
        coords={"u": grid.numpy(), "v": grid.numpy(), "point": ["point"], "axis": ["u", "v"]},
        attrs={"normalize": normalize},
    )


def trajectory_plane(
    landscape: Landscape,
    trajectories: Mapping[str, Tensor],
    *,
    resolution: int = 25,
    margin: float = 0.2,
    known: NDArray[np.float64] | None = None,
    callback: RowCallback | None = None,
) -> xr.Dataset:
    """Values on the plane in which training moved most, and the trajectories projected on it.

    The axes are the first two principal components of all points about the mean o of the
    trajectories' last points: the orthonormal e_1, e_2 that maximize Σ_i |P (x_i − o)|², P the
    projection on their plane. Several optimizers from one start share one plane.

    Args:
        landscape: L.
        trajectories: points of each training run in their order [n, d], by name; they may differ
            in n.
        resolution: values of u and of v on the grid.
        margin: how far the grid goes beyond the trajectories, as a fraction of their larger side.
        known: see `plane_values`.
        callback: see `plane_values`.

    Returns:
        A dataset as of `plane_through`: over (`path`, `t`) the `projection`, the `distance` from
        the plane, `projected_value` and the run's own values, `profile`; t is the number of the
        point, and after the end of a shorter run there is NaN. The points are the last ones.
        `explained` over `axis` is the fraction of Σ|x_i − o|² along each axis.

    Raises:
        ValueError: when there is no trajectory, one has fewer than two points, points are not
            finite or do not fit the landscape, or all lie on one line.

    Source: Li et al. 2018, Section 7.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=3)
    >>> run = torch.tensor([[2.0, 2.0, 0.0], [1.0, 0.2, 0.0], [0.0, 0.0, 0.0]]).double()
    >>> plane = trajectory_plane(bowl, {"sgd": run}, resolution=5)
    >>> plane["explained"].sum().item(), plane["profile"].sel(path="sgd").values.round(2).tolist()
    (1.0, [8.0, 1.04, 0.0])
    """
    check_grid(resolution, margin)
    if not trajectories:
        raise ValueError("expected at least one trajectory, got none")
    for name, points in trajectories.items():
        landscape.check_points(points)
        if len(points) < 2 or not bool(torch.isfinite(points).all()):
            raise ValueError(
                f"the trajectory {name!r} has {len(points)} points: expected two or more, all "
                "finite"
            )
    runs = {name: points.detach().double() for name, points in trajectories.items()}
    origin = torch.stack([points[-1] for points in runs.values()]).mean(0)
    moved = torch.cat([points - origin for points in runs.values()])
    eigenvalues, vectors = torch.linalg.eigh(moved @ moved.T)
    lengths = eigenvalues.flip(0)[:2].clamp_min(0)
    total = float(moved.square().sum())
    if not float(lengths[-1]) > 1e-12 * total:
        raise ValueError("all points of the trajectories lie on one line, which spans no plane")
    axes = (vectors.flip(1)[:, :2].T @ moved) / lengths.sqrt()[:, None]

    longest = max(len(points) for points in runs.values())
    projection = np.full((len(runs), longest, 2), np.nan)
    distance, profile, under = (np.full((len(runs), longest), np.nan) for _ in range(3))
    start = origin.to(next(iter(trajectories.values())))
    for i, (name, points) in enumerate(runs.items()):
        places = (points - origin) @ axes.T
        projection[i, : len(points)] = places.cpu()
        distance[i, : len(points)] = (points - origin - places @ axes).norm(dim=1).cpu()
        profile[i, : len(points)] = landscape.values(trajectories[name].detach()).cpu()
        on_plane = (origin + places @ axes).to(start)
        under[i, : len(points)] = landscape.values(on_plane).cpu()
    u, v = grid_around(torch.from_numpy(projection).flatten(0, 1), resolution, margin)
    last = [len(points) - 1 for points in runs.values()]
    names, rows = list(runs), np.arange(len(runs))
    return xr.Dataset(
        {
            "value": (
                ("v", "u"),
                plane_values(landscape, start, axes, u, v, known, callback),
            ),
            "position": (("point", "axis"), projection[rows, last]),
            "point_value": ("point", profile[rows, last]),
            "origin": ("component", origin.cpu().numpy()),
            "directions": (("axis", "component"), axes.cpu().numpy()),
            "projection": (("path", "t", "axis"), projection),
            "distance": (("path", "t"), distance),
            "projected_value": (("path", "t"), under),
            "profile": (("path", "t"), profile),
            "explained": ("axis", (lengths / total).cpu().numpy()),
        },
        coords={
            "u": u.numpy(),
            "v": v.numpy(),
            "point": names,
            "axis": ["u", "v"],
            "path": names,
            "t": np.arange(longest),
            "straight": ("path", np.zeros(len(runs), dtype=bool)),
        },
    )
