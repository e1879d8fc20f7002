"""Landscapes from a plain function."""

from __future__ import annotations

from collections.abc import Callable

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
        ValueError: when a call of the function on points returns anything but values [n].

    >>> bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    >>> bowl.values_and_gradients(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    (tensor([25.], dtype=torch.float64), tensor([[6., 8.]], dtype=torch.float64))
    """

    batched = True
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
        return values

    def values(self, points: Tensor) -> Tensor:
        """Return the function's values [n] at `points` [n, d] in float64."""
        self.check_points(points)
        if not self._differentiates:
            try:
                with torch.no_grad():
                    return self._evaluate(points.detach()).double()
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
            if not values.requires_grad:  # a constant function, or one that detaches its points
                return values.double(), torch.zeros_like(points)
            (gradients,) = torch.autograd.grad(values.sum(), leaves, materialize_grads=True)
        return values.detach().double(), gradients
