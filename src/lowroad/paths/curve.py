"""Paths of a fixed family, start + t (end − start) + Σ_j φ_j(t) b_j, optimized over b_j."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape
from lowroad.paths.basis import Basis
from lowroad.paths.curve_search import CurveSearch
from lowroad.paths.finder import Callback, PathFinder, Search
from lowroad.paths.keeper import Keeper
from lowroad.paths.path import Path


@dataclass(frozen=True, kw_only=True)
class CurveFinder(PathFinder):
    """Optimizes the coefficients of a family of curves.

    `objective="total"` is the paper's Eq. (4): Σ_i L(θ(t_i)) + λ Σ_i |θ(t_{i+1}) − θ(t_i)|², t on
    `points` equally spaced values (see `TotalLoss`). The path of the lowest cumulative loss Σ_i
    L(θ(t_i)) seen *on the full landscape* is kept: with full-batch steps every step's path is a
    candidate; with mini-batches the candidates are the paths at the start of every pass over the
    data and at the end, each evaluated on the full landscape, since a low loss on a single batch
    says little.

    `objective="max_flux"` seeks a low *height* instead: β⁻¹ log ∫ exp(βL) |dθ| at constant speed
    (see `FluxLoss`), in rounds of 10 steps. From round to round β grows from 10 to 300 over the
    profile's range, and the evaluation points (`terms` + 6 of them) move to where the path is high.
    The path of the lowest maximum seen on the full landscape at the end of a round is kept (on the
    grid and the round's points together, with a parabola through the top three). A round of L-BFGS
    that ends higher is undone, and if it ends much higher, the path has moved between the points,
    so the next round gets more of them; Adam's steps, which may be noisy, go on.

    The search for a low height has converged (`Outcome.CONVERGED_PEAK`) where the height no longer
    changes from round to round and the gradient at the path's highest point, computed anew, is
    below a twentieth of the path's rise above its higher end over its length: a family of curves
    that cannot follow the valley stops changing as well, but not at a pass. The minimum of the
    total lies above the pass, so a total that no longer changes is `Outcome.OBJECTIVE_CONVERGED`
    and no more.

    Attributes:
        objective: "total" or "max_flux".
        optimizer: "adam", or "lbfgs" (full batch only; steps are its iterations, of about 1.1
            gradients each); None takes Adam for the total and L-BFGS for the flux.
        smoothness: λ, only for the total. The paper has one, whose value is lost.
        steps: at most.
        learning_rate: Adam's; when not given a hundredth of the ends' distance over √d, so that the
            path does not depend on the units of lengths and values. The paper's is 1e-3.
        batch_size: data samples per step; all when None.
        noise: the standard deviation of normal noise added to Adam's gradients.
        until: "budget" for all the steps; "converged" to stop as soon as the search has converged.
        height_tolerance: the relative change of the height (above the lower end) below which it no
            longer changes.
        height_steps: the number of steps over which that is judged.
        recordings: into how many equal parts the steps of a search with mini-batches are cut to
            record the path on all data after each, besides at every pass; only for the total.
    """

    resumable = True

    objective: Literal["total", "max_flux"] = "total"
    optimizer: Literal["adam", "lbfgs"] | None = None
    smoothness: float = 0.0
    steps: int = 100
    learning_rate: float | None = None
    batch_size: int | None = None
    noise: float = 0.0
    until: Literal["budget", "converged"] = "budget"
    height_tolerance: float = 1e-3
    height_steps: int = 50
    recordings: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = {
            "objective": ("total", "max_flux"),
            "optimizer": (None, "adam", "lbfgs"),
            "until": ("budget", "converged"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"expected {name} to be one of {allowed}, got {getattr(self, name)!r}"
                )
        for name in ("smoothness", "noise", "height_tolerance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"expected {name} >= 0, got {getattr(self, name)}")
        for name in ("steps", "height_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} >= 1, got {getattr(self, name)}")
        if self.recordings < 0:
            raise ValueError(f"expected recordings >= 0, got {self.recordings}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(f"expected a learning_rate > 0, got {self.learning_rate}")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"expected batches of at least one sample, got {self.batch_size}")
        if self.basis.terms < 1:
            raise ValueError(f"expected at least one term, got {self.basis.terms}")
        if self._is_stochastic and not self._uses_adam:
            raise ValueError('L-BFGS takes neither mini-batches nor noise: choose optimizer="adam"')

    @property
    @abstractmethod
    def basis(self) -> Basis:
        """The family of curves."""

    @property
    def draws(self) -> bool:
        """Whether mini-batches, noise or starts are drawn."""
        return super().draws or self._is_stochastic

    @property
    def _is_stochastic(self) -> bool:
        return self.batch_size is not None or self.noise > 0

    @property
    def _uses_adam(self) -> bool:
        if self.optimizer is None:
            return self.objective == "total"
        return self.optimizer == "adam"

    def _search(
        self,
        landscape: CountingLandscape,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator | None,
        callback: Callback | None,
        initial: Path | None,
        keeper: Keeper | None = None,
    ) -> Search:
        path = Path.straight(start, end, self.basis)
        if initial is not None:
            path = initial.in_basis(self.basis)
        search = CurveSearch(self, landscape, path, generator, callback, keeper)
        outcome = search.minimize_total() if self.objective == "total" else search.maximize_flux()
        return Search(search.best, search.record.history(), outcome, search.profile)
