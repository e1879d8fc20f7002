"""The report's tables."""

from __future__ import annotations

import numpy as np

from lowroad.analysis.claims import PAPER_CLAIMS
from lowroad.plotting.barriers import median_course
from lowroad.plotting.style import scientific, three_figures
from lowroad.report import paper
from lowroad.report.summary import OTHER_GAMMA, Summary, other_gamma
from lowroad.report.views import Group, TableView
from lowroad.report.words import interval
from lowroad.study.results import WEIGHT_SET_LABELS, WEIGHT_SETS

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
    groups = []
    for network in summary.networks:
        table = summary.losses.sel(network=network.name)
        printed = paper.LOSSES.get(network.name, {})
        rows = []
        for name in ("lbfgs_train", "sgd_train", "lbfgs_test", "sgd_test"):
            cell = table.sel(weights=name)
            count = str(int(cell["n"]))
            if excluded := int(cell["not_finite"]):
                count += f" (+{excluded} not finite)"
            rows.append(
                [
                    WEIGHT_SET_LABELS[name],
                    scientific(float(cell["mean"])),
                    scientific(float(cell["deviation"])),
                    count,
                    scientific(printed.get(name, np.nan)),
                ]
            )
        groups.append(Group(_with_parameters(network.name, network.dimension), rows))
    return TableView(
        "Lowest loss of each kept run: mean and standard deviation over the n runs, and the "
        "paper’s mean over 48 runs. “Train” is the training loss, “test” the test loss.",
        ["Loss", "Mean", "Deviation", "n", "Paper"],
        groups,
    )


def accuracy_table(summary: Summary) -> TableView:
    """Test accuracy of the kept runs; the autoencoder has none."""
    groups = []
    for network in summary.networks:
        rows = []
        for name in ("lbfgs_train", "sgd_train", "lbfgs_test", "sgd_test"):
            values = network.accuracies(name)
            values = values[np.isfinite(values)]
            if not len(values):
                continue
            cell = summary.accuracies.sel(network=network.name, weights=name)
            numbers = (float(cell["mean"]), values.min(), values.max())
            deviation = float(cell["deviation"])
            rows.append(
                [
                    WEIGHT_SET_LABELS[name],
                    *(f"{number:.2%}" for number in numbers[:1]),
                    "–" if np.isnan(deviation) else f"{deviation:.2%}",
                    *(f"{number:.2%}" for number in numbers[1:]),
                    str(len(values)),
                ]
            )
        if rows:
            groups.append(Group(network.name, rows))
    return TableView(
        "Share of the test images that the n kept runs classify rightly, with the weights of the "
        "lowest training loss (“train”) and of the lowest test loss (“test”). The paper prints no "
        "accuracies; the autoencoder has none.",
        ["Weights", "Mean", "Deviation", "Min.", "Max.", "n"],
        groups,
    )


def _with_parameters(name: str, dimension: int | None) -> str:
    return name if dimension is None else f"{name}, D = {dimension:,}"


def weights_table(summary: Summary) -> TableView:
    """Table S1, with the paper's numbers beside."""
    groups = []
    for network in summary.networks:
        rows = []
        for name in WEIGHT_SETS:
            mean = deviation = np.nan
            if network.weights is not None and name in network.weights["set"]:
                cell = network.weights.sel(set=name)
                mean, deviation = float(cell["mean"]), float(cell["deviation"])
            printed = paper.WEIGHTS.get(network.name, {}).get(name)
            rows.append(
                [
                    WEIGHT_SET_LABELS[name],
                    scientific(mean),
                    scientific(printed.mean if printed else np.nan),
                    scientific(deviation),
                    scientific(printed.deviation if printed else np.nan),
                    str(network.vectors[name]),
                ]
            )
        groups.append(Group(network.name, rows))
    return TableView(
        "Mean μ and standard deviation σ of all components of the n vectors of a set, pooled "
        "(ddof = 0), beside the paper’s.",
        ["Weights", "μ", "paper", "σ", "paper", "n"],
        groups,
    )


def height_table(summary: Summary, landscape: str) -> TableView:
    """Path heights on a landscape in numbers."""
    groups = []
    for network in summary.networks:
        rows = []
        for name in WEIGHT_SETS:
            cell = network.height_table.sel(weights=name, landscape=landscape)
            count = str(int(cell["n"]))
            if excluded := int(cell["not_finite"]):
                count += f" (+{excluded} not finite)"
            numbers = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum")
            rows.append(
                [
                    WEIGHT_SET_LABELS[name],
                    count,
                    *(three_figures(float(cell[column])) for column in numbers),
                    three_figures(float(cell["straight_median"])),
                ]
            )
        groups.append(Group(network.name, rows))
    return TableView(
        "Path heights: number of paths, minimum, quartiles and maximum, and the median height of "
        "the straight lines between the same ends.",
        ["Weights", "n", "Min.", "25%", "50%", "75%", "Max.", "Line"],
        groups,
    )


def step_table(summary: Summary, landscape: str) -> TableView:
    """Median heights by steps, and the effect size between the optimizers, in numbers."""
    groups = []
    for network in summary.networks:
        rows = []
        for name in WEIGHT_SETS:
            course = network.courses[name, landscape]
            if not course.sizes["step"]:
                continue
            steps, median = course["step"].values, median_course(course)
            at = [int(np.searchsorted(steps, share * steps[-1])) for share in (0, 0.25, 0.5, 1)]
            rows.append(
                [
                    WEIGHT_SET_LABELS[name],
                    *(three_figures(float(median[k])) for k in at),
                    f"{1 - median[at[3]] / median[at[2]]:.1%}",
                ]
            )
        if rows:
            groups.append(Group(network.name, rows))
    return TableView(
        "Median over the paths of the lowest height so far: of the straight lines, by the first "
        "measured step after a quarter and after half of the steps, and at the end; and by how "
        "much the last half lowered it.",
        ["Weights", "Line", "25%", "50%", "End", "Fell"],
        groups,
    )


def tree_table(summary: Summary, landscape: str) -> TableView:
    """What the disconnectivity graphs hold, in numbers."""
    groups = []
    for network in summary.networks:
        rows = []
        for name in WEIGHT_SETS:
            tree = network.trees[name, landscape]
            if not tree.heights:
                continue
            levels = [merge.level for merge in tree.merges]
            heights = network.heights(name, landscape)
            rows.append(
                [
                    WEIGHT_SET_LABELS[name],
                    str(len(tree.heights)),
                    str(int(np.isfinite(heights).sum())),
                    str(len(tree.roots)),
                    three_figures(min(tree.heights)),
                    three_figures(min(levels, default=np.nan)),
                    three_figures(max(levels, default=np.nan)),
                ]
            )
        if rows:
            groups.append(Group(network.name, rows))
    return TableView(
        "The n minima that have a path, paths, and the parts that these hold together; the lowest "
        "minimum, and the first and the last level at which two parts join.",
        ["Weights", "n", "Paths", "Parts", "Min.", "First", "Last"],
        groups,
    )


def distance_table(summary: Summary, pair: tuple[str, str]) -> TableView:
    """Distances from the common origin in numbers."""
    groups = []
    for network in summary.networks:
        table = network.distances.get(pair)
        if table is None:
            continue
        rows = []
        for name in pair:
            values = table["distance"].values[table["set"].values == name]
            spread = float(table["spread"].sel(group=name))
            rows.append(
                [
                    WEIGHT_SET_LABELS[name],
                    str(len(values)),
                    three_figures(float(np.median(values))),
                    three_figures(float(values.min())),
                    three_figures(float(values.max())),
                    three_figures(spread),
                    three_figures(float(table["separation"])),
                ]
            )
        groups.append(Group(network.name, rows))
    return TableView(
        "Distance from the common origin; spread: root-mean-square distance of the vectors from "
        "their own centroid; apart: distance of the two centroids from each other.",
        ["Weights", "n", "Median", "Min.", "Max.", "Spread", "Apart"],
        groups,
    )


def area_table(summary: Summary, pair: tuple[str, str]) -> TableView:
    """Area under the ROC curve of both components for every kernel."""
    groups = []
    for network in summary.networks:
        rows = []
        for kernel, label in kernel_labels(summary).items():
            table = network.projections.get((*pair, kernel))
            if table is None:
                continue
            areas, shares = table["auc"].values, table["explained"].values
            rows.append(
                [
                    label,
                    scientific(float(table.attrs["gamma"])),
                    three_figures(float(areas[0])),
                    three_figures(float(areas[1])),
                    f"{shares[0]:.1%}",
                ]
            )
        if rows:
            groups.append(Group(network.name, rows))
    return TableView(
        "Area under the ROC curve (0.5: no separation, 1: perfect) of the first and the second "
        "component, and the first component’s share of the eigenvalues.",
        ["Kernel", "γ", "Area 1", "Area 2", "Share 1"],
        groups,
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
    groups = []
    for network in summary.networks:
        rows = []
        for name in WEIGHT_SETS:
            found = network.sharpness[name]
            if not found:
                continue
            largest = [float(each.eigenvalues[0]) for each in found]
            rows.append(
                [
                    WEIGHT_SET_LABELS[name],
                    str(len(found)),
                    three_figures(float(np.median(largest))),
                    three_figures(min(largest)),
                    three_figures(max(largest)),
                    three_figures(float(np.median([each.trace for each in found]))),
                    three_figures(float(np.median([each.trace_error for each in found]))),
                ]
            )
        if rows:
            groups.append(Group(network.name, rows))
    return TableView(
        "Largest eigenvalue λ₁ of the Hessian over the n minima, its median and range; medians of "
        "the traces and of their estimates’ standard errors.",
        ["Weights", "n", "λ₁", "Min.", "Max.", "Trace", "±"],
        groups,
    )


def seeds_table(summary: Summary) -> TableView:
    """Which runs were kept."""
    groups = []
    for network in summary.networks:
        rows = [
            [label, ", ".join(str(run.seed) for run in network.runs[optimizer]) or "–"]
            for optimizer, label in (("sgd", "SGD"), ("lbfgs", "L-BFGS-GSS"))
        ]
        groups.append(Group(network.name, rows))
    return TableView(
        "Seeds of the kept runs, lowest training loss first.", ["Optimizer", "Seeds"], groups
    )
