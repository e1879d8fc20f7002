"""Made-up results of a study, with plausible numbers and real shapes but short vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from lowroad.study.results import (
    WEIGHT_SETS,
    PathResult,
    PlaneResult,
    SharpnessResult,
    StudyResults,
    TrainingResult,
)
from lowroad.study.study_file import parse_study

DIMENSION = 400
LOWEST = {"sgd": (5e-3, 8e-2), "lbfgs": (2e-6, 9e-2)}
LENGTHS = {"sgd_train": 0.14, "sgd_test": 0.10, "lbfgs_train": 0.23, "lbfgs_test": 0.12}
HEIGHTS = {"sgd_train": 0.12, "sgd_test": 0.11, "lbfgs_train": 0.4, "lbfgs_test": 0.25}


def make_results(
    networks: Sequence[str] = ("FCP", "LeNet", "Autoencoder", "LSTM"),
    seeds: int = 6,
    keep: int = 4,
    pairs: int = 5,
    steps: int = 40,
    gamma: str | float = "1/D",
) -> StudyResults:
    """A complete study's results."""
    config = parse_study(
        {
            "name": "synthetic",
            "networks": list(networks),
            "data": {"train": 5000, "test": 2000},
            "train": {"seeds": seeds, "keep": keep, "sgd": {"epochs": steps}},
            "paths": {"pairs": pairs},
            "planes": {"pairs": 1, "resolution": 11, "images": 1000},
            "sharpness": {"runs": 3, "images": 1000, "eigenvalues": 2},
            "analysis": {"gamma": gamma},
            "network": {"LeNet": {"train": {"lbfgs": {"iterations": 60}}}},
        }
    )
    generator = np.random.default_rng(42)
    trainings = [
        make_training(network, optimizer, seed, steps, generator)
        for network in networks
        for optimizer in ("sgd", "lbfgs")
        for seed in range(seeds)
    ]
    results = StudyResults(
        config=config,
        trainings=trainings,
        paths=[],
        missing=0,
        provenance={
            "versions": "lowroad 0.1.0, torch 2.13.0, numpy 2.4.6, python 3.11.2",
            "machine": "desk, Linux x86_64",
            "computed": "2026-11-01T10:00:00+00:00 to 2026-11-01T10:09:00+00:00",
        },
    )
    for network in networks:
        for weights in WEIGHT_SETS:
            kept = sorted(run.seed for run in results.kept(network, weights.partition("_")[0]))
            for landscape in ("train", "test"):
                results.paths.extend(
                    make_path(network, weights, landscape, pair, generator, plane=number == 0)
                    for number, pair in enumerate(list(combinations(kept, 2))[:pairs])
                )
    sharpness = [
        make_sharpness(network, weights, run.seed, generator)
        for network in networks
        for weights in WEIGHT_SETS
        for run in results.kept(network, weights.partition("_")[0])[:3]
    ]
    return replace(results, sharpness=tuple(sharpness))


def make_sharpness(
    network: str, weights: str, seed: int, generator: np.random.Generator
) -> SharpnessResult:
    """A minimum that is sharper where L-BFGS found it."""
    largest = (40.0 if weights.startswith("lbfgs") else 8.0) * generator.lognormal(0, 0.2)
    return SharpnessResult(
        network=network,
        weights=weights,
        seed=seed,
        eigenvalues=np.array([largest, largest / 2]),
        trace=6 * largest,
        trace_error=0.1 * largest,
        products=55,
        seconds=3.0,
    )


def make_training(
    network: str, optimizer: str, seed: int, steps: int, generator: np.random.Generator
) -> TrainingResult:
    """A run whose test loss turns round, except that of the autoencoder."""
    lowest, lowest_test = (number * generator.uniform(0.8, 1.3) for number in LOWEST[optimizer])
    progress = np.linspace(0, 1, steps + 1)
    train = 2.3 * (lowest / 2.3) ** progress * generator.uniform(0.95, 1.05, steps + 1)
    test = 2.3 * (lowest_test / 2.3) ** np.minimum(progress * 2, 1)
    if network != "Autoencoder":
        test *= 1 + (3 if optimizer == "lbfgs" else 0.4) * np.maximum(progress - 0.5, 0) * 2
    points = {
        side: generator.normal(
            generator.uniform(-2e-3, 2e-3), LENGTHS[f"{optimizer}_{side}"], DIMENSION
        ).astype(np.float32)
        for side in ("train", "test")
    }
    return TrainingResult(
        network=network,
        optimizer=optimizer,
        seed=seed,
        steps=np.arange(steps + 1),
        train_heights=train,
        test_heights=test,
        train_point=points["train"],
        test_point=points["test"],
        train_height=float(train.min()),
        test_height=float(test.min()),
        train_step=int(train.argmin()),
        test_step=int(test.argmin()),
        train_point_accuracy=np.nan if network == "Autoencoder" else 0.97 + 0.001 * seed,
        test_point_accuracy=np.nan if network == "Autoencoder" else 0.975 + 0.001 * seed,
        outcome="budget spent",
        heights_evaluated=6.0 * steps,
        gradients_evaluated=1.0 * steps,
        seconds=3.5,
    )


def make_path(
    network: str,
    weights: str,
    landscape: str,
    seeds: tuple[int, int],
    generator: np.random.Generator,
    plane: bool,
) -> PathResult:
    """A path with one hump, on request with a plane through a bowl's rim."""
    height = HEIGHTS[weights] * generator.lognormal(0, 0.15) * (1.2 if landscape == "test" else 1)
    t = np.linspace(0, 1, 51)
    return PathResult(
        network=network,
        weights=weights,
        landscape=landscape,
        seeds=seeds,
        t=t,
        profile=height * (0.2 + 0.8 * np.sin(np.pi * t) ** 2),
        height=height,
        straight_height=height * generator.uniform(8, 14),
        length=38.0,
        straight_length=12.0,
        history_steps=np.arange(101),
        history_totals=np.linspace(50, 5, 101),
        history_heights=np.geomspace(10 * height, height, 101),
        peak_point=np.zeros(DIMENSION, dtype=np.float32),
        outcome="budget spent",
        heights_evaluated=51.0,
        gradients_evaluated=5100.0,
        seconds=2.0,
        plane=make_plane(t, height) if plane and landscape == "train" else None,
    )


def make_plane(t: np.ndarray, height: float) -> PlaneResult:
    """Two wells at distance 12, and a path that bulges by 5 to its peak between them."""
    u, v = np.linspace(-3, 15, 11), np.linspace(-3, 8, 11)

    def heights(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return height * (0.2 + np.sin(np.pi * x / 12) ** 2 * (0.8 + 0.1 * (y - 5) ** 2))

    corners = np.array([[0.0, 0.0], [12.0, 0.0], [6.0, 5.0]])
    places = np.stack([12 * t, 5 * np.sin(np.pi * t)], axis=1)
    return PlaneResult(
        images=1000,
        u=u,
        v=v,
        heights=heights(u[None, :], v[:, None]),
        corners=corners,
        corner_heights=heights(*corners.T),
        places=places,
        distances=np.abs(np.sin(2 * np.pi * t)),
        below=heights(*places.T),
    )
