"""Landscapes that code from elsewhere calculates: its failures, and its types of numbers."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowroad.landscapes.landscape import Landscape

Array = NDArray[np.float64]

# these say that a program or a machine is at fault, not a place
_NOT_OF_THE_PLACE = (
    TypeError,
    AttributeError,
    NameError,
    ImportError,
    NotImplementedError,
    MemoryError,
    OSError,
    torch.OutOfMemoryError,
)


class ForeignLandscape(Landscape):
    """A landscape whose points are calculated one by one by code from elsewhere.

    Where that code raises an exception, the value and the gradient are NaN, `failure` holds the
    exception until the next call, and the first one is shown as a warning. An exception before any
    point has been calculated, or one that says that a program or the machine is at fault
    (`TypeError`, `AttributeError`, `NameError`, `ImportError`, `NotImplementedError`,
    `MemoryError`, `OSError`), is raised as it is.
    """

    not_of_the_place: tuple[type[Exception], ...] = _NOT_OF_THE_PLACE

    def __init__(self, dimension: int) -> None:
        if dimension < 1:
            raise ValueError(f"expected a dimension of at least 1, got {dimension}")
        self.dimension, self.dtype, self.device = dimension, torch.float64, torch.device("cpu")
        self._has_worked = self._has_warned = False

    @abstractmethod
    def _one(self, point: Array, with_gradient: bool) -> tuple[float, Array | None]:
        """Return the value and, if it is asked for, the gradient [d] at one point [d]."""

    def values(self, points: Tensor) -> Tensor:
        """Return the values [n] at `points` [n, d]; NaN where they cannot be calculated."""
        self.check_points(points)
        self.failure = None
        values = [self._guarded(point, False)[0] for point in points.detach().numpy()]
        return torch.tensor(values, dtype=torch.float64)

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values [n] and gradients [n, d]; NaN where they cannot be calculated."""
        self.check_points(points)
        self.failure = None
        gradients = torch.full(points.shape, torch.nan, dtype=torch.float64)
        values = []
        for row, point in zip(gradients, points.detach().numpy(), strict=True):
            value, gradient = self._guarded(point, True)
            values.append(value)
            if gradient is not None:
                row.copy_(torch.from_numpy(gradient))
        return torch.tensor(values, dtype=torch.float64), gradients

    def _guarded(self, point: Array, with_gradient: bool) -> tuple[float, Array | None]:
        if not np.isfinite(point).all():
            return float("nan"), None
        try:
            found = self._one(point.copy(), with_gradient)
        except ResultError:
            raise
        except Exception as error:
            if not self._has_worked or isinstance(error, self.not_of_the_place):
                raise
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"{type(self).__name__}: {error!r} at a point, which has no value therefore; "
                    "later failures are not shown",
                    RuntimeWarning,
                    stacklevel=3,
                )
            self.failure = error
            return float("nan"), None
        self._has_worked = True
        return found


class ResultError(ValueError):
    """A result of code from elsewhere has another type or shape than expected."""


def as_array(result: Any) -> Array:
    """Return numbers from elsewhere (arrays, lists, tensors of any type) as a new float64 array.

    >>> as_array([torch.tensor([1.0], requires_grad=True), [2]]).tolist()
    [[1.0], [2.0]]
    """
    if isinstance(result, Tensor):
        return np.array(result.detach().to("cpu", torch.float64).numpy())
    if isinstance(result, list | tuple):
        return np.array([as_array(each) for each in result], dtype=np.float64)
    return np.array(result, dtype=np.float64)


def as_number(result: Any, what: str) -> float:
    """Return a number from elsewhere (also an array, a list or a tensor of one) as a float.

    Raises:
        ResultError: when it is not one number.

    >>> as_number(np.array([2.5]), "an energy")
    2.5
    """
    if result is None or isinstance(result, complex):
        raise ResultError(f"{what}, it returned {result}")
    number = as_array(result)
    if number.size != 1:
        raise ResultError(f"{what}, it returned an array of shape {list(number.shape)}")
    return float(number.reshape(()))
