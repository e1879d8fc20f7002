"""Directions scaled like the weights, and the plane that training moved in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lowroad.analysis import plane_through, random_directions, random_plane, trajectory_plane
from lowroad.landscapes import FunctionLandscape, MullerBrown, NetworkLandscape

PLACES = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]


def network(*layers, features=4):
    torch.manual_seed(0)
    inputs = torch.randn(30, features, dtype=torch.float64)
    targets = torch.randint(0, 3, (30,))
    return NetworkLandscape(
        nn.Sequential(*layers).double().eval(), inputs, targets, "cross_entropy"
    )


def small():
    return network(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 2), nn.BatchNorm1d(3), nn.ReLU(),
                   nn.Flatten(), nn.Linear(9, 3))  # fmt: skip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_each_filter_of_a_direction_has_the_norm_of_its_weights():
    landscape = small()
    point = landscape.initial_point() * 3
    for direction in random_directions(landscape, point, 3, generator=generator()):
        own, weights = landscape.parameters_at(direction), landscape.parameters_at(point)
        for name in ("1.weight", "5.weight"):
            torch.testing.assert_close(
                own[name].flatten(1).norm(dim=1), weights[name].flatten(1).norm(dim=1)
            )
        for name in ("1.bias", "2.weight", "2.bias", "5.bias"):
            assert not own[name].any()


def test_layers_and_unit_vectors():
    landscape = small()
    point = landscape.initial_point()
    [by_layer] = random_directions(landscape, point, 1, normalize="layer", generator=generator())
    own, weights = landscape.parameters_at(by_layer), landscape.parameters_at(point)
    assert float(own["5.weight"].norm()) == pytest.approx(float(weights["5.weight"].norm()))
    assert own["5.weight"].norm(dim=1).tolist() != pytest.approx(weights["5.weight"].norm(dim=1))
    [plain] = random_directions(landscape, point, 1, normalize="none", generator=generator())
    assert float(plain.norm()) == pytest.approx(1, rel=1e-12)


def test_rescaled_networks_have_the_same_picture():
    """ReLU layers multiplied and divided by 10 are one function; only filters see it so."""
    landscape = network(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False))
    point = landscape.initial_point()
    scale = torch.tensor([10.0] * 32 + [0.1] * 24, dtype=torch.float64)
    planes = {
        kind: [
            random_plane(landscape, p, normalize=kind, resolution=5, generator=generator())["value"]
            for p in (point, point * scale)
        ]
        for kind in ("filter", "none")
    }
    np.testing.assert_allclose(*planes["filter"], rtol=1e-12)
    assert abs(planes["none"][0] - planes["none"][1]).max() > 1e-2


def test_values_are_those_of_the_points():
    landscape = small()
    point = landscape.initial_point()
    plane = random_plane(landscape, point, resolution=5, extent=0.5, generator=generator())
    axes = torch.from_numpy(plane["directions"].values)
    for i, v in enumerate(plane["v"].values):
        for j, u in enumerate(plane["u"].values):
            expected = landscape.value(point + u * axes[0] + v * axes[1])
            assert float(plane["value"][i, j]) == pytest.approx(expected, rel=1e-12)
    assert float(plane["value"].sel(u=0, v=0)) == float(plane["point_value"][0])


def test_an_interrupted_plane_goes_on_from_its_rows():
    landscape = small()
    seen = []
    options = {"resolution": 6, "extent": 0.5}
    whole = random_plane(
        landscape, landscape.initial_point(), generator=generator(), callback=seen.append, **options
    )
    assert [len(rows) for rows in seen] == [1, 2, 3, 4, 5, 6]
    again = []
    resumed = random_plane(
        landscape, landscape.initial_point(), generator=generator(), known=seen[3],
        callback=again.append, **options,
    )  # fmt: skip
    assert [len(rows) for rows in again] == [5, 6]
    np.testing.assert_array_equal(resumed["value"], whole["value"])


def test_the_plane_of_trajectories_is_that_of_the_singular_vectors():
    generator = np.random.default_rng(0)
    runs = {
        name: torch.from_numpy(np.cumsum(generator.normal(size=(n, 40)), axis=0))
        for name, n in (("adam", 12), ("sgd", 7))
    }
    bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=40)
    plane = trajectory_plane(bowl, runs, resolution=4)
    origin = (runs["adam"][-1] + runs["sgd"][-1]).numpy() / 2
    rows = np.concatenate([run.numpy() - origin for run in runs.values()])
    _, sizes, vectors = np.linalg.svd(rows)
    for axis, expected in zip(plane["directions"].values, vectors[:2], strict=True):
        assert abs(axis @ expected) == pytest.approx(1, abs=1e-10)
    np.testing.assert_allclose(plane["explained"], sizes[:2] ** 2 / np.sum(sizes**2), rtol=1e-10)
    for name, run in runs.items():
        row = plane.sel(path=name)
        np.testing.assert_allclose(row["profile"].values[: len(run)], (run**2).sum(1), rtol=1e-12)
        assert np.isnan(row["profile"].values[len(run) :]).all()
        away = np.linalg.norm(run.numpy() - origin, axis=1) ** 2
        inside = (row["projection"].values[: len(run)] ** 2).sum(1)
        np.testing.assert_allclose(
            row["distance"].values[: len(run)] ** 2, away - inside, atol=1e-9
        )
    grid = plane.sel(point="sgd")["position"]
    assert plane["u"][0] < grid.sel(axis="u") < plane["u"][-1]


def test_a_shared_first_layer_serves_planes_too():
    landscape = network(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    point = landscape.initial_point()
    plane = random_plane(landscape, point, resolution=3, generator=generator())
    axes = torch.from_numpy(plane["directions"].values)
    corner = landscape.value(point - axes[0] - axes[1])
    assert float(plane["value"][0, 0]) == pytest.approx(corner, rel=1e-12)


def test_bad_planes_are_refused():
    surface, loss = MullerBrown(), small()
    with pytest.raises(TypeError, match="MullerBrown has none"):
        random_plane(surface, surface.ends[0], generator=generator())
    with pytest.raises(ValueError, match="'filter', 'layer' or 'none', got 'weights'"):
        random_plane(loss, loss.initial_point(), normalize="weights", generator=generator())
    with pytest.raises(ValueError, match="a direction has no length"):
        random_plane(loss, 0 * loss.initial_point(), generator=generator())
    with pytest.raises(ValueError, match="finite extent above 0"):
        random_plane(loss, loss.initial_point(), extent=0, generator=generator())
    with pytest.raises(ValueError, match="resolution of at least 2"):
        random_plane(loss, loss.initial_point(), resolution=1, generator=generator())
    with pytest.raises(ValueError, match="finite point"):
        random_plane(loss, loss.initial_point() / 0, generator=generator())
    line = torch.linspace(0, 1, 5).double()[:, None] * torch.ones(2).double()
    with pytest.raises(ValueError, match="lie on one line"):
        trajectory_plane(surface, {"a": line})
    with pytest.raises(ValueError, match="'a' has 1 points"):
        trajectory_plane(surface, {"a": line[:1]})
    with pytest.raises(ValueError, match="at least one trajectory"):
        trajectory_plane(surface, {})


def test_a_plane_through_points_resumes_as_well():
    surface = MullerBrown()
    corners = {name: torch.tensor(p).double() for name, p in zip("ABC", PLACES, strict=True)}
    rows = []
    whole = plane_through(surface, corners, resolution=5, callback=rows.append)
    again = plane_through(surface, corners, resolution=5, known=rows[2])
    np.testing.assert_array_equal(again["value"], whole["value"])
