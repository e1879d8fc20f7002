"""Symmetric images of points, against motions that were made by hand."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from torch import nn

from lowroad.cli import app
from lowroad.landscapes import (
    LENNARD_JONES_7,
    AseLandscape,
    CountingLandscape,
    LennardJones,
    MullerBrown,
    NegatedLandscape,
    NetworkLandscape,
    aligned,
)
from lowroad.paths import ElasticBandFinder, StraightLine
from lowroad.study.run import prepare_run
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study

pytest.importorskip("ase")

import ase
from ase.build import add_adsorbate, bulk, fcc100, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones as LJ
from ase.constraints import FixAtoms, FixCom, Hookean
from ase.optimize import BFGS
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner


def turn(seed):
    return Rotation.random(random_state=seed).as_matrix()


def places(point):
    return point.view(-1, 3).numpy()


def flat(positions):
    return torch.from_numpy(np.ascontiguousarray(positions).reshape(-1))


@pytest.mark.parametrize("wrapper", [lambda x: x, CountingLandscape, NegatedLandscape])
def test_a_cluster_and_itself_moved_are_the_same_state(wrapper):
    start = LENNARD_JONES_7[0].point
    cluster = wrapper(LennardJones(7))
    half_turn = flat(places(start) @ np.diag([-1.0, -1, 1]))
    for end in (half_turn, flat(places(start)[::-1] @ turn(0) + 3), flat(-places(start))):
        image = cluster.symmetric_image(start, end)
        assert image.same
        assert image.distance < 1e-9
        assert image.raw_distance == pytest.approx(float((end - start).norm()))
        assert torch.allclose(image.point, start, atol=1e-9)
        assert "same state" in str(image)
        assert "Kabsch" in image.method
    pair = torch.tensor([0.0, 0, 0, 0, 0, 2 ** (1 / 6)], dtype=torch.float64)
    assert LennardJones(2).symmetric_image(pair, pair[[3, 4, 5, 0, 1, 2]]).same
    assert LennardJones(2).symmetric_image(pair, pair.clone()) is None


def test_other_minima_are_nearer_and_not_the_same():
    cluster, generator = LennardJones(7), torch.Generator().manual_seed(0)
    for one, two in itertools.combinations([m.point for m in LENNARD_JONES_7], 2):
        moved = flat(places(two)[[3, 1, 2, 0, 6, 5, 4]] @ turn(1) + 1)
        image = cluster.symmetric_image(one, moved)
        assert not image.same
        assert "nearer" in str(image)
        assert cluster.value(image.point) == pytest.approx(cluster.value(two), rel=1e-9)
        tries = float((aligned(one, two, generator) - one).norm())  # 200 random rotations
        assert image.distance < 1.15 * tries
        assert tries < image.distance + 1e-6


@pytest.mark.parametrize("atoms", [1, 2, 3, 5, 30])
def test_molecules_of_several_species_turn_and_exchange_like_atoms(atoms):
    g = np.random.default_rng(atoms)
    first = ase.Atoms("CuAuAl"[: 2 * min(atoms, 3)], calculator=EMT()) if atoms < 4 else None
    if first is None:
        first = ase.Atoms("Cu" * (atoms // 2) + "Au" * (atoms - atoms // 2), calculator=EMT())
    grid = np.array(list(itertools.product(range(4), repeat=3)))[: len(first)]
    first.positions = 2.8 * grid + g.normal(0, 0.2, (len(first), 3))
    landscape = AseLandscape(first)
    second = first.copy()
    second.positions = first.positions @ turn(2) + 1.0
    order = np.arange(len(first))
    for species in set(first.numbers):
        own = np.flatnonzero(first.numbers == species)
        order[own] = g.permutation(own)
    second.positions = second.positions[order]
    start, end = landscape.point(first), landscape.point(second)
    image = landscape.symmetric_image(start, end)
    assert torch.allclose(image.point, start, atol=1e-7)
    assert image.same


def test_mirror_images_of_a_molecule_are_not_the_same():
    hand = molecule("CH3CH2OH")
    hand.symbols[:] = ["C", "C", "Cu", "H", "H", "H", "Al", "H", "Au"]  # four kinds at one carbon
    hand.calc = EMT()
    other = hand.copy()
    other.positions *= [1, 1, -1]
    other.positions = other.positions @ turn(3)
    landscape = AseLandscape(hand)
    image = landscape.symmetric_image(landscape.point(hand), landscape.point(other))
    assert not image.same
    assert image.distance > 0.3
    proper = hand.copy()
    proper.positions = proper.positions @ turn(3)
    assert landscape.symmetric_image(landscape.point(hand), landscape.point(proper)).same


def test_fixed_centres_of_mass_stay():
    atoms = ase.Atoms("CuAuCu", positions=[[0, 0, 0], [2.5, 0, 0], [1, 2.4, 0]], calculator=EMT())
    atoms.set_constraint(FixCom())
    landscape = AseLandscape(atoms)
    other = atoms.copy()
    centre = atoms.get_center_of_mass()
    other.positions = ((atoms.positions - centre) @ turn(4) + centre)[[2, 1, 0]]
    image = landscape.symmetric_image(landscape.point(atoms), landscape.point(other))
    assert image.same
    assert image.distance < 1e-7


def hop():
    """A gold atom on aluminium, in two neighbouring hollows."""
    slab = fcc100("Al", size=(2, 2, 3))
    add_adsorbate(slab, "Au", 1.7, "hollow")
    slab.center(axis=2, vacuum=4.0)
    slab.set_constraint(FixAtoms(mask=[atom.tag > 1 for atom in slab]))
    slab.calc = EMT()
    BFGS(slab, logfile=None).run(fmax=1e-3)
    landscape = AseLandscape(slab)
    start = landscape.point(slab)
    slab[-1].x += slab.cell[0, 0] / 2
    BFGS(slab, logfile=None).run(fmax=1e-3)
    return landscape, start, landscape.point(slab)


def test_slabs_are_not_turned():
    landscape, start, end = hop()
    generator = torch.Generator().manual_seed(0)
    kept = aligned(start, end, generator, landscape=landscape)
    assert torch.equal(kept, end)
    line = StraightLine().find(landscape, start, kept)
    assert line.barrier < 3.4  # 24 eV to the slab turned by the adatom's step
    exchanged = end.view(-1, 3)[[1, 0, 2, 3, 4]].reshape(-1)
    lattice = torch.zeros(5, 3, dtype=torch.float64)
    lattice[2] = torch.from_numpy(landscape.atoms(end).cell[1])
    image = landscape.symmetric_image(start, exchanged + lattice.reshape(-1))
    assert torch.allclose(image.point, end, atol=1e-12)
    assert not image.same
    again = landscape.symmetric_image(start, start + lattice.reshape(-1))
    assert again.same
    assert "periodic images" in again.method


def test_crystals_shift_exchange_and_wrap():
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.symbols[3] = "Au"
    atoms.rattle(0.1, seed=2)
    atoms.calc = EMT()
    landscape = AseLandscape(atoms)
    start = landscape.point(atoms)
    other = atoms.copy()
    order = [5, 4, 6, 3, 0, 1, 2, 7]
    other.positions = atoms.positions[order] + [1.3, 0.4, -0.9]
    other.wrap()
    image = landscape.symmetric_image(start, landscape.point(other))
    assert image.same
    assert image.distance < 1e-9
    assert landscape.symmetric_image(start, start + 0.0) is None
    other.positions[0, 0] += 0.7
    image = landscape.symmetric_image(start, landscape.point(other))
    assert not image.same
    own = landscape.value(landscape.point(other))
    assert landscape.value(image.point) == pytest.approx(own, abs=1e-9)
    assert image.distance == pytest.approx(0.7 * (7 / 8) ** 0.5)  # less the mean step


def test_what_constraints_name_is_not_exchanged():
    atoms = ase.Atoms("Ar4", positions=np.diag([1.0, 1.1, 1.2, 1.3])[:, :3], calculator=LJ())
    swapped = atoms.copy()
    swapped.positions = swapped.positions[[1, 0, 3, 2]]
    for spring, same in ((Hookean(0, (0.0, 0, 0), 1.0, rt=9.0), False), (None, True)):
        atoms.set_constraint(spring)
        swapped.set_constraint(spring)
        landscape = AseLandscape(atoms)
        start, end = landscape.point(atoms), landscape.point(swapped)
        image = landscape.symmetric_image(start, end)
        assert image.same == same
        moved = places(image.point)
        if spring is not None:  # the atoms 2 and 3 change places, 0 and 1 do not
            assert np.allclose(moved[:2], swapped.positions[:2])
            assert not np.allclose(moved[2:], swapped.positions[2:])


def test_charges_and_moments_tell_atoms_apart():
    atoms = ase.Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 1.2]], calculator=LJ())
    start, end = flat(atoms.positions), flat(atoms.positions[::-1])
    assert AseLandscape(atoms).symmetric_image(start, end).same
    atoms.set_initial_magnetic_moments([1.0, -1.0])
    image = AseLandscape(atoms).symmetric_image(start, end)  # turned, not exchanged
    assert image.same
    atoms.set_constraint(FixAtoms([0]))
    assert AseLandscape(atoms).symmetric_image(start[:3] + 1, end[:3] + 1) is None


def test_a_calculator_with_a_field_of_its_own_is_not_moved():
    class Field(LJ):
        def calculate(self, *arguments, **more):
            super().calculate(*arguments, **more)
            self.results["energy"] += float(self.atoms.positions[:, 2] @ [1.0, 2.0])
            self.results.pop("free_energy", None)

    atoms = ase.Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 1.2]], calculator=Field())
    landscape = AseLandscape(atoms)
    start = landscape.point(atoms)
    assert landscape.symmetric_image(start, start[[3, 4, 5, 0, 1, 2]]) is None


def test_hidden_units():
    g = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    data = torch.randn(9, 2, generator=g).double(), torch.randn(9, 1, generator=g).double()
    network = NetworkLandscape(module, *data, "mean_squared_error")
    start = torch.randn(network.dimension, generator=g, dtype=torch.float64)
    order = torch.tensor([2, 0, 3, 1])
    weights, bias, out = start[:8].view(4, 2), start[8:12], start[12:16]
    end = torch.cat([weights[order].reshape(-1), bias[order], out[order], start[16:]])
    image = network.symmetric_image(start, end)
    assert image.same
    assert torch.equal(image.point, start)
    assert "hidden units" in image.method
    assert not network.symmetric_image(start, end + 0.01).same


def test_found_paths_report_symmetries_and_leave_the_ends():
    start = LENNARD_JONES_7[0].point
    end = flat(places(start) @ np.diag([-1.0, -1, 1]))
    found = StraightLine().find(LennardJones(7), start, end)
    assert found.symmetry.same
    assert torch.equal(found.path.end, end)
    pair = torch.tensor([0.0, 0, 0, 0, 0, 2 ** (1 / 6)], dtype=torch.float64)
    ends = [pair[[3, 4, 5, 0, 1, 2]], pair * 1.1]
    first, second = StraightLine().find_many(LennardJones(2), [pair, pair], ends)
    assert first.symmetry.same
    assert second.symmetry.distance < second.symmetry.raw_distance
    surface = MullerBrown()
    assert StraightLine().find(surface, *surface.ends).symmetry is None
    image = LennardJones(7).symmetric_image(start, LENNARD_JONES_7[1].point)
    band = ElasticBandFinder().find(LennardJones(7), start, image.point)
    assert band.symmetry is None
    assert band.refined_height == pytest.approx(-15.444734, abs=1e-3)


LANDSCAPE = """
import lowroad


def landscape():
    return lowroad.LennardJones(7)
"""


def test_connect_reports_the_same_state(tmp_path, monkeypatch):
    (tmp_path / "seven_atoms_here.py").write_text(LANDSCAPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    start = LENNARD_JONES_7[0].point
    torch.save(start, "a.pt")
    torch.save(flat(places(start) @ turn(1)), "b.pt")
    arguments = ["connect", "a.pt", "b.pt", "--landscape", "seven_atoms_here:landscape"]
    result = CliRunner().invoke(app, [*arguments, "--finder", "straight", "--out", "here"])
    assert result.exit_code == 0, result.output
    assert "the ends are the same state" in " ".join(result.output.split())
    numbers = json.loads((tmp_path / "here" / "summary.json").read_text())
    assert numbers["ends_are_the_same_state"] == 1
    assert numbers["distance_by_symmetry"] < 1e-6


def test_studies_record_ends_that_are_one_state(tmp_path):
    lbfgs = {"method": "lbfgs", "iterations": 500}
    other = lbfgs | {"line_search": "golden_section"}
    study = {
        "name": "two",
        "problems": {"LJ4": {"from": "lowroad.problems:lennard_jones", "atoms": 4}},
        "optimizers": {"one": lbfgs, "two": other},
        "train": {"seeds": 2, "keep": 2},
        "paths": {"finder": "straight", "pairs": 1, "between": [["one", "two"]]},
        "metrics": {"solutions": False},
    }
    run = prepare_run(parse_study(study), tmp_path / "two", tmp_path)
    chosen = run.study.config.optimizers["one"].own
    assert chosen["line_search"] == "strong_wolfe"  # a gradient comes with the value
    assert "tolerance" not in chosen
    summary = run.execute(1, lambda progress, event: None)
    assert not summary.failed
    store = Store(tmp_path / "two")
    records = [store.read_attributes(name) for name in store.hashes()]
    paths = [each for each in records if "straight_height" in each]
    assert paths
    assert all(each["same_ends"] == 1 for each in paths)
    moved = [each for each in paths if each["straight_length"] > 1e-3]
    assert moved
    assert all(each["symmetric_length"] < 1e-6 for each in moved)
