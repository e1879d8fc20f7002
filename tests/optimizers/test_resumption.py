"""A run that is killed and resumed ends with the same bits."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn

from lowroad.landscapes import FunctionLandscape, NetworkLandscape
from lowroad.landscapes.more_garbow_hillstrom import more_garbow_hillstrom
from lowroad.optimizers import StrongWolfe, lbfgs, sgd
from optimizers.made_landscapes import SEARCHES


def network(dtype=torch.float32):
    """A classifier whose first layer is shared among the points of a line, on made-up data."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.rand(150, 12, generator=generator, dtype=dtype)
    targets = torch.randint(4, (150,), generator=generator)
    module = nn.Sequential(nn.Linear(12, 8), nn.Softplus(), nn.Linear(8, 4)).to(dtype)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=dtype) / 3)
    return NetworkLandscape(module, inputs, targets, "cross_entropy", chunk=40)


def through_a_file(snapshot):
    file = io.BytesIO()
    torch.save(snapshot, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)


def assert_same(one, other):
    """Every field of two results, bit for bit."""
    assert torch.equal(one.point, other.point)
    assert (one.value, one.step, one.outcome) == (other.value, other.step, other.outcome)
    assert one.evaluations == other.evaluations
    np.testing.assert_array_equal(one.history.steps, other.history.steps)
    np.testing.assert_array_equal(one.history.values, other.history.values)
    np.testing.assert_array_equal(one.history.validation_values, other.history.validation_values)
    if one.validation_point is not None:
        assert torch.equal(one.validation_point, other.validation_point)
    assert one.validation_value == other.validation_value
    assert one.validation_step == other.validation_step


def resumed_everywhere(run):
    """Run to the end, then from each of its distinct snapshots."""
    kept = {}

    def callback(progress):
        state = through_a_file(progress.snapshot())
        kept.setdefault(state.get("iteration", state.get("epoch")), state)

    whole = run(callback=callback)
    return whole, [run(resume=state) for state in kept.values()]


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("number", [14, 18])  # Wood, Biggs EXP6
def test_lbfgs_on_a_function(search, number):
    problem = more_garbow_hillstrom()[number - 1]
    validation = FunctionLandscape(lambda x: (x**2).sum(1), dimension=problem.dimension)

    def run(**how):
        return lbfgs(
            problem,
            problem.start,
            line_search=search,
            iterations=45,
            validation=validation,
            **how,
        )

    whole, parts = resumed_everywhere(run)
    assert len(parts) >= 2
    for part in parts:
        assert_same(part, whole)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_lbfgs_on_a_network_with_a_shared_first_layer(search):
    landscape = network()
    start = landscape.initial_point()

    def run(**how):
        return lbfgs(landscape, start, line_search=search, iterations=50, **how)

    whole, parts = resumed_everywhere(run)
    assert len(parts) == 3  # iterations 0, 20 and 40
    for part in parts:
        assert_same(part, whole)


def test_the_callback_changes_nothing():
    landscape = network()
    start = landscape.initial_point()
    alone = lbfgs(landscape, start, iterations=45)
    watched = lbfgs(
        landscape, start, iterations=45, callback=lambda progress: progress.snapshot() and None
    )
    assert_same(alone, watched)


@pytest.mark.parametrize("batch_size", [None, 32])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_on_a_network_with_a_shared_first_layer(batch_size, momentum):
    landscape, validation = network(), network()
    starts = torch.stack([landscape.initial_point() * factor for factor in (1.0, 0.5, 2.0)])

    def run(**how):
        return sgd(
            landscape,
            starts,
            generators=[torch.Generator().manual_seed(seed) for seed in (4, 5, 6)],
            learning_rate=lambda epoch: 0.5 / (1 + epoch),
            epochs=6,
            batch_size=batch_size,
            momentum=momentum,
            weight_decay=1e-3,
            validation=validation,
            **how,
        )

    whole, parts = resumed_everywhere(run)
    assert len(parts) == 6
    for part in parts:
        for one, other in zip(part, whole, strict=True):
            assert_same(one, other)


def test_sgd_on_a_function_with_a_start_that_has_ended():
    # the middle start diverges at once, the last runs out of patience at its minimum
    landscape = FunctionLandscape(lambda x: (x**4).sum(1), dimension=1)
    starts = torch.tensor([[1.0], [1e30], [0.0]], dtype=torch.float64)

    def run(**how):
        return sgd(
            landscape,
            starts,
            generators=[torch.Generator() for _ in starts],
            learning_rate=0.1,
            epochs=8,
            batch_size=None,
            momentum=0.5,
            patience=4,
            **how,
        )

    whole, parts = resumed_everywhere(run)
    assert len({minimum.outcome for minimum in whole}) == 3
    for part in parts:
        for one, other in zip(part, whole, strict=True):
            assert_same(one, other)


def test_snapshots_of_another_run_are_refused():
    bowl, plane = (FunctionLandscape(lambda x: (x**2).sum(1), dimension=d) for d in (2, 3))
    snapshots = {}

    def keep(name):
        return lambda progress: snapshots.__setitem__(name, progress.snapshot())

    start, generators = torch.ones(2, dtype=torch.float64), [torch.Generator()]
    lbfgs(bowl, start, iterations=1, callback=keep("lbfgs"))
    sgd(bowl, start[None], generators=generators, epochs=1, batch_size=None, callback=keep("sgd"))
    with pytest.raises(ValueError, match=r"a snapshot of lbfgs .* got one of sgd"):
        lbfgs(bowl, start, resume=snapshots["sgd"])
    with pytest.raises(ValueError, match=r"a snapshot of sgd .* got one of lbfgs"):
        sgd(bowl, start[None], generators=generators, resume=snapshots["lbfgs"])
    with pytest.raises(ValueError, match=r"a snapshot of lbfgs .* got something else"):
        lbfgs(bowl, start, resume={})
    with pytest.raises(ValueError, match=r"points of shape \[3\], got \[2\]"):
        lbfgs(plane, torch.ones(3, dtype=torch.float64), resume=snapshots["lbfgs"])
    with pytest.raises(ValueError, match=r"StrongWolfe\(.* history 10, got one with GoldenSection"):
        lbfgs(bowl, start, line_search=StrongWolfe(), resume=snapshots["lbfgs"])
    with pytest.raises(ValueError, match=r"history 5, got one with .* history 10"):
        lbfgs(bowl, start, history=5, resume=snapshots["lbfgs"])
