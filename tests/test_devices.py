"""Everything stays on the device that it is given, and gives the processor's own numbers there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fake_device
import lowroad
from fake_device import ELSEWHERE, PretendDevice
from lowroad.analysis import plane_through
from lowroad.landscapes import network
from lowroad.paper import networks

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(network, "FlatModule", fake_device.FlatModule)
    with PretendDevice():
        yield


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    generator = seeded(0)
    images = torch.rand(60, 784, generator=generator)
    images *= torch.rand(60, 1, generator=generator) > torch.rand(784, generator=generator)
    return images.to(device), torch.randint(10, (60,), generator=generator).to(device)


def landscape_of(name: str, device: torch.device) -> lowroad.NetworkLandscape:
    images, labels = data(device)
    module = networks.MODELS[name](generator=seeded(1)).to(device)
    targets = images if name == "Autoencoder" else labels
    return lowroad.NetworkLandscape(module, images, targets, module.loss)


def normalized(device: torch.device) -> lowroad.BatchNormLandscape:
    images, labels = data(device)
    module = nn.Sequential(nn.Linear(784, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 10))
    for p in module.parameters():
        nn.init.normal_(p, std=0.1, generator=seeded(p.numel()))
    module = module.eval().to(device)
    plain = lowroad.NetworkLandscape(module, images, labels, "cross_entropy")
    return lowroad.BatchNormLandscape(plain)


def assert_alike(compute: Callable[[torch.device], Any], relative: float = 0.0) -> None:
    """Only the layers of LSTM have other kernels on the processor than on the device."""
    expected, found = compute(CPU), compute(ELSEWHERE)
    np.testing.assert_allclose(found, expected, rtol=relative, atol=0.0)


def test_the_pretended_device_refuses_what_another_device_refuses():
    there = torch.ones(3, device=ELSEWHERE)
    assert there.device == ELSEWHERE
    assert (there + 1).tolist() == [2.0, 2.0, 2.0]
    for mixture in (
        lambda: there + torch.ones(3),
        lambda: there @ torch.ones(3),
        lambda: torch.cat([there, torch.ones(3)]),
        lambda: torch.ones(3)[torch.ones(1, dtype=torch.long, device=ELSEWHERE)],
        lambda: there.index_select(0, torch.arange(2)),
        lambda: torch.stack([there[0], torch.tensor(1.0)]),
    ):
        with pytest.raises(RuntimeError, match="two"):
            mixture()
    for drawing in (
        lambda: torch.randn(3, device=ELSEWHERE, generator=seeded(0)),
        lambda: torch.randperm(3, device=ELSEWHERE, generator=seeded(0)),
        lambda: there.normal_(generator=seeded(0)),
    ):
        with pytest.raises(RuntimeError, match="generator"):
            drawing()
    for conversion in (there.numpy, lambda: np.asarray(there)):
        with pytest.raises(TypeError):
            conversion()
    assert isinstance(there.cpu().numpy(), np.ndarray)


@pytest.mark.parametrize(
    "search",
    [
        lowroad.GoldenSection(),
        lowroad.Brent(),
        lowroad.StrongWolfe(),
        lowroad.HagerZhang(),
        lowroad.Backtracking(),
    ],
)
def test_lbfgs_with_every_line_search(search):
    def value(device: torch.device) -> float:
        landscape = landscape_of("FCP", device)
        start = landscape.initial_point()
        found = lowroad.lbfgs(
            landscape, start, line_search=search, iterations=4, validation=landscape
        )
        assert found.point.device == device
        return found.value

    assert_alike(value)


@pytest.mark.parametrize("name", networks.MODELS)
def test_networks(name):
    def numbers(device: torch.device) -> list[float]:
        landscape = landscape_of(name, device)
        start = landscape.initial_point()
        found = lowroad.sgd(
            landscape,
            torch.stack([start, start]),
            generators=[seeded(2), seeded(3)],
            epochs=2,
            batch_size=16,
            momentum=0.5,
            validation=landscape,
        )
        end = start + 0.1 * torch.randn(len(start), generator=seeded(4)).to(device)
        finder = lowroad.FourierPathFinder(terms=3, points=9, steps=3, batch_size=20)
        path = finder.find(landscape, start, end, generator=seeded(5))
        minimum = lowroad.lbfgs(landscape, start, iterations=2)
        return [found[0].value, found[1].value, path.height, path.length, minimum.value]

    assert_alike(numbers, 1e-6 if name == "LSTM" else 0.0)


@pytest.mark.parametrize(
    "finder",
    [
        lowroad.FourierPathFinder(terms=3, points=9, steps=3, refinements=1),
        lowroad.BezierPathFinder(steps=3),
        lowroad.PolygonalChainFinder(steps=3),
        lowroad.ElasticBandFinder(steps=3),
        lowroad.StringFinder(steps=3),
    ],
)
def test_path_finders_and_the_plane_of_what_they_find(finder):
    def numbers(device: torch.device) -> list[float]:
        landscape = landscape_of("FCP", device)
        start = landscape.initial_point()
        end, other = (
            start + 0.1 * torch.randn(len(start), generator=seeded(k)).to(device) for k in (4, 5)
        )
        path = finder.find(landscape, start, end, generator=seeded(6))
        plane = plane_through(
            landscape, {"start": start, "end": end, "other": other}, {"path": path}, resolution=3
        )
        return [path.height, path.length, float(plane["value"].sum())]

    assert_alike(numbers)


def test_batch_norm():
    def numbers(device: torch.device) -> list[float]:
        landscape = normalized(device)
        start = landscape.initial_point()
        (found,) = lowroad.sgd(
            landscape, start[None], generators=[seeded(1)], epochs=2, batch_size=16
        )
        return [found.value, lowroad.lbfgs(landscape, start, iterations=3).value]

    assert_alike(numbers)


@pytest.mark.parametrize("search", ["golden_section", "strong_wolfe"])
def test_the_torch_optimizer(search):
    def losses(device: torch.device) -> list[float]:
        images, labels = data(device)
        module = networks.FCP(generator=seeded(1)).to(device)
        optimizer = lowroad.LBFGS(module.parameters(), line_search=search)
        return [
            float(optimizer.step(lambda: nn.functional.cross_entropy(module(images), labels)))
            for _ in range(3)
        ]

    assert_alike(losses)
