"""Made-up results of a study, with plausible numbers and short vectors, for any weight sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from lowroad.study.labels import WeightSet
from lowroad.study.measurements import MEASUREMENTS
from lowroad.study.plan import Plan
from lowroad.study.references import Facts, ProblemReference
from lowroad.study.resolve import Study
from lowroad.study.results import StudyResults
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study

DIMENSION = 60
LABELS = {"sgd": "SGD", "lbfgs": "L-BFGS-GSS"}


class MadeResults(StudyResults):
    """Results whose tables and points are given."""

    given: dict[tuple[str, str], xr.Dataset]
    vectors: dict[tuple[str, str], NDArray[np.float64]]

    def table(self, measurement: str, problem: str) -> xr.Dataset:
        row = MEASUREMENTS[measurement].row
        empty = xr.Dataset(coords={row: (row, np.empty(0, dtype=np.int64))})
        return self.given.get((measurement, problem), empty)

    def points(self, problem: str, weights: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
        runs = self.table("training", problem)
        if not runs.sizes["run"]:
            return np.empty((0, DIMENSION)), np.empty(0, dtype=np.int64)
        name = WeightSet.of(str(weights))
        own = (runs["source"].values == name.source) & runs["kept"].values
        seeds = runs["seed"].values[own]
        return self.vectors[problem, str(name)][: len(seeds)], seeds


def make_results(
    problems: Sequence[str] = ("FCP", "LSTM"),
    optimizers: Sequence[str] = ("sgd", "lbfgs"),
    *,
    seeds: int = 8,
    keep: int = 6,
    pairs: int = 6,
    steps: int = 20,
    test: bool = True,
    between: bool = True,
    lower_bound: float | None = 0.0,
    quantity: str = "loss",
    claims: str | None = None,
    missing: int = 0,
    damaged: tuple[str, ...] = (),
    without: Sequence[str] = (),
) -> MadeResults:
    """A study's results; later optimizers reach lower training values and have longer vectors."""
    config = parse_study(
        {
            "name": "synthetic",
            "problems": {name: {"from": "made:problem"} for name in problems},
            "optimizers": {
                name: {"method": "sgd", "epochs": steps, "label": LABELS.get(name, name)}
                for name in optimizers
            },
            "train": {"seeds": seeds, "keep": keep},
            "paths": {
                "pairs": pairs,
                "between": [list(p) for p in combinations(optimizers, 2)] if between else [],
            },
            "report": {"claims": claims} if claims else {},
        }
    )
    splits = ("train", "test") if test else ("train",)
    facts = Facts(
        DIMENSION, "float64", 1.0, 1.0, quantity, "", lower_bound, splits,
        {"train": 5000, "test": 2000} if test else {"train": 1}, ("error rate",) if test else (),
    )  # fmt: skip
    study = Study(
        config, None,
        {name: ProblemReference(name, "made:problem", "{}", "1") for name in problems},
        dict.fromkeys(problems, facts), {},
    )  # fmt: skip
    provenance = {"versions": "lowroad 0.1.0", "machine": "desk, Linux x86_64"}
    results = MadeResults(
        study, Plan(study), Store(Path("nowhere")), [], {}, missing, provenance, damaged
    )
    results.given, results.vectors = {}, {}
    generator = np.random.default_rng(42)
    for problem in problems:
        results.given["training", problem] = _runs(optimizers, seeds, keep, steps, test, generator)
        for number, weights in enumerate(results.sets(problem)):
            scale = 0.1 + 0.05 * number
            results.vectors[problem, str(weights)] = generator.normal(0, scale, (keep, DIMENSION))
        results.given["path", problem] = _paths(results, problem, pairs, splits, steps, generator)
        results.given["metric", problem] = _metrics(results, problem, splits, generator)
        results.given["sharpness", problem] = _sharpness(results, problem, generator)
        for name in without:
            results.given.pop((name, problem))
    return results


def _runs(
    optimizers: Sequence[str], seeds: int, keep: int, steps: int, test: bool, generator: Any
) -> xr.Dataset:
    number = len(optimizers) * seeds
    rank = np.repeat(np.arange(len(optimizers)), seeds)
    progress = np.linspace(0, 1, steps + 1)
    lowest = 1e-2 * 0.1**rank * generator.uniform(0.8, 1.3, number)
    lowest = np.concatenate([np.sort(part) for part in np.split(lowest, len(optimizers))])
    train = 2.3 * (lowest[:, None] / 2.3) ** progress
    columns: dict[str, Any] = {"train": train}
    if test:
        turn = 1 + (0.4 + rank[:, None]) * np.maximum(progress - 0.5, 0)
        dip = generator.uniform(0.05, 0.08, number)[:, None] + 0.01 * rank[:, None]
        columns["test"] = 2.3 * (dip / 2.3) ** np.minimum(progress * 2, 1) * turn
    table = xr.Dataset(
        {f"{name}_values": (("run", "step"), values) for name, values in columns.items()}
        | {f"{name}_value": ("run", values.min(axis=1)) for name, values in columns.items()}
        | {f"{name}_step": ("run", values.argmin(axis=1)) for name, values in columns.items()}
        | {
            "evaluations": (("run", "step"), np.tile(4.0 * np.arange(steps + 1), (number, 1))),
            "elapsed": (("run", "step"), np.tile(0.1 * np.arange(steps + 1), (number, 1))),
            "last_step": ("run", np.full(number, steps)),
            "outcome": ("run", np.full(number, "budget spent")),
        },
        coords={
            "step": np.arange(steps + 1),
            "source": ("run", np.repeat(list(optimizers), seeds)),
            "seed": ("run", np.tile(np.arange(seeds), len(optimizers))),
            "kept": ("run", np.tile(np.arange(seeds) < keep, len(optimizers))),
        },
    )
    return table


def _paths(
    results: MadeResults,
    problem: str,
    pairs: int,
    splits: Sequence[str],
    steps: int,
    generator: Any,
) -> xr.Dataset:
    keep = results.config.settings(problem).train.kept
    within = list(combinations(range(keep), 2))
    across = [(a, b) for a in range(keep) for b in range(keep)]
    rows = [
        (str(sets.first), str(sets.second), *pair, split)
        for sets in results.study.set_pairs(problem)
        for pair in (within if sets.first == sets.second else across)[:pairs]
        for split in splits
    ]
    first, second, one, two, split = (np.array(column) for column in zip(*rows, strict=True))
    names = [str(each) for each in results.sets(problem)]
    ranks = [names.index(a) + names.index(b) for a, b in zip(first, second, strict=True)]
    scale = 0.1 * (1 + np.array(ranks))
    height = scale * generator.lognormal(0, 0.15, len(rows))
    t, path_steps = np.linspace(0, 1, 11), np.arange(0, 10 * steps + 1, 10)
    ends = 0.2 * height
    return xr.Dataset(
        {
            "profile": (("path", "t"), height[:, None] * (0.2 + 0.8 * np.sin(np.pi * t) ** 2)),
            "heights": (("path", "step"), np.geomspace(10 * height, height, len(path_steps)).T),
            "totals": (("path", "step"), np.geomspace(50 * height, 5 * height, len(path_steps)).T),
            "height": ("path", height),
            "straight_height": ("path", 10 * height),
            "barrier": ("path", height - ends),
            "start_value": ("path", ends),
            "end_value": ("path", ends),
            "length": ("path", np.full(len(rows), 38.0)),
            "straight_length": ("path", np.full(len(rows), 12.0)),
            "converged": ("path", np.zeros(len(rows), dtype=int)),
            "outcome": ("path", np.full(len(rows), "budget spent")),
            "values_evaluated": ("path", np.full(len(rows), 51.0)),
            "gradients_evaluated": ("path", np.full(len(rows), 5100.0)),
            "seconds": ("path", np.full(len(rows), 2.0)),
        },
        coords={
            "t": t,
            "step": path_steps,
            "first": ("path", first), "second": ("path", second),
            "seed_1": ("path", one.astype(int)), "seed_2": ("path", two.astype(int)),
            "split": ("path", split), "finder": ("path", np.full(len(rows), "fourier")),
            "same_start": ("path", (one == two) & (first != second)),
        },
    )  # fmt: skip


def _kept(results: MadeResults, problem: str) -> list[tuple[str, int]]:
    keep = results.config.settings(problem).train.kept
    return [(str(each), seed) for each in results.sets(problem) for seed in range(keep)]


def _metrics(
    results: MadeResults, problem: str, splits: Sequence[str], generator: Any
) -> xr.Dataset:
    rows = [(name, seed, split) for name, seed in _kept(results, problem) for split in splits]
    names, seeds, parts = (np.array(column) for column in zip(*rows, strict=True))
    numbers = {name: 0.03 + 0.001 * generator.random(len(rows)) for name in ("error rate", "value")}
    return xr.Dataset(
        {name: ("point", values) for name, values in numbers.items()},
        coords={"set": ("point", names), "seed": ("point", seeds), "split": ("point", parts)},
    )


def _sharpness(results: MadeResults, problem: str, generator: Any) -> xr.Dataset:
    rows = [(name, seed) for name, seed in _kept(results, problem) if seed < 3]
    names, seeds = (np.array(column) for column in zip(*rows, strict=True))
    largest = 8.0 * generator.lognormal(0, 0.2, len(rows))
    return xr.Dataset(
        {
            "eigenvalues": (("point", "rank"), np.stack([largest, largest / 2], axis=1)),
            "trace": ("point", 6 * largest),
            "trace_error": ("point", 0.1 * largest),
            "products": ("point", np.full(len(rows), 55)),
        },
        coords={"set": ("point", names), "seed": ("point", seeds)},
    )


def change(results: MadeResults, measurement: str, problem: str, **columns: Any) -> None:
    """Replace columns of a table, each by a function of its values."""
    table = results.given[measurement, problem]
    new: Mapping[str, Any] = {
        name: (table[name].dims, function(table[name].values)) for name, function in columns.items()
    }
    results.given[measurement, problem] = table.assign(new)
