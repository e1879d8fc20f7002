"""Landscapes from a plain function."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lowroad.landscapes.landscape import Landscape


class FunctionLandscape(Landscape):
    """A landscape from a differentiable torch function of a batch of points.

    Args:
        function: maps points [n, d] to values [n]; row i of the result may depend only on row i of
            the points, and must consist of torch operations that autograd can follow. It may
            differentiate by itself, with `torch.autograd.grad(..., create_graph=True)`.
        dimension: d.
        dtype: the points' floating-point type.
        device: where the points lie.

    Raises:
        ValueError: when a call of the function on points returns anything but real values [n], or
            gradients are asked for of values that autograd cannot follow and that are not constant.

    >>> bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    >>> bowl.values_and_gradients(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    (tensor([25.], dtype=torch.float64), tensor([[6., 8.]], dtype=torch.float64))
    """

    batched = True
    _is_checked = False  # one point tells what a function does
    _differentiates = False  # the function calls autograd itself: its values need a graph

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        dimension: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        if dimension < 1:
            raise ValueError(f"expected a dimension of at least 1, got {dimension}")
        self.function = function
        self.dimension = dimension
        self.dtype = dtype
        self.device = torch.device(device)

    def _evaluate(self, points: Tensor) -> Tensor:
        values = self.function(points)
        if not isinstance(values, Tensor) or values.shape != points.shape[:1]:
            got = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise ValueError(
                f"the landscape's function must map points [{len(points)}, {self.dimension}] to "
                f"a tensor of values [{len(points)}], it returned {got}"
            )
        if values.is_complex():
            raise ValueError("the landscape's function must return real values, got complex ones")
        return values

    def _check_constant(self, points: Tensor, values: Tensor) -> None:
        """Refuse values without a graph that change with the points."""
        moved = self._evaluate(_beside(points, 1e-3))
        if not torch.equal(moved.nan_to_num(), values.nan_to_num()):
            raise ValueError(
                "the landscape's function returned values that change with the points, but by "
                "operations that autograd cannot follow (NumPy, .item(), .detach(), no_grad), so "
                "that their gradient is not known: use torch operations throughout, or "
                "NumpyLandscape with a gradient of your own"
            )

    def check_repeatable(self, point: Tensor) -> None:
        """Refuse a function whose value at `point` [d] depends on other points or on chance.

        Raises:
            ValueError: when it does.
        """
        if self._is_checked:
            return
        points = torch.stack([_beside(point.detach(), 0.1), point.detach()])
        alone = self.value(points[1])
        try:
            beside, together = self.values(points).tolist()
        except Exception:  # the other point may be outside of the function's domain
            return
        self._is_checked = True
        least = 1e-6 if self.dtype == torch.float64 else 1e-3
        error = least * max(abs(v) for v in (alone, beside, 0.0) if math.isfinite(v))
        if not np.isclose(together, alone, rtol=0, atol=error, equal_nan=True):
            raise ValueError(
                f"the landscape's function gives {alone} at a point, and {together} where the "
                "point is evaluated together with another one or once more: row i of its values "
                "may depend only on row i of its points, and on nothing that is random"
            )

    def values(self, points: Tensor) -> Tensor:
        """Return the function's values [n] at `points` [n, d] in float64."""
        self.check_points(points)
        if not self._differentiates:
            try:
                with torch.no_grad():
                    # a copy: the function may work in place
                    return self._evaluate(points.detach().clone()).double()
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                raise
            except RuntimeError:  # also where autograd finds no graph; any other comes again
                pass
        with torch.enable_grad():
            values = self._evaluate(points.detach().requires_grad_()).detach().double()
        self._differentiates = True
        return values

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return values [n] and gradients [n, d] through autograd."""
        self.check_points(points)
        with torch.enable_grad():
            leaves = points.detach().requires_grad_()
            values = self._evaluate(leaves)
            if not values.requires_grad:
                self._check_constant(points.detach(), values)
                return values.double(), torch.zeros_like(points)
            (gradients,) = torch.autograd.grad(values.sum(), leaves, materialize_grads=True)
        return values.detach().double(), gradients


def _beside(points: Tensor, size: float) -> Tensor:
    """Return points moved by parts of their size, each component by another part.

    A function that is invariant under shifts or scaling changes there, too.
    """
    parts = torch.linspace(0.5, 1.0, points.shape[-1], dtype=torch.float64).to(points)
    return points + size * (1 + points.abs()) * parts
