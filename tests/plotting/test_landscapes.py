"""Pictures of found paths show the numbers that they are given, in matplotlib and in plotly."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

from lowroad.analysis import plane_through
from lowroad.landscapes import CurvyValley, FunctionLandscape, MullerBrown, SeparableValley
from lowroad.paths import ElasticBandFinder, FourierPathFinder, PolygonalChainFinder, StraightLine
from lowroad.plotting import (
    plane_chart,
    plane_figure,
    plane_scene,
    profile_chart,
    profile_figure,
    surface_chart,
    surface_figure,
    surface_scene,
)
from lowroad.plotting.landscape_charts import LIFT
from lowroad.plotting.prepared import HeightMap, Marks, plane_map, profiles_of, surface_map
from lowroad.plotting.style import STRAIGHT_COLOR, path_styles


@pytest.fixture(scope="module")
def surface():
    return MullerBrown()


@pytest.fixture(scope="module")
def paths(surface):
    return {
        "line": StraightLine(points=21).find(surface, *surface.ends),
        "band": ElasticBandFinder(points=21).find(surface, *surface.ends),
        "sines": FourierPathFinder(points=21, steps=20).find(surface, *surface.ends),
    }


@pytest.fixture(scope="module")
def plane():
    valley = SeparableValley(20)
    found = {
        "line": StraightLine(points=21).find(valley, *valley.ends),
        "chain": PolygonalChainFinder(terms=3, points=21, objective="max_flux", steps=50).find(
            valley, *valley.ends
        ),
    }
    start, end = valley.ends
    return plane_through(
        valley, {"start": start, "end": end, "top": valley.saddle}, found, resolution=21
    )


def drawn(figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=40)
    return content.getvalue()


def line_of(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


def traces(figure, name):
    return [trace for trace in figure.data if trace.name == name or trace.legendgroup == name]


@pytest.mark.parametrize("against", ["t", "length"])
def test_profiles_are_the_paths_own(paths, against):
    figure = profile_figure(paths, against)
    chart = profile_chart(paths, against)
    for line, (name, found) in zip(figure.axes[0].lines, paths.items(), strict=True):
        x, heights = line.get_xdata(), line.get_ydata()
        (peak,) = line.get_markevery()
        assert heights[peak] == heights.max() == found.refined_height
        on_grid = np.isin(profiles_of({name: found})[0].x, found.t)  # all but the refined peak
        np.testing.assert_array_equal(heights[on_grid], found.profile)
        if against == "t":
            assert x[peak] == pytest.approx(found.refined_t, abs=1e-15)
            np.testing.assert_array_equal(x[on_grid], found.t)
        else:
            assert x[0] == 0
            assert x[-1] == pytest.approx(found.length, rel=1e-5)
        curve, mark = traces(chart, name)
        np.testing.assert_array_equal(curve.x, x)
        np.testing.assert_array_equal(curve.y, heights)
        assert (mark.x[0], mark.y[0]) == (x[peak], found.refined_height)
    assert drawn(figure)


def test_arc_length_of_a_straight_line_is_proportional_to_t(paths):
    (profile,) = profiles_of({"line": paths["line"]}, "length")
    length = float(torch.dist(*MullerBrown().ends))
    t = np.sort(np.append(paths["line"].t, paths["line"].refined_t))
    np.testing.assert_allclose(profile.x, t * length, rtol=1e-12)
    assert profile.label == "line: 12.68"


def test_straight_lines_are_dashed_and_paths_differ():
    styles = path_styles({"a": False, "line": True, "b": False})
    assert (styles["line"].color, styles["line"].dash) == (STRAIGHT_COLOR, "--")
    assert styles["a"].color != styles["b"].color != STRAIGHT_COLOR
    with pytest.raises(ValueError, match="at most 6 paths beside straight lines"):
        path_styles({str(number): False for number in range(7)})
    with pytest.raises(ValueError, match="at most 2 straight lines"):
        path_styles({str(number): True for number in range(3)})


def test_a_surface_shows_its_heights_paths_images_and_stationary_points(surface, paths):
    figure = surface_figure(surface, paths)
    axes = figure.axes[0]
    for name, found in paths.items():
        line = line_of(axes, name)
        np.testing.assert_array_equal(line.get_xydata(), found.path(torch.from_numpy(found.t)))
    minima, saddles = line_of(axes, "minimum"), line_of(axes, "saddle")
    assert minima.get_xydata().tolist() == [list(m.coordinates) for m in surface.minima]
    assert saddles.get_xydata().tolist() == [list(s.coordinates) for s in surface.saddles]
    assert (axes.get_xlim(), axes.get_ylim()) == (surface.window[:2], surface.window[2:])
    images = [
        line for line in axes.lines if line.get_label().startswith("_") and len(line.get_xdata())
    ]
    (band,) = images  # only of the band: neither a line nor sines have any
    knots = torch.tensor([0, *paths["band"].path.basis.knots, 1], dtype=torch.float64)
    np.testing.assert_allclose(band.get_xydata(), paths["band"].path(knots), atol=1e-15)
    assert drawn(figure)


def test_a_surfaces_chart_and_scene_show_the_same(surface, paths):
    chart, scene = surface_chart(surface, paths), surface_scene(surface, paths)
    contour, mesh = chart.data[0], scene.data[0]
    x, y = np.meshgrid(contour.x, contour.y)
    grid = torch.from_numpy(np.stack([x.ravel(), y.ravel()], axis=1))
    heights = surface.values(grid).numpy().reshape(x.shape)
    np.testing.assert_array_equal(contour.z, heights)
    step = contour.contours.size
    cut = contour.contours.end - step / 2
    np.testing.assert_allclose(mesh.z, np.minimum(heights, cut))
    assert mesh.cmax == contour.contours.end < heights.max()
    lift = LIFT * (contour.contours.end - contour.contours.start)
    for name, found in paths.items():
        flat, space = traces(chart, name)[0], traces(scene, name)[0]
        for trace in (flat, space):
            np.testing.assert_array_equal(
                np.stack([trace.x, trace.y], axis=1), found.path(torch.from_numpy(found.t))
            )
            np.testing.assert_array_equal(trace.customdata[:, 1], found.profile)
        np.testing.assert_allclose(space.z, found.profile + lift, rtol=1e-12)
    (band_images,) = [trace for trace in chart.data if trace.name == "band, images"]
    knots = torch.tensor([0, *paths["band"].path.basis.knots, 1], dtype=torch.float64)
    np.testing.assert_allclose(
        band_images.customdata, surface.values(paths["band"].path(knots)), rtol=1e-12
    )
    (saddles,) = traces(scene, "saddle")
    np.testing.assert_allclose(saddles.z - lift, [s.value for s in surface.saddles], rtol=1e-9)


def test_walls_are_cut_off_above_what_the_paths_reach(surface, paths):
    shown = surface_map(surface, {"band": paths["band"]})
    low, pass_height = surface.minima[0].value, surface.saddles[0].value
    assert shown.is_cut
    assert shown.levels[0] <= low
    # half of the range above the pass, rounded up to a level
    step = shown.levels[1] - shown.levels[0]
    expected = pass_height + 0.5 * (pass_height - low)
    assert expected <= shown.levels[-1] <= expected + step
    assert 10 <= len(shown.levels) <= 24
    # a straight line through values that are not finite widens the range threefold at most
    y = np.linspace(0, 1, 3)
    walled = HeightMap(
        ("x", "y"), y, y, np.array([[0, 1, 1e9], [0, np.inf, 5], [0, 2, np.nan]]),
        [surface_map(surface, {"line": paths["line"]}).paths[0]],
        [Marks("point", np.zeros((1, 2)), np.array([1.0]))],
    )  # fmt: skip
    step = walled.levels[1] - walled.levels[0]
    assert 3 + 1.5 <= walled.levels[-1] <= 3 + 1.5 + step
    assert walled.is_cut


def test_levels_where_nothing_is_marked_or_all_at_one_height():
    plain = FunctionLandscape(lambda x: x[:, 0] ** 8, dimension=2)
    shown = surface_map(plain, window=(-1, 1, -1, 1))
    # x⁸ is below 0.8⁸ on four fifths of the window
    assert 0.8**8 <= shown.levels[-1] <= 0.8**8 + shown.levels[1] - shown.levels[0] + 0.01
    flat = FunctionLandscape(lambda x: 0 * x[:, 0] + 3, dimension=2)
    levels = surface_map(flat, window=(-1, 1, -1, 1)).levels
    assert levels[0] <= 3 < levels[-1]
    assert drawn(surface_figure(flat, window=(-1, 1, -1, 1)))


def test_infinite_heights_are_walls_and_not_gaps():
    crash = FunctionLandscape(lambda x: torch.where(x[:, 0] < 0, torch.inf, x[:, 0]), dimension=2)
    window = (-1, 1, -1, 1)
    contour = surface_chart(crash, window=window).data[0]
    infinite = np.broadcast_to(contour.x < 0, contour.z.shape)
    assert (contour.z[infinite] > contour.contours.end).all()
    assert np.isfinite(contour.z[infinite]).all()
    np.testing.assert_array_equal(contour.z[~infinite], np.tile(contour.x[contour.x >= 0], 161))
    assert np.isfinite(surface_scene(crash, window=window).data[0].z).all()
    # the left half has the colour of infinite values, not of the paper
    figure = surface_figure(crash, window=window)
    pixels = matplotlib.image.imread(io.BytesIO(drawn(figure)))
    assert pixels[len(pixels) // 2, pixels.shape[1] // 4, :3] == pytest.approx(0x6E / 255, abs=0.01)


def test_points_and_windows_of_ones_own(paths):
    bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    start, end = torch.tensor([[-1.0, 0], [1, 0]], dtype=torch.float64)
    found = StraightLine().find(bowl, start, end)
    shown = surface_map(bowl, {"line": found}, marks={"end": [start, end]})
    assert (shown.x[0], shown.x[-1], shown.y[0], shown.y[-1]) == pytest.approx(
        (-1.4, 1.4, -0.4, 0.4)
    )
    (mark,) = shown.marks
    assert mark.heights.tolist() == [1, 1]
    figure = surface_figure(
        bowl, {"line": found}, marks={"end": [start, end]}, window=(-2, 2, -1, 1)
    )
    assert line_of(figure.axes[0], "end").get_xydata().tolist() == [[-1, 0], [1, 0]]
    assert figure.axes[0].get_xlim() == (-2, 2)


def test_a_plane_shows_heights_projections_and_distances(plane):
    figure, chart, scene = plane_figure(plane), plane_chart(plane), plane_scene(plane)
    above, below, _ = figure.axes
    for number, name in enumerate(["line", "chain"]):
        row = plane.sel(path=name)
        np.testing.assert_array_equal(line_of(above, name).get_xydata(), row["projection"])
        np.testing.assert_array_equal(below.lines[number].get_ydata(), row["distance"])
        flat, distance = traces(chart, name)
        np.testing.assert_array_equal(np.stack([flat.x, flat.y], axis=1), row["projection"])
        np.testing.assert_array_equal(distance.x, plane["t"])
        np.testing.assert_array_equal(distance.y, row["distance"])
        (space,) = traces(scene, name)
        np.testing.assert_array_equal(space.customdata[:, 1], row["profile"])
        contours = chart.data[0].contours
        cut, lift = contours.end - contours.size / 2, LIFT * (contours.end - contours.start)
        np.testing.assert_allclose(space.z, np.minimum(row["projected_value"], cut) + lift)
        np.testing.assert_array_equal(np.stack([space.x, space.y], axis=1), row["projection"])
    np.testing.assert_array_equal(chart.data[0].z, plane["value"])
    np.testing.assert_array_equal(chart.data[0].x, plane["u"])
    np.testing.assert_array_equal(chart.data[0].y, plane["v"])
    names = [text.get_text() for text in above.texts]
    assert names == ["start", "end", "top"]
    for number, name in enumerate(names):
        position = plane["position"].sel(point=name)
        (flat,), (space,) = traces(chart, name), traces(scene, name)
        assert [flat.x[0], flat.y[0]] == position.values.tolist() == [space.x[0], space.y[0]]
        assert above.texts[number].xy == pytest.approx(position.values)
        assert flat.customdata[0] == plane["point_value"].values[number] == space.customdata[0]
    assert [note.text for note in scene.layout.scene.annotations] == [f"<b>{n}</b>" for n in names]
    assert drawn(figure)


def test_a_plane_without_paths_has_one_panel(plane):
    bare = plane.drop_dims(["path", "t"])
    assert len(plane_figure(bare).axes) == 2  # the map and its colour bar
    assert [trace.name for trace in plane_chart(bare).data] == ["height", "start", "end", "top"]
    assert plane_map(bare).paths == []


def test_bad_input_is_refused(paths):
    with pytest.raises(ValueError, match="at least one path"):
        profile_figure({})
    with pytest.raises(ValueError, match='against="t" or "length"'):
        profile_chart(paths, "time")
    with pytest.raises(ValueError, match="SeparableValley has 5 dimensions"):
        surface_figure(SeparableValley(5))
    with pytest.raises(ValueError, match="has no window"):
        surface_figure(FunctionLandscape(lambda x: x[:, 0], dimension=2))
    nowhere = FunctionLandscape(lambda x: x[:, 0] * np.nan, dimension=2)
    for window in ((1.0, 1.0, 0.0, 1.0), (0.0, 1.0, 1.0, 0.0)):
        with pytest.raises(ValueError, match=r"expected a window .* increasing"):
            surface_figure(MullerBrown(), window=window)
    with pytest.raises(ValueError, match="at most 4 kinds of marks"):
        surface_figure(MullerBrown(), marks={kind: [MullerBrown().ends[0]] for kind in "abcde"})
    valley = SeparableValley(5)
    with pytest.raises(ValueError, match="two dimensions, 'line' is in 5"):
        surface_figure(MullerBrown(), {"line": StraightLine().find(valley, *valley.ends)})
    with pytest.raises(ValueError, match="no height on the grid is finite"):
        surface_scene(nowhere, window=(0, 1, 0, 1))


def test_a_window_grows_to_hold_a_path_that_leaves_it():
    surface = CurvyValley()
    start = torch.tensor([-12.0, 0], dtype=torch.float64)
    shown = surface_map(surface, {"line": StraightLine().find(surface, start, surface.ends[1])})
    assert (shown.x[0], shown.x[-1], shown.y[0], shown.y[-1]) == (-12, 9.5, -2.2, 2.2)


def test_the_example_draws(tmp_path):
    script = Path(__file__).parents[2] / "examples" / "draw_paths.py"
    done = subprocess.run(
        [sys.executable, script, "--out", tmp_path], check=True, capture_output=True, text=True
    )
    band, line = (
        re.search(rf"{name} +highest point +(\S+),", done.stdout).group(1)
        for name in ("elastic band", "straight line")
    )
    assert float(band) == pytest.approx(-40.66484, abs=2e-4)
    assert float(line) == pytest.approx(12.6762, abs=2e-4)
    assert {path.name for path in tmp_path.iterdir()} == {
        "surface.png",
        "profiles.png",
        "scene.html",
    }
