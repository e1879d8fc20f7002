"""Re-estimated statistics against PyTorch's own, finite differences and the variance collapse."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import update_bn

from lowroad.landscapes import (
    AffineSubspace,
    BatchNormLandscape,
    NetworkLandscape,
    PermutationSpec,
    weight_matching,
)
from lowroad.landscapes.landscape import PointwiseLandscape


def data(samples=23, side=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(samples, side * side, generator=generator, dtype=torch.float64)
    return images, torch.randint(0, 3, (samples,), generator=generator)


def convolutional():
    return nn.Sequential(
        nn.Unflatten(1, (1, 6, 6)),
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3, momentum=0.3),
        nn.SiLU(inplace=True),
        nn.Flatten(),
        nn.Linear(48, 5, bias=False),
        nn.BatchNorm1d(5, affine=False),
        nn.Tanh(),
        nn.Linear(5, 3),
    )


def begins_dense():
    """The first layer could be shared if the later layers did not depend on the statistics."""
    return nn.Sequential(nn.Linear(36, 4), nn.BatchNorm1d(4), nn.Softplus(), nn.Linear(4, 3))


def used_twice():
    norm = nn.BatchNorm1d(4)
    return nn.Sequential(nn.Linear(36, 4), norm, nn.Tanh(), nn.Linear(4, 4), norm, nn.Linear(4, 3))


def partly_frozen():
    module = convolutional()
    for part in module[:2]:
        part.requires_grad_(False)
    module[2].weight.requires_grad_(False)
    return module


@pytest.fixture(params=[convolutional, begins_dense, used_twice, partly_frozen])
def case(request):
    torch.manual_seed(0)
    module = request.param().double().eval()
    landscape = BatchNormLandscape(NetworkLandscape(module, *data(), "cross_entropy", chunk=10))
    shift = torch.randn(landscape.dimension, generator=torch.Generator().manual_seed(1))
    return module, landscape, landscape.initial_point() + 0.2 * shift.double()


def moved(module, landscape, point):
    module = copy.deepcopy(module)
    module.load_state_dict(landscape.parameters_at(point), strict=False)
    return module


def assert_central_differences(landscape, point):
    value, gradient = landscape.value_and_gradient(point)
    assert value == pytest.approx(landscape.value(point), rel=1e-13)
    step = 1e-6
    directions = torch.randn(12, len(point), generator=torch.Generator().manual_seed(2)).double()
    sides = [landscape.values(point + sign * step * directions) for sign in (1, -1)]
    slopes = (sides[0] - sides[1]) / (2 * step)
    torch.testing.assert_close(directions @ gradient, slopes, rtol=1e-6, atol=1e-6)


def test_values_are_those_after_update_bn(case):
    module, landscape, point = case
    updated = moved(module, landscape, point)
    update_bn(landscape.inputs.split(10), updated)
    outputs = updated.eval()(landscape.inputs)
    expected = F.cross_entropy(outputs, landscape.targets).item()
    assert landscape.value(point) == pytest.approx(expected, rel=1e-13)
    torch.testing.assert_close(landscape.outputs(point), outputs.detach(), rtol=1e-12, atol=1e-13)


def test_gradients_go_through_the_statistics(case):
    _, landscape, point = case
    assert_central_differences(landscape, point)


def test_lines_and_planes_take_the_statistics_along(case):
    _, landscape, point = case
    directions = torch.randn(2, len(point), generator=torch.Generator().manual_seed(3)).double()
    restricted = landscape.restrict(AffineSubspace(point, directions))
    there = torch.tensor([[0.3, -0.1]], dtype=torch.float64)
    expected = landscape.value(point + 0.3 * directions[0] - 0.1 * directions[1])
    assert float(restricted.values(there)[0]) == pytest.approx(expected, rel=1e-12)


def test_minibatches_are_pytorchs_training_mode(case):
    module, landscape, point = case
    sizes = []
    for batch in landscape.minibatches(9, torch.Generator().manual_seed(0)):
        training = moved(module, landscape, point).train()
        loss = F.cross_entropy(training(batch.inputs), batch.targets)
        value, gradient = batch.value_and_gradient(point)
        assert value == pytest.approx(loss.item(), rel=1e-13)
        free = [p for p in training.parameters() if p.requires_grad]
        expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, free)])
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-13)
        assert batch.value(point) == pytest.approx(value, rel=1e-13)
        sizes.append(batch.samples)
    assert sizes == [9, 9, 5]


def test_an_evaluation_leaves_nothing_behind(case):
    module, landscape, point = case
    before = copy.deepcopy(module.state_dict())
    value = landscape.value(point)
    for batch in landscape.minibatches(9, torch.Generator().manual_seed(0)):
        batch.value_and_gradient(2 * point)
    landscape.value_and_gradient(3 * point)
    assert landscape.value(point) == value
    assert not any(part.training for part in landscape.module.modules())
    assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())


def test_the_landscape_with_fixed_statistics_stays():
    torch.manual_seed(0)
    module = convolutional().double().eval()
    fixed = NetworkLandscape(module, *data(), "cross_entropy")
    point = fixed.initial_point()
    before = fixed.value(point)
    assert before != pytest.approx(BatchNormLandscape(fixed).value(point), rel=1e-3)
    assert fixed.value(point) == before


def test_every_point_of_an_ensemble_sees_its_own_batch(case):
    _, landscape, point = case
    generators = [torch.Generator().manual_seed(i) for i in range(2)]
    alone = [
        next(landscape.minibatches(9, torch.Generator().manual_seed(i))).value(point)
        for i in range(2)
    ]
    batch = next(landscape.ensemble_minibatches(9, generators))
    assert isinstance(batch, PointwiseLandscape)
    values = batch.values(torch.stack([point, point]))
    assert values.tolist() == pytest.approx(alone, rel=1e-13)


def test_state_dicts_bring_any_statistics_but_no_other_buffers():
    module = nn.Sequential(nn.Linear(36, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double().eval()
    module.register_buffer("scale", torch.ones(2))
    fixed = NetworkLandscape(module, *data(), "cross_entropy")
    landscape = BatchNormLandscape(fixed)
    state = module.state_dict()
    state["1.running_mean"] = torch.arange(4.0)
    state["1.running_var"] = torch.arange(1.0, 5.0)
    state["1.num_batches_tracked"] = torch.tensor(7)
    assert torch.equal(landscape.point_of(state), landscape.initial_point())
    with pytest.raises(ValueError, match=r"1\.\w+ is not a trainable .* BatchNormLandscape"):
        fixed.point_of(state)
    state["scale"] = torch.zeros(2)
    with pytest.raises(ValueError, match="scale is not a trainable parameter"):
        landscape.point_of(state)
    with pytest.raises(ValueError, match=r"expected buffers of the model, got 1\.mean \[4\]"):
        fixed.with_buffers({"1.mean": torch.zeros(4)})


def test_refusals():
    plain = NetworkLandscape(nn.Linear(36, 3).double(), *data(), "cross_entropy")
    with pytest.raises(ValueError, match="Linear has no batch norm"):
        BatchNormLandscape(plain)
    module = begins_dense().double().eval()
    with pytest.raises(ValueError, match="23 samples in chunk sizes of 11 leave a single one"):
        BatchNormLandscape(NetworkLandscape(module, *data(), "cross_entropy", chunk=11))
    landscape = BatchNormLandscape(NetworkLandscape(module, *data(), "cross_entropy"))
    with pytest.raises(ValueError, match="which re-estimates them already"):
        BatchNormLandscape(landscape)
    for size in (1, 22):
        with pytest.raises(ValueError, match="at least two samples in every batch"):
            landscape.minibatches(size, torch.Generator())
    with pytest.raises(ValueError, match="at least one sample, got 0"):
        list(landscape.minibatches(0, torch.Generator()))


@pytest.mark.parametrize(("samples", "chunk"), [(5, 4), (251, 250), (1, 3), (3, 1)])
def test_one_image_of_many_pixels_has_a_variance(samples, chunk):
    torch.manual_seed(2)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(18, 3)
    )
    net = net.double().eval()
    inputs, labels = torch.randn(samples, 1, 5, 5).double(), torch.arange(samples) % 3
    landscape = BatchNormLandscape(
        NetworkLandscape(net, inputs, labels, "cross_entropy", chunk=chunk)
    )
    own = copy.deepcopy(net)
    update_bn(inputs.split(chunk), own)
    expected = nn.functional.cross_entropy(own.eval()(inputs), labels).item()
    point = landscape.initial_point()
    value, gradient = landscape.value_and_gradient(point)
    assert value == pytest.approx(expected, rel=1e-12)
    step = 1e-6 * torch.eye(len(point)).double()[3]
    slope = (landscape.value(point + step) - landscape.value(point - step)) / 2e-6
    assert gradient[3].item() == pytest.approx(slope, rel=1e-5, abs=1e-9)
    for batch in landscape.minibatches(chunk, torch.Generator()):
        assert math.isfinite(batch.value(point))


def test_one_image_of_one_pixel_has_no_variance():
    net = nn.Sequential(nn.Conv2d(1, 2, 5), nn.BatchNorm2d(2), nn.Flatten()).eval()
    plain = NetworkLandscape(
        net, torch.randn(5, 1, 5, 5), torch.arange(5) % 2, "cross_entropy", chunk=4
    )
    with pytest.raises(ValueError, match="5 samples in chunk sizes of 4 leave a single one"):
        BatchNormLandscape(plain)


def test_the_mean_of_two_units_of_variance_one_has_half_of_it():
    """REPAIR's Eq. 3 for uncorrelated units: re-estimated statistics restore the variance."""
    module = nn.Sequential(nn.Linear(4, 1, bias=False), nn.BatchNorm1d(1, affine=False, eps=1e-15))
    inputs = torch.cat([torch.eye(4), -torch.eye(4)]).double() * 3.5**0.5  # unbiased variance 1
    fixed = NetworkLandscape(
        module.double().eval(), inputs, torch.zeros(8, 1).double(), "mean_squared_error"
    )
    landscape = BatchNormLandscape(fixed)
    ends = torch.eye(4).double()[:2]
    middle = ends.mean(0)
    assert fixed.values(ends).tolist() == pytest.approx([7 / 8, 7 / 8], rel=1e-12)
    assert fixed.value(middle) == pytest.approx(7 / 16, rel=1e-12)
    assert landscape.value(middle) == pytest.approx(7 / 8, rel=1e-12)


def test_reestimation_mends_the_collapse_between_trained_networks():
    generator = torch.Generator().manual_seed(0)
    centres = 1.2 * torch.randn(12, 20, generator=generator)
    cluster = torch.randint(0, 12, (400,), generator=generator)
    inputs = centres[cluster] + 0.7 * torch.randn(400, 20, generator=generator)
    labels = cluster % 4
    widths = (20, 64, 64, 64)
    layers = [
        (nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU())
        for before, after in itertools.pairwise(widths)
    ]
    module = nn.Sequential(*itertools.chain(*layers), nn.Linear(64, 4))
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        for layer in module:
            if not isinstance(layer, nn.ReLU):
                layer.reset_parameters()
        optimizer = torch.optim.Adam(module.train().parameters(), lr=0.005)
        for _ in range(60):
            optimizer.zero_grad()
            F.cross_entropy(module(inputs), labels).backward()
            optimizer.step()
        update_bn([inputs], module)
        states.append(copy.deepcopy(module.state_dict()))
    fixed = NetworkLandscape(module.eval(), inputs, labels, "cross_entropy", chunk=400)
    landscape = BatchNormLandscape(fixed)
    first, second = ({n: b for n, b in state.items() if "running" in n} for state in states)
    ends = [landscape.point_of(state) for state in states]
    own = fixed.with_buffers(first).value(ends[0])
    assert own == pytest.approx(landscape.value(ends[0]), rel=1e-4)
    assert landscape.values(torch.stack(ends)).max() < 0.01

    middle = (ends[0] + ends[1]) / 2
    mean = {name: (first[name] + second[name]) / 2 for name in first}
    mended = landscape.value(middle)
    assert mended < fixed.with_buffers(mean).value(middle) / 2  # 0.17, 0.65
    assert mended < fixed.with_buffers(first).value(middle) / 2  # 0.75

    aligned = weight_matching(landscape, *ends)
    second = PermutationSpec.of(landscape).permute(second, aligned.permutations)
    middle = (ends[0] + aligned.point) / 2
    mean = {name: (first[name] + second[name]) / 2 for name in first}
    assert landscape.value(middle) < mended / 10  # 0.003
    assert landscape.value(middle) < fixed.with_buffers(mean).value(middle) / 2  # 0.011
