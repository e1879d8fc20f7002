"""Height and length of Fourier paths against the smoothness λ, whose value the paper's text lost.

    python benchmarks/smoothness.py [--network FCP] [--images 10000] [--epochs 30] [--full]

Trains two networks with SGD and finds the path between them for λ over decades, everything else as
in the paper (10 terms, 51 points, 100 steps, learning rate 1e-3); steps on mini-batches of 1,000
images unless `--full`. Prints the straight line first.
"""

from __future__ import annotations

import argparse

import torch

import lowroad
from lowroad.paper import networks

DECADES = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=networks.MODELS, default="FCP")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    part = lowroad.paper.load_mnist().subset(arguments.images, 10, seed=0).train
    model = networks.MODELS[arguments.network]
    targets = part.images if arguments.network == "Autoencoder" else part.labels
    ends = []
    for seed in (0, 1):
        module = model(generator=torch.Generator().manual_seed(seed))
        landscape = lowroad.NetworkLandscape(module, part.images, targets, model.loss)
        (found,) = lowroad.sgd(
            landscape,
            landscape.initial_point()[None],
            generators=[torch.Generator().manual_seed(seed)],
            epochs=arguments.epochs,
        )
        ends.append(found.point)
        print(f"end {seed}: training loss {found.value:.3e}", flush=True)
    line = lowroad.StraightLine(refinements=0).find(landscape, *ends)
    print(f"straight line: height {line.height:.4f}, length {line.length:.1f}", flush=True)
    for smoothness in DECADES:
        finder = lowroad.FourierPathFinder(
            smoothness=smoothness, batch_size=None if arguments.full else 1000, refinements=0
        )
        found = finder.find(landscape, *ends, generator=torch.Generator().manual_seed(2))
        print(
            f"λ = {smoothness:g}: height {found.height:.4f}, length {found.length:.1f}", flush=True
        )


if __name__ == "__main__":
    main()
