"""The figures of the page: their charts, captions, legends and tables."""

from __future__ import annotations

from collections import Counter

import numpy as np

from lowroad.analysis import rise_after_minimum
from lowroad.landscapes import TwoWells
from lowroad.plotting.style import LINE_COLORS, STRAIGHT_COLOR, shorter
from lowroad.report import charts as draw
from lowroad.report.summary import LANDSCAPES, NetworkSummary, Summary, other_gamma
from lowroad.report.tables import area_table, distance_table, height_table, kernel_labels
from lowroad.report.views import Charts, ChartView, FigureView, LegendEntry, weight_legend
from lowroad.report.words import (
    LANDSCAPE_NAMES,
    budget,
    counted,
    gamma_words,
    interval,
    listing,
    runs_behind,
)
from lowroad.study.results import WEIGHT_SET_LABELS, WEIGHT_SETS

__all__ = [
    "curve_figure",
    "distance_figure",
    "height_figure",
    "kernel_figure",
    "projection_figure",
    "surface_figure",
]

Pair = tuple[str, str]


def curve_figure(summary: Summary, charts: Charts) -> FigureView:
    """Figures 2 and S1."""
    views = []
    rises = []
    for network in summary.networks:
        everything = [*network.runs["sgd"], *network.runs["lbfgs"]]
        loss_range = draw.shared_loss_range(everything)
        for optimizer, label in (("sgd", "SGD"), ("lbfgs", "L-BFGS-GSS")):
            runs = network.runs[optimizer]
            chart = draw.curve_chart(optimizer, runs, loss_range) if loss_range else None
            lowest = [
                f"{WEIGHT_SET_LABELS[f'{optimizer}_{side}']} {shorter(_median(values))}"
                for side in LANDSCAPES
                if len(values := network.minima(f"{optimizer}_{side}"))
            ]
            text = (
                f"Loss curves of {len(runs)} {label} runs of {network.name}; median of the lowest "
                f"losses: {listing(lowest)}."
            )
            missing = "No finished run yet." if not runs else "No finite loss."
            views.append(charts.add(chart, f"{network.name}, {label}", text, missing))
        rise = _median([rise_after_minimum(run.test_heights) for run in network.runs["lbfgs"]])
        if np.isfinite(rise):
            rises.append(f"{shorter(rise)} in {network.name}")
    caption = [
        "Training loss (solid) and test loss (dashed) against epochs of SGD and iterations of "
        "L-BFGS-GSS; both optimizers of a network share the loss axis.",
        "Thin lines are all kept runs; the thick ones are the run whose lowest training loss is "
        "the median one, its two minima marked. At these minima the training and the test "
        "weights are taken.",
    ]
    if rises:
        caption.append(
            "At the end of L-BFGS-GSS the test loss is its minimum times "
            f"{listing(rises)} (median over runs)."
        )
    caption.append(f"Behind it: {runs_behind(summary)}.")
    if outcomes := summary.training_outcomes():
        caption.append(f"How the runs ended: {_counts(outcomes)}.")
    return FigureView(
        "figure-2", "Figures 2 and S1", "Training curves", caption, views,
        weight_legend(lines=True), ["figure-2-S1-curves"], layout="pairs",
    )  # fmt: skip


def surface_figure(summary: Summary, charts: Charts) -> FigureView:
    """Figure 3."""
    surface = summary.surface
    lines = [surface.straight, *surface.paths]
    heights = [f"{shorter(line.profile.max())} ({line.label})" for line in lines]
    lengths = [
        shorter(float(np.linalg.norm(np.diff(line.points, axis=0), axis=1).sum())) for line in lines
    ]
    hurries = []
    for path in surface.paths:
        steps = np.linalg.norm(np.diff(path.points, axis=0), axis=1)
        hurries.append(f"{shorter(float(steps.max() / steps.mean()))} ({path.label})")
    text = f"Largest heights: {listing(heights)}."
    views = [
        charts.add(draw.surface_chart(surface), "(a) The surface and the paths on it", text, ""),
        charts.add(draw.surface_profile_chart(surface), "(b) Height along each path", text, ""),
    ]
    styles = zip(
        [STRAIGHT_COLOR, *LINE_COLORS],
        ["", *draw.SURFACE_SYMBOLS],
        ["dot", *draw.SURFACE_DASHES],
        strict=True,
    )
    legend = [LegendEntry(line.label, *style) for line, style in zip(lines, styles, strict=False)]
    caption = [
        "The paper’s two-dimensional surface with two wells and two hills, the straight line "
        "between its ends, and FourierPathFinder’s paths for three strengths λ of the smoothness "
        "penalty. Marks are points of a path. Where it hurries they lie far apart: the longest "
        f"step between neighbours of its 101 points is {listing(hurries)} times the mean.",
        f"The largest heights are {listing(heights)}; the lowest pass of the surface is at "
        f"{shorter(TwoWells.lowest_height)}. The lengths, in the same order, are "
        f"{listing(lengths)}.",
        "Each path: 15 sine terms, 101 points, 300 Adam steps of rate 0.01 with standard normal "
        "noise on the gradient; of all steps the path with the lowest total loss is kept.",
    ]
    return FigureView(
        "figure-3", "Figure 3", "FourierPathFinder on a surface", caption, views, legend,
        ["figure-3a-surface", "figure-3b-profiles"], layout="pairs",
    )  # fmt: skip


def height_figure(summary: Summary, charts: Charts, landscape: str) -> FigureView:
    """Figure 4 (training landscape) and Figure S2 (test landscape)."""
    number = {"train": "4", "test": "S2"}[landscape]
    views = []
    for network in summary.networks:
        heights = {str(name): network.heights(name, landscape) for name in WEIGHT_SETS}
        straight = {str(name): network.straight_heights(name, landscape) for name in WEIGHT_SETS}
        medians = [
            f"{WEIGHT_SET_LABELS[name]} {shorter(_median(values))} (n = {len(values)})"
            for name, values in heights.items()
            if len(values)
        ]
        views.append(
            charts.add(
                draw.height_chart(heights, straight),
                network.name,
                f"Median path heights in {network.name}: {listing(medians)}.",
                "No path yet.",
            )
        )
    outcomes = summary.outcomes(landscape)
    level = {
        n.name: int(n.height_table["at_an_end"].sel(landscape=landscape).sum())
        for n in summary.networks
    }
    ends = [f"{counted(number, 'path')} in {name}" for name, number in level.items() if number]
    caption = [
        "Path height, the largest loss on a path between two solutions of the same set, on the "
        f"{LANDSCAPE_NAMES[landscape]} landscape. Each mark is one path, the bar the median; a "
        "histogram stands above the marks where there are eight or more. The hollow triangle is "
        "the median height of the straight lines between the same ends.",
        f"Each path had this budget: {budget(summary)}. A height is an upper bound on the lowest "
        "pass and belongs to its budget: it falls as long as one goes on optimizing.",
        f"Behind it: {runs_behind(summary, landscape)}. Paths that share a run are not "
        "independent.",
    ]
    if ends:
        caption.append(
            "A path that is nowhere higher than at one of its ends has that solution’s own loss as "
            f"its height, and no barrier: {listing(ends)}."
        )
    if outcomes:
        caption.append(f"How the searches ended: {_counts(outcomes)}.")
    return FigureView(
        f"figure-{number}", f"Figure {number}",
        f"Path heights on the {LANDSCAPE_NAMES[landscape]} landscape", caption, views,
        [*weight_legend(), LegendEntry("straight lines, median", "ink", "triangle-down-open"),
         LegendEntry("median", "ink", "bar")],
        [f"figure-{number}-heights-{landscape}"], height_table(summary, landscape),
    )  # fmt: skip


def distance_figure(summary: Summary, charts: Charts, pair: Pair, number: str) -> FigureView:
    """Figures 5 and S3."""
    views, separations = [], []
    for network in summary.networks:
        table = network.distances.get(pair)
        text = ""
        if table is not None:
            medians = [
                f"{WEIGHT_SET_LABELS[name]} {shorter(_median(values))}"
                for name in pair
                if len(values := table["distance"].values[table["set"].values == name])
            ]
            text = f"Median distances in {network.name}: {listing(medians)}."
            middle, error = float(table["relative"]), float(table["relative_error"])
            if np.isfinite(middle):
                ends = np.sqrt(np.maximum([middle - 1.96 * error, middle + 1.96 * error], 0))
                ratio = float(np.sqrt(max(middle, 0.0)))
                separations.append(f"{interval(ratio, *map(float, ends))} in {network.name}")
        chart = None if table is None else draw.distance_chart(table)
        views.append(charts.add(chart, network.name, text, "No vectors of both sets yet."))
    first, second = (WEIGHT_SET_LABELS[name] for name in pair)
    caption = [
        f"Distance of every {first} and {second} vector from the common origin, the mean of the "
        "two sets’ centroids. Each mark is one vector, the bar the median; a histogram stands "
        "above the marks where there are eight or more. The dotted line is the centroids’ "
        "distance from the origin, the same for both.",
        "A centroid of n vectors keeps 1/n of their variance as noise, so with few runs the dotted "
        "line lies far out even if the sets share one centre.",
    ]
    if separations:
        caption.append(
            "Corrected for that, the centroids’ separation relative to the spread of the vectors "
            f"is {listing(separations)} (95% jackknife intervals). Runs of both optimizers with "
            "one seed began at the same weights; such pairs are left out of it."
        )
    caption.append(f"Behind it: {runs_behind(summary)}.")
    return FigureView(
        f"figure-{number}", f"Figure {number}", f"Distances of {first} and {second} vectors",
        caption, views, [*weight_legend(pair), LegendEntry("median", "ink", "bar"),
        LegendEntry("centroids", "ink", "", "dot")],
        [f"figure-{number}-distances"], distance_table(summary, pair),
    )  # fmt: skip


def projection_figure(summary: Summary, charts: Charts, pair: Pair, number: str) -> FigureView:
    """Figures 6 and S4: the RBF kernel."""
    views = []
    for network in summary.networks:
        table = network.projections.get((*pair, "rbf"))
        chart, text, title = None, "", network.name
        if table is not None:
            chart = draw.projection_chart(table)
            area = shorter(float(table["auc"].values[0]))
            title = f"{network.name}, area {area}"
            text = f"Area under the ROC curve of the first component in {network.name}: {area}."
        views.append(charts.add(chart, title, text, "Fewer than three vectors yet."))
    first, second = (WEIGHT_SET_LABELS[name] for name in pair)
    caption = [
        f"First two components of kernel PCA of the joined {first} and {second} vectors with the "
        f"RBF kernel exp(−γ|x − y|²), {gamma_words(summary, pair)}. In parentheses, a component’s "
        "share of the eigenvalues.",
        "“Area” is that under the ROC curve of the first component: 0.5 where it does not "
        "tell the two sets apart, 1 where it separates them perfectly. With few runs high areas "
        "come by chance too.",
        f"Behind it: {runs_behind(summary)}.",
    ]
    return FigureView(
        f"figure-{number}", f"Figure {number}", f"Kernel PCA of {first} and {second} vectors",
        caption, views, weight_legend(pair), [f"figure-{number}-kernel-pca"],
        area_table(summary, pair),
    )  # fmt: skip


def kernel_figure(summary: Summary, charts: Charts, pair: Pair, number: str) -> FigureView:
    """The same with the other kernels."""
    labels = kernel_labels(summary)
    del labels["rbf"]
    views = [_kernel_panels(network, charts, pair, labels) for network in summary.networks]
    other = other_gamma(summary.results.config.analysis.gamma)
    rule = "γ by the median rule" if other == "median" else "γ = 1/D"
    first, second = (WEIGHT_SET_LABELS[name] for name in pair)
    return FigureView(
        f"figure-{number}-kernels", f"Beside Figure {number}",
        f"{first} and {second} vectors with other kernels",
        [
            f"As Figure {number}, with the RBF kernel and {rule}, the polynomial kernel "
            "(γ x·y + 1)³, the sigmoid kernel tanh(γ x·y + 1) (both with the γ of "
            f"Figure {number}) and the linear kernel, which is ordinary PCA."
        ],
        views, weight_legend(pair), [f"figure-{number}-kernels"],
    )  # fmt: skip


def _kernel_panels(
    network: NetworkSummary, charts: Charts, pair: Pair, labels: dict[str, str]
) -> ChartView:
    tables = {
        label: network.projections[*pair, kernel]
        for kernel, label in labels.items()
        if (*pair, kernel) in network.projections
    }
    areas = [f"{name} {shorter(float(t['auc'].values[0]))}" for name, t in tables.items()]
    return charts.add(
        draw.kernels_chart(tables) if tables else None,
        network.name,
        f"Areas under the ROC curve of the first component in {network.name}: {listing(areas)}.",
        "Fewer than three vectors yet.",
    )


def _counts(outcomes: Counter[str]) -> str:
    return "; ".join(f"{count:,} × {outcome}" for outcome, count in outcomes.most_common())


def _median(values: object) -> float:
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    return float(np.median(finite)) if len(finite) else float("nan")
