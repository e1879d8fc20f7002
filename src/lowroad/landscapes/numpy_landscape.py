"""Landscapes from plain NumPy functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lowroad.landscapes.foreign import Array, ForeignLandscape, ResultError, as_array, as_number


class NumpyLandscape(ForeignLandscape):
    """A landscape from a function of one point and its gradient, without torch.

    Both may return arrays, lists or tensors. Where one raises an exception the value is NaN, see
    `ForeignLandscape`.

    Args:
        value: maps a point [d] to a number.
        gradient: maps a point [d] to the gradient [d].
        dimension: d.

    Raises:
        ValueError: when a call returns anything but a number, or a gradient [d].

    >>> import torch
    >>> bowl = NumpyLandscape(lambda x: float(x @ x), lambda x: 2 * x, dimension=2)
    >>> bowl.value_and_gradient(torch.tensor([3.0, 4.0], dtype=torch.float64))
    (25.0, tensor([6., 8.], dtype=torch.float64))
    """

    def __init__(
        self, value: Callable[[Array], Any], gradient: Callable[[Array], Any], dimension: int
    ) -> None:
        super().__init__(dimension)
        self._function, self._gradient = value, gradient

    def _one(self, point: Array, with_gradient: bool) -> tuple[float, Array | None]:
        value = as_number(
            self._function(point.copy()),
            f"the landscape's function must map a point [{self.dimension}] to a number",
        )
        if not with_gradient:
            return value, None
        gradient = as_array(self._gradient(point))
        if gradient.shape != (self.dimension,):
            raise ResultError(
                f"the landscape's gradient must map a point [{self.dimension}] to "
                f"[{self.dimension}], it returned {list(gradient.shape)}"
            )
        return value, gradient
