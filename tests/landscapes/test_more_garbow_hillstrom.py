"""The Moré–Garbow–Hillstrom functions against numbers published by others.

Initial values: the reference outputs of MINPACK-1's test drivers (norms of the residuals at the
standard start and at 10 and 100 times it) and of Algorithm 566's (f at the start, three digits).
Minima: the paper and MINPACK's final norms.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import torch

from lowroad.landscapes import more_garbow_hillstrom_residuals as residuals
from lowroad.landscapes.more_garbow_hillstrom import more_garbow_hillstrom

PROBLEMS = {problem.number: problem for problem in more_garbow_hillstrom()}

# number: |f(x0)|, |f(10 x0)|, |f(100 x0)|
MINPACK_NORMS = {
    1: (4.919350, 1340.063, 143000.1),
    2: (20.01250, 12432.83, 1.142645e7),
    6: (64.58565,),
    7: (50.0, 102.9563, 991.2618),
    8: (6.456136, 36.14185, 384.1147),
    10: (41153.47, 4168217.0),
    12: (32.11158,),
    13: (14.66288, 1270.984, 126887.9),
    15: (0.07289151, 2.979370, 29.95906),
    16: (2815.438, 555073.4, 6.121125e7),
    17: (0.9375640,),
    19: (1.446865,),
    20: (5.477226,),
    26: (0.08411753, 20.30519, 93.36937),
    27: (16.53022, 9765624.0, 9.765625e16),
    28: (0.02808058, 0.5255526, 106.5739),
    29: (0.2518270, 6.116833, 1269.309),
    30: (4.582576, 639.1009, 63337.58),
    31: (18.97367, 17130.92, 1.594986e7),
    35: (0.1965139,),
}

# function, start of the dimension used there, f(x0)
ALGORITHM_566 = [
    (residuals.helical_valley, [-1.0, 0.0, 0.0], 2.50e3),
    (residuals.biggs_exp6, [1.0, 2.0, 1.0, 1.0, 1.0, 1.0], 7.79e-1),
    (residuals.gaussian, [0.4, 1.0, 0.0], 3.89e-6),
    (residuals.powell_badly_scaled, [0.0, 1.0], 1.14),
    (residuals.box_three_dimensional, [0.0, 10.0, 20.0], 1.03e3),
    (residuals.variably_dimensioned, [1 - j / 40 for j in range(1, 41)], 9.39e10),
    (residuals.watson, [0.0] * 9, 3.00e1),
    (residuals.penalty_1, [float(j) for j in range(1, 61)], 5.45e9),
    (residuals.penalty_2, [0.5] * 65, 2.87e5),
    (residuals.brown_badly_scaled, [1.0, 1.0], 1.00e12),
    (residuals.brown_dennis, [25.0, 5.0, -5.0, -1.0], 7.93e6),
    (residuals.gulf, [5.0, 2.5, 0.15], 1.21e1),
    (residuals.trigonometric, [1 / 40] * 40, 2.01e-3),
    (residuals.extended_rosenbrock, [-1.2, 1.0] * 20, 4.84e2),
    (residuals.powell_singular, [3.0, -1.0, 0.0, 1.0] * 15, 3.23e3),
    (residuals.beale, [1.0, 1.0], 1.42e1),
    (residuals.wood, [-3.0, -1.0, -3.0, -1.0], 1.92e4),
    (residuals.chebyquad, [j / 51 for j in range(1, 51)], 1.39e-2),
]

# number: the minima that the paper gives (section 3, to six digits)
PUBLISHED_MINIMA = {
    2: (0.0, 48.9842),
    6: (124.362,),
    8: (8.21487e-3, 17.4286),
    9: (1.12793e-8,),
    10: (87.9458,),
    15: (3.07505e-4, 1.02734e-3),
    16: (85822.2,),
    17: (5.46489e-5,),
    18: (5.65565e-3,),
    19: (4.01377e-2,),
    20: (2.28767e-3,),
    23: (2.24997e-5,),
    24: (9.37629e-6,),
    26: (0.0, 2.79506e-5),
    27: (0.0, 1.0),
    32: (20 - 10,),
    33: (20 * 19 / (2 * 41),),
    34: ((400 + 60 - 6) / (2 * 37),),
    35: (3.51687e-3,),
}


@pytest.mark.parametrize("number", MINPACK_NORMS)
def test_residuals_have_the_norms_of_minpack(number):
    problem = PROBLEMS[number]
    for factor, norm in zip((1.0, 10.0, 100.0), MINPACK_NORMS[number], strict=False):
        value = float(problem.residuals(factor * problem.start[None]).norm())
        assert value == pytest.approx(norm, rel=1e-6)


def test_watson_has_the_norms_of_minpack_in_more_dimensions():
    for n, norms in ((6, (6433.126, 674256.0)), (9, (12088.13, 1269109.0))):
        for start, norm in zip((10.0, 100.0), norms, strict=True):
            points = torch.full((1, n), start, dtype=torch.float64)
            assert float(residuals.watson(points).norm()) == pytest.approx(norm, rel=1e-6)


@pytest.mark.parametrize(("function", "start", "published"), ALGORITHM_566)
def test_values_at_the_start_are_those_of_algorithm_566(function, start, published):
    value = float((function(torch.tensor([start], dtype=torch.float64)) ** 2).sum())
    assert value == pytest.approx(published, rel=5e-3)


def test_the_linear_functions_start_where_their_formulas_say():
    # (32): Σ_i (1 − 2·10/20 − 1)² over 20 samples with x = 1: −1 in 10 of them, −2 in the others
    assert PROBLEMS[32].value(PROBLEMS[32].start) == 10 * 1.0 + 10 * 4.0
    # (33): Σ_j j = 55, so Σ_i (55 i − 1)²
    assert PROBLEMS[33].value(PROBLEMS[33].start) == sum((55 * i - 1) ** 2 for i in range(1, 21))
    # (34): Σ_{j=2}^{9} j = 44, (i − 1) from 0 to 18, and −1 first and last
    assert PROBLEMS[34].value(PROBLEMS[34].start) == 1 + 1 + sum(
        (44 * (i - 1) - 1) ** 2 for i in range(2, 20)
    )


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=str)
def test_minima_are_the_published_ones(problem):
    for published in PUBLISHED_MINIMA.get(problem.number, (0.0,)):
        # the paper cuts off after six digits rather than rounding
        assert problem.excess(published) <= 1e-5 * min(1.0, abs(published) or 1.0)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=str)
def test_scipy_finds_one_of_the_minima(problem):
    def values(x):
        return problem.residuals(torch.from_numpy(x)[None])[0].numpy()

    def jacobian(x):
        of_one = lambda v: problem.residuals(v[None])[0]  # noqa: E731
        return torch.autograd.functional.jacobian(of_one, torch.from_numpy(x)).numpy()

    tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "max_nfev": 20000}
    found = scipy.optimize.least_squares(
        values, problem.start.numpy(), jacobian, method="lm", **tight
    )
    assert problem.excess(2 * found.cost) <= 1e-10


def test_the_second_minimum_of_broyden_banded_is_a_minimum():
    problem = PROBLEMS[31]
    x = [0.21071386, 0.26097669, 0.22794767, 0.19702559, 0.20322969, 0.22191598]
    x += [0.16281224, 0.048302528, -0.079356584, -0.15312519]
    x = torch.tensor(x, dtype=torch.float64)
    value, gradient = problem.value_and_gradient(x)
    hessian = torch.autograd.functional.hessian(lambda v: problem.function(v[None])[0], x)
    assert problem.excess(value) < 1e-11
    assert gradient.abs().max() < 1e-5
    assert np.linalg.eigvalsh(hessian.numpy()).min() > 0.1


def test_rows_of_a_batch_do_not_mix():
    for problem in PROBLEMS.values():
        points = torch.stack([problem.start, problem.start + 0.01, problem.start * 0.9])
        together = problem.values(points)
        alone = torch.cat([problem.values(point[None]) for point in points])
        assert together.tolist() == pytest.approx(alone.tolist(), rel=1e-12)
