"""The report's tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from lowroad.analysis.claims import PAPER_CLAIMS
from lowroad.analysis.heights import lowest_within
from lowroad.plotting.style import scientific, three_figures
from lowroad.report import paper
from lowroad.report.summary import OTHER_GAMMA, NetworkSummary, Summary, other_gamma
from lowroad.report.views import Group, TableView
from lowroad.report.words import interval, listing
from lowroad.study.results import WEIGHT_SET_LABELS

__all__ = [
    "accuracy_table",
    "area_table",
    "distance_table",
    "evidence_table",
    "height_table",
    "kernel_labels",
    "losses_table",
    "seeds_table",
    "sharpness_table",
    "step_table",
    "tree_table",
    "weights_table",
]


BY_LOSS = {
    name: WEIGHT_SET_LABELS[name] for name in ("lbfgs_train", "sgd_train", "lbfgs_test", "sgd_test")
}
"""The weight sets in the order of Table 1."""


def kernel_labels(summary: Summary) -> dict[str, str]:
    """Names of the projections' kernels for people, the study's own RBF kernel first."""
    other = other_gamma(summary.results.config.analysis.gamma)
    return {
        "rbf": "RBF",
        OTHER_GAMMA: "RBF, median γ" if other == "median" else "RBF, γ = 1/D",
        "polynomial": "polynomial",
        "sigmoid": "sigmoid",
        "linear": "linear (PCA)",
    }


def losses_table(summary: Summary) -> TableView:
    """Table 1, with the paper's means beside."""

    def cells(network: NetworkSummary, name: str) -> list[str]:
        cell = summary.losses.sel(network=network.name, weights=name)
        printed = paper.LOSSES.get(network.name, {})
        return [
            scientific(float(cell["mean"])),
            scientific(float(cell["standard_deviation"])),
            _count(cell),
            scientific(printed.get(name, np.nan)),
        ]

    groups = _groups(summary, cells, BY_LOSS, with_parameters=True)
    return TableView(
        "Lowest loss of each kept run: mean and standard deviation over the n runs, and the "
        "paper’s mean over 48 runs. “Train” is the training loss, “test” the test loss.",
        ["Loss", "Mean", "Deviation", "n", "Paper"],
        groups,
    )


def accuracy_table(summary: Summary) -> TableView:
    """Test accuracy of the kept runs; the autoencoder has none."""

    def cells(network: NetworkSummary, name: str) -> list[str] | None:
        values = network.accuracies(name)
        values = values[np.isfinite(values)]
        if not len(values):
            return None
        cell = summary.accuracies.sel(network=network.name, weights=name)
        deviation = float(cell["standard_deviation"])
        return [
            f"{float(cell['mean']):.2%}",
            "–" if np.isnan(deviation) else f"{deviation:.2%}",
            f"{values.min():.2%}",
            f"{values.max():.2%}",
            str(len(values)),
        ]

    return TableView(
        "Share of the test images that the n kept runs classify rightly, with the weights of the "
        "lowest training loss (“train”) and of the lowest test loss (“test”). The paper prints no "
        "accuracies; the autoencoder has none.",
        ["Weights", "Mean", "Deviation", "Min.", "Max.", "n"],
        _groups(summary, cells, BY_LOSS),
    )


def weights_table(summary: Summary) -> TableView:
    """Table S1, with the paper's numbers beside."""

    def cells(network: NetworkSummary, name: str) -> list[str]:
        mean = deviation = np.nan
        if network.weights is not None and name in network.weights["set"]:
            cell = network.weights.sel(set=name)
            mean, deviation = float(cell["mean"]), float(cell["standard_deviation"])
        printed = paper.WEIGHTS.get(network.name, {}).get(name)
        return [
            scientific(mean),
            scientific(printed.mean if printed else np.nan),
            scientific(deviation),
            scientific(printed.deviation if printed else np.nan),
            str(network.vectors[name]),
        ]

    return TableView(
        "Mean μ and standard deviation σ of all components of the n vectors of a set, pooled "
        "(ddof = 0), beside the paper’s.",
        ["Weights", "μ", "paper", "σ", "paper", "n"],
        _groups(summary, cells),
    )


def height_table(summary: Summary, landscape: str) -> TableView:
    """Path heights on a landscape in numbers."""

    def cells(network: NetworkSummary, name: str) -> list[str]:
        cell = network.height_table.sel(weights=name, landscape=landscape)
        numbers = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum")
        return [
            _count(cell),
            *(three_figures(float(cell[column])) for column in (*numbers, "straight_median")),
        ]

    return TableView(
        "Path heights: number of paths, minimum, quartiles and maximum, and the median height of "
        "the straight lines between the same ends.",
        ["Weights", "n", "Min.", "25%", "50%", "75%", "Max.", "Line"],
        _groups(summary, cells),
    )


def step_table(summary: Summary, landscape: str) -> TableView:
    """Median heights by steps, in numbers."""

    def cells(network: NetworkSummary, name: str) -> list[str] | None:
        course = network.courses[name, landscape]
        if not course.sizes["step"]:
            return None
        medians = []
        for share in (0.0, 0.25, 0.5, 1.0):
            lowest = lowest_within(course, share)
            known = lowest[np.isfinite(lowest)]
            medians.append(float(np.median(known)) if len(known) else np.nan)
        cell = network.height_table.sel(weights=name, landscape=landscape)
        return [
            *map(three_figures, medians),
            three_figures(float(cell["barrier_median"])),
            str(int(cell["at_an_end"])),
        ]

    return TableView(
        "Median over the paths of the lowest height so far: of the straight lines, by the last "
        "measured step within a quarter and within half of the steps (– where there is none), and "
        "at the end. Barrier: median rise of the paths found above their higher ends; level: how "
        "many rise nowhere above it.",
        ["Weights", "Line", "25%", "50%", "End", "Barrier", "Level"],
        _groups(summary, cells),
    )


def tree_table(summary: Summary, landscape: str) -> TableView:
    """What the disconnectivity graphs hold, in numbers."""

    def cells(network: NetworkSummary, name: str) -> list[str] | None:
        tree = network.trees[name, landscape]
        if not tree.heights:
            return None
        levels = [merge.level for merge in tree.merges]
        return [
            str(len(tree.heights)),
            str(int(np.isfinite(network.heights(name, landscape)).sum())),
            str(len(tree.roots)),
            three_figures(min(tree.heights)),
            three_figures(min(levels, default=np.nan)),
            three_figures(max(levels, default=np.nan)),
        ]

    return TableView(
        "The n minima that have a path, paths, and the parts that these hold together; the lowest "
        "minimum, and the first and the last level at which two parts join.",
        ["Weights", "n", "Paths", "Parts", "Min.", "First", "Last"],
        _groups(summary, cells),
    )


def distance_table(summary: Summary, pair: tuple[str, str]) -> TableView:
    """Distances from the common origin in numbers."""

    def cells(network: NetworkSummary, name: str) -> list[str] | None:
        table = network.distances.get(pair)
        if table is None:
            return None
        values = table["distance"].values[table["set"].values == name]
        numbers = (
            float(np.median(values)),
            float(values.min()),
            float(values.max()),
            float(table["spread"].sel(group=name)),
            float(table["separation"]),
        )
        return [str(len(values)), *map(three_figures, numbers)]

    labels = {name: WEIGHT_SET_LABELS[name] for name in pair}
    ratios = {
        network.name: float(table["same_start"] / table["other_start"])
        for network in summary.networks
        if (table := network.distances.get(pair)) is not None
    }
    shares = [f"{three_figures(r)} in {name}" for name, r in ratios.items() if np.isfinite(r)]
    starts = (
        " The root-mean-square distance of vectors of the two sets that began at the same weights, "
        f"relative to that of others, is {listing(shares)}."
    )
    return TableView(
        "Distance from the common origin; spread: root-mean-square distance of the vectors from "
        "their own centroid; apart: distance of the two centroids from each other."
        + (starts if shares else ""),
        ["Weights", "n", "Median", "Min.", "Max.", "Spread", "Apart"],
        _groups(summary, cells, labels),
    )


def area_table(summary: Summary, pair: tuple[str, str]) -> TableView:
    """Area under the ROC curve of both components for every kernel."""

    def cells(network: NetworkSummary, kernel: str) -> list[str] | None:
        table = network.projections.get((*pair, kernel))
        if table is None:
            return None
        areas, shares = table["auc"].values, table["explained"].values
        return [
            scientific(float(table.attrs["gamma"])),
            three_figures(float(areas[0])),
            three_figures(float(areas[1])),
            f"{shares[0]:.1%}",
        ]

    return TableView(
        "Area under the ROC curve (0.5: no separation, 1: perfect) of the first and the second "
        "component, and the first component’s share of the eigenvalues.",
        ["Kernel", "γ", "Area 1", "Area 2", "Share 1"],
        _groups(summary, cells, kernel_labels(summary)),
    )


def evidence_table(summary: Summary, number: int) -> TableView:
    """The comparisons behind a claim."""
    claim = summary.claims[number - 1]
    says = "Paper says" if number <= PAPER_CLAIMS else "Claimed"
    rows = []
    for item in claim.evidence:
        found = item.interval
        rows.append(
            [
                item.network,
                item.question,
                f"{item.statistic} {interval(found.estimate, found.low, found.high)}",
                three_figures(item.p_value),
                " + ".join(map(str, item.sizes)),
                "yes" if item.expected else "no",
                item.verdict.value,
            ]
        )
    return TableView(
        f"Judged by: {claim.rule}. In brackets the 95% interval; p of the rank test, not "
        "corrected for the number of comparisons.",
        ["Network", "Comparison", "Measured", "p", "n", says, "Verdict"],
        [Group("", rows)],
    )


def sharpness_table(summary: Summary) -> TableView:
    """Curvature at the kept minima in numbers."""

    def cells(network: NetworkSummary, name: str) -> list[str] | None:
        found = network.sharpness[name]
        if not found:
            return None
        largest = [float(each.eigenvalues[0]) for each in found]
        numbers = (
            float(np.median(largest)),
            min(largest),
            max(largest),
            float(np.median([each.trace for each in found])),
            float(np.median([each.trace_error for each in found])),
        )
        return [str(len(found)), *map(three_figures, numbers)]

    return TableView(
        "Largest eigenvalue λ₁ of the Hessian over the n minima, its median and range; medians of "
        "the traces and of their estimates’ standard errors.",
        ["Weights", "n", "λ₁", "Min.", "Max.", "Trace", "±"],
        _groups(summary, cells),
    )


def seeds_table(summary: Summary) -> TableView:
    """Which runs were kept."""

    def cells(network: NetworkSummary, optimizer: str) -> list[str]:
        return [", ".join(str(run.seed) for run in network.runs[optimizer]) or "–"]

    return TableView(
        "Seeds of the kept runs, lowest training loss first.",
        ["Optimizer", "Seeds"],
        _groups(summary, cells, {"sgd": "SGD", "lbfgs": "L-BFGS-GSS"}),
    )


def _groups(
    summary: Summary,
    cells: Callable[[NetworkSummary, str], list[str] | None],
    labels: Mapping[str, str] = WEIGHT_SET_LABELS,
    with_parameters: bool = False,
) -> list[Group]:
    """Return each network that has rows: a label and its cells, where there are some."""
    groups = []
    for network in summary.networks:
        rows = [
            [label, *row]
            for name, label in labels.items()
            if (row := cells(network, name)) is not None
        ]
        title = network.name
        if with_parameters and network.dimension is not None:
            title += f", D = {network.dimension:,}"
        if rows:
            groups.append(Group(title, rows))
    return groups


def _count(cell: xr.Dataset) -> str:
    excluded = int(cell["not_finite"])
    return str(int(cell["n"])) + (f" (+{excluded} not finite)" if excluded else "")
