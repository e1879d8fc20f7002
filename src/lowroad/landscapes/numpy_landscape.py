"""Landscapes from plain NumPy functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowroad.landscapes.landscape import Landscape

Array = NDArray[np.float64]


class NumpyLandscape(Landscape):
    """A landscape from a function of one point and its gradient, without torch.

    Args:
        value: maps a point [d] to a number.
        gradient: maps a point [d] to the gradient [d].
        dimension: d.

    Raises:
        ValueError: when a call returns anything but a number, or a gradient [d].

    >>> bowl = NumpyLandscape(lambda x: float(x @ x), lambda x: 2 * x, dimension=2)
    >>> bowl.value_and_gradient(torch.tensor([3.0, 4.0], dtype=torch.float64))
    (25.0, tensor([6., 8.], dtype=torch.float64))
    """

    def __init__(
        self, value: Callable[[Array], float], gradient: Callable[[Array], Array], dimension: int
    ) -> None:
        if dimension < 1:
            raise ValueError(f"expected a dimension of at least 1, got {dimension}")
        self._function, self._gradient = value, gradient
        self.dimension, self.dtype, self.device = dimension, torch.float64, torch.device("cpu")

    def values(self, points: Tensor) -> Tensor:
        """Return the values [n] at `points` [n, d]."""
        self.check_points(points)
        values = np.array([self._value(point) for point in points.detach().numpy()])
        return torch.from_numpy(values.reshape(len(points)))

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values [n] and gradients [n, d]."""
        values = self.values(points)
        gradients = torch.empty_like(points)
        for row, point in zip(gradients, points.detach().numpy(), strict=True):
            gradient = np.asarray(self._gradient(point.copy()), dtype=np.float64)
            if gradient.shape != (self.dimension,):
                raise ValueError(
                    f"the landscape's gradient must map a point [{self.dimension}] to "
                    f"[{self.dimension}], it returned {list(gradient.shape)}"
                )
            row.copy_(torch.from_numpy(gradient))
        return values, gradients

    def _value(self, point: Array) -> float:
        value = np.asarray(self._function(point.copy()), dtype=np.float64)
        if value.size != 1:
            raise ValueError(
                f"the landscape's function must map a point [{self.dimension}] to a number, "
                f"it returned an array of shape {list(value.shape)}"
            )
        return float(value.reshape(()))
