"""Energies of an ASE calculator as a landscape (needs the extra `lowroad[ase]`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lowroad.landscapes.landscape import Landscape

if TYPE_CHECKING:
    from ase import Atoms


class AseLandscape(Landscape):
    """The potential energy of atoms over the positions of those that may move.

    A point is the flattened positions of the free atoms, [3 · free], in ASE's units (Å; values in
    eV). Atoms held by `FixAtoms` stay where they are. The atoms are copied; their calculator is
    shared, so one calculator must not serve two threads.

    Args:
        atoms: with a calculator.

    Raises:
        ValueError: when there is no calculator, no atom is free, or a constraint other than
            `FixAtoms` holds the atoms.
    """

    def __init__(self, atoms: Atoms) -> None:
        from ase.constraints import FixAtoms

        if atoms.calc is None:
            raise ValueError("expected atoms with a calculator: set atoms.calc first")
        other = [type(c).__name__ for c in atoms.constraints if not isinstance(c, FixAtoms)]
        if other:
            raise ValueError(
                f"expected no constraints but FixAtoms, got {other}: a landscape is over free "
                "coordinates"
            )
        fixed = [c.index for c in atoms.constraints]
        free = np.setdiff1d(np.arange(len(atoms)), np.concatenate([[], *fixed]).astype(int))
        if len(free) == 0:
            raise ValueError("expected at least one free atom, all of them are fixed")
        self._atoms = atoms.copy()
        self._atoms.calc = atoms.calc
        self.free = free
        self.dimension = 3 * len(free)
        self.dtype, self.device = torch.float64, torch.device("cpu")

    def point(self, atoms: Atoms) -> Tensor:
        """Return the point [d] of a configuration of the same atoms."""
        if list(atoms.numbers) != list(self._atoms.numbers):
            raise ValueError(
                f"expected the atoms {self._atoms.get_chemical_formula()} in the same order, "
                f"got {atoms.get_chemical_formula()}"
            )
        return torch.from_numpy(atoms.positions[self.free].reshape(-1).copy())

    def atoms(self, point: Tensor) -> Atoms:
        """Return a copy of the atoms at a point [d], without a calculator."""
        self.check_points(point[None])
        atoms = self._atoms.copy()
        atoms.positions[self.free] = point.detach().numpy().reshape(-1, 3)
        return atoms

    def _moved(self, point: Tensor) -> Any:
        self._atoms.positions[self.free] = point.detach().numpy().reshape(-1, 3)
        return self._atoms

    def values(self, points: Tensor) -> Tensor:
        """Return the energies [n] at `points` [n, d], in eV."""
        self.check_points(points)
        energies = [float(self._moved(point).get_potential_energy()) for point in points]
        return torch.tensor(energies, dtype=torch.float64)

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the energies [n] and the negative forces [n, d], in eV/Å."""
        self.check_points(points)
        gradients = torch.empty_like(points)
        energies = []
        for row, point in zip(gradients, points, strict=True):
            atoms = self._moved(point)
            forces = atoms.get_forces(apply_constraint=False)[self.free]
            energies.append(float(atoms.get_potential_energy()))
            row.copy_(torch.from_numpy(-forces.reshape(-1)))
        return torch.tensor(energies, dtype=torch.float64), gradients
