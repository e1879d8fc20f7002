"""Several runs of one optimizer on a problem, in Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from lowroad.optimizers.method import optimize
from lowroad.optimizers.result import OptimizationResult
from lowroad.seeds import derived_seed


def train(
    problem: Any,
    method: str,
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
        method: the optimizer, as in `lowroad.optimizers.method.optimize`.
        seeds: how many runs, or which ones.
        seed: the seed of all runs together.
        name: what the problem is called, for the same reason.
        settings: the optimizer's.

    Returns:
        One result per seed.

    Raises:
        ValueError: when there is no such optimizer, or it does not take a setting.

    >>> import lowroad
    >>> found = train(lowroad.problems.mueller_brown(), "lbfgs", seeds=2)
    >>> [result.outcome.converged for result in found]
    [True, True]
    """

    def generator(use: str, index: int) -> torch.Generator:
        return torch.Generator().manual_seed(derived_seed(seed, name, use, index))

    return [
        optimize(
            method,
            problem,
            problem.start(generator("initial weights", index)),
            generator("shuffling", index),
            settings=settings,
        )
        for index in (range(seeds) if isinstance(seeds, int) else seeds)
    ]
