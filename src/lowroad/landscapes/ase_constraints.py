"""The constraints of an `ase.Atoms` as an affine subspace of its 3 N coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space
from scipy.sparse import csr_array, diags_array, vstack
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]

_CURVED = "holds the atoms on a curved surface, and a landscape is over a flat space"
_REASONS = {
    "FixBondLengths": f"{_CURVED}; a stiff Hookean spring keeps atoms near a distance",
    "FixLinearTriatomic": _CURVED,
    "FixInternals": _CURVED,
    "FixSymmetry": "changes forces by a rule that is not the gradient of the energy given",
    "MirrorForce": "reverses forces, which are then not the gradient of an energy",
    "MirrorTorque": "reverses forces, which are then not the gradient of an energy",
}
_TAKEN = (
    "FixAtoms, FixCartesian, FixScaled, FixedLine, FixedPlane, FixedMode, FixCom, FixSubsetCom, "
    "Hookean and ExternalForce"
)


def free_directions(atoms: Atoms) -> csr_array:
    """Return orthonormal directions [3 N, d] in which the constraints let the atoms move.

    Where a constraint fixes whole coordinates the directions are the other coordinates, in order.

    Raises:
        ValueError: for a constraint that is neither linear in the positions nor an energy.
    """
    size = 3 * len(atoms)
    fixed = np.zeros(size, dtype=bool)
    rows = [_row(np.empty(0, int), np.empty(0), size)]
    for constraint in atoms.constraints:
        for coordinates, normal in _normals(constraint, atoms):
            coordinates, normal = coordinates[normal != 0], normal[normal != 0]
            if len(coordinates) == 1:
                fixed[coordinates] = True
            else:
                rows.append(_row(coordinates, normal, size))
    # what is fixed does not move in a combination either
    normals = csr_array(vstack(rows) @ diags_array((~fixed).astype(float)))
    normals.eliminate_zeros()
    blocks = []  # coordinates, and directions over them
    touched = np.zeros(size, dtype=bool)
    touched[normals.nonzero()[1]] = True
    _, labels = connected_components(abs(normals.T) @ abs(normals))
    for label in np.unique(labels[touched]):
        coordinates = np.flatnonzero(labels == label)
        block = normals[:, coordinates].toarray()
        directions = null_space(block[np.abs(block).any(1)], rcond=1e-10)
        signs = np.sign(directions[np.abs(directions).argmax(0), range(directions.shape[1])])
        blocks.append((coordinates, directions * signs))
    blocks += [(np.array([i]), np.ones((1, 1))) for i in np.flatnonzero(~fixed & ~touched)]
    blocks.sort(key=lambda block: int(block[0][0]))
    values, row, column, count = [np.empty(0)], [np.empty(0, int)], [np.empty(0, int)], 0
    for coordinates, directions in blocks:
        width = directions.shape[1]
        values.append(directions.reshape(-1))
        row.append(np.repeat(coordinates, width))
        column.append(np.tile(np.arange(count, count + width), len(coordinates)))
        count += width
    places = (np.concatenate(row), np.concatenate(column))
    return csr_array((np.concatenate(values), places), shape=(size, count))


def _row(coordinates: NDArray[np.int64], normal: Array, size: int) -> csr_array:
    return csr_array((normal, (np.zeros_like(coordinates), coordinates)), shape=(1, size))


def _normals(constraint: Any, atoms: Atoms) -> Iterator[tuple[NDArray[np.int64], Array]]:
    """Yield vectors along which the constraint lets nothing move, over some of the coordinates."""
    from ase import constraints as known

    numbers = np.arange(3 * len(atoms)).reshape(-1, 3)
    if isinstance(constraint, known.FixCom):  # and FixSubsetCom
        masses = atoms.get_masses()[constraint.index]
        for axis in range(3):
            yield numbers[constraint.index, axis], masses / np.linalg.norm(masses)
        return
    if isinstance(constraint, known.FixedMode):
        yield numbers.reshape(-1), np.asarray(constraint.mode, dtype=np.float64).reshape(-1)
        return
    if isinstance(constraint, known.FixAtoms):
        of_one = np.eye(3)
    elif isinstance(constraint, known.FixCartesian):
        of_one = np.eye(3)[constraint.mask]
    elif isinstance(constraint, known.FixScaled):
        of_one = np.linalg.inv(atoms.cell.complete())[:, constraint.mask].T
    elif isinstance(constraint, known.FixedLine):
        of_one = null_space(np.asarray(constraint.dir, dtype=np.float64)[None]).T
    elif isinstance(constraint, known.FixedPlane):
        of_one = np.asarray(constraint.dir, dtype=np.float64)[None]
    elif hasattr(constraint, "adjust_potential_energy"):
        return
    else:
        name = type(constraint).__name__
        bases = [each.__name__ for each in type(constraint).__mro__]
        reason = next((_REASONS[base] for base in bases if base in _REASONS), None)
        raise ValueError(
            f"the constraint {name} {reason or 'is not known to be linear in the positions'}; "
            f"expected {_TAKEN}"
        )
    of_one = np.where(np.abs(of_one) < 1e-14 * np.abs(of_one).max(initial=0), 0.0, of_one)
    for index in np.atleast_1d(constraint.index):
        for normal in of_one:
            yield numbers[index], normal
