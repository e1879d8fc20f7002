"""Chains of images: the common part of the elastic band and the string."""

from __future__ import annotations

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
from lowroad.paths.keeper import Keeper, State
from lowroad.paths.path import Path
from lowroad.paths.projected_steps import projected_steps
from lowroad.paths.record import Record
from lowroad.paths.spline_height import spline_height

BETWEEN = 0.01  # of the images' rise that the path may be higher between them
RELAXED = 0.1  # of the chain's slope: forces below it, and the chain may get another image


@dataclass(frozen=True, kw_only=True)
class ImageChainFinder(PathFinder):
    """Moves images along the forces perpendicular to the chain until these vanish.

    All scales come from the present chain, so that results do not depend on the units of values
    and lengths, nor on how high the first guess was: forces are compared with the chain's slope,
    its range of values over its length, or, to say that they have vanished, with its rise above the
    higher end over its length; steps with the distance of the ends. The path is a cubic
    spline through the images, t going with the distances between them; the history's heights are
    the images' own, those of the found path are the spline's. Where the images have converged and
    the spline rises between them by more than a hundredth of that rise, there were too
    few of them (`Outcome.TOO_FEW_IMAGES`). If the spline rises between the images above the first
    path of the search, that first path is returned (with the images' history and outcome).

    An image whose value or gradient is not finite keeps its last finite gradient (at first that of
    the nearest finite image) until it has left the place. A search that ends with such an image has
    diverged.

    Attributes:
        images: the number of images, ends included.
        steps: at most; each evaluates every inner image once.
        tolerance: stop when every image's force across the chain, and the climbing image's whole
            force, is below this fraction of the chain's rise above its higher end (its range of
            values where it does not rise) over its length.
        fmax: the same as an absolute force, in the landscape's units, in place of `tolerance`.
        climb_below: the highest image climbs once every force is below this fraction of the chain's
            slope; 0 for never.
        optimizer: "lbfgs" (projected, no line search) or "fire", one state for the whole chain.
        max_step: the longest step of the whole chain, as a fraction of the ends' distance.
    """

    resumable = True
    may_be_infinite = frozenset({"climb_below"})

    images: int = 11
    steps: int = 200
    tolerance: float = 1e-3
    fmax: float | None = None
    climb_below: float = 2.0
    optimizer: Literal["lbfgs", "fire"] = "lbfgs"
    max_step: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images < 3:
            raise ValueError(f"expected at least 3 images, got {self.images}")
        if self.steps < 1:
            raise ValueError(f"expected steps >= 1, got {self.steps}")
        if self.fmax is not None and not self.fmax > 0:
            raise ValueError(f"expected fmax > 0, got {self.fmax}")
        for name in ("tolerance", "climb_below"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"expected {name} >= 0, got {getattr(self, name)}")
        if not self.max_step > 0:
            raise ValueError(f"expected max_step > 0, got {self.max_step}")
        if self.optimizer not in ("lbfgs", "fire"):
            raise ValueError(f'expected optimizer "lbfgs" or "fire", got {self.optimizer!r}')

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
        keeper: Keeper | None = None,
    ) -> Search:
        path = initial
        if path is None:
            path = Path.straight(start, end, SplineBasis.even(self.images - 2))
        images = path(torch.linspace(0, 1, self.images, dtype=torch.float64, device=start.device))
        images[0], images[-1] = start, end
        search = _ChainSearch(self, landscape, images, callback, keeper)
        outcome, history = search.run(), search.record.history()
        t = torch.linspace(0, 1, self.points, dtype=torch.float64, device=start.device)
        along = landscape.restrict(search.path.subspace)
        profile = along.values(search.path.coordinates(t).to(start))
        top = float(torch.where(profile.isnan(), torch.inf, profile).max())
        if outcome is Outcome.CONVERGED_PATH and search.best is not None:
            values = search.best.values
            rounding = 8 * torch.finfo(values.dtype).eps * float(values.abs().max())
            allowed = BETWEEN * search.best.rise + rounding
            if top > search.best.height + allowed:
                outcome = Outcome.TOO_FEW_IMAGES
        if top > history.heights[0]:
            # higher between the images than the first images, perhaps also than the first path
            grid = self.points, self.refinements
            first = measure(landscape, landscape.evaluations, path, *grid, history, outcome)
            if first.refined_height < top:
                return Search(path, history, outcome, torch.from_numpy(first.profile))
        estimate = None
        if search.best is not None:
            estimate = spline_height(search.path, search.best.values, search.best.gradients)
        return Search(search.path, history, outcome, profile, estimate)


class _ChainSearch:
    """The state of one search."""

    def __init__(
        self,
        finder: ImageChainFinder,
        landscape: CountingLandscape,
        images: Tensor,
        callback: Callback | None,
        keeper: Keeper | None,
    ) -> None:
        self.keeper, self._first = keeper, 0  # the step to begin with
        self.finder, self.landscape, self.callback = finder, landscape, callback
        self.images, self.gaps = images, images.new_ones(len(images) - 1)
        self.record = Record(landscape.evaluations)
        self._at_ends = landscape.values(images[[0, -1]])
        self.best: Chain | None = None
        self._longest = finder.max_step * float((images[-1] - images[0]).norm())
        self._steps = projected_steps(finder.optimizer, self._longest)
        self._gradients: Tensor | None = None  # the last finite ones of the inner images
        self._climbs = False
        self._looked_into = False  # whether gaps were examined since the last insertion
        self._inserted_at = 0
        if keeper is not None and keeper.state is not None:
            self._go_on(keeper.state)

    def _mark(self, step: int) -> None:
        """Let the keeper know the state at the beginning of a step."""
        if self.keeper is None:
            return
        best = self.best
        self.keeper.state = {
            "step": step,
            "images": self.images,
            "gaps": self.gaps,
            "best": None if best is None else [best.x, best.values, best.gradients, best.gaps],
            "gradients": self._gradients,
            "steps": self._steps.state(),
            "flags": [self._climbs, self._looked_into, self._inserted_at],
            "record": self.record.state(),
        }

    def _go_on(self, state: State) -> None:
        """Take up a state that `_mark` has left."""
        own = self.images
        self._first, self.images, self.gaps = (state[key] for key in ("step", "images", "gaps"))
        self.images, self.gaps = self.images.to(own), self.gaps.to(own)
        if state["best"] is not None:
            x, values, gradients, gaps = state["best"]
            self.best = Chain(x.to(own), values.to(self._at_ends), gradients.to(own), gaps.to(own))
        self._gradients = None if state["gradients"] is None else state["gradients"].to(own)
        self._steps.go_on(state["steps"])
        self._climbs, self._looked_into, self._inserted_at = state["flags"]
        self.record.go_on(state["record"])

    @property
    def path(self) -> Path:
        """The spline through the images to keep."""
        images = self.images if self.best is None else self.best.x
        lengths = images.diff(dim=0).norm(dim=1)
        # two images at one place would be two knots at one t
        return through_images(images, lengths.clamp(min=1e-3 * float(lengths.mean())))

    def run(self) -> Outcome:
        """Move the images until the search ends, and say how it did."""
        step = self._first
        while True:
            self._mark(step)
            values, gradients = self.landscape.values_and_gradients(self.images[1:-1])
            values = torch.cat([self._at_ends[:1], values, self._at_ends[1:]])
            bad = ~(torch.isfinite(values[1:-1]) & torch.isfinite(gradients).all(1))
            self.record.add(step, values)
            if bool(bad.all()):
                return Outcome.DIVERGED
            if bool(bad.any()):
                values, gradients = self._filled(values, gradients, bad)
            self._gradients = gradients
            chain = Chain(self.images, values, gradients, self.gaps)
            forces, largest, climber = self._forces(chain)
            # a climbing chain may rise: its last state is the answer, not its lowest
            lower = self.best is None or climber is not None or chain.height < self.best.height
            if lower and not bool(bad.any()):
                self.best = chain
            outcome = self._why_stop(step, chain, largest, bool(bad.any()))
            if self._grows(step, largest <= RELAXED * chain.slope, outcome):
                outcome = None
            elif outcome is None:
                # the step as if the forces were the chain's slope, where they are smaller
                least = chain.slope * len(forces) ** 0.5
                moved = self.images[1:-1] + self._steps.step(forces, least)
                whole = torch.cat([self.images[:1], moved, self.images[-1:]])
                self.images = self.finder._respace(whole, climber)
            if outcome is not None:
                return outcome
            step += 1

    def _forces(self, chain: Chain) -> tuple[Tensor, float, int | None]:
        """Return the forces [m, d], the largest one's norm, and which image climbs."""
        finder, values = self.finder, chain.values
        forces = finder._forces(chain)
        # springs hold images apart along the chain: what is across decides
        largest = float(chain.across().norm(dim=1).max())
        self._climbs = self._climbs or largest <= finder.climb_below * chain.slope
        highest = int(values[1:-1].argmax())
        # a chain whose end is highest has no pass to climb to
        is_pass = bool(values[highest + 1] > values[[0, -1]].max())
        if not (self._climbs and finder.climb_below > 0 and is_pass and self._is_complete):
            return forces, largest, None
        forces[highest] = chain.climbing_force(highest)
        return forces, max(largest, float(forces[highest].norm())), highest

    def _filled(self, values: Tensor, gradients: Tensor, bad: Tensor) -> tuple[Tensor, Tensor]:
        """Give images without a finite value the highest one, and a finite gradient."""
        inner = torch.arange(len(bad), device=bad.device)
        good = inner[~bad]
        nearest = good[(inner[:, None] - good).abs().argmin(1)]
        known = gradients[nearest] if self._gradients is None else self._gradients
        filled = torch.where(bad[:, None], known, gradients)
        highest = torch.cat([values[:1], values[1:-1][~bad], values[-1:]]).max()
        return torch.where(torch.isfinite(values), values, highest), filled

    def _why_stop(self, step: int, chain: Chain, largest: float, has_bad: bool) -> Outcome | None:
        finder = self.finder
        if self.callback is not None and self.callback(step, chain.height):
            return Outcome.STOPPED
        bound = finder.fmax
        if bound is None:
            length = float(chain.lengths.double().sum())
            bound = max(finder.tolerance * chain.rise / length, chain.rounding)
        climbs = self._climbs or finder.climb_below == 0
        if largest <= bound and climbs and not has_bad:
            return Outcome.CONVERGED_PATH
        if step == finder.steps:
            return Outcome.DIVERGED if has_bad else Outcome.BUDGET_SPENT
        return None

    # insertion

    @property
    def _is_complete(self) -> bool:
        """Whether the chain has all images that it may have, or needed none when last examined."""
        return self._looked_into or len(self.images) == self.finder._most_images

    def _grows(self, step: int, relaxed: bool, outcome: Outcome | None) -> bool:
        """Insert an image if the chain is relaxed and needs one; return whether it was inserted.

        A chain that does not relax gets only its fraction of the steps, since with too few images
        it may never relax; the image is inserted into the lowest chain seen.
        """
        finder = self.finder
        spent = len(self.images) == finder._most_images or step == finder.steps
        if spent or self.best is None or outcome is Outcome.STOPPED:
            return False
        fraction = finder.steps // (1 + finder._most_images - finder.images)
        relaxed = relaxed or step - self._inserted_at >= fraction
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
        self._steps = projected_steps(finder.optimizer, self._longest * gap)
        self._gradients = None
        return True
