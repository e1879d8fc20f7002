"""Which number of SGD epochs meets the paper's tables, on full MNIST.

    python benchmarks/sgd_calibration.py [--networks FCP LeNet LSTM Autoencoder] [--seeds 8]

Trains every network with SGD (learning rate 0.1, mini-batches of 64) for 80 epochs from `--seeds`
starts and keeps each run's curves as a CSV file under `--store`; a run that is there is not
repeated, and those behind the documentation lie in `benchmarks/sgd_calibration/`. Prints the mean
losses and the weights' deviations beside the paper's, of all runs that are there; `--seeds 0`
trains nothing, and `--write` puts the table into docs/reproduction.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from docs_page import write_between

import lowroad
from lowroad.paper import networks
from lowroad.paper.numbers import LOSSES, WEIGHTS
from lowroad.study.files import write_atomically

EPOCHS = 80
SHOWN = (70, 75, 80)  # epochs that the table compares
COLUMNS = ("train", "test", "deviation")  # after every epoch


def run(name: str, seed: int, learning_rate: float, path: Path) -> None:
    """Train one network and write its curves and its weights' deviations after every epoch."""
    mnist = lowroad.paper.load_mnist()
    model = networks.MODELS[name]
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
        print(f"{name} seed {seed}: epoch {progress.step}, loss {progress.value:.3e}", flush=True)

    (found,) = lowroad.sgd(
        train,
        train.initial_point()[None],
        generators=[torch.Generator().manual_seed(1000 + seed)],
        learning_rate=learning_rate,
        epochs=EPOCHS,
        validation=test,
        callback=note,
    )
    columns = (found.history.values[1:], found.history.validation_values[1:], deviations)
    rows = [",".join(f"{value:.6e}" for value in row) for row in zip(*columns, strict=True)]
    write_atomically(path, ("\n".join([",".join(COLUMNS), *rows]) + "\n").encode())


def rows(name: str, runs: list[np.ndarray]) -> list[str]:
    """Return the table's rows of one network, measured and the paper's, from runs [epochs, 3]."""
    train, test, deviation = np.moveaxis(np.array(runs), 2, 0)
    paper, weights = LOSSES[name], WEIGHTS[name]
    lines = []
    for epochs in SHOWN:
        loss, best = train[:, :epochs].min(1), test[:, :epochs].argmin(1)
        at_best = np.take_along_axis(deviation, best[:, None], 1)
        spread = f" ± {loss.std(ddof=1):.0e}" if len(loss) > 1 else ""
        cells = (
            name,
            str(len(runs)),
            str(epochs),
            f"{loss.mean():.2e}{spread}",
            f"{deviation[:, epochs - 1].mean():.3e}",
            f"{test[:, :epochs].min(1).mean():.2e}",
            f"{at_best.mean():.3e}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    numbers = (
        f"{paper['sgd/train']:.2e}",
        f"{weights['sgd/train'].deviation:.2e}",
        f"{paper['sgd/test']:.2e}",
        f"{weights['sgd/test'].deviation:.2e}",
    )
    lines.append(f"| {name}, the paper | 48 of 75 | ? | " + " | ".join(numbers) + " |")
    return lines


def table(store: Path, networks: list[str], learning_rate: float) -> str:
    """Return the table of all curves in the store."""
    lines = [
        "| network | seeds | epochs | train loss | deviation | test minimum | deviation there |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in networks:
        paths = sorted(store.glob(f"{name}-{learning_rate:g}-*.csv"))
        if paths:
            lines += rows(name, [np.loadtxt(path, delimiter=",", skiprows=1) for path in paths])
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(networks.MODELS))
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--store", type=Path, default=Path(__file__).with_suffix(""))
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
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
    text = table(arguments.store, list(networks.MODELS), arguments.learning_rate)
    print(text)
    if arguments.write:
        write_between("reproduction.md", "sgd_calibration", text)


if __name__ == "__main__":
    main()
