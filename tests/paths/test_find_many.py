"""Many pairs at once against pairs one by one."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from lowroad.landscapes import FunctionLandscape, LennardJones, MullerBrown, NumpyLandscape
from lowroad.outcome import Outcome
from lowroad.paths import ElasticBandFinder, FourierPathFinder, StraightLine, StringFinder, batching
from paths.path_cases import FINDERS, numpy_function, small_network


def muller_brown_pairs(pairs: int = 5) -> tuple[MullerBrown, torch.Tensor, torch.Tensor]:
    """Ends near the surface's: every search takes another number of steps."""
    surface, g = MullerBrown(), torch.Generator().manual_seed(0)
    shifts = 0.05 * torch.randn(2, pairs, 2, generator=g, dtype=torch.float64)
    return surface, surface.ends[0] + shifts[0], surface.ends[1] + shifts[1]


def generators(pairs: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(pairs)]


def one_by_one(finder, surface, starts, ends):
    each = generators(len(starts))
    return [
        finder.find(surface, start, end, generator=g)
        for start, end, g in zip(starts, ends, each, strict=True)
    ]


def assert_same(found, expected, rel=1e-9):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.profile == pytest.approx(other.profile, rel=rel)
        assert one.refined_height == pytest.approx(other.refined_height, rel=rel)
        assert one.evaluations == other.evaluations
        assert one.outcome == other.outcome
        assert np.array_equal(one.history.steps, other.history.steps)
        assert np.array_equal(one.history.gradient_evaluations, other.history.gradient_evaluations)


MORE = {
    "noise": FourierPathFinder(learning_rate=0.01, noise=0.1, steps=20),
    "three starts": StringFinder(starts=3),
}
EVERY = {name: finder for name, (finder, _) in FINDERS.items()} | MORE


@pytest.mark.parametrize("finder", EVERY.values(), ids=list(EVERY))
def test_each_path_is_the_one_that_find_finds(finder):
    surface, starts, ends = muller_brown_pairs(3)
    found = finder.find_many(surface, starts, ends, generators(3))
    assert_same(found, one_by_one(finder, surface, starts, ends))


@pytest.mark.parametrize(("at_once", "fraction"), [(2, 0.6), (256, 0.25)])
def test_calls_are_shared(at_once, fraction, monkeypatch):
    monkeypatch.setattr(batching, "AT_ONCE", at_once)
    surface, starts, ends = muller_brown_pairs(6)
    calls = []
    watched = FunctionLandscape(lambda x: (calls.append(len(x)), surface.function(x))[1], 2)
    finder = StringFinder(steps=30)
    watched.check_repeatable(starts[0])  # done once
    calls.clear()
    expected = one_by_one(finder, watched, starts, ends)
    alone, points = len(calls), sum(calls)
    calls.clear()
    assert_same(finder.find_many(watched, starts, ends), expected)
    assert sum(calls) == points
    assert len(calls) < fraction * alone


def test_one_after_another_where_calls_are_not_what_costs():
    surface = numpy_function()
    assert not surface.batched
    start, end = surface.ends
    starts, ends = torch.stack([start, end]), torch.stack([end, start + 0.1])
    finder = StringFinder(steps=10)
    assert_same(finder.find_many(surface, starts, ends), one_by_one(finder, surface, starts, ends))


def test_a_network_by_minibatches():
    network = small_network()
    start, end = network.ends
    starts, ends = torch.stack([start, end]), torch.stack([end, -start])
    finder = FourierPathFinder(batch_size=50, learning_rate=0.01, steps=8, points=11)
    found = finder.find_many(network, starts, ends, generators(2))
    assert_same(found, one_by_one(finder, network, starts, ends))
    # eight steps of a quarter of the data, on nine inner points
    assert found[0].evaluations.gradients == 8 * 9 / 4


def test_a_cluster():
    cluster, g = LennardJones(4), torch.Generator().manual_seed(0)
    square = torch.tensor([[0.0, 0, 0], [1.1, 0, 0], [0, 1.1, 0], [1.1, 1.1, 0.5]]).double()
    starts = square.view(1, 12) + 0.05 * torch.randn(3, 12, generator=g, dtype=torch.float64)
    ends = square.view(1, 12) + 0.2 * torch.randn(3, 12, generator=g, dtype=torch.float64)
    finder = ElasticBandFinder(images=5, steps=10)
    assert_same(
        finder.find_many(cluster, starts, ends), one_by_one(finder, cluster, starts, ends), 1e-7
    )


def test_nothing_to_find():
    surface, starts, ends = muller_brown_pairs(1)
    assert StringFinder().find_many(surface, starts[:0], ends[:0]) == []


def test_callers_without_gradients():
    surface, starts, ends = muller_brown_pairs(2)
    expected = StraightLine().find_many(surface, starts, ends)
    with torch.no_grad():
        assert_same(StraightLine().find_many(surface, starts, ends), expected)
        found = StringFinder(steps=5).find_many(surface, starts, ends)
    assert_same(found, one_by_one(StringFinder(steps=5), surface, starts, ends))


def test_a_callback_stops_its_own_pair():
    surface, starts, ends = muller_brown_pairs(3)
    seen = []

    def callback(pair, step, height):
        seen.append((pair, step))
        return pair == 1 and step == 2

    found = StringFinder(steps=5).find_many(surface, starts, ends, callback=callback)
    assert [each.outcome is Outcome.STOPPED for each in found] == [False, True, False]
    # in the order of the pairs, whatever the threads do
    assert seen[:7] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]
    assert max(step for pair, step in seen if pair == 1) == 2


@pytest.mark.parametrize("batched", [True, False])
def test_an_exception_in_one_search_names_its_pair_and_ends_the_others(batched):
    def function(x):
        if bool((x[:, 0].abs() < 0.5).any() and (x[:, 1] > 50).any()):
            raise ZeroDivisionError("no value here")
        return (x**2).sum(1)

    surface = FunctionLandscape(function, dimension=2)
    surface.batched = batched
    starts = torch.tensor([[-1.0, y] for y in (1.0, 2.0, 99.0, 4.0)], dtype=torch.float64)
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="no value here") as caught:
        StringFinder().find_many(surface, starts, starts * torch.tensor([-1.0, 1.0]).double())
    assert caught.value.__notes__ == ["in the search for the path of pair 2"]
    assert threading.active_count() == before


def test_an_interrupt_ends_all():
    """What Ctrl-C does: it is raised where the landscape is evaluated."""
    surface, starts, ends = muller_brown_pairs(4)
    calls = []

    def interrupted(points):
        calls.append(len(points))
        if len(calls) == 9:
            raise KeyboardInterrupt
        return surface.function(points)

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        StringFinder().find_many(FunctionLandscape(interrupted, 2), starts, ends)
    assert len(calls) == 9
    assert threading.active_count() == before


def test_an_exception_in_a_callback_ends_all():
    surface, starts, ends = muller_brown_pairs(4)
    before = threading.active_count()

    def callback(pair, step, height):
        if (pair, step) == (3, 2):
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough") as caught:
        StringFinder().find_many(surface, starts, ends, callback=callback)
    assert "pair 3" in caught.value.__notes__[0]
    assert threading.active_count() == before


def test_bad_pairs_are_named_before_any_search():
    surface, starts, ends = muller_brown_pairs(3)
    calls = []
    watched = FunctionLandscape(lambda x: (calls.append(len(x)), surface.function(x))[1], 2)
    finder = StringFinder()

    def expect(message, kind=ValueError, starts=starts, ends=ends, given=None, finder=finder):
        with pytest.raises(kind, match=message):
            finder.find_many(watched, starts, ends, given)

    expect(
        "pair 1: the start and the end are the same point",
        ends=starts.where(torch.tensor([[False], [True], [False]]), ends),
    )
    expect(
        "pair 2: the end has 1 components",
        ends=ends.index_put(
            (torch.tensor([2]), torch.tensor([0])), torch.tensor(torch.nan).double()
        ),
    )
    expect(
        r"pair 1: expected a start of shape \[2\].*got \[1\]",
        starts=[starts[0], starts[1][:1], starts[2]],
    )
    expect("pair 0: expected a start of shape", starts=starts[0], ends=ends[0])
    expect("as many starts as ends, got 3 and 2", ends=ends[:2])
    g = generators(3)
    expect("expected 3 generators, one per pair, got 2", given=g[:2])
    expect("a generator for each pair", given=[g[0], g[1], g[0]])
    expect("pass generators, one for each pair", finder=StringFinder(starts=2))
    assert calls == [1, 2]  # whether a row depends on others, asked once
    hole = NumpyLandscape(lambda x: float("nan") if x[0] > 0.65 else 0.0, lambda x: 0 * x, 2)
    ends[1, 0] = 0.9
    with pytest.raises(ValueError, match="pair 1: the landscape's value at the end is nan"):
        finder.find_many(hole, starts, ends)
    expect(r"points\.to\(torch\.float64\)", TypeError, starts=starts.float(), ends=ends.float())


def test_a_single_generator_for_many_pairs_is_refused():
    surface = MullerBrown()
    start, end = surface.ends
    with pytest.raises(TypeError, match="a list of generators"):
        StringFinder().find_many(surface, [start], [end], torch.Generator())
