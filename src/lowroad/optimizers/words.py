"""What to write instead of the words of other libraries."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lowroad.nearest import nearest

_INSTEAD = {
    "leave it out: the line search finds the length of every step": ("lr", "learning_rate"),
    'write line_search="strong_wolfe"': ("line_search_fn", "linesearch"),
    "write {iterations}=": ("max_iter", "maxiter", "iterations", "max_iterations", "steps"),
    "write {history}=": ("history_size", "history", "maxcor", "memory"),
    "write {gradient}": ("tolerance_grad", "tolerance", "gtol", "tol", "gradient_tolerance"),
    "{change}": ("tolerance_change", "step_tolerance", "ftol", "value_tolerance"),
    "write {iterations}= and the budget of a line search, as in line_search=StrongWolfe(budget=25)":
        ("max_eval", "maxfun", "maxls"),
    "there are none; let the function map unbounded numbers into the bounds, "
    "as in low + (high - low) * torch.sigmoid(x)": ("bounds", "constraints"),
    "leave it out: it minimizes one function, the same in every step; sgd takes mini-batches":
        ("batch_size", "epochs"),
    "add it to the function": ("weight_decay",),
    "write start=": ("x0",),
}  # fmt: skip


def refuse_words(taker: Callable[..., Any], given: Iterable[str], own: Mapping[str, str]) -> None:
    """Refuse arguments that a callable does not take.

    Args:
        taker: the callable, whose last parameter takes the arguments that it does not know.
        given: the arguments.
        own: what it calls {iterations}, {history}, {gradient} (a tolerance) and {change} (the
            tolerance of a step).

    Raises:
        TypeError: for the first of them, with what to write instead.
    """
    for name in given:
        instead = next((text for text, words in _INSTEAD.items() if name in words), None)
        known = list(inspect.signature(taker).parameters)[:-1]
        hint = nearest(name, known) if instead is None else f": {instead.format(**own)}"
        raise TypeError(f"{taker.__name__} takes no {name}{hint}")
