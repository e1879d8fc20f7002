"""Several starts, on a surface whose straight start leads to the higher of two channels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lowroad.connect import parse_finder
from lowroad.landscapes import CountingLandscape, FunctionLandscape, MullerBrown
from lowroad.outcome import Outcome
from lowroad.paths import ElasticBandFinder, FourierPathFinder, StraightLine, StringFinder
from lowroad.paths.starts import perturbed

HIGHER, LOWER = 1.0, 0.4375


def two_channels(points: torch.Tensor) -> torch.Tensor:
    """A barrier exp(−4x²) b(y) with b' = 4 y (y + 1/2) (y + 3/2): passes at y = 0 and y = −3/2.

    Every path between x = −1 and x = 1 crosses x = 0, where the height is b(y). The minima of b are
    b(0) = 1 and b(−3/2) = 1 + 4 (81/64 − 9/4 + 27/32) = 7/16, the lowest.
    """
    x, y = points.T
    return torch.exp(-4 * x**2) * (1 + 4 * (y**4 / 4 + 2 * y**3 / 3 + 3 * y**2 / 8))


START, END = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
SEARCHES = {
    "band": ElasticBandFinder,
    "string": StringFinder,
    "Fourier": lambda **settings: FourierPathFinder(objective="max_flux", **settings),
}


def channels(batched: bool = True) -> FunctionLandscape:
    surface = FunctionLandscape(two_channels, dimension=2)
    surface.batched = batched
    return surface


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("make", SEARCHES.values(), ids=list(SEARCHES))
def test_several_starts_find_the_lower_channel(make):
    surface = channels()
    one = make().find(surface, START, END)
    assert one.refined_height == pytest.approx(HIGHER, abs=1e-6)
    assert one.start_heights == (one.refined_height,)
    counted = CountingLandscape(surface)
    several = make(starts=6, perturbation=0.6).find(counted, START, END, generator=seeded())
    assert several.refined_height == pytest.approx(LOWER, abs=1e-3)
    assert len(several.start_heights) == 6
    assert several.start_heights[0] == one.refined_height
    assert min(several.start_heights) == several.refined_height
    # all starts' evaluations, and the two of the check of the ends apart
    assert several.evaluations.gradients == counted.evaluations.gradients
    assert several.evaluations.values == counted.evaluations.values - 2
    assert several.history.gradient_evaluations[-1] < several.evaluations.gradients


def test_the_seed_decides_and_nothing_else():
    finder = ElasticBandFinder(starts=4, perturbation=0.6)
    first = finder.find(channels(), START, END, generator=seeded(3))
    again = finder.find(channels(), START, END, generator=seeded(3))
    after_another = finder.find(channels(batched=False), START, END, generator=seeded(3))
    other = finder.find(channels(), START, END, generator=seeded(4))
    assert first.start_heights == again.start_heights
    assert np.array_equal(first.profile, again.profile)
    assert first.start_heights == pytest.approx(after_another.start_heights, rel=1e-9)
    assert first.evaluations == after_another.evaluations
    assert first.start_heights != other.start_heights


def test_noise_of_one_start_does_not_depend_on_the_others_order():
    finder = FourierPathFinder(learning_rate=0.02, noise=0.1, steps=30, starts=3)
    together = finder.find(channels(), START, END, generator=seeded())
    in_turn = finder.find(channels(batched=False), START, END, generator=seeded())
    assert together.start_heights == pytest.approx(in_turn.start_heights, rel=1e-9)


def test_initial_is_the_first_start():
    low = StringFinder(starts=6, perturbation=0.6).find(channels(), START, END, generator=seeded())
    found = StringFinder(starts=2, perturbation=0.01).find(
        channels(), START, END, generator=seeded(), initial=low.path
    )
    assert found.start_heights == pytest.approx((LOWER, HIGHER), abs=1e-3)


def test_stopping_one_stops_all():
    seen = []

    def fifth(step, height):
        seen.append(step)
        return len(seen) == 5

    surface = MullerBrown()
    found = StringFinder(starts=3).find(surface, *surface.ends, generator=seeded(), callback=fifth)
    assert seen == [0, 0, 0, 1, 1]
    assert found.outcome is Outcome.STOPPED


def test_perturbations_are_across_and_of_the_size_stated():
    start, end = MullerBrown().ends
    distance = float((end - start).norm())
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    along = ((end - start) / distance).numpy()
    for seed in range(5):
        path = perturbed(start, end, 0.3, seeded(seed))
        moved = (path(t) - torch.lerp(start, end, t[:, None])).numpy()
        assert np.allclose(moved @ along, 0, atol=1e-12)
        assert np.linalg.norm(moved, axis=1).max() == pytest.approx(0.3 * distance, rel=1e-3)


def test_settings_of_the_command_line():
    assert parse_finder("fourier", ["starts=4"]).starts == 4
    assert parse_finder("elastic_band", ["insertions=3", "images=7"]) == ElasticBandFinder(
        insertions=3, images=7
    )


def test_refusals():
    with pytest.raises(ValueError, match="at least one start"):
        StringFinder(starts=0)
    with pytest.raises(ValueError, match="perturbation > 0"):
        StringFinder(perturbation=-1)
    with pytest.raises(ValueError, match="one straight line"):
        StraightLine(starts=2)
    with pytest.raises(ValueError, match="pass generator="):
        StringFinder(starts=2).find(channels(), START, END)
    line = FunctionLandscape(lambda x: x[:, 0] ** 2, dimension=1)
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match="second dimension"):
        StringFinder(starts=2).find(line, *ends, generator=seeded())


def test_a_start_that_fails_loses():
    """Starts that end in a hole without a value: the one that does not is returned."""

    def holed(points):
        return torch.where(points[:, 1].abs() > 0.2, math.nan, two_channels(points))

    surface = FunctionLandscape(holed, dimension=2)
    found = StringFinder(starts=4, perturbation=0.9).find(surface, START, END, generator=seeded())
    assert found.refined_height == pytest.approx(HIGHER, abs=1e-6)
    assert not np.isfinite(found.start_heights[1:]).all()
