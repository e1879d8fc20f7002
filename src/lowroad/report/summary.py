"""From a study's results to all numbers that the report and its figures show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from lowroad.analysis import (
    KERNELS,
    ClaimResult,
    Comparison,
    Measurements,
    MergeTree,
    centroid_distances,
    compare,
    heights_by_step,
    judge_claims,
    kernel_pca,
    loss_table,
    merge_tree,
    path_heights,
    rise_after_minimum,
    weight_statistics,
)
from lowroad.landscapes import TwoWells
from lowroad.paths import FoundPath, FourierPathFinder, StraightLine
from lowroad.plotting import SurfacePath, SurfacePaths
from lowroad.report.paper import PAIRS
from lowroad.study.results import (
    WEIGHT_SETS,
    PathResult,
    SharpnessResult,
    StudyResults,
    TrainingResult,
)

__all__ = [
    "LANDSCAPES",
    "OTHER_GAMMA",
    "SMOOTHNESS",
    "NetworkSummary",
    "Summary",
    "other_gamma",
    "paths_on_two_wells",
    "summarize",
]

LANDSCAPES = ("train", "test")
OTHER_GAMMA = "rbf, other gamma"
"""Key of the RBF projection with the rule for gamma that the study does not use."""

SMOOTHNESS = (3.5, 35.0, 350.0)
"""Values of λ on the two-dimensional surface: the paper's 35, a tenth and ten times that."""

Pair = tuple[str, str]
Place = tuple[str, str]


@dataclass(frozen=True)
class NetworkSummary:
    """What the report shows of one network.

    Attributes:
        name: The network's name.
        runs: Kept runs by optimizer ("sgd", "lbfgs"), lowest training loss first.
        trained: How many runs of each optimizer are stored.
        vectors: How many finite weight vectors each set holds.
        dimension: Length of the vectors; None where there is none.
        weights: `weight_statistics` of the sets that are not empty; None where all are.
        paths: Paths by (weight set, landscape).
        distances: `centroid_distances` of `PAIRS`, as far as both sets hold vectors.
        projections: `kernel_pca` of `PAIRS` by the two sets and a kernel or `OTHER_GAMMA`, as far
            as there are three vectors, with both sets among them.
        sharpness: What is measured of it, by weight set, lowest training loss first.
        sharper: Comparisons of the largest eigenvalues of BFGS with those of SGD, by "train" and
            "test" weights, as far as both are measured.
    """

    name: str
    runs: dict[str, list[TrainingResult]]
    trained: dict[str, int]
    vectors: dict[str, int]
    dimension: int | None
    weights: xr.Dataset | None
    paths: dict[Place, list[PathResult]]
    distances: dict[Pair, xr.Dataset]
    projections: dict[tuple[str, str, str], xr.Dataset]
    sharpness: dict[str, list[SharpnessResult]]
    sharper: dict[str, Comparison]

    def minima(self, weight_set: str) -> NDArray[np.float64]:
        """Lowest losses [n] of the kept runs of a weight set, on the set's own landscape."""
        optimizer, _, side = weight_set.partition("_")
        return np.array([getattr(run, f"{side}_height") for run in self.runs[optimizer]])

    def heights(self, weight_set: str, landscape: str) -> NDArray[np.float64]:
        """Path heights [n]."""
        return np.array([path.height for path in self.paths[weight_set, landscape]])

    def straight_heights(self, weight_set: str, landscape: str) -> NDArray[np.float64]:
        """Heights [n] of the straight lines between the same ends."""
        return np.array([path.straight_height for path in self.paths[weight_set, landscape]])

    @cached_property
    def height_table(self) -> xr.Dataset:
        """`path_heights` of all weight sets on both landscapes."""
        places = list(self.paths)
        return path_heights(
            {place: self.heights(*place) for place in places},
            {place: self.straight_heights(*place) for place in places},
            {place: [path.barrier for path in self.paths[place]] for place in places},
        )

    @cached_property
    def courses(self) -> dict[Place, xr.Dataset]:
        """`heights_by_step` of the paths, by weight set and landscape."""
        return {
            place: heights_by_step([(path.history_steps, path.history_heights) for path in paths])
            for place, paths in self.paths.items()
        }

    @cached_property
    def trees(self) -> dict[Place, MergeTree]:
        """`merge_tree` of the minima that have a path, by weight set and landscape.

        A minimum's height on the landscape is that of its paths' ends.
        """
        return {place: _tree(paths) for place, paths in self.paths.items()}

    def accuracies(self, weight_set: str) -> NDArray[np.float64]:
        """Shares of the test images [n] that the kept runs of a weight set classify rightly."""
        optimizer, _, side = weight_set.partition("_")
        return np.array([getattr(run, f"{side}_point_accuracy") for run in self.runs[optimizer]])

    def measurements(self) -> Measurements:
        """What the claims are judged on."""
        return Measurements(
            minima={name: self.minima(name) for name in WEIGHT_SETS},
            rises=[rise_after_minimum(run.test_heights) for run in self.runs["lbfgs"]],
            heights={place: self.heights(*place) for place in self.paths},
            pairs={
                place: np.array([path.seeds for path in paths]).reshape(-1, 2)
                for place, paths in self.paths.items()
            },
            courses=self.courses,
            distances=self.distances,
            projections=self.projections,
            unchanged=[
                optimizer
                for optimizer, runs in self.runs.items()
                if runs and all(np.array_equal(run.train_point, run.test_point) for run in runs)
            ],
        )


@dataclass(frozen=True)
class Summary:
    """What the report shows.

    Attributes:
        results: The study's results.
        networks: Summaries in the study's order.
        losses: Table 1.
        accuracies: The same of the test accuracies.
        claims: The paper's claims and ours, judged.
        surface: Figure 3's surface and paths.
    """

    results: StudyResults
    networks: tuple[NetworkSummary, ...]
    losses: xr.Dataset
    accuracies: xr.Dataset
    claims: tuple[ClaimResult, ...]
    surface: SurfacePaths

    def training_outcomes(self) -> Counter[str]:
        """How the kept training runs ended."""
        return Counter(
            run.outcome
            for network in self.networks
            for runs in network.runs.values()
            for run in runs
        )

    def outcomes(self, landscape: str) -> Counter[str]:
        """How the searches for paths on a landscape ended."""
        return Counter(
            path.outcome
            for network in self.networks
            for place, paths in network.paths.items()
            if place[1] == landscape
            for path in paths
        )


def summarize(results: StudyResults) -> Summary:
    """Compute everything that the report shows; chance comes from the study's seed alone."""
    networks = tuple(_summarize_network(results, name) for name in results.networks)
    claims = judge_claims(
        {network.name: network.measurements() for network in networks},
        np.random.default_rng(results.config.seed),
    )
    losses, accuracies = (
        loss_table({each.name: {name: of(each, name) for name in WEIGHT_SETS} for each in networks})
        for of in (NetworkSummary.minima, NetworkSummary.accuracies)
    )
    surface = paths_on_two_wells(results.config.seed)
    return Summary(results, networks, losses, accuracies, claims, surface)


def _tree(paths: list[PathResult]) -> MergeTree:
    heights: dict[int, float] = {}
    known = [path for path in paths if np.isfinite(path.profile[[0, -1]]).all()]
    for path in known:
        for seed, height in zip(path.seeds, path.profile[[0, -1]].tolist(), strict=True):
            heights[seed] = min(height, heights.get(seed, np.inf))  # alike but for rounding
    seeds = sorted(heights)
    return merge_tree(
        [heights[seed] for seed in seeds],
        np.array([[seeds.index(seed) for seed in path.seeds] for path in known], dtype=np.int64)
        .reshape(-1, 2),
        [path.height for path in known],
    )  # fmt: skip


def _summarize_network(results: StudyResults, name: str) -> NetworkSummary:
    runs = {optimizer: results.kept(name, optimizer) for optimizer in ("sgd", "lbfgs")}
    sets: dict[str, NDArray[np.float32]] = {}
    seeds: dict[str, NDArray[np.int64]] = {}
    for weight_set in WEIGHT_SETS:
        vectors = results.vectors(name, weight_set)
        # A run that diverged can be among the kept ones when there are few.
        finite = np.isfinite(vectors).all(axis=1)
        sets[weight_set] = vectors[finite]
        own = [run.seed for run in runs[weight_set.partition("_")[0]]]
        seeds[weight_set] = np.array(own, dtype=np.int64)[finite]
    filled = {weight_set: vectors for weight_set, vectors in sets.items() if len(vectors)}
    distances, projections = {}, {}
    gamma = results.config.analysis.gamma
    sharpness = _sharpness(results, name, runs)
    for pair in PAIRS:
        two = {weight_set: sets[weight_set] for weight_set in pair}
        sizes = [len(vectors) for vectors in two.values()]
        if min(sizes) == 0:
            continue
        starts = seeds[pair[0]], seeds[pair[1]]  # one seed gives both optimizers one start
        distances[pair] = centroid_distances(sets[pair[0]], sets[pair[1]], pair, starts)
        if sum(sizes) < 3:
            continue
        for kernel in KERNELS:
            projections[*pair, kernel] = kernel_pca(two, kernel, gamma)
        projections[*pair, OTHER_GAMMA] = kernel_pca(two, "rbf", other_gamma(gamma))
    return NetworkSummary(
        name=name,
        runs=runs,
        trained=_count_trained(results, name),
        vectors={weight_set: len(vectors) for weight_set, vectors in sets.items()},
        dimension=next((vectors.shape[1] for vectors in filled.values()), None),
        weights=weight_statistics(filled) if filled else None,
        paths={
            (weight_set, landscape): results.path_results(name, weight_set, landscape)
            for landscape in LANDSCAPES
            for weight_set in WEIGHT_SETS
        },
        distances=distances,
        projections=projections,
        sharpness=sharpness,
        sharper=_compared(sharpness, np.random.default_rng(results.config.seed)),
    )


def _sharpness(
    results: StudyResults, name: str, runs: dict[str, list[TrainingResult]]
) -> dict[str, list[SharpnessResult]]:
    found = {(each.weights, each.seed): each for each in results.sharpness if each.network == name}
    return {
        weights: [
            found[weights, run.seed]
            for run in runs[weights.partition("_")[0]]
            if (weights, run.seed) in found
        ]
        for weights in WEIGHT_SETS
    }


def _compared(
    sharpness: dict[str, list[SharpnessResult]], generator: np.random.Generator
) -> dict[str, Comparison]:
    comparisons = {}
    for kind in LANDSCAPES:
        bfgs, sgd = (
            [float(each.eigenvalues[0]) for each in sharpness[f"{optimizer}_{kind}"]]
            for optimizer in ("lbfgs", "sgd")
        )
        if bfgs and sgd:
            comparisons[kind] = compare(bfgs, sgd, generator=generator)
    return comparisons


def other_gamma(gamma: str | float) -> str:
    """The rule for gamma that is shown for comparison beside the study's own.

    >>> other_gamma("1/D"), other_gamma("median"), other_gamma(0.1)
    ('median', '1/D', '1/D')
    """
    return "median" if gamma == "1/D" else "1/D"


def _count_trained(results: StudyResults, name: str) -> dict[str, int]:
    counts = Counter(run.optimizer for run in results.trainings if run.network == name)
    return {optimizer: counts[optimizer] for optimizer in ("sgd", "lbfgs")}


def paths_on_two_wells(seed: int) -> SurfacePaths:
    """The straight line and a path for each of `SMOOTHNESS` over the surface of Figure 3.

    As in the authors' program: 15 terms, 101 points, 300 Adam steps of rate 0.01, standard normal
    noise on the gradient.

    Source: Yu & Morozov 2026, Fig. 3.
    """
    surface = TwoWells()
    x = np.linspace(surface.window[0], surface.window[1], 121)
    y = np.linspace(surface.window[2], surface.window[3], 111)
    columns, rows = np.meshgrid(x, y)
    grid = torch.from_numpy(np.stack([columns.ravel(), rows.ravel()], axis=1))
    heights = surface.values(grid).numpy().reshape(columns.shape)

    paths = []
    for smoothness in SMOOTHNESS:
        finder = FourierPathFinder(
            terms=15,
            points=101,
            smoothness=smoothness,
            steps=300,
            learning_rate=0.01,
            noise=1.0,
        )
        generator = torch.Generator().manual_seed(seed)
        found = finder.find(surface, *surface.ends, generator=generator)
        paths.append(_surface_path(f"λ = {smoothness:g}", found))
    line = StraightLine(points=101).find(surface, *surface.ends)
    return SurfacePaths(x, y, heights, _surface_path("straight line", line), tuple(paths))


def _surface_path(label: str, found: FoundPath) -> SurfacePath:
    points = found.path(torch.from_numpy(found.t)).numpy()
    return SurfacePath(label, points, found.t, found.profile)
