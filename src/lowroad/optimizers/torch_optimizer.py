"""L-BFGS-GSS as a `torch.optim.Optimizer`, for any training loop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from lowroad.landscapes import Evaluations
from lowroad.optimizers.closure import Closure, ClosureObjective
from lowroad.optimizers.curvature import CurvatureMemory
from lowroad.optimizers.line_search import LineSearch, described
from lowroad.optimizers.line_searches import made_line_search
from lowroad.optimizers.numerical import diverged
from lowroad.optimizers.quasi_newton import Iterate, descend
from lowroad.optimizers.words import refuse_words
from lowroad.outcome import Outcome

_OWN_WORDS = {
    "iterations": "max_iter",
    "history": "history_size",
    "gradient": "tolerance_grad=",
    "change": "leave it out: `outcome` says when a step could not move",
}


class LBFGS(torch.optim.Optimizer):
    """L-BFGS with golden section search (Algorithm 1 of Yu & Morozov 2026) for a training loop.

    `step(closure)` does `max_iter` iterations, the same as those of `lbfgs`, and returns the loss
    *after* them. The closure takes one of two forms:

    - The usual form: zero the gradients, forward, backward, return the loss. Every trial of the
      line search then costs a backward pass too.
    - Only the loss: forward, return the loss, no backward. The optimizer calls backward once per
      iteration and makes the trials of a line search without a graph: three times cheaper.
      `p.grad` is not touched. (Where the loss itself needs autograd, as with physics-informed
      networks, the trials are made with a graph.)

    The optimizer detects the form in the first call of each step: it clears the gradients before
    the call, so any gradients afterwards come from the closure's own backward.

    During a step the loss must depend only on the parameters, and be computed anew from them in
    every call: no dropout, no batch norm in training mode, the same batch, no prediction made
    outside. Between steps it may change. A step that finds another loss or other parameters than
    the last step left (other ones frozen, say) starts with an empty memory, along −g, so do several
    iterations per batch.

    A step begins with one evaluation of loss and gradient. With `"strong_wolfe"` and a large
    `max_iter` it is one for many iterations, each of which then costs little more than one.

    After each step, and after an exception, the parameters are those of the last accepted point;
    the loss never rises in a step.

    Args:
        params: dense float32 or float64 parameters, all of one type on one device.
        line_search: `"golden_section"`, `"brent"`, `"strong_wolfe"`, `"hager_zhang"`,
            `"backtracking"`, or a line search with its own settings, such as
            `GoldenSection(budget=10)`.
        history_size: the number of curvature pairs kept.
        tolerance_grad: a step ends once max_j |∂L/∂x_j| is at or below this.
        max_iter: the most iterations of a step.
        unknown: other arguments are refused, with what to write instead.

    Attributes:
        line_search: the line search.
        outcome: why the last step ended before `max_iter` iterations, or None if it did them all.

    Raises:
        ValueError: when the parameters differ in type or device or are sparse, complex or not
            initialized, when there are several groups, or a setting is out of range.
        TypeError: when `line_search` is neither a name nor a line search, for an argument that it
            does not take, and when a scheduler asks for its learning rate.

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
        max_iter: int = 1,
        **unknown: Any,
    ) -> None:
        refuse_words(LBFGS, unknown, _OWN_WORDS)
        self.line_search = made_line_search(line_search)
        self.outcome: Outcome | None = None
        self._graph_in_trials = False
        CurvatureMemory(history_size)  # refuses a history below 1
        if not 0.0 <= tolerance_grad < math.inf:
            raise ValueError(f"expected a tolerance_grad of at least 0, got {tolerance_grad}")
        if not isinstance(max_iter, Integral) or max_iter < 1:
            raise ValueError(f"expected a max_iter of at least one iteration, got {max_iter}")
        defaults = {
            "history_size": history_size,
            "tolerance_grad": tolerance_grad,
            "max_iter": int(max_iter),
            "line_search": described(self.line_search),
        }
        super().__init__(params, defaults)
        _check_parameters(self.param_groups[0]["params"])

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the one group of parameters.

        Raises:
            ValueError: for a second group.
            TypeError: for one with a learning rate or a weight decay.
        """
        if self.param_groups:
            raise ValueError(
                "expected one group of parameters: L-BFGS moves all of them along one direction; "
                "pass them as one list"
            )
        refuse_words(LBFGS, {"lr", "weight_decay"} & set(param_group), _OWN_WORDS)
        super().add_param_group(param_group)
        self.param_groups = [_Group(self.param_groups[0])]

    @property
    def _state(self) -> dict[str, Any]:
        return self.state[self.param_groups[0]["params"][0]]

    @property
    def evaluations(self) -> Evaluations:
        """How often the closure was called, without and with a backward pass."""
        state = self._state
        return Evaluations(
            state.get("values_evaluated", 0.0), state.get("gradients_evaluated", 0.0)
        )

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Do up to `max_iter` iterations and return the loss after them.

        Args:
            closure: evaluates the loss at the present parameters, in one of the two forms above.

        Returns:
            The loss at the accepted point, of the type that the closure returns, without a graph.

        Raises:
            TypeError: when there is no closure, or it does not return a number.
            ValueError: when it returns anything but a scalar, when its loss does not depend on the
                parameters, or not anew in every call, when the loss or its gradient is not finite
                where the step begins, or when no parameter requires gradients any more.
        """
        if closure is None:
            raise TypeError("expected a closure that returns the loss: optimizer.step(closure)")
        trained = _trained(self.param_groups[0]["params"])
        objective = ClosureObjective(trained, closure, self._graph_in_trials)
        try:
            at = self._arrive(objective)
            self.outcome = self._iterate(objective, at)
        finally:
            objective.settle()
            self._graph_in_trials = objective.graph_in_trials
            counted = self.evaluations
            self._state["values_evaluated"] = counted.values + objective.evaluations.values
            self._state["gradients_evaluated"] = counted.gradients + objective.evaluations.gradients
        return objective.as_loss(self._state["value"])

    def _arrive(self, objective: ClosureObjective) -> Iterate:
        """Evaluate the loss at the current point and add the curvature pair of the last step."""
        group, state = self.param_groups[0], self._state
        value, gradient = objective.value_and_gradient()
        wrong = int((~torch.isfinite(gradient)).sum())
        if not math.isfinite(value) or wrong:
            raise ValueError(
                f"expected a finite loss where the step begins, got {value} and a gradient with "
                f"{wrong} components that are not finite"
            )
        memory = CurvatureMemory(group["history_size"])
        if not self._is_where_it_was(objective, value):
            return Iterate(value, gradient, memory)
        memory.pairs = list(state["pairs"])
        at = Iterate(state["before"], state["gradient"], memory, *state["ties"])
        if state["moved"] is not None:
            at.move(state["moved"], state["value"], gradient)
        at.value, at.gradient = value, gradient
        return at

    def _is_where_it_was(self, objective: ClosureObjective, value: float) -> bool:
        """Return whether the last step left these parameters with this loss.

        A loss is summed in different orders with and without a graph: half of its digits must
        agree.
        """
        state, parameters = self._state, self.param_groups[0]["params"]
        if "point" not in state or state["trained"] != [p.requires_grad for p in parameters]:
            return False
        close = math.sqrt(torch.finfo(objective.point.dtype).eps) * abs(state["value"])
        return abs(value - state["value"]) <= close and torch.equal(state["point"], objective.point)

    def _iterate(self, objective: ClosureObjective, at: Iterate) -> Outcome | None:
        """Do the iterations of a step; return why they ended, or None when all are done."""
        group = self.param_groups[0]
        for left in reversed(range(group["max_iter"])):
            if float(at.gradient.abs().max()) <= group["tolerance_grad"]:
                self._keep(objective, at, at.value, None)
                return Outcome.CONVERGED_GRADIENT
            function, step, outcome = descend(objective, at, self.line_search)
            if function.best.value < step.value:
                step = function.best  # no later step would return there
            if outcome is not None:
                if all(value == at.value for value in function.trials.values()):
                    objective.check_anew(at.value, at.gradient)
                self._keep(objective, at, at.value, None)
                return outcome
            moved = objective.move_along(function, step.alpha)
            self._keep(objective, at, step.value, moved)
            if diverged(step.value):
                return Outcome.DIVERGED
            if left:
                _, gradient = function.value_and_gradient(step.alpha)
                if not bool(torch.isfinite(gradient).all()):
                    return Outcome.DIVERGED
                at.move(moved, step.value, gradient)
        return None

    def _keep(
        self, objective: ClosureObjective, at: Iterate, value: float, moved: Tensor | None
    ) -> None:
        """Keep what the next step needs: the place, its value, and the last gradient before.

        `moved` is the displacement [d] from that iterate, or None.
        """
        parameters = self.param_groups[0]["params"]
        self._state.update(
            point=objective.point,
            value=value,
            moved=moved,
            before=at.value,
            gradient=at.gradient,
            pairs=list(at.memory.pairs),
            ties=(at.ties, at.smallest, at.idle),
            shapes=[list(p.shape) for p in parameters],
            trained=[p.requires_grad for p in parameters],
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict()` gave: the run goes on in the same bits.

        Raises:
            ValueError: when it is no optimizer's state, or was saved with another line search, or
                with parameters of other shapes.
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(
                "expected what `state_dict()` of an optimizer gave, with the keys 'state' and "
                f"'param_groups', got {' '.join(repr(state_dict).split()):.60}"
            )
        group = state_dict["param_groups"][0]
        saved = group.get("line_search", "another optimizer")
        if saved != described(self.line_search):
            raise ValueError(
                f"expected a state saved with {described(self.line_search)}, got one saved "
                f"with {saved}; make the optimizer with that line search"
            )
        own = self.param_groups[0]["params"]
        if len(group["params"]) != len(own):
            raise ValueError(
                f"expected a state of {len(own)} parameters, got one of {len(group['params'])}; "
                "make the optimizer with the parameters that it was saved with"
            )
        names = group.get("param_names") or [f"parameter {i}" for i in range(len(own))]
        shapes = state_dict["state"].get(0, {}).get("shapes", [list(p.shape) for p in own])
        other = [
            f"{name} {list(p.shape)}, got {shape}"
            for name, p, shape in zip(names, own, shapes, strict=True)
            if list(p.shape) != shape
        ]
        if other:
            more = f" and {len(other) - 3} more" if len(other) > 3 else ""
            raise ValueError(
                f"expected a state of parameters of the same shapes: {'; '.join(other[:3])}{more}"
            )
        super().load_state_dict(state_dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.param_groups = [_Group(group) for group in self.param_groups]

    def __getstate__(self) -> dict[str, Any]:
        own = ("line_search", "outcome", "_graph_in_trials")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in own}}


class _Group(dict[str, Any]):
    """A group of parameters that says why it has no learning rate, to schedulers that ask."""

    def __missing__(self, key: str) -> Any:
        if key == "lr":
            raise TypeError(
                "LBFGS has no learning rate, and so takes no scheduler of one: its line search "
                "finds the length of every step; leave the scheduler out"
            )
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "lr":
            self.__missing__(key)
        super().__setitem__(key, value)


def _trained(parameters: list[Tensor]) -> list[Tensor]:
    """Return the parameters that are moved: each once, frozen ones left out."""
    trained = [p for p in dict.fromkeys(parameters) if p.requires_grad]
    if not any(p.numel() for p in trained):
        raise ValueError("expected parameters that require gradients, got none with any numbers")
    return trained


def _check_parameters(parameters: list[Tensor]) -> None:
    lazy = sum(bool(is_lazy(p)) for p in parameters)
    if lazy:
        raise ValueError(
            f"expected initialized parameters, got {lazy} without a shape: call the module on an "
            "input before the optimizer is made"
        )
    parameters = _trained(parameters)
    kinds = sorted({f"{p.dtype} on {p.device}" for p in parameters})
    if len(kinds) > 1:
        raise ValueError(f"expected parameters of one type on one device, got {kinds}")
    dtype = parameters[0].dtype
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"expected float32 or float64 parameters, got {dtype}")
    layouts = sorted({str(p.layout) for p in parameters if p.layout != torch.strided})
    if layouts:
        raise ValueError(f"expected dense parameters, got {layouts}")
