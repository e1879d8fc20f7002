"""The data of figures of found paths, the same for matplotlib and plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import xarray as xr
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lowroad.analysis.planes import is_straight
from lowroad.landscapes import Landscape, Surface
from lowroad.paths import FoundPath, Path
from lowroad.paths.basis import HatBasis, SplineBasis
from lowroad.plotting.style import MARKERS, PathStyle, path_styles

__all__ = [
    "Against",
    "HeightMap",
    "Marks",
    "Paths",
    "PlacedPath",
    "Profile",
    "Window",
    "plane_map",
    "profiles_of",
    "surface_map",
]

Paths = Mapping[str, FoundPath]
Against = Literal["t", "length"]
Window = tuple[float, float, float, float]

ABOVE = 0.5  # of the marked heights' range: how far above the highest of them colours reach
LINE_LIMIT = 3.0  # times that range: how far up a straight line may take the colours
SHARE = 0.8  # of the grid's heights that colours tell apart where nothing is marked
LEVELS = 20  # contours, about
RESOLUTION = 161  # values of x and of y on a surface's grid
MARGIN = 0.2  # around paths on a surface without a window


@dataclass(frozen=True)
class Profile:
    """A path's height along it.

    Attributes:
        name: What the path is called.
        style: How it looks.
        x: t or arc length, increasing [n]: the path's grid, and its refined maximum's place.
        heights: Heights there [n].
        peak: The refined maximum, (x, height).
    """

    name: str
    style: PathStyle
    x: NDArray[np.float64]
    heights: NDArray[np.float64]
    peak: tuple[float, float]

    @property
    def label(self) -> str:
        """The name and the highest point."""
        return f"{self.name}: " + f"{self.peak[1]:#.4g}".rstrip(".").replace("-", "−")


def profiles_of(paths: Paths, against: Against = "t") -> list[Profile]:
    """Profiles of found paths, each on its own grid with its refined maximum between.

    Args:
        paths: Found paths by name.
        against: "t", or "length" for the arc length from the start.

    Raises:
        ValueError: If there is no path or `against` is neither.
    """
    if not paths:
        raise ValueError("expected at least one path to draw, got none")
    if against not in ("t", "length"):
        raise ValueError(f'expected against="t" or "length", got {against!r}')
    styles = path_styles({name: is_straight(found.path) for name, found in paths.items()})
    profiles = []
    for name, found in paths.items():
        t, place = np.unique(np.append(found.t, found.refined_t), return_index=True)
        heights = np.append(found.profile, found.refined_height)[place]
        x = t if against == "t" else _arc_lengths(found.path, t)
        peak = float(np.interp(found.refined_t, t, x)), found.refined_height
        profiles.append(Profile(name, styles[name], x, heights, peak))
    return profiles


def _arc_lengths(path: Path, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lengths from the start to t [n], of the polygon through a fine grid and t."""
    fine = np.union1d(np.linspace(0, 1, 1001), t)
    steps = path.step_lengths(torch.from_numpy(fine)).cpu().numpy()
    return np.interp(t, fine, np.concatenate([[0.0], np.cumsum(steps)]))


@dataclass(frozen=True)
class PlacedPath:
    """A path on a map.

    Attributes:
        name: What it is called.
        style: How it looks.
        places: Its points' coordinates on the map [T, 2].
        heights: Its own heights there [T].
        under: The map's heights at these places [T]; a surface's are the path's own.
        images: Coordinates and heights of a chain's images [m, 3], none for other paths.
        t: The parameter [T].
        distance: How far each point is from the map's plane [T]; zeros on a surface.
        straight: Whether it is the straight line.
    """

    name: str
    style: PathStyle
    places: NDArray[np.float64]
    heights: NDArray[np.float64]
    under: NDArray[np.float64]
    images: NDArray[np.float64]
    t: NDArray[np.float64]
    distance: NDArray[np.float64]
    straight: bool


@dataclass(frozen=True)
class Marks:
    """Points of one kind on a map.

    Attributes:
        name: What they are called.
        places: Their coordinates [n, 2].
        heights: Their heights [n].
    """

    name: str
    places: NDArray[np.float64]
    heights: NDArray[np.float64]


@dataclass(frozen=True)
class HeightMap:
    """Heights over a rectangle with paths and points on it.

    Attributes:
        axes: The two axes' names.
        x: Grid values [m].
        y: Grid values [k].
        heights: Heights [k, m], one row for each y.
        paths: The paths.
        marks: The points.
    """

    axes: tuple[str, str]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    heights: NDArray[np.float64]
    paths: Sequence[PlacedPath]
    marks: Sequence[Marks]

    @property
    def levels(self) -> NDArray[np.float64]:
        """Evenly spaced contour levels, from the lowest height to where high values are cut off.

        The colours are for the heights of the paths and points and half of their range above. A
        straight line may widen that range threefold at most, since it may cross values that are
        very high or infinite. Where nothing is marked, or everything at one height, the highest
        fifth of the grid is cut.

        Raises:
            ValueError: If no height on the grid is finite.
        """
        finite = self.heights[np.isfinite(self.heights)]
        if not len(finite):
            raise ValueError("no height on the grid is finite: there is nothing to draw")
        own = [path.heights for path in self.paths if not path.straight]
        lines = [path.heights for path in self.paths if path.straight]
        known = _finite([*own, *(mark.heights for mark in self.marks), finite.min()])
        low, top = known.min(), known.max()
        # heights that differ only by rounding would leave the map without any contour
        if top - low <= 1e-6 * np.ptp(finite):
            top = _finite([*lines, known]).max()
        else:
            top = max(top, min(_finite([*lines, known]).max(), low + LINE_LIMIT * (top - low)))
        flat = top - low <= 1e-6 * np.ptp(finite)
        high = np.quantile(finite, SHARE) if flat else min(finite.max(), top + ABOVE * (top - low))
        return np.asarray(MaxNLocator(LEVELS).tick_values(low, high if high > low else low + 1.0))

    @property
    def is_cut(self) -> bool:
        """Whether heights of the grid rise above the highest level."""
        return bool((self.heights > self.levels[-1]).any())

    @property
    def drawable(self) -> NDArray[np.float64]:
        """The heights [k, m], infinite ones a level above the highest, to leave no gaps."""
        beyond = 2 * self.levels[-1] - self.levels[-2]
        return np.where(np.isposinf(self.heights), beyond, self.heights)


def surface_map(
    landscape: Landscape,
    paths: Paths | None = None,
    window: Window | None = None,
    marks: Mapping[str, Sequence[Tensor]] | None = None,
) -> HeightMap:
    """Heights of a two-dimensional landscape with paths, images and points on it.

    Args:
        landscape: Two-dimensional.
        paths: Found paths by name.
        window: (x from, x to, y from, y to). By default what holds the paths and the surface's own
            window.
        marks: Points [2] of each kind by the kind's name; by default a surface's known minima and
            saddles.

    Raises:
        ValueError: If the landscape is not two-dimensional, there is neither a window nor a path,
            the window is empty, a path has other dimensions, or there are too many kinds of marks.
    """
    if landscape.dimension != 2:
        raise ValueError(
            f"expected a two-dimensional landscape, {type(landscape).__name__} has "
            f"{landscape.dimension} dimensions; draw the plane through three of its points "
            "(lowroad.analysis.plane_through)"
        )
    paths = paths or {}
    for name, found in paths.items():
        if len(found.path.start) != 2:
            raise ValueError(
                f"expected paths in two dimensions, {name!r} is in {len(found.path.start)}"
            )
    if window is not None and not (window[0] < window[1] and window[2] < window[3]):
        raise ValueError(
            f"expected a window (x from, x to, y from, y to), increasing, got {window}"
        )
    if marks is None:
        known = landscape if isinstance(landscape, Surface) else None
        marks = {
            "minimum": [each.point for each in known.minima] if known else [],
            "saddle": [each.point for each in known.saddles] if known else [],
        }
    if len(marks) > len(MARKERS):
        raise ValueError(f"at most {len(MARKERS)} kinds of marks can be told apart, got {[*marks]}")
    points = {
        name: found.path(torch.from_numpy(found.t)).double().cpu().numpy()
        for name, found in paths.items()
    }
    if window is None:
        window = _window(landscape, list(points.values()))
    x, y = np.linspace(*window[:2], RESOLUTION), np.linspace(*window[2:], RESOLUTION)
    grid = np.stack(np.meshgrid(x, y), axis=2)
    styles = path_styles({name: is_straight(found.path) for name, found in paths.items()})

    def heights(places: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = torch.from_numpy(places.reshape(-1, 2))
        flat = flat.to(dtype=landscape.dtype, device=landscape.device)
        return landscape.values(flat).cpu().numpy().reshape(places.shape[:-1])

    def placed(name: str, found: FoundPath) -> PlacedPath:
        images = found.path(_knots(found.path)).double().cpu().numpy()
        return PlacedPath(
            name=name,
            style=styles[name],
            places=points[name],
            heights=found.profile,
            under=found.profile,
            images=np.column_stack([images, heights(images)]),
            t=found.t,
            distance=np.zeros(len(found.t)),
            straight=is_straight(found.path),
        )

    return HeightMap(
        axes=("x", "y"),
        x=x,
        y=y,
        heights=heights(grid),
        paths=[placed(name, found) for name, found in paths.items()],
        marks=[
            Marks(name, places, heights(places))
            for name, kind in marks.items()
            if len(places := np.array([point.tolist() for point in kind]).reshape(-1, 2))
        ],
    )


def _window(landscape: Landscape, points: Sequence[NDArray[np.float64]]) -> Window:
    shown = list(points)
    if isinstance(landscape, Surface):
        shown.append(np.reshape(landscape.window, (2, 2)).T)
    if not shown:
        raise ValueError(
            f"{type(landscape).__name__} has no window: pass "
            "window=(x from, x to, y from, y to), or a path to draw"
        )
    low, high = np.concatenate(shown).min(axis=0), np.concatenate(shown).max(axis=0)
    if not isinstance(landscape, Surface):
        border = MARGIN * (high - low).max()
        low, high = low - border, high + border
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def _knots(path: Path) -> Tensor:
    """Return the t of a chain's images, ends included; none for other families of curves."""
    match path.basis:
        case SplineBasis(knots=knots):
            return torch.tensor([0.0, *knots, 1.0], dtype=torch.float64)
        case HatBasis(terms=terms):
            return torch.linspace(0, 1, terms + 2, dtype=torch.float64)
    return torch.empty(0, dtype=torch.float64)


def plane_map(plane: xr.Dataset) -> HeightMap:
    """The plane through three points with the projections of paths.

    Args:
        plane: Made by `lowroad.analysis.plane_through`.
    """
    paths = []
    if "path" in plane.dims:
        names = [str(name) for name in plane["path"].values]
        styles = path_styles(dict(zip(names, plane["straight"].values.tolist(), strict=True)))
        for name in names:
            row = plane.sel(path=name)
            paths.append(
                PlacedPath(
                    name=name,
                    style=styles[name],
                    places=row["projection"].transpose("t", "axis").values,
                    heights=row["profile"].values,
                    under=row["projected_value"].values,
                    images=np.empty((0, 3)),
                    t=row["t"].values,
                    distance=row["distance"].values,
                    straight=bool(row["straight"]),
                )
            )
    return HeightMap(
        axes=("u", "v"),
        x=plane["u"].values,
        y=plane["v"].values,
        heights=plane["value"].transpose("v", "u").values,
        paths=paths,
        marks=[
            Marks(
                str(name),
                plane["position"].sel(point=name).values[None],
                plane["point_value"].sel(point=name).values[None],
            )
            for name in plane["point"].values
        ],
    )


def _finite(heights: Sequence[ArrayLike]) -> NDArray[np.float64]:
    joined = np.concatenate([np.ravel(each) for each in heights])
    return joined[np.isfinite(joined)]
