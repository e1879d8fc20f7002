"""The page's figures beyond the paper's: heights against steps, disconnectivity graphs."""

from __future__ import annotations

from lowroad.plotting.barriers import median_course
from lowroad.plotting.style import three_figures
from lowroad.report.barrier_charts import course_chart, tree_chart
from lowroad.report.summary import Summary
from lowroad.report.tables import step_table, tree_table
from lowroad.report.views import Charts, FigureView, weight_legend
from lowroad.report.words import LANDSCAPE_NAMES, budget, listing, runs_behind
from lowroad.study.results import WEIGHT_SET_LABELS, WEIGHT_SETS

__all__ = ["course_figure", "tree_figure"]


def course_figure(summary: Summary, charts: Charts, landscape: str) -> FigureView:
    """Path heights against the number of steps: what the tenth claim is judged on."""
    views = []
    for network in summary.networks:
        courses = {str(name): network.courses[name, landscape] for name in WEIGHT_SETS}
        ends = []
        for name, course in courses.items():
            if course.sizes["step"]:
                first, last = (three_figures(float(h)) for h in median_course(course)[[0, -1]])
                ends.append(f"{WEIGHT_SET_LABELS[name]} {first} to {last}")
        text = (
            f"Median path heights in {network.name} from the straight line to the last step: "
            f"{listing(ends)}."
        )
        views.append(charts.add(course_chart(courses), network.name, text, "No path yet."))
    name = LANDSCAPE_NAMES[landscape]
    return FigureView(
        f"steps-{landscape}", "Beyond the paper", f"Path heights by steps, {name} landscape",
        [
            f"How low each search had come by each of its steps on the {name} landscape, from the "
            "straight line at step 0: paths thin, each set’s median thick.",
            "Only heights on the full landscape count. Searches that step on mini-batches take "
            "them at the start of every pass over the data and at the end; between these steps the "
            "lines only lead the eye. A curve that still falls at its end says that more steps "
            "would lower the paths further.",
            f"Behind it: {runs_behind(summary, landscape)}, each with {budget(summary)}.",
        ],
        views, weight_legend(lines=True), [f"heights-by-steps-{landscape}"],
        step_table(summary, landscape),
    )  # fmt: skip


def tree_figure(summary: Summary, charts: Charts, landscape: str) -> FigureView:
    """Disconnectivity graphs of the kept minima."""
    views, alone = [], []
    for network in summary.networks:
        trees = {str(name): network.trees[name, landscape] for name in WEIGHT_SETS}
        joined = [
            f"{WEIGHT_SET_LABELS[name]} {number} {'minimum' if number == 1 else 'minima'}"
            for name, tree in trees.items()
            if (number := len(tree.heights))
        ]
        text = f"Disconnectivity graphs of {network.name}: {listing(joined)}."
        views.append(charts.add(tree_chart(trees), network.name, text, "No path yet."))
        kept = sum(len(network.runs[name.partition("_")[0]]) for name in WEIGHT_SETS)
        if without := kept - sum(len(tree.heights) for tree in trees.values()):
            alone.append(f"{without} of {kept} in {network.name}")
    name = LANDSCAPE_NAMES[landscape]
    caption = [
        f"Each line begins at a kept minimum, at its loss on the {name} landscape, and two lines "
        "join at the lowest loss below which no chain of measured paths connects them. Paths are "
        "measured within a weight set, so the sets stand apart.",
        "The levels are upper bounds and belong to a budget: more steps or more pairs can only "
        f"lower them. Each path had {budget(summary)}; behind it: "
        f"{runs_behind(summary, landscape)}.",
    ]
    if alone:
        caption.append(f"Kept minima without a path are not shown: {listing(alone)}.")
    return FigureView(
        f"disconnectivity-{landscape}", "Beyond the paper",
        f"Disconnectivity graphs, {name} landscape", caption, views, weight_legend(),
        [f"disconnectivity-{landscape}"], tree_table(summary, landscape),
    )  # fmt: skip
