"""What a search has reached, to be kept while it runs and gone on from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

State = dict[str, Any]


@dataclass
class Keeper:
    """Holds the state of a search, from which it goes on in the same bits.

    A state consists of tensors, numbers, lists and dictionaries that `torch.save` takes and
    `torch.load(weights_only=True)` gives back. Its tensors are the search's own, not copies: they
    are consistent at any time but inside `undisturbed`.

    Attributes:
        state: at the beginning of the present step (or round); None before the first. Given at the
            beginning of a search, the search goes on from there.
        undisturbed: makes the contexts in which the state changes; one that holds back interrupts
            lets a state be kept after them.
    """

    state: State | None = None
    undisturbed: Callable[[], AbstractContextManager[Any]] = nullcontext
