"""PyTorch's recurrent layers, step by step in operations that `vmap` can take at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

State = tuple[Tensor, ...]
Cell = Callable[[Tensor, Tensor, State], State]


class PlainRecurrence(TorchFunctionMode):
    """Inside, `nn.LSTM`, `nn.GRU` and `nn.RNN` are computed by products and pointwise functions.

    Their own kernels take one set of weights only. Packed sequences, dropout and projections are
    left to them.

    >>> layer, inputs = nn.GRU(3, 4, batch_first=True), torch.randn(2, 5, 3)
    >>> with PlainRecurrence():
    ...     outputs, _ = layer(inputs)
    >>> torch.allclose(outputs, layer(inputs)[0], atol=1e-6)
    True
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        arguments: Sequence[Any] = (),
        options: dict[str, Any] | None = None,
    ) -> Any:
        """Compute the layers' functions here, and all else as it is."""
        cell = _CELLS.get(getattr(function, "__name__", ""))
        if cell is None or len(arguments) != 9 or not isinstance(arguments[3], bool):
            return function(*arguments, **(options or {}))
        inputs, start, weights, biased, layers, dropout, train, both_ways, batch_first = arguments
        whole = len(weights) == layers * (1 + both_ways) * (4 if biased else 2)
        if (dropout and train) or not whole:
            return function(*arguments, **(options or {}))
        starts = start if isinstance(start, (list, tuple)) else (start,)
        outputs = inputs.transpose(0, 1) if batch_first else inputs
        ends: list[State] = []
        own = iter(weights)
        for _ in range(layers):
            directions = []
            for backwards in (False, True)[: 1 + both_ways]:
                state = tuple(s[len(ends)] for s in starts)
                states, end = _passed(cell, outputs, state, own, biased, backwards)
                directions.append(states)
                ends.append(end)
            outputs = torch.cat(directions, -1)
        last = tuple(torch.stack(parts) for parts in zip(*ends, strict=True))
        return (outputs.transpose(0, 1) if batch_first else outputs, *last)


def _passed(
    cell: Cell, inputs: Tensor, state: State, weights: Any, biased: bool, backwards: bool
) -> tuple[Tensor, State]:
    """Return the outputs [t, n, h] of one layer in one direction, and its last state."""
    by_input, by_state = next(weights), next(weights)
    biases = (next(weights), next(weights)) if biased else (None, None)
    products = nn.functional.linear(inputs, by_input, biases[0])
    outputs = []
    for product in products.flip(0) if backwards else products:
        state = cell(product, nn.functional.linear(state[0], by_state, biases[1]), state)
        outputs.append(state[0])
    stacked = torch.stack(outputs)
    return stacked.flip(0) if backwards else stacked, state


def _lstm(by_input: Tensor, by_state: Tensor, state: State) -> State:
    enter, forget, candidate, leave = (by_input + by_state).chunk(4, -1)
    cell = forget.sigmoid() * state[1] + enter.sigmoid() * candidate.tanh()
    return leave.sigmoid() * cell.tanh(), cell


def _gru(by_input: Tensor, by_state: Tensor, state: State) -> State:
    inputs, states = by_input.chunk(3, -1), by_state.chunk(3, -1)
    reset, keep = ((i + s).sigmoid() for i, s in zip(inputs[:2], states[:2], strict=True))
    candidate = (inputs[2] + reset * states[2]).tanh()
    return (candidate + keep * (state[0] - candidate),)


_CELLS: dict[str, Cell] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn_tanh": lambda by_input, by_state, state: ((by_input + by_state).tanh(),),
    "rnn_relu": lambda by_input, by_state, state: ((by_input + by_state).relu(),),
}
