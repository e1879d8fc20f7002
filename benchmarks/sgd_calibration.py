"""Which number of SGD epochs meets the paper's tables, on full MNIST.

    python benchmarks/sgd_calibration.py [--networks FCP LeNet LSTM Autoencoder] [--seeds 8]

Trains every network with SGD (learning rate 0.1, mini-batches of 64) for 80 epochs from `--seeds`
starts and keeps each run's curves as a CSV file under `--store`; a run that is there is not
repeated, and those behind the documentation lie in `benchmarks/sgd_calibration/`. Prints, for each
number of epochs, the mean training loss beside the paper's, then the mean test minimum and the
weights' deviation beside the paper's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import lowroad
from lowroad import models
from lowroad.report.paper import LOSSES, WEIGHTS
from lowroad.study.store import write_atomically

EPOCHS = 80
COLUMNS = ("train", "test", "deviation")  # after every epoch


def run(name: str, seed: int, learning_rate: float, path: Path) -> None:
    """Train one network and write its curves and its weights' deviations after every epoch."""
    mnist = lowroad.load_mnist()
    model = models.MODELS[name]
    train, test = (
        lowroad.NetworkLandscape(
            model(generator=torch.Generator().manual_seed(seed)),
            part.images,
            part.images if name == "Autoencoder" else part.labels,
            model.loss,
        )
        for part in (mnist.train, mnist.test)
    )
    deviations: list[float] = []

    def note(progress: lowroad.Progress) -> None:
        deviations.append(float(progress.snapshot()["points"].double().std()))
        print(f"{name} seed {seed}: epoch {progress.step}, loss {progress.height:.3e}", flush=True)

    (found,) = lowroad.sgd(
        train,
        train.initial_point()[None],
        generators=[torch.Generator().manual_seed(1000 + seed)],
        learning_rate=learning_rate,
        epochs=EPOCHS,
        validation=test,
        callback=note,
    )
    columns = (found.history.heights[1:], found.history.validation_heights[1:], deviations)
    rows = [",".join(f"{value:.6e}" for value in row) for row in zip(*columns, strict=True)]
    write_atomically(path, ("\n".join([",".join(COLUMNS), *rows]) + "\n").encode())


def table(name: str, runs: list[np.ndarray]) -> None:
    """Print measured against paper for one network, from runs [epochs, columns]."""
    train, test, deviation = np.moveaxis(np.array(runs), 2, 0)
    print(f"\n{name}, {len(runs)} seeds; paper: train {LOSSES[name]['sgd_train']:.2e}, ", end="")
    print(f"deviation {WEIGHTS[name]['sgd_train'].deviation:.2e}")
    for epochs in (30, 40, 50, 60, 65, 70, 75, 80):
        loss = train[:, :epochs].min(1)
        at = deviation[:, epochs - 1]
        print(f"  {epochs} epochs: train {loss.mean():.2e} ± {loss.std():.0e}, ", end="")
        print(f"deviation {at.mean():.3e}; test minimum {test[:, :epochs].min(1).mean():.2e}")
    best = test.argmin(1)
    at_best = np.take_along_axis(deviation, best[:, None], 1)
    print(f"  test minimum {test.min(1).mean():.2e} ± {test.min(1).std():.0e} at epochs ", end="")
    print(f"{sorted(best + 1)}, deviation {at_best.mean():.3e}; paper ", end="")
    print(f"{LOSSES[name]['sgd_test']:.2e}, {WEIGHTS[name]['sgd_test'].deviation:.2e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(models.MODELS))
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--store", type=Path, default=Path(__file__).with_suffix(""))
    arguments = parser.parse_args()
    arguments.store.mkdir(parents=True, exist_ok=True)
    paths = {
        name: [
            arguments.store / f"{name}-{arguments.learning_rate:g}-{seed}.csv"
            for seed in range(arguments.seeds)
        ]
        for name in arguments.networks
    }
    for seed in range(arguments.seeds):
        for name in arguments.networks:
            if not paths[name][seed].exists():
                run(name, seed, arguments.learning_rate, paths[name][seed])
    for name in arguments.networks:
        table(name, [np.loadtxt(path, delimiter=",", skiprows=1) for path in paths[name]])


if __name__ == "__main__":
    main()
