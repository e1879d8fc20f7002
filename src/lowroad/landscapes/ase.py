"""Energies of an ASE calculator as a landscape (needs the extra `lowroad[ase]`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowroad.landscapes.arrangements import equal_to, nearest_motion, nearest_shift
from lowroad.landscapes.ase_constraints import free_directions
from lowroad.landscapes.foreign import Array, ForeignLandscape, ResultError, as_array, as_number
from lowroad.landscapes.symmetry import SymmetricImage

if TYPE_CHECKING:
    from ase import Atoms

EQUAL = 1e-6  # Å, e, μ_B: what two structures may differ by and be of one landscape


class AseLandscape(ForeignLandscape):
    """The potential energy of atoms over the positions that their constraints leave free.

    A point is the flattened positions of the atoms that may move, [3 · free], in ASE's units (Å;
    values in eV). Where constraints are linear in the positions (`FixAtoms`, `FixCartesian`,
    `FixScaled`, `FixedLine`, `FixedPlane`, `FixedMode`, `FixCom`, `FixSubsetCom`) a point holds
    coordinates along orthonormal directions that they leave free, so distances are those of the
    positions. `Hookean` and `ExternalForce` add their energies and forces. All others are refused.

    The value is the energy whose derivative the forces are: `free_energy` where the calculator has
    one (with smeared electrons that is not `energy`), else `energy`. Forces come with it, so
    `lbfgs` searches by strong Wolfe and to at most 0.01 eV/Å along each coordinate unless told
    otherwise. A geometry at which the calculator fails has the value NaN, see `ForeignLandscape`;
    ASE's `CalculatorSetupError` is raised. The atoms are copied; their calculator is shared, so one
    calculator must not serve two threads.

    Args:
        atoms: with a calculator.

    Attributes:
        free: the indices of the atoms that may move.

    Raises:
        TypeError: when `atoms` is not an `ase.Atoms`.
        ValueError: when there is no calculator, no atom is free, or a constraint is refused, which
            is named with the reason.
    """

    free_gradients = True
    gradient_tolerance = 0.01  # eV/Å: energies of minima are then good to about 1e-5 eV

    def __init__(self, atoms: Atoms) -> None:
        import ase
        from ase.calculators.calculator import CalculatorSetupError

        if not isinstance(atoms, ase.Atoms):
            raise TypeError(f"expected an ase.Atoms, got {type(atoms).__name__}")
        if atoms.calc is None:
            raise ValueError("expected atoms with a calculator: set atoms.calc first")
        directions = free_directions(atoms)
        if directions.shape[1] == 0:
            raise ValueError("expected at least one free atom, all of them are fixed")
        super().__init__(directions.shape[1])
        self.not_of_the_place = (*self.not_of_the_place, CalculatorSetupError)
        self._atoms = atoms.copy()
        self._atoms.calc = atoms.calc
        self._directions = directions
        self._origin = atoms.positions.copy()
        positions = self._origin.reshape(-1)
        self._held = positions - directions @ (directions.T @ positions)
        self.free = np.unique(directions.nonzero()[0] // 3)
        self._energy: str | None = None  # the property that is the value, once known

    def point(self, atoms: Atoms, near: Tensor | None = None) -> Tensor:
        """Return the point [d] of a structure, whose energy is the value there.

        Along periodic axes each atom is taken in its image nearest to where it is at `near`, so
        that a path between the two does not cross the cell. Atoms keep their order.

        Args:
            atoms: a structure of the same atoms in the same order.
            near: a point [d]; that of the landscape's own atoms when not given.

        Raises:
            ValueError: when the structure has other species, cell, periodicity, charges, magnetic
                moments, fixed positions, energies of constraints, or calculator; all are named.
                When a position is not finite.
            TypeError: when it is no `Atoms`.
        """
        import ase

        if not isinstance(atoms, ase.Atoms):
            raise TypeError(f"expected an ase.Atoms, got {type(atoms).__name__}")
        if not np.isfinite(atoms.positions).all():
            raise ValueError("expected finite positions, got some that are not")
        wrong = list(self._differences(atoms))
        if wrong:
            raise ValueError("; ".join(wrong))
        reference = self._origin if near is None else self._positions(near)
        positions = atoms.positions + self._to_nearest_images(atoms.positions - reference)
        flat = positions.reshape(-1)
        point = self._directions.T @ flat
        away = np.abs(flat - self._held - self._directions @ point).reshape(-1, 3).max(1)
        if away.max() > EQUAL:
            raise ValueError(
                f"positions that the constraints fix differ by up to {away.max():.3g} Å, most at "
                f"atom {away.argmax()}: expected those of the landscape's atoms"
            )
        added, own = self._added_energy(positions), _added_energy(atoms)
        if not abs(added - own) <= 1e-9 * max(1.0, abs(own)):
            raise ValueError(
                f"the constraints add {own:.6g} eV to the structure's energy and {added:.6g} eV "
                "here: expected the same Hookean and ExternalForce constraints"
            )
        return torch.from_numpy(point)

    def symmetric_image(self, reference: Tensor, point: Tensor) -> SymmetricImage | None:
        """Return a structure moved nearest to another, see `Landscape.symmetric_image`.

        Atoms of one species, mass, charge and magnetic moment are exchanged, unless a constraint
        names them. Along periodic axes every free atom comes in its nearest image. Where nothing
        holds the atoms in space, all of them are shifted together and, without periodic axes,
        turned, but not mirrored. Motions must keep the energy to 1 meV, which costs two energies:
        a calculator may have a field of its own.
        """
        fixed, moved = self._positions(reference), self._positions(point)
        kinds, free = self._kinds()
        periodic = bool((self._atoms.pbc & self._atoms.cell.any(1)).any())
        centre = self._atoms.get_masses() if free and self._atoms.constraints else None  # FixCom
        if free and not periodic:
            image = nearest_motion(fixed, moved, kinds, mirror=False, weights=centre)
            method = "like atoms exchanged, the whole shifted and turned: assignment and Kabsch"
        else:
            shift = free and centre is None
            image = nearest_shift(fixed, moved, kinds, self._to_nearest_images, shift=shift)
            method = "like atoms exchanged" + ", periodic images" * periodic
            method += ", the whole shifted" * shift + ": assignment"
        if centre is not None:
            image = image + centre @ (moved - image) / centre.sum()
        found = SymmetricImage.between(
            reference,
            point,
            torch.from_numpy(self._directions.T @ image.reshape(-1)),
            method,
            equal_to(fixed),
        )
        if found is not None and free:
            before, after = self.values(torch.stack([point.detach(), found.point])).tolist()
            if not abs(after - before) <= 1e-3:
                return None
        return found

    def _kinds(self) -> tuple[NDArray[np.int64], bool]:
        """Return which atoms are alike, negative where constrained, and whether all move freely."""
        atoms = self._atoms
        columns = [atoms.numbers, atoms.get_masses()]
        columns += [
            _initial(atoms, name).reshape(len(atoms), -1).T for name in ("charges", "magmoms")
        ]
        kinds = np.unique(np.vstack(columns), axis=1, return_inverse=True)[1].reshape(-1)
        if not atoms.constraints or {type(c).__name__ for c in atoms.constraints} == {"FixCom"}:
            return kinds, True
        alone = np.full(3 * len(atoms), True)  # coordinates that a direction shares or none has
        coordinates, direction = self._directions.nonzero()
        alone[coordinates[np.bincount(direction)[direction] == 1]] = False
        held: NDArray[np.bool_] = np.any(alone.reshape(-1, 3), axis=1)
        for constraint in atoms.constraints:
            if hasattr(constraint, "adjust_potential_energy"):
                named = getattr(constraint, "indices", getattr(constraint, "index", slice(None)))
                held[named] = True
        return np.where(held, -1 - np.arange(len(atoms)), kinds), False

    def atoms(self, point: Tensor) -> Atoms:
        """Return a copy of the atoms at a point [d], without a calculator."""
        atoms = self._atoms.copy()
        atoms.positions = self._positions(point)
        return atoms

    def _positions(self, point: Tensor) -> Array:
        """Return the positions [N, 3] at a point [d]."""
        self.check_points(point[None])
        return self._placed(point.detach().numpy())

    def _placed(self, point: Array) -> Array:
        return (self._held + self._directions @ point).reshape(-1, 3)

    def _differences(self, atoms: Atoms) -> Iterator[str]:
        """Yield what makes a structure one of another landscape."""
        own = self._atoms
        if list(atoms.numbers) != list(own.numbers):
            formula, got = own.get_chemical_formula(), atoms.get_chemical_formula()
            text = f"expected the atoms {formula} in the same order, got {got}"
            if formula == got:
                i = int(np.flatnonzero(atoms.numbers != own.numbers)[0])
                text += (
                    f" in another order: atom {i} is {atoms.symbols[i]}, expected {own.symbols[i]}"
                )
            yield text
            return
        if not np.array_equal(atoms.pbc, own.pbc):
            yield f"expected the periodicity {own.pbc.tolist()}, got {atoms.pbc.tolist()}"
        if np.abs(atoms.cell[:] - own.cell[:]).max() > EQUAL:
            yield f"expected the cell {own.cell[:].tolist()}, got {atoms.cell[:].tolist()}"
        for name, what in (("charges", "charges"), ("magmoms", "magnetic moments")):
            mine, theirs = _initial(own, name), _initial(atoms, name)
            if mine.shape != theirs.shape or np.abs(mine - theirs).max() > EQUAL:
                yield f"expected the initial {what} {mine.tolist()}, got {theirs.tolist()}"
        for name in ("charge", "spin"):  # calculators read these of the whole structure
            if atoms.info.get(name) != own.info.get(name):
                yield f"expected info[{name!r}] {own.info.get(name)}, got {atoms.info.get(name)}"
        if not _same_calculator(own.calc, atoms.calc):
            yield (
                f"expected the same calculator {type(own.calc).__name__} with the same parameters, "
                f"got {type(atoms.calc).__name__}: a landscape has one, the structure may have none"
            )

    def _to_nearest_images(self, steps: Array) -> Array:
        """Return the lattice vectors [N, 3] that make steps [N, 3] shortest."""
        from ase.geometry import minkowski_reduce

        atoms = self._atoms
        periodic = atoms.pbc & atoms.cell.any(1)
        # every face of the Voronoi cell of a Minkowski-reduced lattice belongs to one of these, so
        # a step that none of them shortens is the shortest (in skewed cells and along some axes,
        # `ase.geometry.find_mic` may not find it)
        lattice = minkowski_reduce(atoms.cell, periodic)[0][periodic]
        neighbours = np.array(list(itertools.product((-1, 0, 1), repeat=len(lattice)))) @ lattice
        shifts = -np.rint(steps @ np.linalg.pinv(lattice)) @ lattice
        while True:
            lengths = np.linalg.norm((steps + shifts)[:, None] + neighbours, axis=2)
            best = lengths.argmin(1)
            nearer = lengths.min(1) < np.linalg.norm(steps + shifts, axis=1) - EQUAL / 10
            if not nearer.any():
                break
            shifts = shifts + np.where(nearer[:, None], neighbours[best], 0.0)
        # of images equally near, the one given
        nearer = np.linalg.norm(steps + shifts, axis=1) < np.linalg.norm(steps, axis=1) - EQUAL
        return np.where(nearer[:, None], shifts, 0.0)

    def _added_energy(self, positions: Array) -> float:
        self._atoms.positions = positions
        return _added_energy(self._atoms)

    def _one(self, point: Array, with_gradient: bool) -> tuple[float, Array | None]:
        atoms = self._atoms
        atoms.positions = self._placed(point)
        forces = None
        if with_gradient:  # first: most calculators calculate the energy along with them
            forces = as_array(atoms.get_forces(apply_constraint=False))
            if forces.size != 3 * len(atoms) or forces.shape[-1:] not in ((3,), (forces.size,)):
                raise ResultError(
                    f"expected forces of shape [{len(atoms)}, 3] from the calculator, got "
                    f"{list(forces.shape)}"
                )
            forces = forces.reshape(-1, 3)
        energy = self._calculated_energy() + _added_energy(atoms)
        if forces is None:
            return energy, None
        for constraint in atoms.constraints:
            if hasattr(constraint, "adjust_potential_energy"):
                constraint.adjust_forces(atoms, forces)
        return energy, -(self._directions.T @ forces.reshape(-1))

    def _calculated_energy(self) -> float:
        """The energy that belongs to the forces, of the atoms as they stand."""
        from ase.calculators.calculator import PropertyNotImplementedError

        atoms, calculator = self._atoms, self._atoms.calc
        names = getattr(calculator, "implemented_properties", ())
        energy: Any = None
        if self._energy != "energy" and "free_energy" in names:
            try:
                energy = atoms.get_potential_energy(force_consistent=True, apply_constraint=False)
            except PropertyNotImplementedError:
                if self._energy is not None:
                    raise
        if energy is None:
            energy = atoms.get_potential_energy(apply_constraint=False)
            results = getattr(calculator, "results", {})
            if self._energy != "energy" and results.get("free_energy") is not None:
                energy, self._energy = results["free_energy"], "free_energy"
            elif self._energy == "free_energy":
                raise ResultError("the calculator gave no free_energy here, but did before")
            else:
                self._energy = "energy"
        else:
            self._energy = "free_energy"
        return as_number(energy, "expected a calculator's energy to be a number")


def _added_energy(atoms: Atoms) -> float:
    """The energy that constraints such as `Hookean` add."""
    each = (getattr(c, "adjust_potential_energy", None) for c in atoms.constraints)
    return float(sum(added(atoms) for added in each if added is not None))


def _initial(atoms: Atoms, name: str) -> Array:
    """Initial charges or magnetic moments; zeros where none are set."""
    return np.asarray(atoms.arrays.get(f"initial_{name}", np.zeros(len(atoms))), dtype=np.float64)


def _same_calculator(own: Any, other: Any) -> bool:
    """Whether a structure's calculator gives the same energies, as far as one can tell.

    None and stored results of a file are no other calculator.
    """
    from ase.calculators.singlepoint import SinglePointCalculator

    if other is None or other is own or isinstance(other, SinglePointCalculator):
        return True
    if not (isinstance(other, type(own)) or isinstance(own, type(other))):
        return False
    parameters = [dict(getattr(each, "parameters", None) or {}) for each in (own, other)]
    try:
        return bool(parameters[0] == parameters[1])
    except ValueError:  # arrays among them
        return repr(parameters[0]) == repr(parameters[1])
