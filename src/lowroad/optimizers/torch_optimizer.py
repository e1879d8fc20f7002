"""L-BFGS-GSS as a `torch.optim.Optimizer`, for any training loop."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from lowroad.landscapes import AffineSubspace, Evaluations
from lowroad.optimizers.curvature import CurvatureMemory
from lowroad.optimizers.line_search import LineFunction, LineSearch, described
from lowroad.optimizers.line_searches import made_line_search
from lowroad.optimizers.quasi_newton import Iterate, descend
from lowroad.outcome import Outcome

Closure = Callable[[], Any]


class LBFGS(torch.optim.Optimizer):
    """L-BFGS with golden section search (Algorithm 1 of Yu & Morozov 2026) for a training loop.

    `step(closure)` does one iteration, the same as one of `lbfgs`, and returns the loss *after* it.
    The closure takes one of two forms:

    - The usual form: zero the gradients, forward, backward, return the loss. Every trial of the
      line search then costs a backward pass too.
    - Only the loss: forward, return the loss, no backward. The optimizer calls backward once per
      step and makes the trials of a line search without a graph: three times cheaper. `p.grad` is
      not touched. (Where the loss itself needs autograd, as with physics-informed networks, the
      trials are made with a graph.)

    The optimizer detects the form in the first call of each step: it clears the gradients before
    the call, so any gradients afterwards come from the closure's own backward.

    During a step the loss must depend only on the parameters: no dropout, no batch norm in training
    mode, the same batch. Between steps it may change. A step that finds another loss or other
    parameters than the last step left starts with an empty memory, along −g, so do several steps
    per batch.

    After each step the parameters are those of the accepted point, or unchanged, even after an
    exception; the loss never rises in a step.

    Args:
        params: dense float32 or float64 parameters, all of one type on one device.
        line_search: `"golden_section"`, `"brent"`, `"strong_wolfe"`, `"hager_zhang"`,
            `"backtracking"`, or a line search with its own settings, such as
            `GoldenSection(budget=10)`.
        history_size: the number of curvature pairs kept.
        tolerance_grad: a step does nothing once max_j |∂L/∂x_j| is at or below this.

    Attributes:
        line_search: the line search.
        outcome: why the last step did not move, or None if it did.

    Raises:
        ValueError: when the parameters differ in type or device or are sparse or complex, when
            there are several groups, or a setting is out of range.
        TypeError: when `line_search` is neither a name nor a line search.

    >>> w = torch.nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    >>> optimizer = LBFGS([w])
    >>> def loss():
    ...     return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
    >>> for _ in range(40):
    ...     after = optimizer.step(loss)
    >>> w.detach().round(decimals=6), float(after) < 1e-15
    (tensor([1., 1.], dtype=torch.float64), True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        line_search: str | LineSearch = "golden_section",
        history_size: int = 10,
        tolerance_grad: float = 1e-9,
    ) -> None:
        self.line_search = made_line_search(line_search)
        self.outcome: Outcome | None = None
        self._graph_in_trials = False
        CurvatureMemory(history_size)  # refuses a history below 1
        if not 0.0 <= tolerance_grad < math.inf:
            raise ValueError(f"expected a tolerance_grad of at least 0, got {tolerance_grad}")
        defaults = {
            "history_size": history_size,
            "tolerance_grad": tolerance_grad,
            "line_search": described(self.line_search),
        }
        super().__init__(params, defaults)
        _check_parameters(self._parameters)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the one group of parameters.

        Raises:
            ValueError: for a second group.
        """
        if self.param_groups:
            raise ValueError(
                "expected one group of parameters: L-BFGS moves all of them along one direction; "
                "pass them as one list"
            )
        super().add_param_group(param_group)

    @property
    def _parameters(self) -> list[Tensor]:
        return [p for p in self.param_groups[0]["params"] if p.requires_grad]

    @property
    def evaluations(self) -> Evaluations:
        """How often the closure was called, without and with a backward pass."""
        state = self.state[self._parameters[0]]
        return Evaluations(
            state.get("values_evaluated", 0.0), state.get("gradients_evaluated", 0.0)
        )

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Do one iteration and return the loss after it.

        Args:
            closure: evaluates the loss at the present parameters, in one of the two forms above.

        Returns:
            The loss at the accepted point, of the type that the closure returns, without a graph.

        Raises:
            TypeError: when there is no closure, or it does not return a number.
            ValueError: when it returns anything but a scalar, when its loss does not depend on the
                parameters, or when the loss or its gradient is not finite where the step begins.
        """
        if closure is None:
            raise TypeError("expected a closure that returns the loss: optimizer.step(closure)")
        group, parameters = self.param_groups[0], self._parameters
        state = self.state[parameters[0]]
        objective = _ClosureObjective(parameters, closure, self._graph_in_trials)
        try:
            at = self._arrive(objective, state)
            if float(at.gradient.abs().max()) <= group["tolerance_grad"]:
                moved, self.outcome = None, Outcome.CONVERGED_GRADIENT
            else:
                function, step, self.outcome = descend(objective, at, self.line_search)
                if function.best.value < step.value:
                    step = function.best  # no later step would return there
                moved = None if self.outcome else objective.move_along(function, step.alpha)
                at.value = step.value
        finally:
            objective.settle()
            self._graph_in_trials = objective.graph_in_trials
            counted = self.evaluations
            state["values_evaluated"] = counted.values + objective.evaluations.values
            state["gradients_evaluated"] = counted.gradients + objective.evaluations.gradients
        state["pairs"], state["moved"] = list(at.memory.pairs), moved
        state["point"], state["value"], state["gradient"] = objective.point, at.value, at.gradient
        return objective.as_loss(at.value)

    def _arrive(self, objective: _ClosureObjective, state: dict[str, Any]) -> Iterate:
        """Evaluate the loss at the current point and add the curvature pair of the last step."""
        value, gradient = objective.value_and_gradient()
        wrong = int((~torch.isfinite(gradient)).sum())
        if not math.isfinite(value) or wrong:
            raise ValueError(
                f"expected a finite loss where the step begins, got {value} and a gradient with "
                f"{wrong} components that are not finite"
            )
        memory = CurvatureMemory(self.param_groups[0]["history_size"])
        if "point" in state and objective.is_at(state["point"], value, state["value"]):
            memory.pairs = list(state["pairs"])
            if state["moved"] is not None:
                at = Iterate(state["value"], state["gradient"], memory)
                at.move(state["moved"], value, gradient)
        return Iterate(value, gradient, memory)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict()` gave: the run goes on in the same bits.

        Raises:
            ValueError: when it was saved with another line search.
        """
        saved = state_dict["param_groups"][0].get("line_search")
        if saved != described(self.line_search):
            raise ValueError(
                f"expected a state saved with {described(self.line_search)}, got one saved "
                f"with {saved}; make the optimizer with that line search"
            )
        super().load_state_dict(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        own = ("line_search", "outcome", "_graph_in_trials")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in own}}


class _ClosureObjective:
    """The loss of a closure at the current parameters, for one step."""

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
            except RuntimeError:  # the loss itself may need autograd; otherwise it fails again
                self.graph_in_trials = True
        return self._call(graph=True)

    def _call(self, graph: bool) -> float:
        for p in self._all:
            p.grad = None
        with torch.set_grad_enabled(graph):
            self._loss = self._closure()
        return _number(self._loss)

    def line_function(self, direction: Tensor, value: float) -> LineFunction:
        """Return φ(α) along `direction` [d]; each trial moves the parameters."""

        def value_at(alpha: float) -> float:
            self._move_to(self._at(direction, alpha))
            return self.value()

        def value_and_slope_at(alpha: float) -> tuple[float, float, Callable[[], Tensor]]:
            self._move_to(self._at(direction, alpha))
            value, gradient = self.value_and_gradient()
            return value, float((direction[None] @ gradient)[0]), lambda: gradient

        return LineFunction(direction, value_at, value_and_slope_at, value)

    def _at(self, direction: Tensor, alpha: float) -> Tensor:
        line = AffineSubspace(self.point, direction[None])
        return line.points(self.point.new_full((1, 1), alpha))[0]

    def move_along(self, function: LineFunction, alpha: float) -> Tensor:
        """Move the current point to α on the line and return the displacement α p [d]."""
        self.point = self._at(function.direction, alpha)
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

    def is_at(self, point: Tensor, value: float, expected: float) -> bool:
        """Return whether the parameters are at `point` [d] with a loss that is the expected one.

        A loss is summed in different orders with and without a graph: half of its digits must
        agree.
        """
        eps = torch.finfo(point.dtype).eps
        close = abs(value - expected) <= math.sqrt(eps) * abs(expected)
        return close and torch.equal(point, self.point)

    def as_loss(self, value: float) -> Any:
        """Return the value as the closure returns its losses."""
        if isinstance(self._loss, Tensor):
            return self._loss.new_tensor(value)
        return value


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


def _check_parameters(parameters: list[Tensor]) -> None:
    if not parameters:
        raise ValueError("expected parameters that require gradients, got none")
    kinds = sorted({f"{p.dtype} on {p.device}" for p in parameters})
    if len(kinds) > 1:
        raise ValueError(f"expected parameters of one type on one device, got {kinds}")
    dtype = parameters[0].dtype
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"expected float32 or float64 parameters, got {dtype}")
    layouts = sorted({str(p.layout) for p in parameters if p.layout != torch.strided})
    if layouts:
        raise ValueError(f"expected dense parameters, got {layouts}")
