from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from lowroad.analysis import kernel_pca
from lowroad.plotting import (
    SurfacePath,
    SurfacePaths,
    kernel_projections,
    path_profiles,
    sample_rows,
    set_matrices,
    set_styles,
    surface_paths,
    training_curves,
)


def runs(*scales: float) -> xr.Dataset:
    train = np.outer(scales, [1.0, 0.1, 0.01, 0.001])
    test = np.outer(scales, [1.0, 0.3, 0.2, 0.4])
    return xr.Dataset(
        {
            "train_values": (("run", "step"), train),
            "test_values": (("run", "step"), test),
            "evaluations": (("run", "step"), np.tile([1.0, 3.0, 5.0, 7.0], (len(scales), 1))),
            "train_value": ("run", train.min(axis=1)),
        },
        coords={"step": [0, 1, 2, 3]},
    )


STYLES = set_styles(["sgd/train", "sgd/test", "lbfgs/train"])
SPLITS = {"train": STYLES["sgd/train"], "test": STYLES["sgd/test"]}


def drawn(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=40)
    return content.getvalue()


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_curves_mark_the_minima_of_the_run_in_the_middle():
    panels = {"FCP, SGD": runs(3.0, 1.0, 2.0), "FCP, other": runs(0.5)}
    figure = training_curves(panels, dict.fromkeys(panels, SPLITS))
    assert titles(figure) == list(panels)
    panel = figure.axes[0]
    assert panel.get_yscale() == "log"
    marks = [line for line in panel.lines if line.get_marker() not in ("None", None)]
    places = [(line.get_xdata()[0], line.get_ydata()[0]) for line in marks]
    assert places == [(3, pytest.approx(0.002)), (2, pytest.approx(0.4))]
    assert [line.get_color() for line in marks] == [style.color for style in SPLITS.values()]
    assert len(panel.lines) == 3 * 2 + 2 + 2  # all runs thin, one thick, two minima
    assert panel.get_ylim() == figure.axes[1].get_ylim()
    assert drawn(figure)


def test_curves_against_passes_over_the_data():
    figure = training_curves({"a": runs(1.0)}, {"a": SPLITS}, "energy", "evaluations")
    (panel,) = figure.axes
    assert panel.lines[0].get_xdata().tolist() == [1.0, 3.0, 5.0, 7.0]
    assert (panel.get_xlabel(), panel.get_ylabel()) == (
        "evaluations of the training landscape",
        "energy",
    )


def test_curves_without_any_finite_value_say_so():
    broken = runs(np.nan)
    assert texts(training_curves({"a": broken}, {"a": SPLITS})) == ["no finite value"]
    assert drawn(training_curves({}, {}))


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


def test_rows_show_points_and_bars():
    generator = np.random.default_rng(0)
    heights = {
        "FCP": {"sgd/train": generator.lognormal(-2, 0.2, 30), "lbfgs/train": [0.5, 0.6]},
        "LSTM": {"sgd/train": [], "lbfgs/train": [np.nan]},
    }
    straight = {"FCP": {"sgd/train": [3.0] * 30, "lbfgs/train": [8.0, 9.0]}}
    figure = sample_rows(heights, "path height", straight)
    panel, empty = figure.axes
    assert titles(figure) == ["FCP", "LSTM"]
    labels = [label.get_text() for label in panel.get_yticklabels()]
    assert labels == ["lbfgs/train\nn = 2", "sgd/train\nn = 30"]
    assert panel.get_xlabel() == "path height (log scale)"
    assert len(panel.patches) == 1  # bars for thirty paths, none for two
    points = [line for line in panel.lines if line.get_marker() in ("o", "s")]
    assert sorted(len(line.get_xdata()) for line in points) == [2, 30]
    triangles = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "v"]
    assert sorted(triangles) == [3.0, 8.5]
    assert panel.get_xscale() == "log"
    assert texts(figure) == ["nothing measured yet"]
    assert not empty.lines
    assert drawn(figure)
    assert drawn(sample_rows({}, "path height"))


@pytest.fixture
def vectors() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {"sgd/test": generator.normal(size=(9, 5)), "lbfgs/train": generator.normal(size=(4, 5))}


def test_projections_show_each_set_with_its_mark(vectors):
    table = kernel_pca(vectors, "rbf", "median")
    figure = kernel_projections({"FCP": table, "LeNet": None})
    first, second = figure.axes[0].lines
    np.testing.assert_array_equal(first.get_xdata(), table["projection"].values[:9, 0])
    np.testing.assert_array_equal(second.get_ydata(), table["projection"].values[9:, 1])
    assert (first.get_marker(), second.get_marker()) == ("o", "s")
    fraction = f"{table['explained'].values[0]:.0%}"
    assert figure.axes[0].get_xlabel() == f"component 1 ({fraction})"
    assert drawn(figure)
    assert drawn(kernel_projections({}, columns=4))


def test_nothing_is_left_in_the_global_state(vectors):
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    drawn(training_curves({"a": runs(1.0)}, {"a": SPLITS}))
    drawn(kernel_projections({"FCP": kernel_pca(vectors)}))
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []


def test_matrices_write_numbers_into_their_cells():
    values = np.array([[0.1, 20.0], [np.nan, 0.0]])
    figure = set_matrices({"mlp": (["a", "b"], values)}, "barrier", log=True)
    (panel,) = figure.axes
    assert texts(figure) == ["0.1", "20", "0"]
    assert [text.get_color() for text in panel.texts] == ["white", "black", "black"]
    assert titles(figure) == ["mlp: barrier"]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["a", "b"]
    assert drawn(figure)
    assert drawn(set_matrices({}, "barrier"))
    nothing = set_matrices({"mlp": (["a"], [[np.nan]])}, "barrier")
    assert texts(nothing) == []
    assert drawn(nothing)
    with pytest.raises(ValueError, match=r"mlp: expected one row .* shape \(2, 2\)"):
        set_matrices({"mlp": (["a"], values)}, "barrier")


LONG = [f"Adam, learning rate 0.001, weight decay 0.0001, batch size {n}" for n in (8, 16)]


@pytest.mark.parametrize("panels", [1, 2])
@pytest.mark.parametrize("kind", ["rows", "matrix", "curves", "projections"])
def test_long_names_leave_panels_their_room_and_are_within_the_figure(kind, panels):
    names = [f"panel {n}" for n in range(panels)]
    if kind == "rows":
        figure = sample_rows(
            {name: {each: [1.0, 2.0] for each in LONG} for name in names}, "height"
        )
    elif kind == "matrix":
        figure = set_matrices({name: (LONG, np.eye(2)) for name in names}, "barrier")
    elif kind == "curves":
        styles = set_styles(["sgd/train", "sgd/test"], {"sgd/train": LONG[0], "sgd/test": LONG[1]})
        looks = {split: styles[f"sgd/{split}"] for split in ("train", "test")}
        figure = training_curves(dict.fromkeys(names, runs(1.0)), dict.fromkeys(names, looks))
    else:
        rng = np.random.default_rng(0)
        table = kernel_pca({name: rng.normal(size=(4, 9)) for name in LONG}, "linear")
        figure = kernel_projections(dict.fromkeys(names, table))
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert axes.get_position().width > 0.5 / panels
        assert axes.get_position().height > 0.25
    tight = figure.get_tightbbox()
    assert tight.x0 > -0.05
    assert tight.x1 < figure.get_figwidth() + 0.05
