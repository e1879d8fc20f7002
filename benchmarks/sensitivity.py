"""How three of the paper's claims on FCP depend on what the study chooses.

    python benchmarks/sensitivity.py [--images 2000] [--seeds 8] [--pairs 6] [--write FILE]

Claim 4, paths between L-BFGS solutions are higher than between SGD solutions; claim 5, paths
between L-BFGS solutions of lowest training loss are higher than between those of lowest test loss;
both on
the training landscape, as Cliff's δ of the path heights (1: all higher, 0: no difference, -1: all
lower). Claim 8, kernel PCA separates SGD's solutions of lowest test loss from L-BFGS's of lowest
training loss, as the area under the ROC curve of the first component (0.5: not at all, 1: wholly).
One setting is changed at a time; the first row of each table is the paper's.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import lowroad
from lowroad.analysis import KERNELS, cliffs_delta, kernel_pca
from lowroad.optimizers import OptimizationResult
from lowroad.paper import problem

SGD = {"learning_rate": 0.1, "epochs": 600, "batch_size": 64}  # as many steps as 20 of MNIST
LBFGS = {
    "line_search": "golden_section", "iterations": 300, "history": 10, "budget": 6,
    "first_step": 0.2,
}  # fmt: skip
FINDER = lowroad.FourierPathFinder(
    objective="total", terms=10, points=51, smoothness=0.01, steps=100, learning_rate=1e-3,
    refinements=0, batch_size=250,
)  # fmt: skip
CHANGES = {
    "λ, the smoothness": {"smoothness": (0.0, 1e-3, 0.1, 1.0)},
    "N, the number of sines": {"terms": (2, 5, 20)},
    "T, the points of the path": {"points": (21, 101)},
    "steps": {"steps": (25, 50, 200, 400)},
}


class Study:
    """Solutions of both optimizers on a class-balanced part of MNIST."""

    def __init__(self, images: int, seeds: int, pairs: int) -> None:
        self.problem = problem("FCP", train_images=images, test_images=2000)
        self.seeds = seeds
        self.pairs = [(k % seeds, (k + 1 + k // seeds) % seeds) for k in range(pairs)]
        self._heights: dict[tuple[object, ...], np.ndarray] = {}
        self.lbfgs = self.trained("lbfgs", **LBFGS)
        self.sgd = self.trained("sgd", **SGD)

    def trained(self, method: str, **settings: object) -> list[OptimizationResult]:
        return lowroad.train(self.problem, method, seeds=self.seeds, name="FCP", **settings)

    def heights(
        self, points: list[Tensor], finder: lowroad.FourierPathFinder, align: bool = False
    ) -> np.ndarray:
        landscape, found = self.problem.train, []
        for a, b in self.pairs:
            end = points[b]
            if align:
                end = lowroad.weight_matching(landscape, points[a], end).point
            generator = torch.Generator().manual_seed(a * self.seeds + b)
            found.append(finder.find(landscape, points[a], end, generator).height)
        return np.array(found)

    def row(
        self, name: str, finder: lowroad.FourierPathFinder = FINDER, align: bool = False,
        sgd: list[OptimizationResult] | None = None,
    ) -> str:  # fmt: skip
        sets = {
            "sgd": [each.point for each in (sgd or self.sgd)],
            "train": [each.point for each in self.lbfgs],
            "test": [each.validation_point for each in self.lbfgs],
        }
        heights = {}
        for key, points in sets.items():
            known = (key, finder, align, key == "sgd" and sgd is not None)
            if known not in self._heights or known[-1]:
                self._heights[known] = self.heights(points, finder, align)
            heights[key] = self._heights[known]
        medians = " | ".join(f"{np.median(heights[key]):.4g}" for key in sets)
        four = cliffs_delta(heights["train"], heights["sgd"])
        five = cliffs_delta(heights["train"], heights["test"])
        return f"| {name} | {medians} | {four:+.2f} | {five:+.2f} |"


def paths(study: Study) -> list[str]:
    head = (
        "| {} | SGD train | BFGS train | BFGS test | δ of claim 4 | δ of claim 5 |\n"
        "|---|---|---|---|---|---|"
    )
    base = study.row("the paper's")
    lines = []
    for title, change in CHANGES.items():
        lines += [f"\n**{title}**\n", head.format("value"), base]
        for name, values in change.items():
            for value in values:
                lines.append(study.row(f"{value:g}", replace(FINDER, **{name: value})))
                print(title, lines[-1], flush=True)
    lines += ["\n**Alignment of hidden units**\n", head.format("second end"), base]
    lines.append(study.row("aligned by weights", align=True))
    lines += ["\n**SGD**\n", head.format("batch size, learning rate"), base]
    for change in ({"batch_size": 16}, {"batch_size": 256}, {"learning_rate": 0.03},
                   {"learning_rate": 0.3}):  # fmt: skip
        settings = SGD | change
        name = f"{settings['batch_size']}, {settings['learning_rate']:g}"
        lines.append(study.row(name, sgd=study.trained("sgd", **settings)))
        print(lines[-1], flush=True)
    return lines


def kernels(study: Study) -> list[str]:
    sets: Mapping[str, np.ndarray] = {
        "SGD test": torch.stack([each.validation_point for each in study.sgd]).numpy(),
        "BFGS train": torch.stack([each.point for each in study.lbfgs]).numpy(),
    }
    dimension = study.problem.train.dimension
    median = kernel_pca(sets, "rbf", "median").attrs["gamma"]
    widths: dict[str, str | float] = {"1/D": 1 / dimension, "median": median}
    widths |= {f"{factor:g} × median": factor * median for factor in (0.01, 0.1, 10.0, 100.0)}
    lines = [
        "\n**γ and the kernel, claim 8**\n",
        "| γ | " + " | ".join(KERNELS) + " |",
        "|---" * (len(KERNELS) + 1) + "|",
    ]
    for name, gamma in widths.items():
        areas = [
            f"{float(kernel_pca(sets, kernel, gamma)['auc'].sel(component=1)):.2f}"
            for kernel in KERNELS
        ]
        lines.append(f"| {name} ({gamma:.2g}) | " + " | ".join(areas) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--write", type=Path, default=None)
    given = parser.parse_args()
    options = "".join(
        f" --{name} {value}"
        for name, value in vars(given).items()
        if name != "write" and value != parser.get_default(name)
    )
    study = Study(given.images, given.seeds, given.pairs)
    losses = [np.mean([r.value for r in runs]) for runs in (study.sgd, study.lbfgs)]
    text = "\n".join(
        [
            "# How claims depend on what is chosen",
            "",
            f"FCP on {given.images} training images, {given.seeds} runs of each optimizer, "
            f"{given.pairs} paths in each set; mean training losses {losses[0]:.2g} (SGD) and "
            f"{losses[1]:.2g} (L-BFGS). `python benchmarks/sensitivity.py{options}` prints these "
            "tables: "
            "median path heights on the training landscape, Cliff's δ for claims 4 (BFGS train "
            "above SGD train) and 5 (BFGS train above BFGS test), and areas for claim 8.",
            *kernels(study),
            *paths(study),
            "",
        ]
    )
    print(text)
    if given.write is not None:
        given.write.write_text(text)


if __name__ == "__main__":
    main()
