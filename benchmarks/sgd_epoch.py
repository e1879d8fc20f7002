"""Time SGD steps of an ensemble of 16 against plain PyTorch loops.

    python benchmarks/sgd_epoch.py [--networks FCP LeNet LSTM Autoencoder] [--threads 1]

Prints the images per second that pass through one epoch of mini-batches of 64: of an ensemble in
lowroad, of a plain loop over tensors, and of a plain loop over a DataLoader, each a median over
repetitions that alternate, so that the ratios hold on a noisy machine. The last column is the
fraction of this machine's measured matrix-multiplication rate that the ensemble's dense products
reach.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

import lowroad
from lowroad.paper import networks

BATCH = 64
# multiply–adds an image of one forward pass; a step costs three times as many
PRODUCTS = {
    "FCP": 784 * 50 + 50 * 50 + 50 * 10,
    "LeNet": 784 * 6 * 25 + 100 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10,
    "LSTM": 28 * 4 * 48 * (28 + 48) + 480,
    "Autoencoder": 2 * (784 * 32 + 32 * 32),
}


def matrix_rate() -> float:
    """Return the measured rate of a float32 product of 2048 × 2048 matrices, in 1/s."""
    a = torch.rand(2048, 2048)
    seconds = min(timed(lambda: a @ a) for _ in range(5))
    return 2 * 2048**3 / seconds


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(name: str, images: int, members: int, repetitions: int, rate: float) -> None:
    """Print one network's line."""
    part = lowroad.paper.load_mnist().subset(images, 10, seed=0).train
    model = networks.MODELS[name]
    module = model(generator=torch.Generator().manual_seed(0))
    targets = part.images if name == "Autoencoder" else part.labels
    loss_function = F.mse_loss if name == "Autoencoder" else F.cross_entropy
    landscape = lowroad.NetworkLandscape(module, part.images, targets, model.loss)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(part.images, targets), BATCH, shuffle=True)

    def ensemble() -> None:
        points = landscape.initial_point().repeat(members, 1)
        generators = [torch.Generator().manual_seed(seed) for seed in range(members)]
        for batch in landscape.ensemble_minibatches(BATCH, generators):
            points.sub_(batch.values_and_gradients(points)[1], alpha=0.1)

    def step(inputs: torch.Tensor, wanted: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss_function(module(inputs), wanted).backward()
        optimizer.step()

    def tensors() -> None:
        for rows in torch.randperm(images).split(BATCH):
            step(part.images[rows], targets[rows])

    def batches() -> None:
        for inputs, wanted in loader:
            step(inputs, wanted)

    rates: dict[str, list[float]] = {"ensemble": [], "tensors": [], "loader": []}
    for _ in range(repetitions + 1):
        rates["ensemble"].append(members * images / timed(ensemble))
        rates["tensors"].append(images / timed(tensors))
        rates["loader"].append(images / timed(batches))
    ours, plain, loaded = (statistics.median(values[1:]) for values in rates.values())
    fraction = 6 * PRODUCTS[name] * ours / rate
    print(
        f"{name:12s} ensemble of {members}: {ours:8.0f} images/s, {ours / plain:4.2f} times the "
        f"loop over tensors, {ours / loaded:4.2f} times the loop over a DataLoader, "
        f"{fraction:4.0%} of the matrix rate"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(networks.MODELS))
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rate = matrix_rate()
    print(f"{arguments.threads} thread(s), matrix products at {rate / 1e9:.0f} GFLOP/s")
    for name in arguments.networks:
        compare(name, arguments.images, arguments.members, arguments.repetitions, rate)


if __name__ == "__main__":
    main()
