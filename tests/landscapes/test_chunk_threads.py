"""Chunks on several threads give what they give on one, to the bit."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from lowroad import NetworkLandscape
from lowroad.landscapes.chunk_threads import gains_from_threads


class Recurrent(nn.Module):
    """It notes the threads that call it, and fails where it is told to."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.recurrent = kind(4, 6, batch_first=True)
        self.readout = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        CALLS.append((threading.get_ident(), torch.get_num_threads()))
        if FAILURES and torch.equal(x[-1], FAILURES[0]):
            raise RuntimeError("this chunk fails")
        return self.readout(self.recurrent(x)[0][:, -1])


class Convolution(nn.Module):
    """It notes the threads that call it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        CALLS.append((threading.get_ident(), torch.get_num_threads()))
        return self.convolution(x[:, None]).tanh().sum((2, 3))


CALLS: list[tuple[int, int]] = []
FAILURES: list[Tensor] = []


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    CALLS.clear()
    FAILURES.clear()


def made(kind: type[nn.Module] = nn.LSTM, samples: int = 23) -> NetworkLandscape:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x, y = torch.randn(samples, 5, 4), torch.randint(3, (samples,))
        module = Recurrent(kind) if issubclass(kind, nn.RNNBase) else kind()
        return NetworkLandscape(module, x, y, "cross_entropy", chunk=2)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN, Convolution])
@pytest.mark.parametrize("threads", [2, 3, 64])
def test_values_and_gradients_have_the_bits_of_one_thread(kind, threads):
    landscape = made(kind)
    points = torch.stack([landscape.initial_point() * factor for factor in (1.0, 0.5)])
    torch.set_num_threads(1)
    expected = landscape.values(points), *landscape.values_and_gradients(points)
    assert {ident for ident, _ in CALLS} == {threading.get_ident()}
    CALLS.clear()
    torch.set_num_threads(threads)
    found = landscape.values(points), *landscape.values_and_gradients(points)
    assert all(map(torch.equal, found, expected))
    assert threading.get_ident() not in {ident for ident, _ in CALLS}
    assert {inner for _, inner in CALLS} == {1}
    assert len({ident for ident, _ in CALLS}) <= 4 * 8  # in each of four sweeps
    assert torch.get_num_threads() == threads
    again = copy.deepcopy(landscape)
    assert torch.equal(again.values(points), expected[0])


def test_threads_that_begin_afterwards_have_as_many_as_before():
    torch.set_num_threads(3)
    landscape = made()
    landscape.value(landscape.initial_point())
    seen: list[int] = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [3]


def test_the_error_of_a_chunk_is_raised_and_the_next_evaluation_is_whole():
    torch.set_num_threads(2)
    landscape = made()
    point = landscape.initial_point()
    expected = landscape.value(point)
    FAILURES.append(landscape.inputs[9])
    with pytest.raises(RuntimeError, match="this chunk fails"):
        landscape.value(point)
    assert torch.get_num_threads() == 2
    FAILURES.clear()
    assert landscape.value(point) == expected


def test_autocast_and_inference_mode_hold_for_the_chunks():
    torch.set_num_threads(2)
    landscape = made()
    points = landscape.initial_point()[None]
    exact = landscape.values(points)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = landscape.values(points)
    assert 0 < abs(float(rounded - exact)) < 0.05
    with torch.inference_mode():
        assert torch.allclose(landscape.values(points), exact, rtol=1e-6)
    assert torch.equal(landscape.values(points), exact)


def test_only_small_networks_without_hooks_on_a_cpu_are_given_to_threads():
    recurrent, steps = Recurrent(nn.GRU), torch.ones(2, 5, 4)
    assert gains_from_threads(recurrent, steps)
    assert not gains_from_threads(recurrent, steps.to("meta"))
    assert not gains_from_threads(nn.Sequential(nn.Linear(2, 2)), torch.ones(2, 2))
    assert not gains_from_threads(nn.Sequential(recurrent, nn.LSTM(4, 65)), steps)
    assert gains_from_threads(nn.Conv2d(3, 16, 3), torch.ones(2, 3, 32, 32))
    assert not gains_from_threads(nn.Conv2d(3, 16, 3), torch.ones(2, 3, 32, 33))
    assert not gains_from_threads(nn.Conv2d(3, 17, 3), torch.ones(2, 3, 8, 8))
    assert not gains_from_threads(nn.Sequential(recurrent, nn.Conv2d(3, 17, 3)), steps)
    recurrent.readout.register_forward_hook(lambda *_: None)
    assert not gains_from_threads(recurrent, steps)


@pytest.mark.parametrize("kind", [Recurrent, Convolution])
def test_each_point_of_an_ensemble_has_a_thread_and_the_bits_of_one_alone(kind):
    landscape = made(kind)
    points = torch.stack([landscape.initial_point() * factor for factor in (1.0, 0.5, 0.2)])
    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    torch.set_num_threads(1)
    alone = [
        [batch.value_and_gradient(x) for batch in landscape.minibatches(7, generator)]
        for x, generator in zip(points, generators, strict=True)
    ]
    torch.set_num_threads(2)
    CALLS.clear()
    for seed, generator in enumerate(generators):
        generator.manual_seed(seed)
    for i, batch in enumerate(landscape.ensemble_minibatches(7, generators)):
        values, gradients = batch.values_and_gradients(points)
        assert values.tolist() == [each[i][0] for each in alone]
        assert torch.equal(gradients, torch.stack([each[i][1] for each in alone]))
    assert i == 3
    assert threading.get_ident() not in {ident for ident, _ in CALLS}


@pytest.mark.parametrize("kind", [Recurrent, Convolution])
def test_points_of_a_single_chunk_each_are_shared_by_the_threads(kind):
    landscape = made(kind, samples=2)
    points = torch.stack([landscape.initial_point() * factor for factor in (1.0, 0.5, 0.2)])
    torch.set_num_threads(1)
    expected = landscape.values(points), *landscape.values_and_gradients(points)
    torch.set_num_threads(2)
    CALLS.clear()
    assert torch.equal(landscape.values(points), expected[0])
    assert all(map(torch.equal, landscape.values_and_gradients(points), expected[1:]))
    assert threading.get_ident() not in {ident for ident, _ in CALLS}
    CALLS.clear()
    landscape.values(points[:1])
    assert {ident for ident, _ in CALLS} == {threading.get_ident()}


def test_losses_of_users_are_called_by_one_thread():
    torch.set_num_threads(2)
    whole = made()
    idents = set()

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        idents.add(threading.get_ident())
        return nn.functional.cross_entropy(outputs, targets)

    own = NetworkLandscape(whole.module, whole.inputs, whole.targets, loss, chunk=2)
    point = own.initial_point()
    assert own.value(point) == pytest.approx(whole.value(point), rel=1e-6)
    assert idents == {threading.get_ident()}
