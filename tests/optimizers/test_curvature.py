"""The limited memory against dense BFGS."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowroad.landscapes import FunctionLandscape
from lowroad.optimizers import Brent, Tolerance, lbfgs
from lowroad.optimizers.curvature import CurvatureMemory


def vectors(count, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, n, generator=generator, dtype=torch.float64)


def dense_inverse(pairs, n):
    """H by the BFGS update of the inverse (Nocedal & Wright, Eq. 6.17) from γ I."""
    s, y = pairs[-1]
    inverse = (s @ y) / (y @ y) * np.eye(n)
    for s, y in pairs:
        rho = 1 / (s @ y)
        left = np.eye(n) - rho * np.outer(s, y)
        inverse = left @ inverse @ left.T + rho * np.outer(s, s)
    return inverse


@pytest.mark.parametrize("kept", [1, 3, 8])
def test_the_direction_is_that_of_dense_bfgs_over_the_last_pairs(kept):
    n, memory = 6, CurvatureMemory(kept)
    matrix = vectors(n, n)
    hessian = matrix @ matrix.T + torch.eye(n, dtype=torch.float64)
    pairs = [(s, hessian @ s) for s in vectors(5, n, seed=1)]
    for s, y in pairs:
        memory.add(s, y)
    assert len(memory) == min(kept, 5)
    gradient = vectors(1, n, seed=2)[0]
    inverse = dense_inverse([(s.numpy(), y.numpy()) for s, y in pairs[-kept:]], n)
    expected = -inverse @ gradient.numpy()
    assert memory.direction(gradient).numpy() == pytest.approx(expected, rel=1e-9)


def test_without_pairs_the_direction_is_the_negative_gradient():
    gradient = torch.tensor([1.0, -2.0])
    assert CurvatureMemory(3).direction(gradient).tolist() == [-1.0, 2.0]


@pytest.mark.parametrize(
    ("dtype", "cosine", "kept"),
    [
        (torch.float32, 2e-4, 2),
        (torch.float32, 5e-5, 0),
        (torch.float64, 5e-5, 2),
        (torch.float64, 5e-9, 0),
    ],
)
def test_weak_curvature_drops_everything(dtype, cosine, kept):
    memory = CurvatureMemory(5)
    memory.add(torch.tensor([1.0, 0.0], dtype=dtype), torch.tensor([1.0, 0.0], dtype=dtype))
    memory.add(torch.tensor([1.0, 0.0], dtype=dtype), torch.tensor([cosine, 1.0], dtype=dtype))
    assert len(memory) == kept


@pytest.mark.parametrize(
    "change", [[-1.0, 0.0], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1]]
)
def test_curvature_that_is_no_curvature_drops_everything(change):
    memory = CurvatureMemory(5)
    memory.add(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]))
    memory.add(torch.tensor([1.0, 0.0]), torch.tensor(change))
    assert len(memory) == 0


def test_a_direction_that_is_not_finite_drops_everything():
    memory = CurvatureMemory(5)
    memory.add(torch.tensor([1e30, 0.0]), torch.tensor([1e-8, 0.0]))
    gradient = torch.tensor([1e10, 1.0])
    assert memory.direction(gradient).tolist() == [-1e10, -1.0]
    assert len(memory) == 0


def test_with_exact_searches_a_quadratic_of_d_variables_takes_d_iterations():
    # with exact line searches BFGS makes the iterates of conjugate gradients (Nazareth 1979)
    n = 6
    matrix = vectors(n, n, seed=3)
    hessian = matrix @ matrix.T + torch.eye(n, dtype=torch.float64)
    bowl = FunctionLandscape(lambda x: ((x @ hessian) * x).sum(1) / 2, dimension=n)
    start = vectors(1, n, seed=4)[0]
    exact = Brent(budget=100, tolerance=1e-7)
    found = lbfgs(bowl, start, line_search=exact, iterations=n, tolerance=Tolerance(gradient=0.0))
    assert found.value < 1e-12 * bowl.value(start)
    # and the iterates of conjugate gradients themselves
    x, r = start.clone(), -(hessian @ start)
    p, values = r.clone(), [bowl.value(start)]
    for _ in range(n - 1):
        alpha = (r @ r) / (p @ hessian @ p)
        x, new = x + alpha * p, r - alpha * (hessian @ p)
        p, r = new + (new @ new) / (r @ r) * p, new
        values.append(bowl.value(x))
    assert found.history.values[:n] == pytest.approx(values, rel=1e-6)
