"""`lowroad.LBFGS` and `torch.optim.LBFGS` at equal loss calls on twenty training problems.

    python benchmarks/lbfgs_problems.py [--write]

Ten problems (four physics-informed networks, three regressions, three classifications), each in
float32 and float64, each from five starts. Both optimizers get the same closure, with a backward
pass in every call, the same starts, 50 pairs, 100 iterations a step, tolerances of zero, and their
strong Wolfe line search. Every call of the closure counts, also those with which a step begins.
Compared is the lowest loss of the first 100 and of the first 400 calls. Prints a table; --write
puts it into docs/optimizers.md between its markers. Takes two minutes on one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import platform
import statistics
from collections.abc import Callable
from functools import partial

import torch
from docs_page import write_between
from scipy.stats import binom
from sklearn.datasets import load_digits
from torch import Tensor, nn

import lowroad

CALLS = (100, 400)
SEEDS, PAIRS, ITERATIONS, CONFIDENCE = 5, 50, 100, 0.95
Loss = Callable[[], Tensor]
Problem = Callable[[torch.Generator, torch.dtype], tuple[list[Tensor], Loss]]


def network(sizes: list[int], generator: torch.Generator, dtype: torch.dtype) -> nn.Sequential:
    """A tanh network with Glorot's initial weights and zero biases."""
    layers: list[nn.Module] = []
    for i, o in itertools.pairwise(sizes):
        layer = nn.Linear(i, o, dtype=dtype)
        bound = math.sqrt(6 / (i + o))
        with torch.no_grad():
            layer.weight.copy_(bound * (2 * torch.rand(o, i, generator=generator) - 1))
            layer.bias.zero_()
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def derivative(u: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(u.sum(), x, create_graph=True)[0]


def line(low: float, high: float, points: int, dtype: torch.dtype) -> Tensor:
    return torch.linspace(low, high, points, dtype=dtype)[:, None].requires_grad_()


def poisson(generator: torch.Generator, dtype: torch.dtype) -> tuple[list[Tensor], Loss]:
    """u'' = −π² sin πx on [−1, 1], u(±1) = 0."""
    u, x = network([1, 16, 16, 1], generator, dtype), line(-1, 1, 40, dtype)

    def loss() -> Tensor:
        values = u(x)
        residual = derivative(derivative(values, x), x) + math.pi**2 * torch.sin(math.pi * x)
        return residual.square().mean() + values[[0, -1]].square().sum()

    return list(u.parameters()), loss


def oscillator(generator: torch.Generator, dtype: torch.dtype) -> tuple[list[Tensor], Loss]:
    """u'' + u'/2 + 9 u = 0 on [0, 3], u(0) = 1, u'(0) = 0."""
    u, t = network([1, 20, 20, 1], generator, dtype), line(0, 3, 50, dtype)

    def loss() -> Tensor:
        values = u(t)
        first = derivative(values, t)
        residual = derivative(first, t) + first / 2 + 9 * values
        return residual.square().mean() + (values[0] - 1).square().sum() + first[0].square().sum()

    return list(u.parameters()), loss


def bratu(generator: torch.Generator, dtype: torch.dtype) -> tuple[list[Tensor], Loss]:
    """u'' + exp u = 0 on [0, 1], u(0) = u(1) = 0."""
    u, x = network([1, 12, 12, 1], generator, dtype), line(0, 1, 30, dtype)

    def loss() -> Tensor:
        values = u(x)
        residual = derivative(derivative(values, x), x) + values.exp()
        return residual.square().mean() + 10 * values[[0, -1]].square().sum()

    return list(u.parameters()), loss


def heat(generator: torch.Generator, dtype: torch.dtype) -> tuple[list[Tensor], Loss]:
    """u_t = u_xx / 10 on [−1, 1] × [0, 1], u(x, 0) = −sin πx, u(±1, t) = 0."""
    u = network([2, 16, 16, 1], generator, dtype)
    grid = torch.cartesian_prod(torch.linspace(-1, 1, 16), torch.linspace(0, 1, 8)).to(dtype)
    inside = grid.requires_grad_()
    x = torch.linspace(-1, 1, 30, dtype=dtype)
    first = torch.stack([x, torch.zeros_like(x)], 1)
    t = torch.linspace(0, 1, 10, dtype=dtype)
    sides = torch.cat([torch.stack([side * torch.ones_like(t), t], 1) for side in (-1, 1)])

    def loss() -> Tensor:
        slopes = derivative(u(inside), inside)
        bend = derivative(slopes[:, 0], inside)[:, 0]
        begin = u(first)[:, 0] + torch.sin(math.pi * x)
        residual = slopes[:, 1] - bend / 10
        return residual.square().mean() + begin.square().mean() + u(sides).square().mean()

    return list(u.parameters()), loss


def wave_regression(generator: torch.Generator, dtype: torch.dtype) -> tuple[list[Tensor], Loss]:
    """sin 3x + x/2 from 100 samples with noise."""
    x = (4 * torch.rand(100, 1, generator=generator) - 2).to(dtype)
    y = torch.sin(3 * x) + x / 2 + 0.05 * torch.randn(x.shape, generator=generator).to(dtype)
    u = network([1, 20, 20, 1], generator, dtype)
    return list(u.parameters()), lambda: (u(x) - y).square().mean()


def surface_regression(generator: torch.Generator, dtype: torch.dtype) -> tuple[list[Tensor], Loss]:
    """A product of waves of four inputs from 300 samples."""
    x = torch.randn(300, 4, generator=generator).to(dtype)
    y = (torch.sin(x[:, :1]) * torch.cos(x[:, 1:2]) + x[:, 2:3] * x[:, 3:]).tanh()
    u = network([4, 24, 1], generator, dtype)
    return list(u.parameters()), lambda: (u(x) - y).square().mean()


def sum_of_exponentials(
    generator: torch.Generator, dtype: torch.dtype
) -> tuple[list[Tensor], Loss]:
    """Three decays fitted to 60 samples of three others, by amplitudes and logarithms of rates."""
    t = torch.linspace(0, 4, 60, dtype=dtype)[:, None]
    rates, amplitudes = torch.tensor([0.3, 1.5, 6.0]).to(dtype), torch.tensor([1.0, 2.0, -1.5])
    y = torch.exp(-t * rates) @ amplitudes.to(dtype)
    p = nn.Parameter(torch.randn(2, 3, generator=generator).to(dtype))
    return [p], lambda: (torch.exp(-t * p[0].exp()) @ p[1] - y).square().mean()


def digits(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    inputs, labels = load_digits(return_X_y=True)
    return torch.as_tensor(inputs[:500] / 16).to(dtype), torch.as_tensor(labels[:500])


def softmax_regression(generator: torch.Generator, dtype: torch.dtype) -> tuple[list[Tensor], Loss]:
    """500 of scikit-learn's digits, linear, weight decay 1e-4."""
    return classifier([64, 10], 1e-4, *digits(dtype), generator, dtype)


def digits_network(generator: torch.Generator, dtype: torch.dtype) -> tuple[list[Tensor], Loss]:
    """500 of scikit-learn's digits, one hidden layer, weight decay 1e-3."""
    return classifier([64, 24, 10], 1e-3, *digits(dtype), generator, dtype)


def spirals(generator: torch.Generator, dtype: torch.dtype) -> tuple[list[Tensor], Loss]:
    """Two spirals of 100 samples each, two hidden layers, weight decay 1e-4."""
    turns = torch.linspace(0.3, 3, 100) * math.pi
    arm = torch.stack([turns.cos(), turns.sin()], 1) * turns[:, None] / 5
    inputs = torch.cat([arm, -arm]) + 0.03 * torch.randn(200, 2, generator=generator)
    labels = torch.arange(2).repeat_interleave(100)
    return classifier([2, 20, 20, 2], 1e-4, inputs.to(dtype), labels, generator, dtype)


def classifier(
    sizes: list[int],
    decay: float,
    inputs: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> tuple[list[Tensor], Loss]:
    u = network(sizes, generator, dtype)
    parameters = list(u.parameters())

    def loss() -> Tensor:
        squares = torch.stack([p.square().sum() for p in parameters]).sum()
        return nn.functional.cross_entropy(u(inputs), labels) + decay * squares

    return parameters, loss


PROBLEMS: dict[str, Problem] = {
    "Poisson": poisson,
    "oscillator": oscillator,
    "Bratu": bratu,
    "heat": heat,
    "wave": wave_regression,
    "surface": surface_regression,
    "exponentials": sum_of_exponentials,
    "digits, linear": softmax_regression,
    "digits": digits_network,
    "spirals": spirals,
}


class Spent(Exception):
    """All calls are made."""


def losses_of(
    make: Callable[[list[Tensor]], torch.optim.Optimizer],
    problem: Problem,
    dtype: torch.dtype,
    seed: int,
) -> list[float]:
    """Return the losses of all calls of the closure; infinite where one is not finite."""
    parameters, loss = problem(torch.Generator().manual_seed(seed), dtype)
    optimizer = make(parameters)
    losses: list[float] = []

    def closure() -> Tensor:
        if len(losses) == CALLS[-1]:
            raise Spent
        optimizer.zero_grad()
        value = loss()
        value.backward(inputs=parameters)
        losses.append(value.item() if math.isfinite(value.item()) else math.inf)
        return value

    with contextlib.suppress(Spent):
        while True:
            optimizer.step(closure)
    return losses


ours = partial(
    lowroad.LBFGS,
    line_search="strong_wolfe",
    history_size=PAIRS,
    max_iter=ITERATIONS,
    tolerance_grad=0.0,
)


theirs = partial(
    torch.optim.LBFGS,
    line_search_fn="strong_wolfe",
    history_size=PAIRS,
    max_iter=ITERATIONS,
    max_eval=10**9,
    tolerance_grad=0.0,
    tolerance_change=0.0,
)


def upper_limit(ratios: list[float]) -> float:
    """The upper confidence limit of the median, an order statistic (free of distribution)."""
    n = len(ratios)
    rank = next(k for k in range(n + 1) if binom.cdf(k - 1, n, 0.5) >= CONFIDENCE)
    return sorted(ratios)[rank - 1] if rank <= n else math.inf


def table() -> str:
    kinds = (ours, theirs)
    head = [f"{name}, {calls} calls" for calls in CALLS for name in ("lowroad", "torch", "ratio")]
    rows = [f"| problem | type | {' | '.join(head)} |", "|" + " --- |" * (2 + len(head))]
    ratios: dict[int, list[float]] = {calls: [] for calls in CALLS}
    for name, problem in PROBLEMS.items():
        for dtype in (torch.float32, torch.float64):
            runs = [[losses_of(k, problem, dtype, s) for k in kinds] for s in range(SEEDS)]
            cells = [name, str(dtype).removeprefix("torch.")]
            for calls in CALLS:
                pairs = [[min(losses[:calls]) for losses in run] for run in runs]
                ratios[calls].append(statistics.median(a / b for a, b in pairs))
                cells += [f"{statistics.median(each):.2e}" for each in zip(*pairs, strict=True)]
                cells.append(f"{ratios[calls][-1]:.2f}")
            rows.append(f"| {' | '.join(cells)} |")
            print(rows[-1], flush=True)
    ends = [
        f"after {calls} calls {statistics.median(each):.2f}, at most {upper_limit(each):.2f}"
        for calls, each in ratios.items()
    ]
    return "\n".join(
        [
            f"Made by `python benchmarks/lbfgs_problems.py --write` with torch {torch.__version__},"
            " "
            f"Python {platform.python_version()}.",
            "",
            f"The lowest loss of so many calls, and the ratio lowroad / torch: medians of {SEEDS} "
            "starts.",
            "",
            *rows,
            "",
            f"The median ratio of the {len(ratios[CALLS[0]])} problems, with its upper "
            f"{CONFIDENCE:.0%} confidence limit: {'; '.join(ends)}.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    text = table()
    print(text)
    if arguments.write:
        write_between("optimizers.md", "lbfgs_problems", text)


if __name__ == "__main__":
    main()
