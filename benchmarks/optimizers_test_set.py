"""Every line search and three other optimizers on the Moré–Garbow–Hillstrom functions.

    python benchmarks/optimizers_test_set.py [--write]

Prints two tables; --write puts them into docs/optimizers.md between their markers. All optimizers
are counted by one wrapper around the function, keep ten pairs, may do 2,000 iterations, and are
asked for a largest gradient component of 1e-9 and nothing else, so that each goes on as long as it
can. Takes one to two minutes. Needs `pip install -c constraints.txt pytorch-minimize==0.1.0`.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import scipy.optimize
import torch
import torchmin
from docs_page import write_between
from torch import Tensor, nn

import lowroad
from lowroad.landscapes.more_garbow_hillstrom import SumOfSquares, more_garbow_hillstrom
from lowroad.optimizers import LineSearch
from lowroad.outcome import Outcome

ITERATIONS, PAIRS, GRADIENT, CLOSE = 2000, 10, 1e-9, 1e-6
WORDS = {
    Outcome.CONVERGED_GRADIENT: "gradient",
    Outcome.CONVERGED_ROUNDING: "rounding",
    Outcome.LINE_SEARCH_FAILED: "search failed",
    Outcome.BUDGET_SPENT: "budget",
}


class Counted(lowroad.Landscape):
    """The function, with its evaluations counted until it is close to a minimum and in all."""

    def __init__(self, problem: SumOfSquares) -> None:
        self.problem = problem
        self.dimension, self.dtype, self.device = problem.dimension, problem.dtype, problem.device
        self.counts = [0, 0]  # only values, values with gradients
        self.counts_when_close: list[int] | None = None

    def _count(self, kind: int, values: Tensor) -> None:
        self.counts[kind] += len(values)
        close = any(self.problem.excess(float(h)) <= CLOSE for h in values)
        if close and self.counts_when_close is None:
            self.counts_when_close = list(self.counts)

    def values(self, points: Tensor) -> Tensor:
        values = self.problem.values(points)
        self._count(0, values)
        return values

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        values, gradients = self.problem.values_and_gradients(points)
        self._count(1, values)
        return values, gradients

    def with_graph(self, point: Tensor) -> Tensor:
        """The value of one point, for optimizers that call backward themselves."""
        value = self.problem.function(point[None])
        self._count(1, value.detach())
        return value[0]


Run = Callable[[Counted], tuple[str, Tensor]]  # how it says that it ended, and where


def with_lowroad(line_search: LineSearch) -> Run:
    def run(counted: Counted) -> tuple[str, Tensor]:
        found = lowroad.lbfgs(
            counted,
            counted.problem.start,
            line_search=line_search,
            history=PAIRS,
            iterations=ITERATIONS,
            tolerance=lowroad.Tolerance(gradient=GRADIENT),
        )
        return WORDS[found.outcome], found.point

    return run


def with_torch(counted: Counted) -> tuple[str, Tensor]:
    x = nn.Parameter(counted.problem.start.clone())
    optimizer = torch.optim.LBFGS(
        [x],
        max_iter=ITERATIONS,
        max_eval=25 * ITERATIONS,
        history_size=PAIRS,
        tolerance_grad=GRADIENT,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = counted.with_graph(x)
        loss.backward()
        return loss

    optimizer.step(closure)
    return "not told", x.detach()


def with_scipy(counted: Counted) -> tuple[str, Tensor]:
    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = counted.value_and_gradient(torch.from_numpy(x.copy()))
        return value, gradient.numpy()

    found = scipy.optimize.minimize(
        function,
        counted.problem.start.numpy(),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxcor": PAIRS,
            "ftol": 0.0,
            "gtol": GRADIENT,
            "maxiter": ITERATIONS,
            "maxfun": 25 * ITERATIONS,
        },
    )
    words = {0: "converged", 1: "budget", 2: "search failed"}
    return words[found.status], torch.from_numpy(found.x)


def with_pytorch_minimize(counted: Counted) -> tuple[str, Tensor]:
    found = torchmin.minimize(
        counted.with_graph,
        counted.problem.start.clone(),
        method="l-bfgs",
        max_iter=ITERATIONS,
        options={"history_size": PAIRS, "gtol": GRADIENT, "xtol": 0.0, "gtd_tol": 0.0},
    )
    words = {0: "converged", 1: "budget", 2: "not finite", 4: "no descent"}
    return words[found.status], found.x


OPTIMIZERS: dict[str, Run] = {
    "GoldenSection": with_lowroad(lowroad.GoldenSection()),
    "Brent": with_lowroad(lowroad.Brent()),
    "StrongWolfe": with_lowroad(lowroad.StrongWolfe()),
    "HagerZhang": with_lowroad(lowroad.HagerZhang()),
    "Backtracking": with_lowroad(lowroad.Backtracking()),
    "torch LBFGS": with_torch,
    "SciPy L-BFGS-B": with_scipy,
    "pytorch-minimize": with_pytorch_minimize,
}


@dataclass(frozen=True)
class Result:
    outcome: str
    counts: list[int]
    counts_when_close: list[int] | None
    returned_close: bool

    def cell(self) -> str:
        if self.counts_when_close is None:
            return "—"
        return number(self.counts_when_close) + ("" if self.returned_close else ", lost")


def measured(problem: SumOfSquares, run: Run) -> Result:
    counted = Counted(problem)
    outcome, point = run(counted)
    returned_close = problem.excess(problem.value(point)) <= CLOSE
    return Result(outcome, counted.counts, counted.counts_when_close, returned_close)


def number(counts: list[int]) -> str:
    values, gradients = counts
    return f"{values} + {gradients}" if values else str(gradients)


def table(title: str, rows: list[list[str]]) -> list[str]:
    header = [title, *OPTIMIZERS]
    return ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]


def tables() -> str:
    problems = more_garbow_hillstrom()
    results = {
        str(problem): [measured(problem, run) for run in OPTIMIZERS.values()]
        for problem in problems
    }
    reaching = [[name, *(r.cell() for r in row)] for name, row in results.items()]
    columns = list(zip(*results.values(), strict=True))
    reached = [sum(r.returned_close for r in column) for column in columns]
    by_all = [row for row in results.values() if all(r.counts_when_close for r in row)]
    sums = [
        np.sum([row[i].counts_when_close for row in by_all], axis=0) for i in range(len(columns))
    ]
    reaching.append(["**reached**", *(f"**{n} of {len(problems)}**" for n in reached)])
    reaching.append([f"**sum over the {len(by_all)} that all reach**", *(number(s) for s in sums)])
    ending = [
        [name, *(f"{number(r.counts)}, {r.outcome}" for r in row)] for name, row in results.items()
    ]
    versions = ", ".join(f"{p} {version(p)}" for p in ("torch", "scipy", "pytorch-minimize"))
    return "\n".join(
        [
            f"Made by `python benchmarks/optimizers_test_set.py --write` with {versions}, "
            f"Python {platform.python_version()}.",
            "",
            f"Evaluations until the value is first within {CLOSE:g} · max(1, |f*|) of a known "
            "minimum f*: only values + values with gradients (one number: all with gradients); "
            '— if it never is, "lost" if the point that is returned is not close.',
            "",
            *table("function (variables)", reaching),
            "",
            "All evaluations, and how the optimizer says that it ended:",
            "",
            *table("function (variables)", ending),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    text = tables()
    print(text)
    if arguments.write:
        write_between("optimizers.md", "optimizers_test_set", text)


if __name__ == "__main__":
    main()
