"""The elastic band and the string."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowroad.landscapes import CurvyValley, MullerBrown, TwoWells
from lowroad.outcome import Outcome
from lowroad.paths import ElasticBandFinder, StringFinder
from lowroad.paths.image_chain import Chain, through_images
from lowroad.paths.string import evenly_spaced


def test_improved_tangent_by_the_papers_cases():
    x = torch.tensor([[0.0, 0], [1, 0], [2, 1], [3, 1], [4, 0]], dtype=torch.float64)
    heights = torch.tensor([0.0, 1.0, 3.0, 2.5, 0.0], dtype=torch.float64)
    chain = Chain(x, heights, torch.zeros(3, 2, dtype=torch.float64))
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
    heights = torch.randn(9, generator=g, dtype=torch.float64)
    chain = Chain(x, heights, torch.zeros(7, 3, dtype=torch.float64))

    class State:
        energies = heights.numpy()

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


@pytest.mark.parametrize("finder", [ElasticBandFinder(), StringFinder()])
def test_muller_brown_at_no_more_than_ases_cost(finder):
    """ASE's climbing band of 11 images first comes within 1e-2 after 137 gradients."""
    surface = MullerBrown()
    found = finder.find(surface, *surface.ends)
    assert found.outcome is Outcome.CONVERGED_GRADIENT
    assert found.refined_height == pytest.approx(-40.6648435, abs=1e-4)
    spent = found.history.gradient_evaluations
    close = np.abs(found.history.heights + 40.6648435) < 1e-2
    first = int(spent[close.argmax()])
    assert first <= 137
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


def test_refusals():
    with pytest.raises(ValueError, match="at least 3 images"):
        ElasticBandFinder(images=2)
    with pytest.raises(ValueError, match="spring constant"):
        ElasticBandFinder(spring=0)
    with pytest.raises(ValueError, match="max_step > 0"):
        StringFinder(max_step=0)
    with pytest.raises(ValueError, match='"lbfgs" or "fire"'):
        StringFinder(optimizer="sgd")
    with pytest.raises(ValueError, match="tolerance >= 0"):
        StringFinder(tolerance=-1)
    with pytest.raises(ValueError, match="steps >= 1"):
        StringFinder(steps=0)
    with pytest.raises(ValueError, match='until="converged"'):
        StringFinder(until="budget")
