from __future__ import annotations

import io
from dataclasses import dataclass

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from lowroad.analysis import centroid_distances, kernel_pca
from lowroad.plotting import (
    SurfacePath,
    SurfacePaths,
    distance_histograms,
    kernel_projections,
    loss_curves,
    path_height_histograms,
    path_profiles,
    surface_paths,
)
from lowroad.plotting.style import WEIGHT_STYLES


@dataclass(frozen=True)
class Run:
    steps: np.ndarray
    train_heights: np.ndarray
    test_heights: np.ndarray
    train_height: float
    test_height: float
    train_step: int
    test_step: int


def run(scale: float) -> Run:
    return Run(
        steps=np.arange(4),
        train_heights=scale * np.array([1.0, 0.1, 0.01, 0.001]),
        test_heights=scale * np.array([1.0, 0.3, 0.2, 0.4]),
        train_height=scale * 0.001,
        test_height=scale * 0.2,
        train_step=3,
        test_step=2,
    )


def drawn(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=40)
    return content.getvalue()


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_curves_mark_the_minima_of_the_run_in_the_middle():
    runs = {"FCP": {"sgd": [run(3.0), run(1.0), run(2.0)], "lbfgs": [run(0.5)]}, "LSTM": {}}
    figure = loss_curves(runs)
    assert titles(figure) == [
        "FCP, SGD",
        "FCP, L-BFGS-GSS",
        "LSTM, SGD",
        "LSTM, L-BFGS-GSS",
    ]
    panel = figure.axes[0]
    assert panel.get_yscale() == "log"
    marks = [line for line in panel.lines if line.get_marker() not in ("None", None)]
    places = [(line.get_xdata()[0], line.get_ydata()[0]) for line in marks]
    assert places == [(3, pytest.approx(0.002)), (2, pytest.approx(0.4))]
    colors = [line.get_color() for line in marks]
    assert colors == [WEIGHT_STYLES["sgd_train"].color, WEIGHT_STYLES["sgd_test"].color]
    assert len(panel.lines) == 3 * 2 + 2 + 2  # all runs thin, one thick, two minima
    assert panel.get_ylim() == figure.axes[1].get_ylim()
    assert texts(figure) == ["no finished run"] * 2
    assert drawn(figure)


def test_curves_without_any_finite_loss_say_so():
    broken = Run(np.arange(2), np.full(2, np.nan), np.full(2, np.nan), np.nan, np.nan, 0, 0)
    assert texts(loss_curves({"FCP": {"sgd": [broken]}})) == ["no finite loss", "no finished run"]
    assert drawn(loss_curves({}))


def surface() -> SurfacePaths:
    t = np.linspace(0, 1, 11)
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 7)
    line = SurfacePath("straight line", np.stack([t, t], axis=1), t, t * (1 - t))
    arc = SurfacePath("λ = 35", np.stack([t, t**2], axis=1), t, t * (1 - t) / 2)
    return SurfacePaths(x, y, y[:, None] ** 2 + x[None, :] ** 2, line, (arc,))


def test_surface_and_profiles():
    figure = surface_paths(surface())
    line, arc = figure.axes[0].lines
    np.testing.assert_allclose(arc.get_ydata(), np.linspace(0, 1, 11) ** 2)
    assert (line.get_label(), arc.get_label()) == ("straight line", "λ = 35")
    profile = path_profiles(surface()).axes[0].lines[1]
    assert profile.get_ydata().max() == pytest.approx(0.125)
    assert drawn(figure)
    assert drawn(path_profiles(surface()))


def test_surface_of_wrong_shape_is_refused():
    good = surface()
    with pytest.raises(ValueError, match=r"heights must be \[len\(y\), len\(x\)\]"):
        SurfacePaths(good.x, good.y, good.heights.T, good.straight, good.paths)
    with pytest.raises(ValueError, match="at most 3 paths"):
        SurfacePaths(good.x, good.y, good.heights, good.straight, good.paths * 4)


def test_path_heights_show_points_and_bars():
    generator = np.random.default_rng(0)
    heights = {
        "FCP": {"sgd_train": generator.lognormal(-2, 0.2, 30), "lbfgs_train": [0.5, 0.6]},
        "LSTM": {"sgd_train": [], "lbfgs_train": [np.nan]},
    }
    straight = {"FCP": {"sgd_train": [3.0] * 30, "lbfgs_train": [8.0, 9.0]}}
    figure = path_height_histograms(heights, straight)
    panel, empty = figure.axes
    assert titles(figure) == ["FCP", "LSTM"]
    labels = [label.get_text() for label in panel.get_yticklabels()]
    assert labels == ["BFGS train\nn = 2", "SGD train\nn = 30"]
    assert len(panel.patches) == 1  # bars for thirty paths, none for two
    points = [line for line in panel.lines if line.get_marker() in ("o", "s")]
    assert sorted(len(line.get_xdata()) for line in points) == [2, 30]
    triangles = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "v"]
    assert sorted(triangles) == [3.0, 8.5]
    assert panel.get_xscale() == "log"
    assert texts(figure) == ["nothing measured yet"]
    assert not empty.lines
    assert drawn(figure)
    assert drawn(path_height_histograms({}))


@pytest.fixture
def vectors() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {"sgd_test": generator.normal(size=(9, 5)), "lbfgs_train": generator.normal(size=(4, 5))}


def test_distances_and_their_centroids(vectors):
    table = centroid_distances(*vectors.values(), tuple(vectors))
    figure = distance_histograms({"FCP": table, "LeNet": None})
    panel = figure.axes[0]
    dotted = [line for line in panel.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [table["separation"].item() / 2]
    assert panel.get_xlim()[0] == 0
    assert texts(figure) == ["nothing measured yet"]
    assert drawn(figure)


def test_projections_show_each_set_with_its_mark(vectors):
    table = kernel_pca(vectors, "rbf", "median")
    figure = kernel_projections({"FCP": table, "LeNet": None})
    first, second = figure.axes[0].lines
    np.testing.assert_array_equal(first.get_xdata(), table["projection"].values[:9, 0])
    np.testing.assert_array_equal(second.get_ydata(), table["projection"].values[9:, 1])
    assert (first.get_marker(), second.get_marker()) == ("^", "s")
    share = f"{table['explained'].values[0]:.0%}"
    assert figure.axes[0].get_xlabel() == f"component 1 ({share})"
    assert drawn(figure)
    assert drawn(kernel_projections({}, columns=4))


def test_nothing_is_left_in_the_global_state(vectors):
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    drawn(loss_curves({"FCP": {"sgd": [run(1.0)]}}))
    drawn(kernel_projections({"FCP": kernel_pca(vectors)}))
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []
