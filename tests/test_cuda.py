"""On a CUDA device, where there is one: the numbers of the processor, whatever the kernels."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lowroad
from lowroad.analysis import sharpness
from lowroad.landscapes import AffineSubspace
from lowroad.landscapes.landscape import RestrictedLandscape
from lowroad.landscapes.shared_first_layer import SharedFirstLayerRestriction
from lowroad.optimizers import Progress
from lowroad.paper import networks
from lowroad.study.device import moved

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CLOSE: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-11}


class Recurrent(nn.Module):
    """Two layers both ways, and a norm with running statistics."""

    loss = "cross_entropy"

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.GRU(28, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.norm = nn.BatchNorm1d(12)
        self.readout = nn.Linear(12, 10)
        for p in self.parameters():
            nn.init.normal_(p, std=0.3, generator=generator)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.readout(self.norm(self.layers(images.view(-1, 28, 28))[0][:, -1]))


MODELS: dict[str, Any] = {**networks.MODELS, "Recurrent": Recurrent}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def landscape_of(name: str, device: str, samples: int = 60) -> lowroad.NetworkLandscape:
    generator = seeded(0)
    images = torch.rand(samples, 784, generator=generator).double()
    images *= torch.rand(samples, 1, generator=generator) > torch.rand(784, generator=generator)
    labels = torch.randint(10, (samples,), generator=generator)
    module = MODELS[name](generator=seeded(1)).double().to(device)
    targets = images if name == "Autoencoder" else labels
    return lowroad.NetworkLandscape(module, images.to(device), targets.to(device), module.loss)


def both(name: str, **given: Any) -> tuple[lowroad.NetworkLandscape, lowroad.NetworkLandscape]:
    return landscape_of(name, "cpu", **given), landscape_of(name, "cuda", **given)


def close(found: Tensor, expected: Tensor, **tolerance: Any) -> None:
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), expected, **(CLOSE | tolerance))


@pytest.mark.parametrize("name", MODELS)
def test_values_and_gradients_of_one_point_and_of_many(name):
    cpu, cuda = both(name)
    points = cpu.initial_point() * torch.linspace(0.5, 1.5, 4).double()[:, None]
    assert cuda._vectorizes(16)
    for some in (points[:1], points):
        values, gradients = cpu.values_and_gradients(some)
        close(cuda.values(some.cuda()), values)
        found = cuda.values_and_gradients(some.cuda())
        close(found[0], values)
        close(found[1], gradients)


def test_weights_stay_where_they_are_when_a_module_packs_them(monkeypatch):
    """As `flatten_parameters` in a `forward` does, to quieten a warning of cuDNN."""

    class Packs(Recurrent):
        def forward(self, images: Tensor) -> Tensor:
            self.layers.flatten_parameters()
            return super().forward(images)

    monkeypatch.setitem(MODELS, "Packs", Packs)
    cpu, cuda = both("Packs")
    for scale in (1.0, 0.5):
        point = scale * cpu.initial_point()
        expected = cpu.value_and_gradient(point)
        value, gradient = cuda.value_and_gradient(point.cuda())
        assert value == pytest.approx(expected[0], rel=1e-10)
        close(gradient, expected[1])


def test_batch_norms_statistics_are_estimated_at_each_point():
    cpu, cuda = (lowroad.BatchNormLandscape(each) for each in both("Recurrent"))
    points = cpu.initial_point() * torch.linspace(0.5, 1.5, 4).double()[:, None]
    values, gradients = cpu.values_and_gradients(points)
    close(cuda.values(points.cuda()), values)
    found = cuda.values_and_gradients(points.cuda())
    close(found[0], values)
    close(found[1], gradients)


@pytest.mark.parametrize("name", MODELS)
def test_batches_of_an_ensemble(name):
    cpu, cuda = both(name)
    points = cpu.initial_point() * torch.linspace(0.5, 1.5, 3).double()[:, None]
    pairs = zip(
        cpu.ensemble_minibatches(16, [seeded(i) for i in range(3)]),
        cuda.ensemble_minibatches(16, [seeded(i) for i in range(3)]),
        strict=True,
    )
    for expected, found in pairs:
        for own, other in zip(
            found.values_and_gradients(points.cuda()),
            expected.values_and_gradients(points),
            strict=True,
        ):
            close(own, other)


@pytest.mark.parametrize("name", networks.MODELS)
@pytest.mark.parametrize("rank", [1, 3])
def test_lines_and_larger_subspaces(name, rank):
    cpu, cuda = both(name)
    directions = 0.05 * torch.randn(rank, cpu.dimension, generator=seeded(2)).double()
    coordinates = torch.randn(4, rank, generator=seeded(3)).double()
    subspace = AffineSubspace(cpu.initial_point(), directions)
    plain = RestrictedLandscape(cpu, subspace)
    fast = cuda.restrict(AffineSubspace(subspace.origin.cuda(), directions.cuda()))
    dense = name in ("FCP", "Autoencoder")
    shared = isinstance(fast, SharedFirstLayerRestriction)
    assert shared == (dense or (name == "LeNet" and rank == 1))
    close(fast.values(coordinates.cuda()), plain.values(coordinates))
    for call in ("values_and_gradients", "values_and_subspace_gradients"):
        for own, other in zip(
            getattr(fast, call)(coordinates.cuda()), getattr(plain, call)(coordinates), strict=True
        ):
            close(own, other)
    value, slope, gradient = fast.value_and_slope(coordinates[0].cuda())
    expected = plain.value_and_slope(coordinates[0])
    assert value == pytest.approx(expected[0], rel=1e-8)
    close(slope, expected[1])
    close(gradient(), expected[2]())


def test_an_lstm_with_many_samples():
    samples = networks.UNFUSED + 50
    cpu, cuda = both("LSTM", samples=samples)
    assert cuda.chunk >= samples
    point = cpu.initial_point()
    expected = cpu.value_and_gradient(point)
    value, gradient = cuda.value_and_gradient(point.cuda())
    assert value == pytest.approx(expected[0], rel=1e-10)
    close(gradient, expected[1])


@pytest.mark.parametrize("name", networks.MODELS)
def test_optimizers_and_paths_go_the_same_way(name):
    ends = []
    for landscape in both(name):
        start = landscape.initial_point()
        runs = [
            lowroad.lbfgs(
                landscape,
                start,
                iterations=8,
                line_search=lowroad.GoldenSection(budget=6, first_step=0.2),
            ),
            *lowroad.sgd(
                landscape,
                torch.stack([start, start]),
                generators=[seeded(2), seeded(3)],
                epochs=2,
                batch_size=16,
                momentum=0.5,
            ),
        ]
        finder = lowroad.FourierPathFinder(terms=3, points=9, steps=3, batch_size=20)
        path = finder.find(landscape, start, runs[0].point, generator=seeded(5))
        ends.append([*(run.value for run in runs), path.height, path.length])
    assert ends[1] == pytest.approx(ends[0], rel=1e-6)


def test_a_run_goes_on_from_a_snapshot_of_the_processor():
    cpu, cuda = both("FCP")
    states: list[Any] = []

    def keep(progress: Progress) -> None:
        if progress.step == 4:
            states.append(copy.deepcopy(progress.snapshot()))

    whole = lowroad.lbfgs(cpu, cpu.initial_point(), iterations=8, callback=keep)
    there = moved(states[0], cuda.device)
    rest = lowroad.lbfgs(cuda, cuda.initial_point(), iterations=8, resume=there)
    assert rest.value == pytest.approx(whole.value, rel=1e-6)


@pytest.mark.parametrize("name", ["LeNet", "LSTM"])
def test_curvature(name):
    found = [
        sharpness(each, each.initial_point(), eigenvalues=2, generator=seeded(0))
        for each in both(name)
    ]
    first, second = (list(map(float, each.eigenvalues)) for each in found)
    assert second == pytest.approx(first, rel=1e-4)
