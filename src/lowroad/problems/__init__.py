"""Problems: what a study runs on."""

from lowroad.problems.checkpoints import read_checkpoint, read_point, read_solution
from lowroad.problems.energies import (
    atoms_problem,
    energy_problem,
    lennard_jones,
    mueller_brown,
)
from lowroad.problems.networks import accuracy, error_rate, network_problem, seeded_from
from lowroad.problems.problem import Metric, Problem

__all__ = [
    "Metric",
    "Problem",
    "accuracy",
    "atoms_problem",
    "energy_problem",
    "error_rate",
    "lennard_jones",
    "mueller_brown",
    "network_problem",
    "read_checkpoint",
    "read_point",
    "read_solution",
    "seeded_from",
]
