"""How low SGD's test loss gets, by how often it is measured and by the learning rate.

    python benchmarks/test_minimum.py --network FCP --seeds 8 --rates 0.05 0.1 0.2

Trains a network on all of MNIST by SGD in batches of 64, from the study's starts, and measures the
test loss after every 100 batches and at the end of every epoch. Prints the means over the starts of
its lowest value among the ends of epochs, as a study records it, and among all measurements, with
the standard errors of the means, and the mean epoch of the first.
"""

from __future__ import annotations

import argparse
import math
import statistics

import torch
from torch import Tensor

from lowroad.landscapes import Landscape
from lowroad.paper import problem
from lowroad.paper.numbers import LOSSES
from lowroad.seeds import derived_seed

STUDY_SEED = 2026
BATCH = 64


def test_losses(
    train: Landscape,
    test: Landscape,
    start: Tensor,
    rate: float,
    epochs: int,
    every: int,
    seed: int,
) -> tuple[list[float], list[float]]:
    """Return the test loss at the end of each epoch, and after every so many batches."""
    generator = torch.Generator().manual_seed(seed)
    point, batches = start.clone(), 0
    at_ends, between = [], []
    for _ in range(epochs):
        for batch in train.minibatches(BATCH, generator):
            point -= rate * batch.value_and_gradient(point)[1]
            batches += 1
            if batches % every == 0:
                between.append(test.value(point))
        at_ends.append(test.value(point))
    return at_ends, between


def mean(values: list[float]) -> str:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.mean(values):.4f} ± {error:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", choices=["FCP", "LeNet", "LSTM"], default="FCP")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1])
    parser.add_argument("--epochs", type=int, default=30, help="at rate 0.1, more at lower rates")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--every", type=int, default=100)
    given = parser.parse_args()
    own = problem(
        network=given.network, train_images=given.images, test_images=max(10, given.images // 6)
    )
    assert own.start is not None
    assert own.test is not None
    print("| network | rate | starts | ends of epochs | epoch | every 100 batches |")
    print("|---|---|---|---|---|---|")
    for rate in given.rates:
        ends, epochs, all_of_them = [], [], []
        for seed in range(given.seeds):
            start = own.start(
                torch.Generator().manual_seed(
                    derived_seed(STUDY_SEED, given.network, "initial weights", seed)
                )
            )
            most = max(1, round(given.epochs * 0.1 / rate))
            at_ends, between = test_losses(
                own.train, own.test, start, rate, most, given.every, seed
            )
            ends.append(min(at_ends))
            epochs.append(at_ends.index(min(at_ends)) + 1)
            all_of_them.append(min(at_ends + between))
        print(
            f"| {given.network} | {rate:g} | {given.seeds} | {mean(ends)} | "
            f"{statistics.mean(epochs):.0f} | {mean(all_of_them)} |",
            flush=True,
        )
    print(
        f"| {given.network}, the paper | | 48 of 75 | {LOSSES[given.network]['sgd/test']:.4f} | | |"
    )


if __name__ == "__main__":
    main()
