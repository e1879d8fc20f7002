"""One search over the coefficients of a curve."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape
from lowroad.optimizers import Progress
from lowroad.outcome import Outcome
from lowroad.paths.coefficients import CoefficientLandscape
from lowroad.paths.finder import Callback
from lowroad.paths.flux import FluxLoss, evaluation_points, interpolated_maximum
from lowroad.paths.images import rise
from lowroad.paths.keeper import Keeper, State
from lowroad.paths.passes import Passes
from lowroad.paths.path import Path
from lowroad.paths.record import Record
from lowroad.paths.total import Slope, TotalLoss

if TYPE_CHECKING:
    from lowroad.paths.curve import CurveFinder

ROUND = 10  # steps of the maximum-flux search between two settings of β and of its points
FIRST_BETA, LAST_BETA = 10.0, 300.0  # times one over the profile's range
ANNEALING = 6  # rounds from the first β to the last
STEP = 0.01  # of the ends' distance: how far a step of Adam moves a coefficient vector
STATIONARY = 0.05  # of the path's rise over its length: a gradient that counts as none
SPEED_WEIGHT = 1.0  # of the constant-speed penalty, times the profile's range


class CurveSearch:
    """The state of one search."""

    def __init__(
        self,
        finder: CurveFinder,
        landscape: CountingLandscape,
        path: Path,
        generator: torch.Generator | None,
        callback: Callback | None,
        keeper: Keeper | None,
    ) -> None:
        self.keeper = keeper
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
        self._batches = Passes(landscape, finder.batch_size, generator)
        # Adam moves this leaf in place; paths that are kept are copies of it
        self._leaf = path.coefficients.clone()
        self._adam: torch.optim.Adam | None = None
        self._resumed: State | None = None  # what a state holds besides the search's own
        if keeper is not None and keeper.state is not None:
            self._go_on(keeper.state)
            own = self._state()
            self._resumed = {key: keeper.state[key] for key in keeper.state.keys() - own.keys()}

    def _go_on(self, state: State) -> None:
        """Take up a state that `_mark` has left."""
        self._leaf.copy_(state["coefficients"])
        self.path = self.path.with_coefficients(self._leaf)
        self.best = self.path.with_coefficients(state["best"].to(self._leaf))
        self.lowest, self._peak, self.step = state["lowest"], state["peak"], state["step"]
        self.profile = None if state["profile"] is None else state["profile"].to(self._at_ends)
        self.record.go_on(state["record"])
        self._batches.go_on(state["batches"])
        if state["adam"] is not None:
            self._adam = torch.optim.Adam([self._leaf])
            self._adam.load_state_dict(state["adam"])

    def _mark(self, **more: Any) -> None:
        """Let the keeper know the present state, from which the search can go on."""
        if self.keeper is not None:
            self.keeper.state = self._state(**more)

    def _state(self, **more: Any) -> State:
        return {
            "coefficients": self.path.coefficients,
            "best": self.best.coefficients,
            "lowest": float(self.lowest),
            "peak": float(self._peak),
            "step": self.step,
            "profile": self.profile,
            "record": self.record.state(),
            "batches": self._batches.state(),
            "adam": None if self._adam is None else self._adam.state_dict(),
            **more,
        }

    def _undisturbed(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.keeper is None else self.keeper.undisturbed()

    # the paper's objective

    def minimize_total(self) -> Outcome:
        """Minimize Eq. (4) and keep the path of the lowest cumulative loss."""
        objective = TotalLoss(self.path, self.finder.points, self.finder.smoothness)
        if not self.finder._uses_adam:
            return self._minimize_total_by_lbfgs(objective)
        self._mark()
        while self.step < self.finder.steps:
            batch, is_full = self._batches.next()
            is_recorded = is_full or self._batches.begins_pass or self._is_due()
            if is_recorded and not is_full:
                self._consider_total(objective.value(self.landscape, self.path)[1])
            slope = objective.slope(batch, self.path)
            if is_full:
                self._consider_total(slope.values)
            stop = self._why_stop(slope)
            if stop is Outcome.STOPPED and not is_recorded:
                self._consider_total(objective.value(self.landscape, self.path)[1])
            if stop is not None:
                return stop
            with self._undisturbed():
                self._adam_step(slope)
                self._mark()
        self._consider_total(objective.value(self.landscape, self.path)[1])
        return self._outcome_at_the_end()

    def _minimize_total_by_lbfgs(self, objective: TotalLoss) -> Outcome:
        resumed = self._resumed or {}
        if not resumed:
            inner = objective.value(self.landscape, self.path)[1]
            self._consider_total(inner)
            if not self.record.finite:
                return Outcome.DIVERGED
            # with the ends: few points inside, as of a symmetric path, may have one value
            values = torch.cat([inner, self._at_ends])
            resumed = {"unit": float(values.max() - values.min()), "lbfgs": None}
        unit = resumed["unit"]
        size = self.finder.points * self._size_at_ends
        moved = CoefficientLandscape(objective, self.landscape, self.path, unit, size)
        stopped: list[Outcome] = []
        self._mark(unit=unit, lbfgs=resumed["lbfgs"])
        own = self._state(unit=unit)  # after the iteration before

        def after(progress: Progress) -> bool:
            nonlocal own
            snapshot = progress.snapshot()
            known = snapshot is not None and snapshot["iteration"] == own["step"] > 0
            if self.keeper is not None and known:
                self.keeper.state = own | {"lbfgs": snapshot}
            self.step, self.path = progress.step, moved.last_path
            self._consider_total(moved.last.values)
            own = self._state(unit=unit)
            stop = self._why_stop(moved.last)
            stopped.extend([stop] if stop is not None else [])
            return stop is not None

        outcome = moved.minimize(self.finder.steps, after, resumed["lbfgs"])
        if stopped:
            return stopped[0]
        if outcome.converged:
            return Outcome.OBJECTIVE_CONVERGED
        return outcome if outcome is not Outcome.BUDGET_SPENT else self._outcome_at_the_end()

    def _is_due(self) -> bool:
        recordings, steps = self.finder.recordings, self.finder.steps
        return recordings > 0 and self.step > 0 and self.step % -(-steps // recordings) == 0

    def _consider_total(self, inner: Tensor) -> None:
        """Record the present path by its full-landscape values; keep it if it is the lowest."""
        values = torch.cat([self._at_ends[:1], inner, self._at_ends[1:]])
        self.record.add(self.step, values)
        self._keep(float(values.sum()), values)

    # maximum flux

    def maximize_flux(self) -> Outcome:
        """Anneal β and move the evaluation points, round after round; keep the lowest maximum."""
        finder = self.finder
        points = fewest = finder.basis.terms + 6
        rounds, first = -(-finder.steps // ROUND), 0
        if self._resumed is None:
            t, profile, on_grid = self._measure(self.grid[:0])
            self._peak, top = interpolated_maximum(t, profile)
            self._keep(top, on_grid)
        else:
            first, points = self._resumed["round"], self._resumed["points"]
            t, profile = (self._resumed[name].to(self.grid) for name in ("t", "values"))
        for number in range(first, rounds):
            # Adam moves its tensors in place, and the round would begin with what it began with
            state = self._state(round=number, points=points, t=t, values=profile)
            if self.keeper is not None:
                self.keeper.state = copy.deepcopy(state) if finder._uses_adam else state
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
        if self.profile.max() <= self._at_ends.max() and self._peak in (0.0, 1.0):
            return True
        point = self.best(torch.tensor([self._peak], dtype=torch.float64))
        _, gradient = self.landscape.value_and_gradient(point[0])
        bound = STATIONARY * rise(self.profile) / self.best.length()
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
        moved = CoefficientLandscape(
            objective, self.landscape, self.path, scale, self._size_at_ends
        )
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

    @property
    def _size_at_ends(self) -> float:
        return float(self._at_ends.abs().max())

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
            device = None if self.generator is None else self.generator.device
            noise = torch.randn(
                gradient.shape, generator=self.generator, dtype=gradient.dtype, device=device
            )
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
