"""Chains of images: the common part of the elastic band and the string."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lowroad.landscapes import CountingLandscape, Landscape
from lowroad.outcome import Outcome
from lowroad.paths.basis import SplineBasis
from lowroad.paths.finder import Callback, PathFinder, Search
from lowroad.paths.found_path import measure
from lowroad.paths.images import Chain, through_images
from lowroad.paths.path import Path
from lowroad.paths.projected_steps import projected_steps
from lowroad.paths.record import Record

RELAXED = 0.1  # of the first chain's largest force: below it a chain may get another image
ALONG = 0.1  # of its largest gradient: a first chain with smaller forces lies along its valley


@dataclass(frozen=True, kw_only=True)
class ImageChainFinder(PathFinder):
    """Moves images along the forces perpendicular to the chain until these vanish.

    All scales come from the problem, so that results do not depend on the units of values and
    lengths: forces are compared with the largest one of the first chain (or with its largest
    gradient, if the chain already lies along its valley and its forces are small), steps with the
    distance of the ends. The path is a cubic spline through the images, at equally spaced t; the
    history's heights are the images' own, those of the found path are the spline's. If the spline
    rises between the images above the first path of the search, that first path is returned (with
    the images' history and outcome).

    Attributes:
        images: the number of images, ends included.
        steps: at most; each evaluates every inner image once.
        tolerance: stop when every image's force is below this fraction of the first chain's
            largest.
        climb_below: the highest image climbs once every force is below this fraction of the first
            chain's largest; 0 for never, 1 for at once.
        optimizer: "lbfgs" (projected, no line search) or "fire", one state for the whole chain.
        max_step: the longest step of the whole chain, as a fraction of the ends' distance.
        until: "converged" to stop at the tolerance, "settled" to stop also when the height has
            settled.
        settle_tolerance: as in `CurveFinder`.
        settle_steps: as in `CurveFinder`.
    """

    images: int = 11
    steps: int = 200
    tolerance: float = 1e-4
    climb_below: float = 0.5
    optimizer: Literal["lbfgs", "fire"] = "lbfgs"
    max_step: float = 0.2
    until: Literal["converged", "settled"] = "converged"
    settle_tolerance: float = 1e-3
    settle_steps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images < 3:
            raise ValueError(f"expected at least 3 images, got {self.images}")
        for name in ("steps", "settle_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} >= 1, got {getattr(self, name)}")
        for name in ("tolerance", "climb_below", "settle_tolerance"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"expected {name} >= 0, got {getattr(self, name)}")
        if not self.max_step > 0:
            raise ValueError(f"expected max_step > 0, got {self.max_step}")
        if self.optimizer not in ("lbfgs", "fire"):
            raise ValueError(f'expected optimizer "lbfgs" or "fire", got {self.optimizer!r}')
        if self.until not in ("converged", "settled"):
            raise ValueError(f'expected until="converged" or "settled", got {self.until!r}')

    @abstractmethod
    def _forces(self, chain: Chain) -> Tensor:
        """Return the force on every inner image [m, d], without climbing."""

    @property
    def _most_images(self) -> int:
        """How many images the chain may grow to."""
        return self.images

    def _grown(self, landscape: Landscape, chain: Chain) -> tuple[Tensor, Tensor] | None:
        """Return images and gaps of the chain with one more image, or None if it needs none."""
        return None

    def _respace(self, chain: Tensor, climber: int | None) -> Tensor:
        """Return the chain [m + 2, d] with its images moved along it; by default as it is."""
        return chain

    def _search(
        self,
        landscape: CountingLandscape,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator | None,
        callback: Callback | None,
        initial: Path | None,
    ) -> Search:
        path = initial
        if path is None:
            path = Path.straight(start, end, SplineBasis.even(self.images - 2))
        images = path(torch.linspace(0, 1, self.images, dtype=torch.float64, device=start.device))
        images[0], images[-1] = start, end
        search = _ChainSearch(self, landscape, images, callback)
        outcome, history = search.run(), search.record.history()
        t = torch.linspace(0, 1, self.points, dtype=torch.float64, device=start.device)
        along = landscape.restrict(search.path.subspace)
        profile = along.values(search.path.coordinates(t).to(start))
        if float(profile.max()) > history.heights[0]:
            # higher between the images than the first images, perhaps also than the first path
            grid = self.points, self.refinements
            first = measure(landscape, landscape.evaluations, path, *grid, history, outcome)
            if first.refined_height < float(profile.max()):
                return Search(path, history, outcome, torch.from_numpy(first.profile))
        return Search(search.path, history, outcome, profile)


class _ChainSearch:
    """The state of one search."""

    def __init__(
        self,
        finder: ImageChainFinder,
        landscape: CountingLandscape,
        images: Tensor,
        callback: Callback | None,
    ) -> None:
        self.finder, self.landscape, self.callback = finder, landscape, callback
        self.images, self.gaps = images, images.new_ones(len(images) - 1)
        self.record = Record(landscape.evaluations, finder.settle_tolerance, finder.settle_steps)
        self._at_ends = landscape.values(images[[0, -1]])
        self.best: Chain | None = None
        self._longest = finder.max_step * float((images[-1] - images[0]).norm())
        self._first_largest = self._first_norm = math.nan  # of the first chain's forces
        self._climbs = False
        self._looked_into = False  # whether gaps were examined since the last insertion
        self._inserted_at = 0

    @property
    def path(self) -> Path:
        """The spline through the images to keep."""
        if self.best is None:
            return through_images(self.images, self.gaps)
        return through_images(self.best.x, self.best.gaps)

    def run(self) -> Outcome:
        """Move the images until the search ends, and say how it did."""
        step = 0
        while True:
            values, gradients = self.landscape.values_and_gradients(self.images[1:-1])
            values = torch.cat([self._at_ends[:1], values, self._at_ends[1:]])
            self.record.add(step, values)
            if not bool(torch.isfinite(values).all() and torch.isfinite(gradients).all()):
                return Outcome.DIVERGED
            chain = Chain(self.images, values, gradients, self.gaps)
            forces, largest, climber = self._forces(chain)
            # a climbing chain may rise: its last state is the answer, not its lowest
            if climber is not None or self.best is None or chain.height < self.best.height:
                self.best = chain
            outcome = self._why_stop(step, chain.height, largest)
            if self._grows(step, largest, outcome):
                outcome = None
            elif outcome is None:
                moved = self.images[1:-1] + self._steps.step(forces)
                whole = torch.cat([self.images[:1], moved, self.images[-1:]])
                self.images = self.finder._respace(whole, climber)
            if outcome is not None:
                return outcome
            step += 1

    def _forces(self, chain: Chain) -> tuple[Tensor, float, int | None]:
        """Return the forces [m, d], the largest one's norm, and which image climbs."""
        finder, values = self.finder, chain.values
        forces = finder._forces(chain)
        largest = float(forces.norm(dim=1).max())
        if math.isnan(self._first_largest):
            steepest = float(chain.gradients.norm(dim=1).max())
            # across a straight valley the forces are only rounding: neither a scale nor a direction
            measure = chain.gradients if largest < ALONG * steepest else forces
            self._first_largest = float(measure.norm(dim=1).max())
            self._first_norm = float(measure.norm())
            self._steps = projected_steps(finder.optimizer, self._longest, self._first_norm)
        self._climbs = self._climbs or largest <= finder.climb_below * self._first_largest
        highest = int(values[1:-1].argmax())
        # a chain whose end is highest has no pass to climb to
        is_pass = bool(values[highest + 1] > values[[0, -1]].max())
        if not (self._climbs and finder.climb_below > 0 and is_pass and self._is_complete):
            return forces, largest, None
        forces[highest] = chain.climbing_force(highest)
        return forces, float(forces.norm(dim=1).max()), highest

    def _why_stop(self, step: int, height: float, largest: float) -> Outcome | None:
        if self.callback is not None and self.callback(step, height):
            return Outcome.STOPPED
        if largest <= self.finder.tolerance * self._first_largest:
            return Outcome.CONVERGED_GRADIENT
        if self.finder.until == "settled" and self.record.settled:
            return Outcome.SETTLED
        if step == self.finder.steps:
            return Outcome.SETTLED if self.record.settled else Outcome.BUDGET_SPENT
        return None

    # insertion

    @property
    def _is_complete(self) -> bool:
        """Whether the chain has all images that it may have, or needed none when last examined."""
        return self._looked_into or len(self.images) == self.finder._most_images

    def _grows(self, step: int, largest: float, outcome: Outcome | None) -> bool:
        """Insert an image if the chain is relaxed and needs one; return whether it was inserted.

        A chain that does not relax gets only its fraction of the steps, since with too few images
        it may never relax; the image is inserted into the lowest chain seen.
        """
        finder = self.finder
        spent = len(self.images) == finder._most_images or step == finder.steps
        if spent or self.best is None or outcome is Outcome.STOPPED:
            return False
        fraction = finder.steps // (1 + finder._most_images - finder.images)
        relaxed = largest <= RELAXED * self._first_largest or step - self._inserted_at >= fraction
        if outcome is None and (self._looked_into or not relaxed):
            return False
        grown = finder._grown(self.landscape, self.best)
        self._looked_into = grown is None
        if grown is None:
            return False
        self.images, self.gaps = grown
        self.best, self._inserted_at = None, step
        # an image that jumped over its neighbours would tangle the chain
        gap = float(self.gaps.min())
        self._steps = projected_steps(finder.optimizer, self._longest * gap, self._first_norm * gap)
        self.record.begin_anew()
        return True
