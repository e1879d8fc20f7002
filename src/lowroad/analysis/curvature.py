"""Products of a network's Hessian, or of its Gauss–Newton matrix, with vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowroad.landscapes import NetworkLandscape
from lowroad.landscapes.math_kernels import math_kernels

__all__ = ["CurvatureProduct", "Matrix"]

Matrix = Literal["hessian", "gauss_newton"]


class CurvatureProduct:
    """v ↦ C v at a point of a network's mean loss, from float64 to float64 whatever its type is.

    C is the Hessian H = ∇²L, or the generalized Gauss–Newton matrix G = 1/n Σ_i J_iᵀ (∇²l_i) J_i
    with J_i the derivative of the i-th sample's outputs by the parameters and l_i its loss as a
    function of the outputs: H without the network's own curvature, positive semidefinite where the
    loss is convex. A regularizer adds its Hessian to both.

    Hessian products are the derivative of gᵀv by a second backward pass, Gauss–Newton products take
    the derivative of Jᵀu by u first; both work for every module that PyTorch differentiates twice,
    custom autograd functions included, and take two to four times as long as a gradient. Attention
    and recurrent layers use the forms that have second derivatives. Batch norm's statistics are
    those at the point, held fixed.

    Args:
        landscape: the network's loss.
        point: where [d].
        matrix: "hessian" or "gauss_newton".

    Attributes:
        count: how many products were taken.

    Raises:
        TypeError: when the landscape is not a network's, the point is of another type, or, for
            "gauss_newton", the module does not return one tensor.
        ValueError: when the point does not fit or is not finite, or the matrix is not known.
        ArithmeticError: when called, where second derivatives are not finite.

    Source: Pearlmutter 1994; Schraudolph 2002.

    >>> from torch import nn
    >>> model = nn.Linear(2, 1, bias=False).double()
    >>> inputs = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    >>> bowl = NetworkLandscape(model, inputs, torch.zeros(2, 1).double(), "mean_squared_error")
    >>> CurvatureProduct(bowl, torch.zeros(2).double())(np.array([1.0, 1.0])).tolist()
    [1.0, 9.0]
    """

    def __init__(
        self, landscape: NetworkLandscape, point: Tensor, matrix: Matrix = "hessian"
    ) -> None:
        if not isinstance(landscape, NetworkLandscape):
            raise TypeError(f"expected the landscape of a network, got {type(landscape).__name__}")
        if matrix not in ("hessian", "gauss_newton"):
            raise ValueError(f"matrix: expected 'hessian' or 'gauss_newton', got {matrix!r}")
        landscape.check_points(point[None])
        if not bool(torch.isfinite(point).all()):
            raise ValueError("expected a finite point, got components that are not finite")
        self._landscape, self._point, self._matrix = landscape, point.detach(), matrix
        self.count = 0

    @property
    def dimension(self) -> int:
        """d, the number of parameters."""
        return self._landscape.dimension

    @property
    def precision(self) -> float:
        """The relative rounding of the numbers that products are computed in."""
        return float(torch.finfo(self._point.dtype).eps)

    def __call__(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return C v [d]."""
        self.count += 1
        landscape = self._landscape
        landscape.move_to(self._point)
        parameters = [p for p in landscape.module.parameters() if p.requires_grad]
        given = torch.from_numpy(np.ascontiguousarray(vector, dtype=np.float64).ravel())
        parts = given.to(self._point).split([p.numel() for p in parameters])
        direction = [part.view_as(p) for part, p in zip(parts, parameters, strict=True)]
        total = torch.zeros(self.dimension, dtype=torch.float64, device=self._point.device)
        with math_kernels(), torch.enable_grad():
            if self._matrix == "hessian":
                products: Iterable[tuple[Tensor, ...]] = (
                    _hessian_product(loss, parameters, direction) for loss in landscape.losses()
                )
            else:
                products = (
                    _gauss_newton_product(outputs, loss, parameters, direction)
                    for outputs, loss in landscape.outputs_and_losses()
                )
                if (penalty := landscape.penalty()) is not None:
                    products = chain(products, [_hessian_product(penalty, parameters, direction)])
            for columns in products:
                total += torch.cat([column.reshape(-1) for column in columns])
        wrong = int((~torch.isfinite(total)).sum())
        if wrong:
            raise ArithmeticError(
                f"the second derivatives of the loss are not finite at the point: {wrong} of the "
                f"{len(total)} components of a product are not. A square root or a norm that is "
                "zero there has none; a loss near overflow needs float64"
            )
        return total.cpu().numpy() / landscape.weight


def _hessian_product(
    loss: Tensor,
    parameters: list[torch.nn.Parameter],
    direction: list[Tensor],
) -> tuple[Tensor, ...]:
    if not loss.requires_grad:  # a regularizer of frozen parameters
        return tuple(torch.zeros_like(p) for p in parameters)
    gradient = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    return _derivative(gradient, parameters, direction)


def _gauss_newton_product(
    outputs: Tensor,
    loss_of: Callable[[Tensor], Tensor],
    parameters: list[torch.nn.Parameter],
    direction: list[Tensor],
) -> tuple[Tensor, ...]:
    if not isinstance(outputs, Tensor):
        raise TypeError(
            "the Gauss-Newton matrix needs a module that returns one tensor, got "
            f"{type(outputs).__name__}: take matrix='hessian', or a module that returns what the "
            "loss compares with the targets"
        )
    weights = torch.zeros_like(outputs, requires_grad=True)
    # Jᵀu is linear in u, and its derivative along the direction is J v
    backwards = torch.autograd.grad(
        outputs, parameters, weights, create_graph=True, materialize_grads=True
    )
    (moved,) = _derivative(backwards, [weights], direction)
    own = outputs.detach().requires_grad_()
    loss = loss_of(own)
    by_outputs = torch.autograd.grad(loss, [own], create_graph=True, materialize_grads=True)
    (curved,) = _derivative(by_outputs, [own], [moved.detach()])
    return torch.autograd.grad(outputs, parameters, curved, materialize_grads=True)


def _derivative(
    functions: tuple[Tensor, ...],
    variables: list[torch.nn.Parameter] | list[Tensor],
    weights: list[Tensor],
) -> tuple[Tensor, ...]:
    """Return ∂(Σ functions · weights) / ∂variables, zeros where nothing depends on them."""
    moving = [(f, w) for f, w in zip(functions, weights, strict=True) if f.requires_grad]
    if not moving:
        return tuple(torch.zeros_like(v) for v in variables)
    outputs, directions = zip(*moving, strict=True)
    return torch.autograd.grad(outputs, variables, directions, materialize_grads=True)
