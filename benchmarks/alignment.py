"""What lies between two trained networks, before and after their hidden units are aligned.

    python benchmarks/alignment.py mlp                    two perceptrons of width 512 on MNIST
    python benchmarks/alignment.py resnet --width 16      two ResNet-20 on scikit-learn's digits

Prints a table: for the straight line between two networks trained from different seeds, as they are
and aligned by weights and by activations, the largest rise of the test loss above the line between
the ends (the barrier of Entezari et al. 2022) and the highest error rate. For networks with batch
norm the statistics between the ends are interpolated, or re-estimated from the training data (as
REPAIR does for them: Jordan et al. 2023); a Bézier curve with one control point is the path found.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

import lowroad
from lowroad.landscapes.permutations import tensors_of
from lowroad.paper import load_mnist
from lowroad.problems import Problem, network_problem

POINTS = 25


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


def resnet20(width: int) -> nn.Sequential:
    """The residual network of He et al. 2016 with three blocks in each of three stages."""
    stages = [(1, 1, 1), (1, 2, 2), (2, 4, 2)]
    return nn.Sequential(
        nn.Conv2d(1, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        *(
            Block(width * (a if k == 0 else b), width * b, stride if k == 0 else 1)
            for a, b, stride in stages
            for k in range(3)
        ),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, 10),
    )


def mlp(width: int = 512) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(784, width), nn.ReLU(),
        nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, 10),
    )  # fmt: skip


def on_mnist() -> Problem:
    data = load_mnist()
    return network_problem(
        mlp,
        (data.train.images, data.train.labels),
        (data.test.images, data.test.labels),
        metrics=["error"],
    )


def on_digits(width: int) -> Problem:
    """140 training images of each digit, the others for the test."""
    images, labels = load_digits(return_X_y=True)
    inputs = torch.from_numpy(images / 16).float().view(-1, 1, 8, 8)
    targets = torch.from_numpy(labels)
    first = torch.cat([(targets == k).nonzero().flatten()[:140] for k in range(10)]).sort().values
    rest = torch.tensor(sorted(set(range(len(targets))) - set(first.tolist())))
    return network_problem(
        partial(resnet20, width),
        (inputs[first], targets[first]),
        (inputs[rest], targets[rest]),
        metrics=["error"],
    )


def profile(problem: Problem, path: lowroad.FoundPath) -> tuple[list[float], list[float]]:
    """Return test losses and error rates on a path; statistics are re-estimated where there are."""
    assert problem.test is not None
    points = [path.path(torch.tensor([t]))[0] for t in path.t]
    errors = [problem.metrics["error"](problem.test, point) for point in points]
    return problem.test.values(torch.stack(points)).tolist(), errors


@torch.no_grad()
def interpolated(problem: Problem, a: Tensor, b: Tensor) -> tuple[list[float], list[float]]:
    """The same on a straight line with statistics interpolated like weights."""
    test = problem.test
    assert isinstance(test, lowroad.NetworkLandscape)
    first, second = tensors_of(test, a), tensors_of(test, b)
    losses, errors = [], []
    for t in np.linspace(0, 1, POINTS):
        mixed = {
            name: torch.lerp(own, second[name], float(t)) if own.is_floating_point() else own
            for name, own in first.items()
        }
        outputs = functional_call(test.module, mixed, (test.inputs,)).double()
        losses.append(float(F.cross_entropy(outputs, test.targets)))
        errors.append(float((outputs.argmax(1) != test.targets).double().mean()))
    return losses, errors


def row(name: str, losses: list[float], errors: list[float]) -> None:
    line = np.linspace(losses[0], losses[-1], len(losses))
    rise = float((np.array(losses) - line).max())
    print(f"| {name} | {rise:.4f} | {100 * max(errors):.1f} % |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("network", choices=["mlp", "resnet"])
    parser.add_argument("--width", type=int, default=16, help="of the residual network")
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--plot", type=Path, default=None, help="where to draw the profiles")
    given = parser.parse_args()
    has_norm = given.network == "resnet"
    problem = on_digits(given.width) if has_norm else on_mnist()
    epochs = given.epochs or (40 if has_norm else 20)
    began = time.perf_counter()
    first, second = lowroad.train(
        problem, "torch.optim.Adam", seeds=2, epochs=epochs,
        batch_size=100 if has_norm else 500, options={"lr": 1e-3},
        scheduler="torch.optim.lr_scheduler.CosineAnnealingLR",
        scheduler_options={"T_max": epochs},
    )  # fmt: skip
    a, b = first.last_point, second.last_point
    assert a is not None
    assert b is not None
    seconds = time.perf_counter() - began
    print(f"trained in {seconds:.0f} s: losses {first.value:.2g}, {second.value:.2g}")
    train = problem.train
    assert isinstance(train, lowroad.NetworkLandscape)
    began = time.perf_counter()
    ends = {"as they are": b}
    ends["aligned by weights"] = lowroad.weight_matching(train, a, b).point
    ends["aligned by activations"] = lowroad.activation_matching(train, a, b).point
    print(f"aligned in {time.perf_counter() - began:.0f} s\n")
    print("| path | rise of the test loss | highest test error |\n|---|---|---|")
    profiles = {}
    for name, end in ends.items():
        if has_norm:
            row(f"straight line, {name}, statistics interpolated", *interpolated(problem, a, end))
        line = lowroad.StraightLine(points=POINTS, refinements=0).find(train, a, end)
        profiles[name] = profile(problem, line)
        row(f"straight line, {name}" + ", re-estimated" * has_norm, *profiles[name])
    found = lowroad.BezierPathFinder(
        terms=1, points=POINTS, refinements=0, steps=100, learning_rate=3e-3,
        batch_size=100 if has_norm else 500,
    ).find(train, a, b, torch.Generator().manual_seed(0))  # fmt: skip
    profiles["path found"] = profile(problem, found)
    row("path found, as they are", *profiles["path found"])
    if given.plot is not None:
        draw(profiles, given.plot)


def draw(profiles: dict[str, tuple[list[float], list[float]]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for (name, (losses, _)), style in zip(profiles.items(), ["-", "--", "-.", ":"], strict=False):
        axes.plot(np.linspace(0, 1, len(losses)), losses, style, label=name)
    axes.set_xlabel("position on the path, t")
    axes.set_ylabel("test loss")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
