"""ASE calculators as landscapes: constraints, second structures, images, energies, failures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowroad.landscapes import AseLandscape, LennardJones, MullerBrown, NegatedLandscape
from lowroad.optimizers import StrongWolfe, Tolerance, lbfgs, settings_of, train
from lowroad.outcome import Outcome
from lowroad.paths import ElasticBandFinder, FourierPathFinder, StraightLine, refine_saddle
from lowroad.problems import atoms_problem

pytest.importorskip("ase")

from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc100, fcc111, fcc211
from ase.calculators.calculator import (
    CalculationFailed,
    Calculator,
    InputError,
    SCFError,
    all_changes,
)
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones as LJ
from ase.calculators.morse import MorsePotential
from ase.constraints import (
    ExternalForce,
    FixAtoms,
    FixBondLength,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedMode,
    FixedPlane,
    FixInternals,
    FixScaled,
    FixSubsetCom,
    Hookean,
    MirrorForce,
)
from ase.optimize import BFGS


class Formula(Calculator):
    """Energy and forces by a formula over the positions, a dictionary of results."""

    implemented_properties = ("energy", "free_energy", "forces")

    def __init__(self, formula):
        super().__init__()
        self.formula, self.calls = formula, 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        self.results = self.formula(self.atoms.positions.copy())


def crystal(*constraints, calculator=EMT):
    atoms = bulk("Cu") * (2, 2, 1)
    atoms.rattle(0.1, seed=1)
    atoms.set_constraint(list(constraints))
    atoms.calc = calculator()
    return atoms


def test_ase_lennard_jones_equals_ours():

    atoms = Atoms("Ar4", positions=np.diag([1.2, 1.3, 1.4, 1.5])[:, :3])
    atoms.calc = LJ(sigma=1.0, epsilon=1.0, rc=1e6)
    landscape = AseLandscape(atoms)
    points = landscape.point(atoms) + 0.1 * torch.randn(
        3, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    values, gradients = landscape.values_and_gradients(points)
    ours, our_gradients = LennardJones(4).values_and_gradients(points)
    assert torch.allclose(values, ours, rtol=1e-9)
    assert torch.allclose(gradients, our_gradients, rtol=1e-9, atol=1e-9)
    assert torch.allclose(landscape.values(points), values)


def test_ase_emt_with_fixed_atoms():

    slab = fcc100("Al", size=(2, 2, 2))
    add_adsorbate(slab, "Au", 1.7, "hollow")
    slab.center(axis=2, vacuum=4.0)
    slab.set_constraint(FixAtoms(mask=[atom.tag > 1 for atom in slab]))
    slab.calc = EMT()
    landscape = AseLandscape(slab)
    assert landscape.dimension == 3 * 5  # one layer of four and the gold atom
    point = landscape.point(slab)
    value, gradient = landscape.value_and_gradient(point)
    assert value == pytest.approx(slab.get_potential_energy())
    free = slab.get_forces(apply_constraint=False)[landscape.free]
    assert np.allclose(gradient.numpy(), -free.reshape(-1))
    h = 1e-4 * torch.eye(15, dtype=torch.float64)
    numeric = (landscape.values(point + h) - landscape.values(point - h)) / 2e-4
    assert torch.allclose(numeric, gradient, atol=1e-5)
    moved = landscape.atoms(point + 0.1)
    assert np.allclose(moved.positions[landscape.free], slab.positions[landscape.free] + 0.1)
    fixed = np.setdiff1d(np.arange(len(slab)), landscape.free)
    assert np.array_equal(moved.positions[fixed], slab.positions[fixed])


def test_ase_refuses():

    atoms = Atoms("Cu2", positions=[[0, 0, 0], [2.5, 0, 0]])
    with pytest.raises(ValueError, match="calculator"):
        AseLandscape(atoms)
    atoms.calc = EMT()
    landscape = AseLandscape(atoms)
    with pytest.raises(ValueError, match="expected the atoms Cu2 in the same order, got Au2"):
        landscape.point(Atoms("Au2", positions=atoms.positions))
    atoms.set_constraint(FixBondLength(0, 1))
    with pytest.raises(ValueError, match="FixBondLength"):
        AseLandscape(atoms)
    atoms.set_constraint(FixAtoms([0, 1]))
    with pytest.raises(ValueError, match="at least one free atom"):
        AseLandscape(atoms)


@pytest.mark.parametrize(
    "constraints",
    [
        [FixAtoms([0, 1])],
        [FixAtoms([-1])],
        [FixCartesian([0, 1], (True, False, True))],
        [FixedLine([2], [1, 1, 0])],
        [FixedPlane([2, 3], [1, 2, 3])],
        [FixedLine([2], [1, 2, 0]), FixedPlane([3], [1, 1, 1]), FixAtoms([0])],
        [FixedMode(np.arange(12.0).reshape(4, 3))],
        [FixCom()],
        [FixSubsetCom([0, 1, 2])],
        [Hookean(0, 1, 5.0, rt=2.0)],
        [Hookean(0, (0.1, 0.2, 0.3), 5.0, rt=0.1)],
        [Hookean(2, (0.0, 0.0, 1.0, -0.1), 5.0)],
        [ExternalForce(0, 1, 0.5), FixAtoms([2])],
    ],
)
def test_constraints_leave_ases_energy_and_forces(constraints):
    """ASE projects its forces by each constraint in turn, exact where they touch other atoms."""
    atoms = crystal(*constraints)
    landscape = AseLandscape(atoms)
    point = landscape.point(atoms)
    value, gradient = landscape.value_and_gradient(point)
    assert value == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    assert landscape.value(point) == pytest.approx(value, rel=1e-14)
    assert np.allclose(landscape.atoms(point).positions, atoms.positions, atol=1e-14)
    moved = landscape.atoms(point + gradient).positions - atoms.positions
    assert np.allclose(moved, -atoms.get_forces(), atol=1e-10)
    assert float(gradient.norm()) == pytest.approx(np.linalg.norm(atoms.get_forces()), rel=1e-10)


def test_overlapping_constraints():
    atoms = crystal(FixScaled([0], (True, False, False)), FixAtoms([1]), FixCom())
    landscape = AseLandscape(atoms)
    assert landscape.dimension == 12 - 1 - 3 - 3
    generator = torch.Generator().manual_seed(0)
    step = 0.1 * torch.randn(landscape.dimension, generator=generator, dtype=torch.float64)
    moved = landscape.atoms(landscape.point(atoms) + step)
    assert np.allclose(moved.get_center_of_mass(), atoms.get_center_of_mass(), atol=1e-13)
    assert np.array_equal(moved.positions[1], atoms.positions[1])
    scaled = moved.cell.scaled_positions(moved.positions[0] - atoms.positions[0])
    assert abs(scaled[0]) < 1e-13
    assert np.linalg.norm(moved.positions - atoms.positions) == pytest.approx(float(step.norm()))
    assert (
        AseLandscape(crystal(FixedLine([0], [1, 1, 1]), FixedLine([0], [1, 1, 1]))).dimension == 10
    )


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        (FixBondLength(0, 1), "FixBondLengths holds the atoms on a curved surface.*Hookean"),
        (FixInternals(bonds=[[2.5, [0, 1]]]), "FixInternals holds the atoms on a curved"),
        (MirrorForce(0, 1), "MirrorForce reverses forces"),
    ],
)
def test_other_constraints_are_refused_with_the_reason(constraint, reason):
    with pytest.raises(ValueError, match=reason):
        AseLandscape(crystal(constraint))


def slab():
    atoms = fcc111("Al", size=(2, 2, 2))
    add_adsorbate(atoms, "Au", 2.0, "fcc")
    atoms.center(axis=2, vacuum=5.0)
    atoms.set_constraint(FixAtoms(mask=[atom.tag == 2 for atom in atoms]))
    atoms.calc = EMT()
    return atoms


def exchanged(atoms):
    return atoms[[*range(len(atoms) - 2), len(atoms) - 1, len(atoms) - 2]]


CHANGES = {
    "species": (lambda b: b.symbols.__setitem__(8, "Cu"), "expected the atoms Al8Au in the same"),
    "periodicity": (lambda b: b.set_pbc([True, False, False]), "periodicity"),
    "cell": (lambda b: b.set_cell(b.cell[:] * 1.01), "cell"),
    "cell vacuum": (lambda b: b.set_cell(b.cell[:] + np.diag([0, 0, 1.0])), "cell"),
    "fixed positions": (lambda b: b.positions.__setitem__((1, 0), 1.0), "fix differ.* at atom 1"),
    "charges": (lambda b: b.set_initial_charges([0.0] * 8 + [1.0]), "charges"),
    "moments": (lambda b: b.set_initial_magnetic_moments([1.0] * 9), "magnetic moments"),
    "spins": (lambda b: b.set_initial_magnetic_moments(np.eye(9, 3)), "magnetic moments"),
    "total charge": (lambda b: b.info.__setitem__("charge", 1), "charge"),
    "calculator": (lambda b: setattr(b, "calc", LJ()), "same calculator EMT.*LennardJones"),
    "spring": (lambda b: b.set_constraint(Hookean(8, 0, 5.0, rt=0.1)), "constraints add"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_second_structure_of_another_landscape_is_refused(change):
    atoms = slab()
    other = atoms.copy()
    alter, message = CHANGES[change]
    alter(other)
    with pytest.raises(ValueError, match=message):
        AseLandscape(atoms).point(other)


def test_what_is_no_structure_is_refused():
    atoms = slab()
    landscape = AseLandscape(atoms)
    for given in ("slab.xyz", atoms.positions, None):
        with pytest.raises(TypeError, match=r"expected an ase.Atoms, got (str|ndarray|NoneType)"):
            landscape.point(given)
    atoms = atoms.copy()
    atoms.positions[0, 0] = np.nan
    with pytest.raises(ValueError, match="expected finite positions"):
        landscape.point(atoms)


def test_parameters_of_the_second_calculator_and_the_order_of_atoms():
    pair = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 1.2]], calculator=LJ(sigma=1.0))
    other = pair.copy()
    other.calc = LJ(sigma=1.1)
    with pytest.raises(ValueError, match="same parameters"):
        AseLandscape(pair).point(other)
    other.calc = LJ(sigma=1.0)
    AseLandscape(pair).point(other)
    with pytest.raises(ValueError, match="in another order: atom 7 is Au, expected Al"):
        AseLandscape(slab()).point(exchanged(slab()))


@pytest.mark.parametrize("calculator", [EMT, lambda: LJ(sigma=2.3, rc=6.0)])
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_value_is_the_second_structures_own_energy(calculator, wrapped):
    for seed in range(3):
        atoms = crystal(FixAtoms([0]), calculator=calculator)
        other = atoms.copy()
        other.set_cell(atoms.cell)
        other.positions[1:] += np.random.default_rng(seed).normal(0.0, 0.3, (3, 3))
        if wrapped:
            other.positions += [[2, -1, 3]] @ other.cell
            other.wrap()
        other.calc = calculator()
        landscape = AseLandscape(atoms)
        value = landscape.value(landscape.point(other))
        assert value == pytest.approx(other.get_potential_energy(), rel=1e-9)


def wall(x):
    """½ (1 − cos π x) along x and a wall at x = 3, of period 6, and springs across."""
    (x, y, z), f = x[0], np.zeros((1, 3))
    narrow = 5 * np.exp(-((np.sin(np.pi * (x - 3) / 6) / 0.1) ** 2))
    slope = -narrow * np.pi / 6 * np.sin(np.pi * (x - 3) / 3) / 0.1**2
    f[0] = -np.pi / 2 * np.sin(np.pi * x) - slope, -y, -z
    energy = 0.5 * (1 - np.cos(np.pi * x)) + narrow + 0.5 * (y * y + z * z)
    return {"energy": energy, "forces": f}


def test_a_path_goes_to_the_nearest_image():
    atoms = Atoms("Ar", cell=[6.0] * 3, pbc=True, calculator=Formula(wall))
    landscape = AseLandscape(atoms)
    start = landscape.point(atoms)
    atoms.positions[0, 0] = 4.0
    end = landscape.point(atoms)
    assert end.tolist() == [-2.0, 0.0, 0.0]
    assert landscape.point(atoms, near=end + 5.9).tolist() == [4.0, 6.0, 6.0]
    found = FourierPathFinder(objective="max_flux").find(landscape, start, end)
    assert found.refined_height == pytest.approx(1.0, abs=1e-3)
    atoms.pbc = False
    alone = AseLandscape(atoms)
    assert alone.point(atoms).tolist() == [4.0, 0.0, 0.0]


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 1, 0), (0, 0, 0)])
def test_nearest_images_in_skewed_cells(pbc):
    """Against all lattice vectors up to twenty cells away."""
    for seed, skew in enumerate((0.2, 0.9, 1.4)):
        g = np.random.default_rng(seed)
        cell = np.array([[4.0, 0, 0], [4 * skew, 3, 0], [-4 * skew, 2 * skew, 3.5]])
        atoms = Atoms("Ar20", positions=g.normal(0, 2, (20, 3)), cell=cell, pbc=pbc)
        atoms.calc = LJ()
        landscape = AseLandscape(atoms)
        other = atoms.copy()
        other.positions = g.normal(0, 2, (20, 3))
        steps = (landscape.point(other) - landscape.point(atoms)).numpy().reshape(-1, 3)
        axes = [np.arange(-20, 21) if p else [0] for p in pbc]
        shifts = np.stack(np.meshgrid(*axes), -1).reshape(-1, 3) @ cell
        raw = other.positions - atoms.positions
        least = np.linalg.norm(raw[:, None] + shifts, axis=2).min(1)
        assert np.allclose(np.linalg.norm(steps, axis=1), least, atol=1e-9)


def test_an_adatom_wrapped_over_a_slabs_edge():
    atoms = fcc100("Al", size=(2, 2, 3))
    add_adsorbate(atoms, "Au", 1.7, "hollow")
    atoms.center(axis=2, vacuum=4.0)
    atoms.set_constraint(FixAtoms(mask=[atom.tag > 1 for atom in atoms]))
    atoms.calc = EMT()
    BFGS(atoms, logfile=None).run(fmax=1e-3)
    hop = AseLandscape(atoms)
    start = hop.point(atoms)
    atoms[-1].x += atoms.cell[0, 0] / 2
    BFGS(atoms, logfile=None).run(fmax=1e-3)
    atoms.wrap()
    end = hop.point(atoms)
    assert float((end - start).norm()) < atoms.cell[0, 0]
    found = ElasticBandFinder(images=7).find(hop, start, end)
    assert found.refined_height - found.profile[0] == pytest.approx(0.3745, abs=2e-3)


HOPS = [(False, 5, 0.4507), (False, 11, 0.4507), (True, 5, 0.9376), (True, 11, 0.9376)]


@pytest.mark.parametrize(("along", "images", "barrier"), HOPS)
def test_hops_on_a_stepped_surface(along, images, barrier):
    """Along the step of Pt(211), and over the terrace to the next step's image in x."""
    slab = fcc211("Pt", (3, 2, 2), vacuum=8.0)
    slab.set_constraint(FixAtoms(np.argsort(slab.positions[:, 2])[:6]))
    ends = []
    for y in (0.0, slab.cell[1, 1] / 2):
        atoms = slab + Atoms("Pt", [(-0.124, y, 12.5)])
        atoms.calc = EMT()
        BFGS(atoms, logfile=None).run(fmax=1e-3)
        ends.append(atoms)
    hop = AseLandscape(ends[0])
    start, end = map(hop.point, ends)
    end[-3] += along * slab.cell[0, 0]
    found = ElasticBandFinder(images=images, steps=400).find(hop, start, end)
    height = found.height - found.profile[0]
    assert height <= 1.01 * barrier or not found.outcome.converged
    assert height >= 0.99 * barrier
    if images == 5:  # which converge, and the path between them is higher
        assert found.outcome is Outcome.TOO_FEW_IMAGES
    else:
        saddle = refine_saddle(hop, found)
        assert saddle.value - found.profile[0] == pytest.approx(barrier, abs=1e-4)


def smeared(declared=True, factor=1.0):
    """F = (x − 1)² + y² + z², whose forces these are, beside the energy F − 0.3 x²."""

    def formula(x):
        shifted = x[0] - [1.0, 0, 0]
        free = factor * float(shifted @ shifted)
        return {
            "energy": free - 0.3 * x[0, 0] ** 2,
            "free_energy": free,
            "forces": -2 * factor * shifted[None],
        }

    calculator = Formula(formula)
    if not declared:
        calculator.implemented_properties = ("energy", "forces")
    return calculator


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("search", [None, StrongWolfe()])
def test_the_value_is_the_energy_of_the_forces(declared, search):
    atoms = Atoms("H", positions=[[0.3, 0.2, 0.1]], calculator=smeared(declared))
    landscape = AseLandscape(atoms)
    found = lbfgs(landscape, landscape.point(atoms), line_search=search)
    assert torch.allclose(found.point, torch.tensor([1.0, 0, 0]).double(), atol=1e-6)
    ends = torch.tensor([[0.0, 0, 0], [2.0, 0, 0]], dtype=torch.float64)
    line = StraightLine().find(landscape, *ends)
    assert line.refined_height == pytest.approx(1.0, abs=1e-12)
    at_middle = landscape.values_and_gradients(ends.mean(0)[None])
    assert float(at_middle[0][0]) == pytest.approx(0.0, abs=1e-12)


def test_a_calculator_without_a_free_energy():
    def formula(x):
        return {"energy": float(x[0] @ x[0]), "forces": -2 * x}

    atoms = Atoms("H", positions=[[1.0, 0, 0]], calculator=Formula(formula))  # declares one
    landscape = AseLandscape(atoms)
    assert landscape.value(landscape.point(atoms)) == 1.0
    assert landscape.value_and_gradient(2 * landscape.point(atoms))[0] == 4.0


CONVERSIONS = {
    "array of one": (lambda e: np.array([e]), lambda f: f),
    "list": (lambda e: [e], lambda f: f.tolist()),
    "torch scalar": (
        lambda e: torch.tensor(e, dtype=torch.float64, requires_grad=True),
        lambda f: torch.from_numpy(f).requires_grad_(),
    ),
    "torch float32": (lambda e: torch.tensor([[e]]), lambda f: torch.from_numpy(f).float()),
    "NumPy float32": (np.float32, lambda f: f.astype(np.float32)),
    "flat forces": (float, lambda f: f.reshape(-1)),
    "list of tensors": (lambda e: [torch.tensor(e)], lambda f: list(torch.from_numpy(f))),
}


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_types_of_energies_and_forces(kind):
    energy, forces = CONVERSIONS[kind]

    def formula(x):
        return {"energy": energy(float((x**2).sum())), "forces": forces(-2 * x)}

    atoms = Atoms("H2", positions=[[0.5, 0, 0], [0, 0.25, 1]], calculator=Formula(formula))
    atoms.set_constraint(Hookean(0, (0.0, 0.0, 0.0), 2.0, rt=0.25))
    landscape = AseLandscape(atoms)
    value, gradient = landscape.value_and_gradient(landscape.point(atoms))
    assert value == 0.25 + 0.0625 + 1 + 0.0625
    assert gradient.tolist() == [1.5, 0.0, 0.0, 0.0, 0.5, 2.0]
    assert landscape.value(landscape.point(atoms)) == value


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"energy": [1.0, 2.0], "forces": np.zeros((2, 3))}, r"energy to be a number.*\[2\]"),
        ({"energy": 1.0, "forces": np.zeros((3, 2))}, r"forces of shape \[2, 3\].*got \[3, 2\]"),
        ({"energy": 1.0, "forces": np.zeros((2, 4))}, r"forces of shape \[2, 3\].*got \[2, 4\]"),
    ],
)
def test_results_of_other_shapes_are_refused(results, message):
    atoms = Atoms("H2", positions=np.eye(2, 3), calculator=Formula(lambda x: results))
    landscape = AseLandscape(atoms)
    with pytest.raises(ValueError, match=message):
        landscape.value_and_gradient(landscape.point(atoms))


def failing(error, where):
    """Morse-like wells (x² − 1)² + y² + z², and an exception where `where` holds."""

    def formula(x):
        if where(x[0]):
            raise error
        x, y, z = x[0]
        energy = (x * x - 1) ** 2 + y * y + z * z
        return {"energy": energy, "forces": -np.array([[4 * x * (x * x - 1), 2 * y, 2 * z]])}

    return Formula(formula)


FAILURES = [
    CalculationFailed("crashed"),
    SCFError("not converged"),
    RuntimeError("bad geometry"),
    ValueError("math domain error"),
    ZeroDivisionError("division by zero"),
    np.linalg.LinAlgError("singular"),
    KeyError("energy"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
def test_a_failure_at_one_geometry_is_a_value_that_is_not_finite(error):
    atoms = Atoms("H", positions=[[3.0, 1.0, 0.5]], calculator=failing(error, lambda x: x[0] < 0.5))
    landscape = AseLandscape(atoms)
    start = landscape.point(atoms)
    bad = torch.zeros(3, dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match=type(error).__name__):
        values, gradients = landscape.values_and_gradients(torch.stack([start, bad, start]))
    assert values.isfinite().tolist() == [True, False, True]
    assert gradients.isfinite().all(1).tolist() == [True, False, True]
    assert landscape.failure is error
    for search in ("golden_section", "strong_wolfe"):
        found = lbfgs(landscape, start, line_search=search, tolerance=Tolerance(gradient=1e-7))
        assert torch.allclose(found.point, torch.tensor([1.0, 0, 0]).double(), atol=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
def test_a_failure_at_the_start_is_the_calculators_own_error(error):
    atoms = Atoms("H", positions=[[0.3, 0, 0]], calculator=failing(error, lambda x: x[0] < 0.5))
    landscape = AseLandscape(atoms)
    with pytest.raises(type(error)) as raised:
        lbfgs(landscape, landscape.point(atoms))
    assert raised.value is error
    again = torch.tensor([3.0, 0, 0], dtype=torch.float64)  # it has worked before
    assert landscape.value(again) == 64.0
    for search in (lbfgs, lambda surface, start: StraightLine().find(surface, start, again)):
        with pytest.raises(ValueError, match=r"finite|expected a number") as raised:
            search(landscape, landscape.point(atoms))
        assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [TypeError("calculate() missing"), InputError("no such keyword"), OSError("disk full")]
)
def test_errors_of_programs_and_machines_are_raised(error):
    atoms = Atoms("H", positions=[[3.0, 0, 0]], calculator=failing(error, lambda x: x[0] < 0.5))
    landscape = AseLandscape(atoms)
    landscape.value(landscape.point(atoms))
    with pytest.raises(type(error), match=str(error.args[0])[:8].replace("(", r"\(")):
        landscape.value(torch.zeros(3, dtype=torch.float64))


def test_gradients_come_with_energies_so_searches_use_them():
    """A rattled slab, and three metals."""
    for metal in ("Al", "Pt", "Cu"):
        atoms = fcc111(metal, size=(2, 2, 3), vacuum=6.0)
        atoms.rattle(0.1, seed=1)
        atoms.set_constraint(FixAtoms(mask=[atom.tag == 3 for atom in atoms]))
        atoms.calc = EMT()
        landscape = AseLandscape(atoms)
        found = lbfgs(landscape, landscape.point(atoms))
        assert found.outcome is Outcome.CONVERGED_GRADIENT
        assert found.evaluations.values == 0
        assert found.evaluations.gradients <= 15  # golden section: some 290, and no end
        assert float(landscape.value_and_gradient(found.point)[1].abs().max()) <= 0.01
        BFGS(atoms, logfile=None).run(fmax=1e-5)
        assert found.value == pytest.approx(atoms.get_potential_energy(), abs=3e-3)
        (trained,) = train(atoms_problem(atoms, rattle=0.1), "lbfgs", seeds=1)
        assert trained.evaluations.values == 0
        assert trained.outcome is Outcome.CONVERGED_GRADIENT


def test_defaults_of_studies_by_their_landscapes():
    energies = Atoms("H", calculator=smeared())
    lowest = AseLandscape(energies)
    settings = settings_of("lbfgs", {}, lowest)
    assert (settings["line_search"], settings["gradient_tolerance"]) == ("strong_wolfe", 0.01)
    assert settings_of("lbfgs", {"tolerance": 0.1}, lowest)["line_search"] == "golden_section"
    assert settings_of("lbfgs", {"line_search": "brent"}, lowest)["gradient_tolerance"] == 0.01
    assert settings_of("lbfgs", {}, NegatedLandscape(lowest))["line_search"] == "strong_wolfe"
    assert settings_of("lbfgs")["line_search"] == "golden_section"
    assert settings_of("lbfgs", {}, MullerBrown()) == settings_of("lbfgs")


def test_interrupts_are_not_held_back():
    calculator = failing(KeyboardInterrupt(), lambda x: x[0] < 0.5)
    atoms = Atoms("H", positions=[[3.0, 0, 0]], calculator=calculator)
    landscape = AseLandscape(atoms)
    landscape.value(landscape.point(atoms))
    with pytest.raises(KeyboardInterrupt):
        landscape.value(torch.zeros(3, dtype=torch.float64))


def test_atoms_nowhere_are_not_calculated():
    calculator = MorsePotential()
    atoms = Atoms("H2", positions=np.eye(2, 3), calculator=calculator)
    points = AseLandscape(atoms).point(atoms).repeat(2, 1)
    points[0, 1], points[1, 2] = torch.nan, torch.inf
    assert not AseLandscape(atoms).values(points).isfinite().any()
    assert not calculator.results


def test_wrong_atoms():
    with pytest.raises(TypeError, match=r"expected an ase\.Atoms, got list"):
        AseLandscape([])
