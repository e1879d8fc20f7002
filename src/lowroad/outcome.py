"""How a search ended, as a named value."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """How an optimizer or a path finder ended.

    The value is the sentence shown to people.

    >>> Outcome.BUDGET_SPENT.value
    'budget spent'
    """

    CONVERGED_GRADIENT = "converged: the gradient is below its tolerance"
    CONVERGED_STEP = "converged: the step is below its tolerance"
    CONVERGED_VALUE = "converged: the value no longer falls"
    CONVERGED_ROUNDING = "converged: lower values would differ only by rounding"
    CONVERGED_PATH = "converged: the forces across the path are below their tolerance"
    CONVERGED_PEAK = "converged: the highest point no longer changes and is stationary"
    OBJECTIVE_CONVERGED = "the objective has converged, which says nothing about the barrier"
    TOO_FEW_IMAGES = "not converged: the images are, but the path is higher between them"
    BUDGET_SPENT = "budget spent"
    LINE_SEARCH_FAILED = "line search failed: no lower point along the gradient"
    DIVERGED = "diverged: the value fell below -1e30, or it or the gradient is not finite"
    STOPPED = "stopped by the caller"
    MEASURED = "measured: nothing was searched for"

    @property
    def converged(self) -> bool:
        """Whether the search ended because it was done, not because it had to stop.

        A path whose objective is a sum over the path is never done in this sense: the minimum of
        the sum lies above the pass.
        """
        return self in _CONVERGED


_CONVERGED = {
    Outcome.CONVERGED_GRADIENT,
    Outcome.CONVERGED_STEP,
    Outcome.CONVERGED_VALUE,
    Outcome.CONVERGED_ROUNDING,
    Outcome.CONVERGED_PATH,
    Outcome.CONVERGED_PEAK,
}
