"""Time a step of a Fourier path on FCP against the published form; mini-batches against full ones.

    python benchmarks/path_step.py [--images 60000] [--repetitions 3] [--threads 2] [--heights]

A step is the gradient of Σ_i L(θ(t_i)) by the ten Fourier coefficients at 51 points. The published
form makes every point, evaluates all images in one piece and calls backward, once a point. Both
are timed in turn and medians printed, with the process's peak memory. `--heights` also finds whole
paths (100 steps) with full and with mini-batches and prints their heights and what they cost.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lowroad
from lowroad import models

TERMS, POINTS = 10, 51


def published_step(
    module: nn.Module, inputs: Tensor, labels: Tensor, rows: Tensor, coordinates: Tensor
) -> Tensor:
    """Return the gradient by the coefficients [N, d], one backward pass a point."""
    parameters = list(module.parameters())
    total = torch.zeros(TERMS, rows.shape[1])
    for c in coordinates:
        point = rows[0] + c @ rows[1:]
        nn.utils.vector_to_parameters(point, parameters)
        module.zero_grad()
        F.cross_entropy(module(inputs), labels).backward()
        gradient = torch.cat([p.grad.reshape(-1) for p in parameters])
        total += c[1:, None] * gradient
    return total


def timed(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Return the seconds that `work` takes, and its result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--heights", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train = lowroad.load_mnist().train
    inputs, labels = train.images[: arguments.images], train.labels[: arguments.images]
    ends = []
    for seed in (0, 1):
        module = models.FCP(generator=torch.Generator().manual_seed(seed))
        landscape = lowroad.NetworkLandscape(module, inputs, labels, "cross_entropy")
        (found,) = lowroad.sgd(
            landscape,
            landscape.initial_point()[None],
            generators=[torch.Generator().manual_seed(seed)],
            epochs=3,
        )
        ends.append(found.point)
    generator = torch.Generator().manual_seed(2)
    waves = 0.05 * torch.randn(TERMS, landscape.dimension, generator=generator)
    rows = torch.cat([ends[0][None], (ends[1] - ends[0])[None], waves])
    subspace = lowroad.AffineSubspace(rows[0], rows[1:])
    t = torch.linspace(0, 1, POINTS)[:, None]
    coordinates = torch.cat([t, torch.sin(torch.pi * torch.arange(1, TERMS + 1) * t)], dim=1)

    def ours() -> Tensor:
        restricted = landscape.restrict(subspace)
        return restricted.heights_and_subspace_gradients(coordinates).gradients[2:]

    fast, plain = [], []
    for _ in range(arguments.repetitions):
        seconds, gradients = timed(ours)
        fast.append(seconds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        seconds, expected = timed(lambda: published_step(module, inputs, labels, rows, coordinates))
        plain.append(seconds)
    error = float((gradients - expected).abs().max() / expected.abs().max())
    a, b = statistics.median(plain), statistics.median(fast)
    print(
        f"{arguments.images} images: published {a:.2f} s, lowroad {b:.2f} s, {a / b:.1f} times "
        f"faster; gradients differ by {error:.1e}; peak memory of ours {peak:.1f} GiB"
    )
    if arguments.heights:
        for size in (None, 3000, 1000):
            finder = lowroad.FourierPathFinder(batch_size=size, refinements=0)
            found = finder.find(landscape, *ends, generator=torch.Generator().manual_seed(3))
            print(
                f"batches of {size or 'all'}: height {found.height:.4f} after "
                f"{found.evaluations.gradients:.0f} full-batch gradients and "
                f"{found.evaluations.heights:.0f} heights"
            )


if __name__ == "__main__":
    main()
