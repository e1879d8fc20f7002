"""The elastic band and the string."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from lowroad.landscapes import CurvyValley, FunctionLandscape, MullerBrown, TwoWells
from lowroad.outcome import Outcome
from lowroad.paths import ElasticBandFinder, StringFinder
from lowroad.paths.images import Chain, through_images
from lowroad.paths.string import evenly_spaced


def test_improved_tangent_by_the_papers_cases():
    x = torch.tensor([[0.0, 0], [1, 0], [2, 1], [3, 1], [4, 0]], dtype=torch.float64)
    values = torch.tensor([0.0, 1.0, 3.0, 2.5, 0.0], dtype=torch.float64)
    chain = Chain(x, values, torch.zeros(3, 2, dtype=torch.float64))
    half = 0.5**0.5
    # rising: to the higher neighbour ahead; falling: from the higher neighbour behind
    assert torch.allclose(chain.tangents[0], torch.tensor([half, half], dtype=torch.float64))
    assert torch.allclose(chain.tangents[2], torch.tensor([1.0, 0.0], dtype=torch.float64))
    # a maximum, the next one higher than the last: 2.0 times ahead, 0.5 times behind
    mixed = 2.0 * (x[3] - x[2]) + 0.5 * (x[2] - x[1])
    assert torch.allclose(chain.tangents[1], mixed / mixed.norm())


def test_tangents_equal_ases():
    neb = pytest.importorskip("ase.mep.neb")
    from ase import Atoms

    g = torch.Generator().manual_seed(2)
    x = torch.randn(9, 3, generator=g, dtype=torch.float64).cumsum(0)
    values = torch.randn(9, generator=g, dtype=torch.float64)
    chain = Chain(x, values, torch.zeros(7, 3, dtype=torch.float64))

    class State:
        energies = values.numpy()

    atoms = [Atoms("H", positions=[p.tolist()]) for p in x]
    method = neb.ImprovedTangentMethod.__new__(neb.ImprovedTangentMethod)
    for i in range(1, 8):
        springs = [
            neb.Spring(a, b, 0, 0, 1)
            for a, b in ((atoms[i - 1], atoms[i]), (atoms[i], atoms[i + 1]))
        ]
        tangent = method.get_tangent(State, *springs, i)
        tangent = tangent / np.linalg.norm(tangent)
        assert np.allclose(chain.tangents[i - 1], tangent[0], atol=1e-12)


def test_evenly_spaced():
    g = torch.Generator().manual_seed(0)
    chain = torch.randn(7, 3, generator=g, dtype=torch.float64)
    even = evenly_spaced(chain)
    lengths = np.linalg.norm(np.diff(chain.numpy(), axis=0), axis=1)
    places = np.concatenate([[0], lengths.cumsum()])
    wanted = np.linspace(0, places[-1], 7)
    expected = np.stack([np.interp(wanted, places, c) for c in chain.numpy().T], axis=1)
    assert np.allclose(even, expected)


def test_the_path_passes_through_the_images():
    g = torch.Generator().manual_seed(0)
    chain = torch.randn(7, 3, generator=g, dtype=torch.float64)
    assert torch.allclose(through_images(chain)(torch.linspace(0, 1, 7).double()), chain)


def test_the_path_through_uneven_images_is_scipys_spline():
    g = torch.Generator().manual_seed(0)
    chain = torch.randn(5, 3, generator=g, dtype=torch.float64)
    gaps = torch.tensor([1.0, 0.25, 0.75, 2.0], dtype=torch.float64)
    spline = CubicSpline([0, 0.25, 0.3125, 0.5, 1], chain.numpy(), bc_type="natural")
    t = np.linspace(0, 1, 33)
    assert np.allclose(through_images(chain, gaps)(torch.from_numpy(t)).numpy(), spline(t))


@pytest.mark.parametrize("finder", [ElasticBandFinder(), StringFinder()])
def test_muller_brown_at_no_more_than_ases_cost(finder):
    """ASE's climbing band first comes within 1e-2 after 99 gradients, at its best spring."""
    surface = MullerBrown()
    found = finder.find(surface, *surface.ends)
    assert found.outcome is Outcome.CONVERGED_PATH
    assert found.refined_height == pytest.approx(-40.6648435, abs=1e-4)
    spent = found.history.gradient_evaluations
    close = np.abs(found.history.heights + 40.6648435) < 1e-2
    first = int(spent[close.argmax()])
    assert first <= 99
    brief = type(finder)(steps=int(found.history.steps[close.argmax()])).find(
        surface, *surface.ends
    )
    assert brief.refined_height == pytest.approx(-40.6648435, abs=1e-2)


@pytest.mark.parametrize("finder", [ElasticBandFinder(), StringFinder()])
def test_curvy_valley_within_a_thousandth(finder):
    surface = CurvyValley()
    assert finder.find(surface, *surface.ends).refined_height == pytest.approx(1, abs=1e-3)


def test_images_converge_to_the_saddle_only_when_climbing():
    surface = TwoWells()
    saddle = surface.lowest_height
    climbing = ElasticBandFinder(images=8).find(surface, *surface.ends)
    resting = ElasticBandFinder(images=8, climb_below=0).find(surface, *surface.ends)
    assert abs(climbing.history.heights[-1] - saddle) < 1e-5
    assert saddle - resting.history.heights[-1] > 1e-3


@pytest.mark.parametrize("optimizer", ["lbfgs", "fire"])
def test_five_images_reach_the_pass_only_with_insertions(optimizer):
    surface = CurvyValley()  # five images reach that of Müller and Brown
    few = ElasticBandFinder(images=5, optimizer=optimizer)
    growing = ElasticBandFinder(images=5, optimizer=optimizer, insertions=6, steps=400)
    assert few.find(surface, *surface.ends).refined_height > surface.lowest_height + 1
    found = growing.find(surface, *surface.ends)
    assert found.refined_height == pytest.approx(surface.lowest_height, abs=1e-4)
    assert 5 < found.path.basis.terms + 2 <= 11
    if found.outcome is Outcome.CONVERGED_PATH:
        assert found.history.heights[-1] == pytest.approx(surface.lowest_height, abs=1e-4)


@pytest.mark.parametrize("optimizer", ["lbfgs", "fire"])
@pytest.mark.parametrize("make", [ElasticBandFinder, StringFinder])
@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_a_straight_valley_is_seen_at_once(make, optimizer, turn):
    """Across the straight line the forces are only rounding: neither a scale nor a direction."""
    along = torch.tensor([np.cos(turn), np.sin(turn)])
    across = torch.tensor([-np.sin(turn), np.cos(turn)])
    wells = FunctionLandscape(lambda x: ((x @ along) ** 2 - 1) ** 2 + 3 * (x @ across) ** 2, 2)
    finder = make(optimizer=optimizer)
    found = finder.find(wells, -along, 1.13 * along)
    assert found.outcome is Outcome.CONVERGED_PATH
    assert found.history.steps[-1] <= 60
    assert found.history.heights[-1] == pytest.approx(1, abs=1e-8)
    assert found.length == pytest.approx(2.13, abs=1e-6)
    ramp = FunctionLandscape(lambda x: x @ along + (x @ across) ** 2, 2)
    assert finder.find(ramp, 0 * along, along).history.steps.tolist() == [0]


def ridge(centre: float) -> FunctionLandscape:
    """A narrow ridge across the line from (0, 0) to (1, 0), without a force across it."""
    return FunctionLandscape(lambda x: torch.exp(-(((x[:, 0] - centre) / 0.04) ** 2)), 2)


@pytest.mark.parametrize(("centre", "gap"), [(0.61, 2), (0.19, 0), (0.81, 3)])
def test_an_image_is_inserted_where_the_path_is_highest_above_the_chord(centre, gap):
    x = torch.tensor([[0.0, 0], [0.25, 0], [0.5, 0], [0.75, 0], [1, 0]], dtype=torch.float64)
    surface = ridge(centre)
    values, gradients = surface.values_and_gradients(x)
    chain = Chain(x, values, gradients[1:-1])
    images, gaps = ElasticBandFinder(images=5, insertions=1)._grown(surface, chain)
    assert torch.allclose(images[gap + 1], torch.tensor([(gap + 0.5) / 4, 0]).double())
    assert torch.equal(torch.cat([images[: gap + 1], images[gap + 2 :]]), x)
    assert gaps.tolist() == [1.0] * gap + [0.5, 0.5] + [1.0] * (3 - gap)
    # springs rest where the distances are as the gaps
    grown = Chain(images, torch.zeros(6).double(), torch.zeros(4, 2).double(), gaps)
    assert (grown.lengths / grown.gaps).numpy() == pytest.approx(np.full(5, 0.25))


def test_no_image_is_inserted_where_none_is_needed():
    """On a parabola the excess in a gap is known: L'' h² / 8 at its middle."""
    bowl = FunctionLandscape(lambda x: 1 - 4 * (x[:, 0] - 0.5) ** 2 + x[:, 1] ** 2, 2)
    start, end = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    excess = 8 * 0.25**2 / 8  # the range of values is 1
    for fraction, more in ((excess * 0.99, 1), (excess * 1.01, 0)):
        finder = ElasticBandFinder(images=5, insertions=1, insert_above=fraction)
        assert finder.find(bowl, start, end).path.basis.terms == 3 + more


def test_refusals():
    with pytest.raises(ValueError, match="at least 3 images"):
        ElasticBandFinder(images=2)
    with pytest.raises(ValueError, match="spring constant"):
        ElasticBandFinder(spring=0)
    with pytest.raises(ValueError, match="insertions >= 0"):
        ElasticBandFinder(insertions=-1)
    with pytest.raises(ValueError, match="insert_above >= 0"):
        ElasticBandFinder(insert_above=-0.1)
    with pytest.raises(ValueError, match="max_step > 0"):
        StringFinder(max_step=0)
    with pytest.raises(ValueError, match='"lbfgs" or "fire"'):
        StringFinder(optimizer="sgd")
    with pytest.raises(ValueError, match="tolerance >= 0"):
        StringFinder(tolerance=-1)
    with pytest.raises(ValueError, match="steps >= 1"):
        StringFinder(steps=0)
    with pytest.raises(ValueError, match="fmax > 0"):
        StringFinder(fmax=0.0)


@pytest.mark.parametrize("top", [5.0, torch.inf, torch.nan])
@pytest.mark.parametrize("finder", [ElasticBandFinder, StringFinder])
def test_what_images_do_not_see_makes_no_path_higher_than_the_first(finder, top):
    """The image jumps over a thin ridge into a hollow; the spline through it crosses the ridge."""

    def hollow_behind_a_ridge(points):
        x, y = points[:, 0], points[:, 1]
        hill = torch.exp(-((x - 0.5) ** 2 + y**2) / 0.08) + (y - 0.6) ** 2
        ridge = 5 * torch.exp(-(((y - 0.3) / 0.01) ** 2) / 2)
        return hill + (ridge if top == 5 else torch.where((y - 0.3).abs() < 0.02, top, 0.0))

    landscape = FunctionLandscape(hollow_behind_a_ridge, dimension=2)
    ends = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    found = finder(images=3, max_step=1.0).find(landscape, *ends)
    assert found.history.heights[-1] < 0.41
    assert found.height == pytest.approx(1.36)  # at (0.5, 0): 1 + 0.6², the straight line's


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
@pytest.mark.parametrize("finder", [ElasticBandFinder, StringFinder])
def test_a_path_without_a_value_between_its_images_has_not_converged(finder, value):
    """(x² − 1)² + y² but on a strip between two images, which no path goes around."""

    def strip(points):
        values = (points[:, 0] ** 2 - 1) ** 2 + points[:, 1] ** 2
        return torch.where((points[:, 0] - 0.3).abs() < 0.05, value, values)

    landscape = FunctionLandscape(strip, dimension=2)
    ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    assert finder().find(landscape, *ends).outcome is Outcome.TOO_FEW_IMAGES
