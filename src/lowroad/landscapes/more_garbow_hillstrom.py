"""The Moré–Garbow–Hillstrom test set: 35 sums of squares with standard starts and known minima.

J. J. Moré, B. S. Garbow, K. E. Hillstrom, *Testing unconstrained optimization software*, ACM
Transactions on Mathematical Software 7 (1981) 17–41. A test set of steep, flat, curved, badly
scaled and singular landscapes for optimizers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lowroad.landscapes import more_garbow_hillstrom_residuals as residuals
from lowroad.landscapes.function import FunctionLandscape

Residuals = Callable[[Tensor], Tensor]


class SumOfSquares(FunctionLandscape):
    """L(x) = Σ_i f_i(x)², float64, with a start and the values of its known minima.

    Args:
        number: its number in the paper.
        name: its name there.
        residuals: f, from points [n, d] to [n, m].
        start: the standard start [d].
        minima: values of the known minima, the lowest first; those that are only approached at
            infinity too.

    Attributes:
        number: as given.
        name: as given.
        residuals: as given.
        start: as given.
        minima: as given.

    >>> rosenbrock = more_garbow_hillstrom()[0]
    >>> rosenbrock.value(rosenbrock.start)
    24.199999999999996
    """

    def __init__(
        self,
        number: int,
        name: str,
        residuals: Residuals,
        start: list[float],
        minima: tuple[float, ...],
    ) -> None:
        super().__init__(lambda x: (residuals(x) ** 2).sum(1), dimension=len(start))
        self.number, self.name, self.residuals, self.minima = number, name, residuals, minima
        self.start = torch.tensor(start, dtype=torch.float64)

    def __repr__(self) -> str:
        return f"{self.name} ({self.dimension})"

    def excess(self, value: float) -> float:
        """Return how far `value` lies from the nearest known minimum f*, over max(1, |f*|)."""
        return min(abs(value - low) / max(1.0, abs(low)) for low in self.minima)


def more_garbow_hillstrom() -> list[SumOfSquares]:
    """Return the 35 problems, in the paper's order, in dimensions for which minima are published.

    The published minima have six digits; those that are not zero or a closed form were refined to
    twelve in 50-digit arithmetic and agree with them. Two minima are not in the paper: the lowest
    of number 18, and the second of number 31, near (0.21, 0.26, 0.23, 0.20, …), a stationary point
    with a positive definite Hessian.

    >>> problems = more_garbow_hillstrom()
    >>> len(problems), problems[9], problems[9].minima
    (35, Meyer (3), (87.9458551709,))
    """
    r = residuals
    steps = [j / 11 for j in range(1, 11)]
    rank_one = 20 * 19 / (2 * 41)
    rank_one_zeros = (20**2 + 3 * 20 - 6) / (2 * (2 * 20 - 3))
    problems: list[tuple[str, Residuals, list[float], tuple[float, ...]]] = [
        ("Rosenbrock", r.rosenbrock, [-1.2, 1.0], (0.0,)),
        ("Freudenstein and Roth", r.freudenstein_roth, [0.5, -2.0], (0.0, 48.9842536792)),
        ("Powell badly scaled", r.powell_badly_scaled, [0.0, 1.0], (0.0,)),
        ("Brown badly scaled", r.brown_badly_scaled, [1.0, 1.0], (0.0,)),
        ("Beale", r.beale, [1.0, 1.0], (0.0,)),
        ("Jennrich and Sampson", r.jennrich_sampson, [0.3, 0.4], (124.362182356,)),
        ("Helical valley", r.helical_valley, [-1.0, 0.0, 0.0], (0.0,)),
        ("Bard", r.bard, [1.0, 1.0, 1.0], (8.21487730658e-3, 17.4286933334)),
        ("Gaussian", r.gaussian, [0.4, 1.0, 0.0], (1.12793276962e-8,)),
        ("Meyer", r.meyer, [0.02, 4000.0, 250.0], (87.9458551709,)),
        ("Gulf research and development", r.gulf, [5.0, 2.5, 0.15], (0.0,)),
        ("Box three-dimensional", r.box_three_dimensional, [0.0, 10.0, 20.0], (0.0,)),
        ("Powell singular", r.powell_singular, [3.0, -1.0, 0.0, 1.0], (0.0,)),
        ("Wood", r.wood, [-3.0, -1.0, -3.0, -1.0], (0.0,)),
        (
            "Kowalik and Osborne",
            r.kowalik_osborne,
            [0.25, 0.39, 0.415, 0.39],
            (3.07505603849e-4, 1.02734e-3),
        ),
        ("Brown and Dennis", r.brown_dennis, [25.0, 5.0, -5.0, -1.0], (85822.2016264,)),
        ("Osborne 1", r.osborne_1, [0.5, 1.5, -1.0, 0.01, 0.02], (5.46489469748e-5,)),
        ("Biggs EXP6", r.biggs_exp6, [1.0, 2.0, 1.0, 1.0, 1.0, 1.0], (0.0, 5.65564992574e-3)),
        (
            "Osborne 2",
            r.osborne_2,
            [1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5],
            (4.01377362935e-2,),
        ),
        ("Watson", r.watson, [0.0] * 6, (2.28767005355e-3,)),
        ("Extended Rosenbrock", r.extended_rosenbrock, [-1.2, 1.0] * 5, (0.0,)),
        ("Extended Powell singular", r.powell_singular, [3.0, -1.0, 0.0, 1.0] * 3, (0.0,)),
        ("Penalty I", r.penalty_1, [1.0, 2.0, 3.0, 4.0], (2.24997750089e-5,)),
        ("Penalty II", r.penalty_2, [0.5] * 4, (9.37629300736e-6,)),
        (
            "Variably dimensioned",
            r.variably_dimensioned,
            [1 - j / 10 for j in range(1, 11)],
            (0.0,),
        ),
        ("Trigonometric", r.trigonometric, [0.1] * 10, (0.0, 2.79505612188e-5)),
        ("Brown almost linear", r.brown_almost_linear, [0.5] * 10, (0.0, 1.0)),
        (
            "Discrete boundary value",
            r.discrete_boundary_value,
            [t * (t - 1) for t in steps],
            (0.0,),
        ),
        (
            "Discrete integral equation",
            r.discrete_integral_equation,
            [t * (t - 1) for t in steps],
            (0.0,),
        ),
        ("Broyden tridiagonal", r.broyden_tridiagonal, [-1.0] * 10, (0.0,)),
        ("Broyden banded", r.broyden_banded, [-1.0] * 10, (0.0, 3.05727843243)),
        ("Linear, full rank", r.linear_full_rank, [1.0] * 10, (10.0,)),
        ("Linear, rank 1", r.linear_rank_1, [1.0] * 10, (rank_one,)),
        ("Linear, rank 1 with zeros", r.linear_rank_1_zeros, [1.0] * 10, (rank_one_zeros,)),
        ("Chebyquad", r.chebyquad, [j / 9 for j in range(1, 9)], (3.51687372568e-3,)),
    ]
    return [SumOfSquares(i, *problem) for i, problem in enumerate(problems, start=1)]
