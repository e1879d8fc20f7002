"""The loss of a training loop's closure as a function of flat parameters."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lowroad.landscapes import AffineSubspace, Evaluations
from lowroad.optimizers.line_search import LineFunction
from lowroad.optimizers.numerical import NUMERICAL_ERRORS

Closure = Callable[[], Any]

ANEW = (
    "expected a closure that computes the loss anew from the parameters in every call, "
    "predictions included (they must not be made outside of it)"
)


class ClosureObjective:
    """The loss of a closure at the current parameters, for one step.

    Attributes:
        point: the current point [d].
        evaluations: how often the closure was called, without and with a backward pass.
        graph_in_trials: whether the loss itself needs autograd.
    """

    def __init__(self, parameters: list[Tensor], closure: Closure, graph_in_trials: bool) -> None:
        self._all, self._closure = parameters, closure
        self.graph_in_trials = graph_in_trials
        self.point = torch.cat([p.reshape(-1) for p in parameters])
        self.evaluations = Evaluations()
        self._kept = [p.grad for p in parameters]  # the value of p.grad after the step
        self._own_backward: bool | None = None  # unknown before the first call
        self._loss: Any = None

    def value_and_gradient(self) -> tuple[float, Tensor]:
        """Return the loss and its gradient [d] at the parameters as they are."""
        value = self._call(graph=True)
        self.evaluations.gradients += 1
        gradients: list[Tensor | None] = [p.grad for p in self._all]
        if self._own_backward is None:
            self._own_backward = any(g is not None for g in gradients)
            if self._own_backward:
                self._kept = gradients
        if not self._own_backward:
            if not isinstance(self._loss, Tensor) or not self._loss.requires_grad:
                raise ValueError(
                    "expected a loss that depends on the parameters, got one without a graph from "
                    "a closure that calls no backward()"
                )
            with _stale_graphs_explained():
                gradients = list(torch.autograd.grad(self._loss, self._all, allow_unused=True))
            if all(g is None for g in gradients):
                raise ValueError("expected a loss that depends on the parameters, it does not")
        self._loss = self._loss.detach() if isinstance(self._loss, Tensor) else self._loss
        return value, torch.cat([_flat(g, p) for g, p in zip(gradients, self._all, strict=True)])

    def value(self) -> float:
        """Return the loss at the parameters as they are, without a graph where that is possible."""
        if self._own_backward:
            self.evaluations.gradients += 1
            return self._call(graph=True)
        self.evaluations.values += 1
        if not self.graph_in_trials:
            try:
                return self._call(graph=False)
            except NUMERICAL_ERRORS:
                raise
            except RuntimeError:  # also where autograd finds no graph; any other comes again
                pass
        value = self._call(graph=True)
        self.graph_in_trials = True
        return value

    def check_anew(self, value: float, gradient: Tensor) -> None:
        """Refuse a loss with the same value and gradient [d] at a point far away as here.

        Raises:
            ValueError: when it has.
        """
        norms = [
            float(torch.linalg.vector_norm(v, dtype=torch.float64)) for v in (gradient, self.point)
        ]
        line = AffineSubspace(self.point, -gradient[None])
        far = _on(line, (1.0 + norms[1]) / norms[0])
        if torch.equal(far, self.point):
            return
        self._move_to(far)
        there, other = self.value_and_gradient()
        if there == value and torch.equal(other, gradient):
            raise ValueError(f"{ANEW}: its loss and gradient are the same at other parameters")

    def _call(self, graph: bool) -> float:
        for p in self._all:
            p.grad = None
        with torch.set_grad_enabled(graph), _stale_graphs_explained():
            self._loss = self._closure()
        return _number(self._loss)

    def line_function(self, direction: Tensor, value: float) -> LineFunction:
        """Return φ(α) from the current point along `direction` [d]; trials move the parameters."""
        line = AffineSubspace(self.point, direction[None])

        def value_at(alpha: float) -> float:
            self._move_to(_on(line, alpha))
            return self.value()

        def value_and_slope_at(alpha: float) -> tuple[float, float, Callable[[], Tensor]]:
            self._move_to(_on(line, alpha))
            value, gradient = self.value_and_gradient()
            return value, float((direction[None] @ gradient)[0]), lambda: gradient

        return LineFunction(direction, value_at, value_and_slope_at, value)

    def move_along(self, function: LineFunction, alpha: float) -> Tensor:
        """Move the current point to α on the line and return the displacement α p [d]."""
        self.point = _on(AffineSubspace(self.point, function.direction[None]), alpha)
        return alpha * function.direction

    def settle(self) -> None:
        """Set the parameters to the current point, whichever trial was last."""
        self._move_to(self.point)
        for p, gradient in zip(self._all, self._kept, strict=True):
            p.grad = gradient

    def _move_to(self, point: Tensor) -> None:
        sizes = [p.numel() for p in self._all]
        for p, part in zip(self._all, point.split(sizes), strict=True):
            p.copy_(part.view(p.shape))

    def as_loss(self, value: float) -> Any:
        """Return the value as the closure returns its losses."""
        if isinstance(self._loss, Tensor):
            return self._loss.new_tensor(value)
        return value


def _on(line: AffineSubspace, alpha: float) -> Tensor:
    return line.points(line.origin.new_full((1, 1), alpha))[0]


@contextmanager
def _stale_graphs_explained() -> Iterator[None]:
    """Say what is wrong where autograd meets a graph that an earlier call has used up."""
    try:
        yield
    except RuntimeError as error:
        if any(words in str(error) for words in ("graph a second time", "by an inplace operation")):
            raise ValueError(f"{ANEW}: {str(error).splitlines()[0]}") from error
        raise


def _number(loss: Any) -> float:
    """Return the loss as a number, or refuse it with what is expected."""
    if isinstance(loss, Tensor):
        if loss.numel() != 1 or loss.is_complex():
            raise ValueError(
                "expected the closure to return a real scalar loss, got a tensor of shape "
                f"{list(loss.shape)} and type {loss.dtype}; reduce it, for example with .mean()"
            )
        return float(loss.detach())
    if not isinstance(loss, numbers.Real):
        raise TypeError(
            f"expected the closure to return the loss, a scalar tensor, got {type(loss).__name__}"
        )
    return float(loss)


def _flat(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    if gradient is None:  # the loss does not depend on this parameter
        return torch.zeros_like(parameter).reshape(-1)
    return (gradient if gradient.layout == torch.strided else gradient.to_dense()).reshape(-1)
