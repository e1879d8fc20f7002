"""What can be done, and said, where values differ only by rounding."""

from __future__ import annotations

import math

import torch

from lowroad.optimizers.line_search import ROUNDING, LineFunction, Step

LEFT, TURNED = 0.9, 0.8  # φ' over φ'(0) at an accepted trial: at most 0.9 and at least −0.8
CANDIDATES = 4
RATIO = 1e3  # between directions that are tried one after the other
PROBES = (1e-4, 2e-4, 3e-4)  # steps over that to the minimum: the values there show their noise


class Rounding:
    """A line along which a search has found no lower value.

    Trials of equal value are accepted where the gradient confirms progress: φ(α) ≤ φ(0),
    0.9 φ'(0) ≤ φ'(α) ≤ −0.8 φ'(0) (the approximate Wolfe conditions of Hager & Zhang 2005), while
    the predicted decrease φ'(0)² / 2κ, κ = (φ'(α) − φ'(0)) / α, is below the noise of the values.
    The noise is measured by the differences of values at a ten-thousandth of the step to the
    predicted minimum; it is at least the rounding of φ(0).

    Args:
        function: φ, after the search.
        slope: φ'(0).

    Attributes:
        share: the predicted decrease over the noise; infinite where none is predicted.
        scale: how much longer the direction should be: it is shortened, unless the trials were so
            near that their values could not differ.
    """

    def __init__(self, function: LineFunction, slope: float) -> None:
        self.function, self.slope = function, slope
        self.share, self.scale = math.inf, 1 / RATIO

    def step(self, first: float) -> Step:
        """Return a step of equal or lower value, or α = 0."""
        function, slope = self.function, self.slope
        function.go_on()
        rounding, alpha = self._rounding(), first
        for tried in range(CANDIDATES):
            function.go_on()
            trial = function.value_and_slope(alpha)
            if not math.isfinite(trial.slope):
                break
            curvature = (trial.slope - slope) / alpha
            if tried == 0:
                if 0.0 < -alpha * slope <= rounding and curvature * alpha < -0.1 * slope:
                    self.scale = RATIO * rounding / (-alpha * slope)
                if curvature <= 0.0:
                    break
                best = -slope / curvature
                decrease = -slope * best / 2
                noise = rounding if decrease <= rounding else max(rounding, self._noise(best))
                self.share = decrease / noise if noise > 0.0 else math.inf
                if not self.share <= 1.0:
                    break
            if trial.value < function.start or (
                trial.value == function.start and LEFT * slope <= trial.slope <= -TURNED * slope
            ):
                return Step(alpha, trial.value)
            alpha = best * (1.0, 0.5, 1.5)[tried % 3]
        return Step(0.0, function.start)

    def _rounding(self) -> float:
        """How much of φ(0) may be rounding; float32's where every value is one."""
        function = self.function
        values = torch.tensor([function.start, *function.trials.values()], dtype=torch.float64)
        if bool((values.float().double() == values).all()):
            return ROUNDING * torch.finfo(torch.float32).eps * abs(function.start)
        return function.rounding

    def _noise(self, best: float) -> float:
        noise = 0.0
        for probe in PROBES:
            self.function.go_on()
            value = self.function.value(probe * best)
            if math.isfinite(value):
                noise = max(noise, abs(value - self.function.start))
        return noise
