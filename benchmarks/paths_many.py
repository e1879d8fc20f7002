"""Many pairs at once against one after another, and what a path on a network costs.

    python benchmarks/paths_many.py [--pairs 64] [--rounds 3]

Each round times the loop over `find` and then `find_many` for the same pairs; the ratio of a round
is little disturbed by what else the machine does. On the network the searches are made one after
another; the column "side by side" shows what sharing its calls would do.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from lowroad.landscapes import MullerBrown, NetworkLandscape
from lowroad.paths import (
    BezierPathFinder,
    ElasticBandFinder,
    FourierPathFinder,
    PathFinder,
    StringFinder,
)

ON_SURFACES = {
    "Fourier, total (the paper's)": FourierPathFinder(learning_rate=0.01),
    "Fourier, max flux": FourierPathFinder(objective="max_flux"),
    "Bézier, max flux": BezierPathFinder(terms=10, objective="max_flux"),
    "elastic band": ElasticBandFinder(),
    "string": StringFinder(),
}
ON_NETWORKS = {
    "all samples": FourierPathFinder(learning_rate=0.01, steps=40),
    "batches of 50": FourierPathFinder(learning_rate=0.01, steps=40, batch_size=50),
}


def seconds(run) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def generators(pairs: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(pairs)]


def gain(finder: PathFinder, landscape, starts, ends, rounds: int) -> float:
    """Return the median over the rounds of (time of the loop) / (time of `find_many`)."""

    def loop() -> None:
        for start, end, g in zip(starts, ends, generators(len(starts)), strict=True):
            finder.find(landscape, start, end, generator=g)

    def together() -> None:
        finder.find_many(landscape, starts, ends, generators(len(starts)))

    return statistics.median(seconds(loop) / seconds(together) for _ in range(rounds))


def trained_network(pairs: int) -> tuple[NetworkLandscape, torch.Tensor, torch.Tensor]:
    """A dense classifier of 500 made samples and trained ends."""
    g = torch.Generator().manual_seed(0)
    inputs = torch.randn(500, 20, generator=g)
    targets = ((inputs[:, 0] * inputs[:, 1] > 0) ^ (inputs[:, 2] > 0)).long()
    module = nn.Sequential(nn.Linear(20, 30), nn.Softplus(), nn.Linear(30, 2))
    landscape = NetworkLandscape(module, inputs, targets, "cross_entropy")
    ends = torch.randn(2 * pairs, landscape.dimension, generator=g)
    for _ in range(300):
        ends = ends - 0.5 * landscape.values_and_gradients(ends)[1]
    return landscape, ends[:pairs], ends[pairs:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--network-pairs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    surface, g = MullerBrown(), torch.Generator().manual_seed(0)
    shifts = 0.05 * torch.randn(2, arguments.pairs, 2, generator=g, dtype=torch.float64)
    starts, ends = (end + shift for end, shift in zip(surface.ends, shifts, strict=True))
    print(
        f"{arguments.pairs} pairs on Müller-Brown\n\n| finder | find_many is faster by |\n|---|---|"
    )
    for name, finder in ON_SURFACES.items():
        print(f"| {name} | {gain(finder, surface, starts, ends, arguments.rounds):.2f} |")

    network, starts, ends = trained_network(arguments.network_pairs)
    print(f"\n{arguments.network_pairs} pairs on a network of {network.dimension} weights\n")
    print("| steps on | height | gradients, values per path | find_many | side by side |")
    print("|---|---|---|---|---|")
    for name, finder in ON_NETWORKS.items():
        found = finder.find_many(network, starts, ends, generators(len(starts)))
        height = statistics.mean(each.height for each in found)
        gradients = statistics.mean(each.evaluations.gradients for each in found)
        values = statistics.mean(each.evaluations.values for each in found)
        row = f"| {name} | {height:.4f} | {gradients:,.0f}, {values:,.0f}"
        for batched in (False, True):
            network.batched = batched
            row += f" | {gain(finder, network, starts, ends, 1):.2f}"
        network.batched = False
        print(row + " |")


if __name__ == "__main__":
    main()
