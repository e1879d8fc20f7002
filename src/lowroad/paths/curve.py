"""Paths of a fixed family, start + t (end − start) + Σ_j φ_j(t) b_j, optimized over b_j."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Landscape
from lowroad.optimizers import Progress
from lowroad.outcome import Outcome
from lowroad.paths.basis import Basis
from lowroad.paths.coefficients import CoefficientLandscape
from lowroad.paths.finder import Callback, PathFinder, Search
from lowroad.paths.flux import FluxLoss, evaluation_points, interpolated_maximum
from lowroad.paths.path import Path
from lowroad.paths.record import Record
from lowroad.paths.total import Slope, TotalLoss

ROUND = 10  # steps of the maximum-flux search between two settings of β and of its points
FIRST_BETA, LAST_BETA = 10.0, 300.0  # times one over the profile's range
ANNEALING = 6  # rounds from the first β to the last
STEP = 0.01  # of the ends' distance: how far a step of Adam moves a coefficient vector
STATIONARY = 0.05  # of the range of values over the length: a gradient that counts as none
SPEED_WEIGHT = 1.0  # of the constant-speed penalty, times the profile's range


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
    below a twentieth of the path's range of values over its length: a family of curves that cannot
    follow the valley stops changing as well, but not at a pass. The minimum of the total lies above
    the pass, so a total that no longer changes is `Outcome.OBJECTIVE_CONVERGED` and no more.

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
    """

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
    ) -> Search:
        path = Path.straight(start, end, self.basis)
        if initial is not None:
            path = initial.in_basis(self.basis)
        search = _CurveSearch(self, landscape, path, generator, callback)
        outcome = search.minimize_total() if self.objective == "total" else search.maximize_flux()
        return Search(search.best, search.record.history(), outcome, search.profile)


class _CurveSearch:
    """The state of one search."""

    def __init__(
        self,
        finder: CurveFinder,
        landscape: CountingLandscape,
        path: Path,
        generator: torch.Generator | None,
        callback: Callback | None,
    ) -> None:
        self.finder, self.landscape, self.callback = finder, landscape, callback
        self.generator = generator
        self.path = self.best = path
        self.lowest = torch.inf
        self.profile: Tensor | None = None  # of the best path, on the grid
        self._peak = 0.0  # the t of its highest point
        self.step = 0
        self.record = Record(landscape.evaluations, finder.height_tolerance, finder.height_steps)
        self.grid = torch.linspace(0, 1, finder.points, dtype=torch.float64).to(path.start.device)
        self._at_ends = path.values(landscape, self.grid[[0, -1]])
        self._batches = _Batches(landscape, finder.batch_size, generator)
        # Adam moves this leaf in place; paths that are kept are copies of it
        self._leaf = path.coefficients.clone()
        self._adam: torch.optim.Adam | None = None

    # the paper's objective

    def minimize_total(self) -> Outcome:
        """Minimize Eq. (4) and keep the path of the lowest cumulative loss."""
        objective = TotalLoss(self.path, self.finder.points, self.finder.smoothness)
        if not self.finder._uses_adam:
            return self._minimize_total_by_lbfgs(objective)
        while self.step < self.finder.steps:
            batch, is_full = self._batches.next()
            if self._batches.begins_pass:
                self._consider_total(objective.value(self.landscape, self.path)[1])
            slope = objective.slope(batch, self.path)
            if is_full:
                self._consider_total(slope.values)
            stop = self._why_stop(slope)
            if stop is not None:
                return stop
            self._adam_step(slope)
        self._consider_total(objective.value(self.landscape, self.path)[1])
        return self._outcome_at_the_end()

    def _minimize_total_by_lbfgs(self, objective: TotalLoss) -> Outcome:
        inner = objective.value(self.landscape, self.path)[1]
        self._consider_total(inner)
        if not self.record.finite:
            return Outcome.DIVERGED
        moved = CoefficientLandscape(
            objective, self.landscape, self.path, float(inner.max() - inner.min())
        )
        stopped: list[Outcome] = []

        def after(progress: Progress) -> bool:
            self.step, self.path = progress.step, moved.last_path
            self._consider_total(moved.last.values)
            stop = self._why_stop(moved.last)
            stopped.extend([stop] if stop is not None else [])
            return stop is not None

        outcome = moved.minimize(self.finder.steps, after)
        if stopped:
            return stopped[0]
        return outcome if outcome is not Outcome.BUDGET_SPENT else self._outcome_at_the_end()

    def _consider_total(self, inner: Tensor) -> None:
        """Record the present path by its full-landscape values; keep it if it is the lowest."""
        values = torch.cat([self._at_ends[:1], inner, self._at_ends[1:]])
        self.record.add(self.step, values)
        self._keep(float(values.sum()), values)

    # maximum flux

    def maximize_flux(self) -> Outcome:
        """Anneal β and move the evaluation points, round after round; keep the lowest maximum."""
        finder = self.finder
        t, profile, on_grid = self._measure(self.grid[:0])
        self._peak, top = interpolated_maximum(t, profile)
        self._keep(top, on_grid)
        points = fewest = finder.basis.terms + 6
        rounds = -(-finder.steps // ROUND)
        for number in range(rounds):
            if not torch.isfinite(profile).all():
                return Outcome.DIVERGED
            scale = float(profile.max() - profile.min())
            scale = scale if scale > 0 else 1.0
            fraction = min(1.0, number / max(1, min(rounds, ANNEALING) - 1))
            beta = FIRST_BETA * (LAST_BETA / FIRST_BETA) ** fraction / scale
            inner = evaluation_points(t, profile, beta, points)
            objective = FluxLoss(self.path, inner, beta, SPEED_WEIGHT * scale)
            before = t, profile
            stop = self._round(objective, min(ROUND, finder.steps - self.step), scale)
            t, profile, on_grid = self._measure(inner)
            (place, top), lowest = interpolated_maximum(t, profile), self.lowest
            if self._keep(top, on_grid):
                self._peak = place
            elif not finder._uses_adam:
                self.path, (t, profile) = self.best, before
                if top > lowest + finder.height_tolerance * scale:
                    points = min(points + fewest // 2, 3 * fewest)
            if stop is not None:
                return stop
            if finder.until == "converged" and self.record.steady and self._peak_is_stationary():
                return Outcome.CONVERGED_PEAK
        if not self.record.finite:
            return Outcome.DIVERGED
        converged = self.record.steady and self._peak_is_stationary()
        return Outcome.CONVERGED_PEAK if converged else Outcome.BUDGET_SPENT

    def _peak_is_stationary(self) -> bool:
        """Whether the gradient at the best path's highest point vanishes, or an end is highest."""
        assert self.profile is not None
        spread = float(self.profile.max() - self.profile.min())
        if self.profile.max() <= self._at_ends.max() and self._peak in (0.0, 1.0):
            return True
        point = self.best(torch.tensor([self._peak], dtype=torch.float64))
        _, gradient = self.landscape.value_and_gradient(point[0])
        bound = STATIONARY * spread / self.best.length()
        return bool(float(gradient.double().norm()) <= bound)

    def _round(self, objective: FluxLoss, steps: int, scale: float) -> Outcome | None:
        """Do some steps on one objective; return the outcome if the search ends with them."""
        if self.finder._uses_adam:
            for _ in range(steps):
                batch, _ = self._batches.next()
                slope = objective.slope(batch, self.path)
                stop = self._why_stop(slope)
                if stop is not None:
                    return stop
                self._adam_step(slope)
            return None
        moved = CoefficientLandscape(objective, self.landscape, self.path, scale)
        before = self.step
        stopped: list[Outcome] = []

        def after(progress: Progress) -> bool:
            self.step, self.path = before + progress.step, moved.last_path
            stop = self._why_stop(moved.last)
            stopped.extend([stop] if stop is not None else [])
            return stop is not None

        moved.minimize(steps, after)
        self.step = before + steps
        return stopped[0] if stopped else None

    def _measure(self, inner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Record the present path on the grid [T].

        Returns:
            t and values on grid and `inner` together, and the values on only the grid.
        """
        t, order = torch.cat([self.grid[1:-1], inner]).sort()
        values = self.path.values(self.landscape, t)
        inside = values[order.argsort()[: len(self.grid) - 2]]
        on_grid = torch.cat([self._at_ends[:1], inside, self._at_ends[1:]])
        self.record.add(self.step, on_grid)
        whole = torch.cat([self.grid[:1], t, self.grid[-1:]])
        return whole, torch.cat([self._at_ends[:1], values, self._at_ends[1:]]), on_grid

    # shared

    def _keep(self, value: float, on_grid: Tensor) -> bool:
        """Keep the present path if its value is the lowest so far; return whether it is."""
        if not value < self.lowest:
            return False
        self.lowest, self.profile = value, on_grid
        self.best = self.path.with_coefficients(self.path.coefficients.clone())
        return True

    def _why_stop(self, slope: Slope) -> Outcome | None:
        height = float(slope.values.max())
        if self.callback is not None and self.callback(self.step, height):
            return Outcome.STOPPED
        finite = torch.isfinite(slope.values).all() and torch.isfinite(slope.gradient).all()
        if not bool(finite):
            return Outcome.DIVERGED
        ends = self.finder.until == "converged" and self.finder.objective == "total"
        return Outcome.OBJECTIVE_CONVERGED if ends and self.record.steady else None

    def _adam_step(self, slope: Slope) -> None:
        gradient = slope.gradient
        if self.finder.noise > 0:
            noise = torch.randn(gradient.shape, generator=self.generator, dtype=gradient.dtype)
            gradient = gradient + self.finder.noise * noise.to(gradient)
        if self._adam is None:
            self._adam = self._made_adam()
        self._leaf.grad = gradient
        self._adam.step()
        self.path = self.path.with_coefficients(self._leaf)
        self.step += 1

    def _made_adam(self) -> torch.optim.Adam:
        rate = self.finder.learning_rate
        if rate is not None:
            return torch.optim.Adam([self._leaf], lr=rate)
        path = self.path
        distance = float((path.end - path.start).double().norm())
        values = self._at_ends if self.profile is None else self.profile
        spread = float(values.max() - values.min())
        # what keeps Adam from dividing by zero is small beside the gradients, whatever the units
        least = 1e-8 * spread / distance if math.isfinite(spread) and spread > 0 else 1e-8
        rate = STEP * distance / path.start.numel() ** 0.5
        return torch.optim.Adam([self._leaf], lr=rate, eps=max(least, 1e-300))

    def _outcome_at_the_end(self) -> Outcome:
        if not self.record.finite:
            return Outcome.DIVERGED
        return Outcome.OBJECTIVE_CONVERGED if self.record.steady else Outcome.BUDGET_SPENT


class _Batches:
    """The landscapes of the steps: always the full one, or repeated passes over mini-batches."""

    def __init__(
        self, landscape: Landscape, size: int | None, generator: torch.Generator | None
    ) -> None:
        self._landscape, self._size, self._generator = landscape, size, generator
        self._rest: Iterator[Landscape] = iter(())
        self.begins_pass = False
        if size is not None and generator is not None:
            landscape.minibatches(size, generator)  # raises early where there is no data

    def next(self) -> tuple[Landscape, bool]:
        """Return the next step's landscape and whether it is the full one."""
        if self._size is None or self._generator is None:
            return self._landscape, True
        batch = next(self._rest, None)
        self.begins_pass = batch is None
        if batch is None:
            self._rest = iter(self._landscape.minibatches(self._size, self._generator))
            batch = next(self._rest)
        return batch, False
