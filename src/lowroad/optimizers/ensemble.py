"""Several runs of one optimizer on a problem, in Python."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import torch

from lowroad.optimizers.method import Method, check_settings, optimize
from lowroad.optimizers.result import OptimizationResult
from lowroad.seeds import derived_seed


def train(
    problem: Any,
    method: Method,
    *,
    seeds: int | Iterable[int] = 8,
    seed: int = 0,
    name: str = "problem",
    **settings: Any,
) -> list[OptimizationResult]:
    """Train a problem from several starts with any optimizer.

    The starts and shuffles are those of a study with the same seed in which the problem has the
    same name; they do not depend on the optimizer.

    Args:
        problem: a `lowroad.Problem`.
        method: the optimizer: "sgd", "lbfgs", a class with the interface of torch.optim.Optimizer
            or a function, or the import path of one, as in `lowroad.optimizers.optimize`.
        seeds: how many runs, or which ones.
        seed: the seed of all runs together.
        name: what the problem is called; seeds are derived from it.
        settings: the optimizer's.

    Returns:
        One result per seed.

    Raises:
        ValueError: when there is no such optimizer, it does not take a setting, or there are no
            seeds, or others than whole numbers.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> from lowroad.problems import Problem
    >>> bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2, dtype=torch.float32)
    >>> problem = Problem(train=bowl, start=lambda generator: torch.randn(2, generator=generator))
    >>> found = train(problem, "torch.optim.Adam", seeds=2, epochs=50, options={"lr": 0.2})
    >>> [result.value < 1e-2 for result in found]
    [True, True]
    """
    numbers = list(seeds if isinstance(seeds, Iterable) else range(int(seeds)))
    if not numbers:
        raise ValueError(f"expected at least one seed, got {seeds!r}")
    if not all(isinstance(each, Integral) for each in [seed, *numbers]):
        raise ValueError(f"expected whole numbers as seed and seeds, got {seed!r} and {seeds!r}")
    check_settings(method, settings)

    def generator(use: str, index: int) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(int(seed), name, use, int(index)))

    return [
        optimize(
            method,
            problem,
            problem.start(generator("initial weights", index)).to(problem.train.device),
            generator("shuffling", index),
            settings=settings,
        )
        for index in numbers
    ]
