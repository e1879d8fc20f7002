"""A path objective as a landscape over the path's coefficients, for L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lowroad.landscapes import Landscape
from lowroad.optimizers import Progress, Tolerance, lbfgs
from lowroad.optimizers.strong_wolfe import StrongWolfe
from lowroad.outcome import Outcome
from lowroad.paths.flux import FluxLoss
from lowroad.paths.path import Path
from lowroad.paths.total import Slope, TotalLoss

LARGE = 1000.0  # units: the decrease that counts as none is no larger for a larger objective


class CoefficientLandscape(Landscape):
    """A path objective as a landscape over the flattened coefficients, m·d of them.

    Coefficients are measured in distances of the ends and values in `unit`, so that a search does
    not depend on the units of the landscape.

    Args:
        objective: the objective to minimize.
        landscape: the landscape that the path lies on.
        path: the path to start from.
        unit: a difference of values; 1 is used in place of 0.
        size: of the objective, about. Most of a large one, such as a total energy, is the same
            everywhere, and decreases are not small beside it.

    Attributes:
        start: the coefficients of that path, [m·d].
        last: the last slope evaluated.
        last_path: the path of that slope.
    """

    def __init__(
        self,
        objective: TotalLoss | FluxLoss,
        landscape: Landscape,
        path: Path,
        unit: float,
        size: float,
    ) -> None:
        self._objective, self._landscape = objective, landscape
        self._length, self._unit = float((path.end - path.start).norm()), unit if unit > 0 else 1.0
        self._value_tolerance = 1e-9 / max(1.0, size / (LARGE * self._unit))
        self.last_path = path
        self.last = Slope(torch.inf, path.coefficients, path.start[:1])
        self.start = (path.coefficients / self._length).reshape(-1)
        self.dimension = len(self.start)
        self.dtype, self.device = path.start.dtype, path.start.device

    def minimize(
        self,
        iterations: int,
        after: Callable[[Progress], bool],
        resume: dict[str, Any] | None = None,
    ) -> Outcome:
        """Run L-BFGS from the start, calling `after` at each iteration, and say how it ended."""
        return lbfgs(
            self,
            self.start,
            line_search=StrongWolfe(),
            history=20,
            iterations=iterations,
            tolerance=Tolerance(gradient=1e-9, value=self._value_tolerance),
            callback=after,
            resume=resume,
        ).outcome

    def _at(self, point: Tensor) -> Path:
        coefficients = (point * self._length).view(self.last_path.coefficients.shape)
        return self.last_path.with_coefficients(coefficients)

    def values(self, points: Tensor) -> Tensor:
        """Return the objective [n] at coefficients [n, m·d]."""
        self.check_points(points)
        values = [self._objective.value(self._landscape, self._at(p))[0] for p in points]
        return torch.tensor(values, dtype=torch.float64, device=self.device) / self._unit

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the objective [n] and its gradients [n, m·d]."""
        self.check_points(points)
        objectives, gradients = [], []
        for point in points:
            self.last_path = self._at(point)
            self.last = self._objective.slope(self._landscape, self.last_path)
            objectives.append(self.last.value)
            gradients.append(self.last.gradient.reshape(-1))
        values = torch.tensor(objectives, dtype=torch.float64, device=self.device) / self._unit
        return values, torch.stack(gradients) * (self._length / self._unit)
