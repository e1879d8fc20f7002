"""How near one arrangement of atoms comes to another by exchanges, motions and periodic images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[np.float64]
Kinds = NDArray[np.int64]
Images = Callable[[Array], Array]

EQUAL_PLACES = 0.01  # root mean square step, in least distances of two atoms
MOTIONS = 400  # rotations compared by the distances to the nearest atoms
REFINED = 12  # of them refined by assignment and Kabsch's rotation
PAIRS = 200_000  # atoms times atoms times shifts compared in a periodic cell


def nearest_motion(
    fixed: Array, moved: Array, kinds: Kinds, *, mirror: bool, weights: Array | None = None
) -> Array:
    """Return isolated atoms `moved` [N, 3] as near to `fixed` as exchanges and motions bring them.

    Rotations that bring any two atoms of one onto two chosen atoms of the other are compared by the
    distances to the nearest atoms of the same kind. The best are refined by the best assignment and
    the best rotation (Kabsch 1976) in turn until neither changes anything, and the nearest wins.
    Equal arrangements are always found to be equal; of others the result need not be the nearest.

    Args:
        fixed: positions [N, 3].
        moved: positions [N, 3].
        kinds: which atoms can be exchanged, [N]: those of one number.
        mirror: whether mirror images count.
        weights: of the atoms in the centre, [N], that is brought onto that of `fixed`.
    """
    weights = np.ones(len(fixed)) if weights is None else weights
    weights = weights / weights.sum()
    centre = weights @ fixed
    x, y = fixed - centre, moved - weights @ moved
    starts = (y @ turn for turn in [np.eye(3), *_rotations(x, y, kinds, mirror)])
    return nearest_of(x, starts, kinds, mirror) + centre


def nearest_of(fixed: Array, starts: Iterable[Array], kinds: Kinds, mirror: bool) -> Array:
    """Return the nearest to `fixed` of centred atoms [N, 3] after exchanges and rotations in turn.

    The best assignment and the best rotation follow each other until neither changes anything.
    """
    best, nearest = fixed, np.inf
    for placed in starts:
        distance = before = np.inf
        while True:
            placed = placed[_assigned(fixed, placed, kinds)]
            placed = placed @ kabsch(placed, fixed, mirror)
            before, distance = distance, float(np.linalg.norm(placed - fixed))
            if not distance < before - 1e-12:
                break
        if distance < nearest - 1e-12:
            best, nearest = placed, distance
    return best


def equal_to(fixed: Array) -> float:
    """The largest distance of two arrangements [N, 3] that count as one.

    The root mean square step of an atom is then 1% of the least distance of two atoms.
    """
    if len(fixed) == 1:
        return 1e-6
    steps = np.linalg.norm(fixed[:, None] - fixed, axis=2)
    least = float(steps[~np.eye(len(fixed), dtype=bool)].min())
    return EQUAL_PLACES * least * float(len(fixed)) ** 0.5


def nearest_shift(
    fixed: Array, moved: Array, kinds: Kinds, to_images: Images, *, shift: bool
) -> Array:
    """Return atoms in a frame `moved` [N, 3], exchanged and in images as near to `fixed` as found.

    Args:
        fixed: positions [N, 3].
        moved: positions [N, 3].
        kinds: which atoms can be exchanged, [N]; a negative number for one that stays as it is.
        to_images: maps steps [m, 3] to lattice vectors [m, 3] that make them shortest.
        shift: whether all may be shifted together; shifts that bring one atom onto another are
            tried, each followed by the best assignment and the mean step in turn.
    """
    shifts = [np.zeros(3)]
    if shift:
        rarest = np.flatnonzero(kinds == min(set(kinds), key=lambda kind: (kinds == kind).sum()))
        shifts += [fixed[rarest[0]] - moved[j] for j in rarest]
    best, nearest = moved, np.inf
    for start in shifts[: max(1, PAIRS // len(fixed) ** 2)]:
        placed, distance = moved + start, np.inf
        while True:
            placed = placed[_assigned(fixed, placed, kinds, to_images)]
            images = to_images(placed - fixed)
            placed = placed + np.where(kinds[:, None] < 0, 0.0, images)
            if shift:
                placed = placed - (placed - fixed).mean(0)
            before, distance = distance, float(np.linalg.norm(placed - fixed))
            if not distance < before - 1e-12:
                break
        if distance < nearest - 1e-12:
            best, nearest = placed, distance
    return best


def kabsch(moved: Array, fixed: Array, mirror: bool) -> Array:
    """Return the rotation R that makes |moved R − fixed| smallest (Kabsch 1976).

    >>> turn = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    >>> np.allclose(kabsch(np.diag([1.0, 2, 3]), np.diag([1.0, 2, 3]) @ turn, False), turn)
    True
    """
    u, _, v = np.linalg.svd(moved.T @ fixed)
    if not mirror and np.linalg.det(u @ v) < 0:
        u[:, 2] *= -1
    return u @ v


def _assigned(
    fixed: Array, moved: Array, kinds: Kinds, to_images: Images | None = None
) -> NDArray[np.int64]:
    """Return which atom of `moved` takes each place, the sum of squared distances being least."""
    if not (np.isfinite(fixed).all() and np.isfinite(moved).all()):
        raise ValueError("expected finite positions of the atoms, got some that are not")
    order = np.arange(len(kinds))
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        if len(own) > 1:
            steps = moved[own][None] - fixed[own][:, None]
            if to_images is not None:
                steps = steps + to_images(steps.reshape(-1, 3)).reshape(steps.shape)
            order[own] = own[linear_sum_assignment((steps**2).sum(2))[1]]
    return order


def _rotations(x: Array, y: Array, kinds: Kinds, mirror: bool) -> Iterator[Array]:
    """Yield rotations R for which y R may be near x, the most promising first."""
    radii = np.linalg.norm(y, axis=1)
    a = int(np.linalg.norm(x, axis=1).argmax())
    areas = np.linalg.norm(np.cross(x[a], x), axis=1)
    areas[a] = -1.0
    b = int(areas.argmax())
    if a == b or not np.linalg.norm(x[a]) > 0:
        return
    i, j = np.nonzero(
        (kinds[:, None] == kinds[a]) & (kinds == kinds[b]) & ~np.eye(len(x), dtype=bool)
    )
    sides = np.stack([radii[i], radii[j], np.linalg.norm(y[i] - y[j], axis=1)])
    own = np.array([np.linalg.norm(x[a]), np.linalg.norm(x[b]), np.linalg.norm(x[a] - x[b])])
    misfit = np.abs(sides - own[:, None]).max(0)
    misfit[~(radii[i] > 0)] = np.inf
    likely = np.argsort(misfit, kind="stable")[:MOTIONS]
    likely = likely[np.isfinite(misfit[likely])]
    target = _axes(x[a], x[b], 1.0)
    turns = np.array(
        [
            _axes(y[p], y[q], side).T @ target
            for p, q in zip(i[likely], j[likely], strict=True)
            for side in ((1.0, -1.0) if mirror else (1.0,))
        ]
    ).reshape(-1, 3, 3)
    steps = np.array([_steps_to_nearest(x, y @ turn, kinds) for turn in turns])
    yield from turns[np.argsort(steps, kind="stable")[:REFINED]]


def _steps_to_nearest(x: Array, y: Array, kinds: Kinds) -> float:
    """The sum over places of the squared distance to the nearest atom of the same kind."""
    squares = ((x[:, None] - y) ** 2).sum(2)
    return float(np.where(kinds[:, None] == kinds, squares, np.inf).min(1).sum())


def _axes(p: Array, q: Array, side: float) -> Array:
    """Orthonormal rows [3, 3]: along p, across it towards q, and across both."""
    along = p / np.linalg.norm(p)
    across = q - (q @ along) * along
    if np.linalg.norm(across) < 1e-6 * np.linalg.norm(p):  # on one line: any direction across it
        axis = np.eye(3)[int(np.abs(along).argmin())]
        across = axis - (axis @ along) * along
    across = across / np.linalg.norm(across)
    return np.stack([along, across, side * np.cross(along, across)])
