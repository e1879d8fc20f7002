"""Kernel PCA of solutions: all sets together, and pairs of sets with several kernels."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure as PrintFigure

from lowroad.plotting import kernel_projections
from lowroad.plotting.style import shorter
from lowroad.report.charts import kernels_chart, projection_chart
from lowroad.report.figures.distances import joined_table, pair_label
from lowroad.report.figures.figure import Figure
from lowroad.report.tables import kernel_table
from lowroad.report.text import listing, runs_behind
from lowroad.report.view import OTHER_GAMMA, Pair, View, other_gamma
from lowroad.report.views import Charts, ChartView, FigureView
from lowroad.study.labels import WeightSet


def kernel_labels(view: View) -> dict[str, str]:
    """Names of the projections' kernels for people, the study's own RBF kernel first."""
    other = other_gamma(view.results.config.analysis.gamma)
    return {
        "rbf": "RBF",
        OTHER_GAMMA: "RBF, median γ" if other == "median" else "RBF, γ = 1/D",
        "polynomial": "polynomial",
        "sigmoid": "sigmoid",
        "linear": "linear (PCA)",
    }


def build(view: View, charts: Charts) -> list[FigureView]:
    """All sets of a selection together where there are more than two; then a choice of pairs."""
    figures = [_together(view, charts), _detail(view, charts)]
    return [figure for figure in figures if figure is not None]


def _joint_sets(view: View, problem: str) -> dict[str, tuple[WeightSet, ...]]:
    """Sets of each selection, where there are more than two sources."""
    if len(view.results.sources(problem)) < 3:
        return {}
    return {
        selection: tuple(each for each in view.sets(problem) if each.selection == selection)
        for selection in view.selections(problem)
    }


def _together(view: View, charts: Charts) -> FigureView | None:
    views: list[ChartView] = []
    shown: dict[str, None] = {}
    for problem in view.results.problems:
        for selection, sets in _joint_sets(view, problem).items():
            table = view.projection(problem, sets, "rbf")
            if table is None:
                continue
            shown |= dict.fromkeys(map(str, sets))
            title = f"{problem}, {selection} sets" if selection else problem
            text = f"The first two components of all {len(sets)} sets of {problem}."
            views.append(charts.add(projection_chart(table, view.styles), title, text))
    if not views:
        return None
    return FigureView(
        "kernel-pca", "Where they lie", "Kernel PCA of all sets",
        [
            "First two components of kernel PCA of the solutions of all sets together, with the "
            "RBF kernel exp(−γ|x − y|²). In parentheses, a component’s fraction of the "
            "eigenvalues.",
            f"Behind it: {runs_behind(view)}.",
        ],
        views, view.legend(shown), ["kernel-pca"], layout="pairs",
    )  # fmt: skip


def _detail(view: View, charts: Charts) -> FigureView | None:
    views, tables, shown = [], {}, dict[str, None]()
    labels = kernel_labels(view)
    for pair in view.all_pairs:
        names = pair_label(view, pair)
        for problem in view.results.problems:
            if not set(pair) <= set(view.sets(problem)):
                continue
            table = view.projection(problem, pair, "rbf")
            if table is None:
                continue
            shown |= dict.fromkeys(map(str, pair))
            area = shorter(float(table["auc"].values[0]))
            text = f"Area under the ROC curve of the first component in {problem}: {area}."
            chart = projection_chart(table, view.styles)
            views.append(charts.add(chart, f"{problem}, RBF, area {area}", text, group=names))
            others = {
                label: found
                for kernel, label in labels.items()
                if kernel != "rbf" and (found := view.projection(problem, pair, kernel)) is not None
            }
            areas = [f"{n} {shorter(float(t['auc'].values[0]))}" for n, t in others.items()]
            text = f"Areas of the first component in {problem}: {listing(areas)}."
            chart = kernels_chart(others, view.styles)
            views.append(charts.add(chart, f"{problem}, other kernels", text, group=names))
            tables[names] = kernel_table(view, pair, labels)
    if not views:
        return None
    rule = view.results.config.analysis.gamma
    how = {"median": "by the median heuristic", "1/D": "as 1/D"}.get(str(rule), "as given")
    caption = [
        "First two components of kernel PCA of the joined vectors of two sets with the RBF kernel "
        f"exp(−γ|x − y|²), γ {how}; beside it the RBF kernel with the other rule for γ, the "
        "polynomial kernel (γ x·y + 1)³, the sigmoid kernel tanh(γ x·y + 1) and the linear kernel, "
        "which is ordinary PCA.",
        "“Area” is that under the ROC curve of the first component: 0.5 where it does not tell the "
        "two sets apart, 1 where it separates them perfectly. With few runs high areas come by "
        "chance too.",
        f"Behind it: {runs_behind(view)}.",
    ]
    return FigureView(
        "kernel-pca-pairs", "Where they lie", "Kernel PCA of two sets", caption, views,
        view.legend(shown),
        [f"kernel-pca-{_name(pair)}" for pair in view.all_pairs], joined_table(tables),
        layout="pairs",
    )  # fmt: skip


def _name(pair: Pair) -> str:
    return "-".join(str(each).replace("/", "-") for each in pair)


def draw(view: View) -> Mapping[str, PrintFigure]:
    """One file for all sets, and one for each pair with all kernels."""
    figures = {}
    together = {
        f"{problem}, {selection}".rstrip(", "): table
        for problem in view.results.problems
        for selection, sets in _joint_sets(view, problem).items()
        if (table := view.projection(problem, sets, "rbf")) is not None
    }
    if together:
        figures["kernel-pca"] = kernel_projections(together, styles=view.styles)
    for pair in view.all_pairs:
        panels = {
            f"{problem}, {label}": table
            for problem in view.results.problems
            if set(pair) <= set(view.sets(problem))
            for kernel, label in kernel_labels(view).items()
            if (table := view.projection(problem, pair, kernel)) is not None
        }
        if panels:
            figures[f"kernel-pca-{_name(pair)}"] = kernel_projections(
                panels, columns=5, styles=view.styles
            )
    return figures


FIGURE = Figure("kernel PCA", build, draw)
