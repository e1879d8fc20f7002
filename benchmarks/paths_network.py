"""What a path step costs on FCP over MNIST, against one backward per point, and by mini-batches.

    python benchmarks/paths_network.py [--images 60000] [--epochs 5] [--batch 3000] [--steps 100]
        [--batch-steps 120]

The naive form is the published program's: each of the 51 points is evaluated and differentiated
on all images in one chunk. Ours shares the first layer's products among the points. A step on a
batch is noisy, so a search by batches gets a few steps more.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import torch
from torch import nn
from torch.func import functional_call

import lowroad
from lowroad.landscapes import AffineSubspace, CountingLandscape
from lowroad.paper.networks import FCP
from lowroad.paths import FourierPathFinder, Path, StraightLine
from lowroad.paths.basis import SineBasis


def naive_step(module: nn.Module, images, labels, path: Path, t) -> torch.Tensor:
    """Return the gradient by the coefficients, one backward per point."""
    names = [n for n, _ in module.named_parameters()]
    shapes = [p.shape for p in module.parameters()]
    fractions = path.basis.values(t).float()
    total = torch.zeros_like(path.coefficients)
    for point, fraction in zip(path(t), fractions, strict=True):
        leaf = point.requires_grad_()
        parts = leaf.split([s.numel() for s in shapes])
        weights = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        loss = nn.functional.cross_entropy(functional_call(module, weights, images), labels)
        (gradient,) = torch.autograd.grad(loss, leaf)
        total += torch.outer(fraction, gradient)
    return total


def shared_step(landscape, path: Path, t) -> torch.Tensor:
    """Return the same gradient from the restricted landscape."""
    restricted = landscape.restrict(AffineSubspace(path.subspace.origin, path.subspace.directions))
    coordinates = path.coordinates(t).float()
    return restricted.values_and_subspace_gradients(coordinates).gradients[2:]


def seconds(run) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-steps", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    data = lowroad.paper.load_mnist()
    if arguments.images < 60000:
        data = data.subset(arguments.images, 10, seed=0)
    images, labels = data.train.images, data.train.labels
    ends = []
    for seed in (0, 1):
        module = FCP(generator=torch.Generator().manual_seed(seed))
        landscape = lowroad.NetworkLandscape(module, images, labels, "cross_entropy")
        (found,) = lowroad.sgd(
            landscape,
            landscape.initial_point()[None],
            generators=[torch.Generator().manual_seed(seed)],
            epochs=arguments.epochs,
        )
        ends.append(found.point)
        print(f"end {seed}: training loss {found.value:.4f}", flush=True)

    g = torch.Generator().manual_seed(2)
    bend = 0.05 * torch.randn(10, landscape.dimension, generator=g)
    path = Path(ends[0], ends[1], bend, SineBasis(10))
    t = torch.linspace(0, 1, 51, dtype=torch.float64)
    ours, naive = [], []
    for _ in range(arguments.repeats):
        ours.append(seconds(lambda: shared_step(landscape, path, t)))
        naive.append(seconds(lambda: naive_step(module, images, labels, path, t)))
    difference = naive_step(module, images, labels, path, t) - shared_step(landscape, path, t)
    scale = shared_step(landscape, path, t).norm()
    ratio = statistics.median(naive) / statistics.median(ours)
    print(
        f"a full-batch step: naive {statistics.median(naive):.2f} s, shared "
        f"{statistics.median(ours):.2f} s: {ratio:.2f} times faster "
        f"(the gradients differ by {float(difference.norm() / scale):.0e})",
        flush=True,
    )

    line = StraightLine().find(landscape, *ends)
    print(f"straight line: height {line.height:.4f}")
    for batch, steps in ((None, arguments.steps), (arguments.batch, arguments.batch_steps)):
        counted = CountingLandscape(landscape)
        finder = FourierPathFinder(steps=steps, batch_size=batch)
        began = time.perf_counter()
        found = finder.find(counted, *ends, generator=torch.Generator().manual_seed(3))
        spent = found.evaluations
        print(
            f"{steps} steps on {batch or 'all'}: height {found.height:.4f}, length "
            f"{found.length:.1f}, "
            f"{spent.gradients:,.0f} gradients and {spent.values:,.0f} values of the full data, "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{memory:.2f} GiB at most")


if __name__ == "__main__":
    main()
