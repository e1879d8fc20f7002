"""What every landscape must do. A new landscape is one line in `LANDSCAPES`."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy.optimize import rosen, rosen_der
from torch import nn

from lowroad.landscapes import (
    AffineSubspace,
    AnaPot,
    AseLandscape,
    BatchNormLandscape,
    CountingLandscape,
    CurvyValley,
    FunctionLandscape,
    Landscape,
    LennardJones,
    MullerBrown,
    NegatedLandscape,
    NetworkLandscape,
    NumpyLandscape,
    RestrictedLandscape,
    SeparableValley,
    TwoWells,
)
from lowroad.landscapes import landscape as generic


def network(*layers: nn.Module) -> NetworkLandscape:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(23, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (23,), generator=generator)
    return NetworkLandscape(
        nn.Sequential(*layers).double(), inputs, labels, "cross_entropy", chunk=10
    )


def stretching_energy(points: torch.Tensor) -> torch.Tensor:
    """The mean of u'^2 + u^4 for u(t) = sum of c_k sin(k t), u' by autograd."""
    t = torch.linspace(0.1, 3.0, 25, dtype=points.dtype).expand(len(points), 25).clone()
    t.requires_grad_()
    waves = torch.stack([torch.sin(k * t) for k in range(1, 1 + points.shape[1])], dim=1)
    u = (points[:, :, None] * waves).sum(1)
    (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
    return (slope**2 + u**4).mean(1)


def squared_force(points: torch.Tensor) -> torch.Tensor:
    """|∇V|² by autograd, V = sum of x^4 + product of x: the points themselves need a graph."""
    (force,) = torch.autograd.grad(
        (points**4).sum() + points.prod(1).sum(), points, create_graph=True
    )
    return (force**2).sum(1)


def atoms_by_ase() -> AseLandscape:
    """Four atoms in a skewed cell, held by a plane, a line and a spring."""
    ase = pytest.importorskip("ase")
    from ase.calculators.morse import MorsePotential
    from ase.constraints import FixedLine, FixedPlane, Hookean

    places = [[0.0, 0, 0], [1.1, 0.1, 0], [0.2, 1.2, 0.1], [0.4, 0.5, 1.0]]
    atoms = ase.Atoms("Ar4", places, cell=[[9, 0, 0], [5, 8, 0], [0, 3, 9]], pbc=(1, 1, 0))
    atoms.set_constraint(
        [FixedPlane([1], [1, 2, 2]), FixedLine([2], [1, 1, 0]), Hookean(0, 3, 2, rt=0.3)]
    )
    atoms.calc = MorsePotential(rho0=3.0)
    return AseLandscape(atoms)


LANDSCAPES: dict[str, Landscape] = {
    "function": FunctionLandscape(lambda x: (x**3).sum(1) + x.prod(1), dimension=3),
    "function that differentiates": FunctionLandscape(stretching_energy, dimension=4),
    "function of its own gradient": FunctionLandscape(squared_force, dimension=3),
    "two wells": TwoWells(),
    "Müller–Brown": MullerBrown(),
    "curvy valley": CurvyValley(),
    "AnaPot": AnaPot(),
    "network, shared first layer": network(nn.Linear(4, 5), nn.Softplus(), nn.Linear(5, 3)),
    "network, no bias": network(nn.Linear(4, 5, bias=False), nn.Tanh(), nn.Linear(5, 3)),
    "network, generic": network(nn.Tanh(), nn.Linear(4, 3)),
    "network, batch norm": BatchNormLandscape(
        network(nn.Linear(4, 5), nn.BatchNorm1d(5).eval(), nn.Tanh(), nn.Linear(5, 3))
    ),
    "separable valley": SeparableValley(5),
    "seven atoms": LennardJones(7),
    "negated": NegatedLandscape(MullerBrown()),
    "atoms by ASE": atoms_by_ase(),
    "NumPy functions": NumpyLandscape(rosen, rosen_der, dimension=3),
    "counted": CountingLandscape(FunctionLandscape(lambda x: (x**2).sum(1), dimension=4)),
}


@pytest.fixture(params=list(LANDSCAPES))
def landscape(request: pytest.FixtureRequest) -> Landscape:
    return LANDSCAPES[request.param]


@pytest.fixture
def points(landscape: Landscape) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.5 * torch.randn(4, landscape.dimension, generator=generator, dtype=torch.float64)


def test_values_are_float64_and_one_a_point(landscape, points):
    values = landscape.values(points)
    assert values.dtype == torch.float64
    assert values.shape == (4,)
    assert not values.requires_grad


def test_points_do_not_depend_on_each_other(landscape, points):
    alone = torch.cat([landscape.values(point[None]) for point in points])
    torch.testing.assert_close(landscape.values(points), alone, rtol=1e-13, atol=1e-13)


def test_values_with_and_without_gradients_agree(landscape, points):
    values, gradients = landscape.values_and_gradients(points)
    torch.testing.assert_close(values, landscape.values(points), rtol=1e-13, atol=1e-13)
    assert gradients.shape == points.shape
    assert gradients.dtype == points.dtype


def test_gradients_are_central_differences(landscape, points):
    _, gradients = landscape.values_and_gradients(points)
    step = 1e-6
    for j in range(landscape.dimension):
        shift = torch.zeros(landscape.dimension, dtype=torch.float64)
        shift[j] = step
        slope = (landscape.values(points + shift) - landscape.values(points - shift)) / (2 * step)
        scale = gradients.abs().max()
        torch.testing.assert_close(gradients[:, j], slope, rtol=1e-6, atol=float(1e-8 * scale))


def test_single_points_are_a_batch_of_one(landscape, points):
    values, gradients = landscape.values_and_gradients(points)
    value, gradient = landscape.value_and_gradient(points[2])
    assert landscape.value(points[2]) == pytest.approx(float(values[2]), rel=1e-13)
    assert value == pytest.approx(float(values[2]), rel=1e-13)
    torch.testing.assert_close(gradient, gradients[2], rtol=1e-12, atol=1e-13)


def test_points_are_left_as_they_are(landscape, points):
    copy = points.clone()
    landscape.values(points)
    landscape.values_and_gradients(points)
    assert torch.equal(points, copy)


def test_wrong_points_are_refused(landscape, points):
    with pytest.raises(ValueError, match=rf"\[n, {landscape.dimension}\].*got \[4, "):
        landscape.values(points[:, 1:])
    with pytest.raises(ValueError, match="expected points of shape"):
        landscape.values_and_gradients(points[0])
    with pytest.raises(TypeError, match=r"torch\.float64.*got torch\.float32"):
        landscape.values(points.float())
    with pytest.raises(TypeError, match=r"as a torch tensor for .*, got ndarray"):
        landscape.values(points.numpy())


def test_a_symmetric_image_is_nearer_and_has_the_same_value(landscape, points):
    assert landscape.symmetric_image(points[0], points[0].clone()) is None
    copy = points.clone()
    for reference, point in itertools.permutations(points, 2):
        image = landscape.symmetric_image(reference, point)
        if image is not None:
            assert landscape.value(image.point) == pytest.approx(landscape.value(point), rel=1e-9)
            assert image.raw_distance == pytest.approx(float((point - reference).norm()))
            assert image.distance == pytest.approx(float((image.point - reference).norm()))
            assert image.distance < image.raw_distance
            assert not image.same
    assert torch.equal(points, copy)


@pytest.mark.parametrize("rank", [0, 1, 2, 5])
def test_restriction_agrees_with_points(landscape, points, rank):
    """The oracle makes the points and multiplies their gradients explicitly."""
    generator = torch.Generator().manual_seed(rank)
    directions = torch.randn(rank, landscape.dimension, generator=generator, dtype=torch.float64)
    coordinates = 0.1 * torch.randn(3, rank, generator=generator, dtype=torch.float64)
    weights = torch.rand(3, generator=generator, dtype=torch.float64)
    subspace = AffineSubspace(points[0], directions)
    restricted = landscape.restrict(subspace)
    values, gradients = landscape.values_and_gradients(points[0] + coordinates @ directions)
    close = {"rtol": 1e-11, "atol": float(1e-12 * gradients.abs().max())}

    torch.testing.assert_close(restricted.values(coordinates), values, **close)
    by_coordinates = restricted.values_and_gradients(coordinates)
    torch.testing.assert_close(by_coordinates[0], values, **close)
    torch.testing.assert_close(by_coordinates[1], gradients @ directions.T, **close)
    found = restricted.values_and_subspace_gradients(coordinates, weights)
    torch.testing.assert_close(found.values, values, **close)
    torch.testing.assert_close(found.gradients[0], weights @ gradients, **close)
    by_direction = (weights[:, None] * coordinates).T @ gradients
    torch.testing.assert_close(found.gradients[1:], by_direction, **close)
    plain = restricted.values_and_subspace_gradients(coordinates)
    torch.testing.assert_close(plain.gradients[0], gradients.sum(0), **close)
    value, gradient = restricted.value_and_gradient(coordinates[1])
    assert value == pytest.approx(float(values[1]), rel=1e-11)
    torch.testing.assert_close(gradient, gradients[1], **close)
    value, slopes, gradient_there = restricted.value_and_slope(coordinates[1])
    assert value == pytest.approx(float(values[1]), rel=1e-11)
    torch.testing.assert_close(slopes, directions @ gradients[1], **close)
    torch.testing.assert_close(gradient_there(), gradients[1], **close)
    with pytest.raises(ValueError, match=rf"coordinates of shape \[n, {rank}\]"):
        restricted.values(torch.zeros(2, rank + 1, dtype=torch.float64))


def test_a_restriction_makes_few_points_at_once(landscape, points, monkeypatch):
    """Large landscapes make their points in groups: here of 1, of 2 and of 20, for 5 points."""
    directions = points[1:3]
    coordinates = torch.linspace(-0.1, 0.2, 10, dtype=torch.float64).view(5, 2)
    values, gradients = landscape.values_and_gradients(points[0] + coordinates @ directions)
    weights = torch.softmax(values, 0)
    for together in (1, 2, 20):
        monkeypatch.setattr(generic, "FLOATS_AT_ONCE", together * landscape.dimension)
        restricted = RestrictedLandscape(landscape, AffineSubspace(points[0], directions))
        close = {"rtol": 1e-11, "atol": float(1e-12 * gradients.abs().max())}
        torch.testing.assert_close(restricted.values(coordinates), values, **close)
        by_coordinates = restricted.values_and_gradients(coordinates)
        torch.testing.assert_close(by_coordinates[0], values, **close)
        torch.testing.assert_close(by_coordinates[1], gradients @ directions.T, **close)
        expected = torch.cat([weights[None], weights * coordinates.T]) @ gradients
        for given in (weights, lambda own: torch.softmax(own, 0)):
            found = restricted.values_and_subspace_gradients(coordinates, given)
            torch.testing.assert_close(found.values, values, **close)
            torch.testing.assert_close(found.gradients, expected, **close)


def test_moved_lines_agree_with_new_ones(landscape, points):
    """Ten moves in a row, each to a new direction, as in successive line searches."""
    generator = torch.Generator().manual_seed(5)
    directions = 0.1 * torch.randn(
        11, landscape.dimension, generator=generator, dtype=torch.float64
    )
    line = landscape.restrict(AffineSubspace(points[1], directions[:1]))
    at = points[1]
    for direction in directions[1:]:
        line.values(torch.tensor([[0.5]], dtype=torch.float64))
        at = at + 0.3 * line.subspace.directions[0]
        line = line.rebased(torch.tensor([0.3], dtype=torch.float64), direction[None])
        there = torch.tensor([[0.7]], dtype=torch.float64)
        expected = landscape.value(at + 0.7 * direction)
        assert float(line.values(there)[0]) == pytest.approx(expected, rel=1e-11)
        _, gradient = line.value_and_gradient(there[0])
        plain = RestrictedLandscape(landscape, AffineSubspace(at, direction[None]))
        torch.testing.assert_close(
            gradient, plain.value_and_gradient(there[0])[1], rtol=1e-10, atol=1e-12
        )
