"""The landscapes of a search's steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

from lowroad.landscapes import Landscape


class Passes:
    """The landscapes of the steps: always the full one, or repeated passes over mini-batches."""

    def __init__(
        self, landscape: Landscape, size: int | None, generator: torch.Generator | None
    ) -> None:
        self._landscape, self._size, self._generator = landscape, size, generator
        self._rest: Iterator[Landscape] = iter(())
        self._began: torch.Tensor | None = None  # the generator's state at the present pass
        self._used = 0  # batches of it
        self.begins_pass = False
        if size is not None and generator is not None:
            landscape.minibatches(size, generator)  # raises early where there is no data

    def next(self) -> tuple[Landscape, bool]:
        """Return the next step's landscape and whether it is the full one."""
        if self._size is None or self._generator is None:
            return self._landscape, True
        batch = next(self._rest, None)
        self.begins_pass = batch is None
        if batch is None:
            self._began, self._used = self._generator.get_state(), 0
            self._rest = iter(self._landscape.minibatches(self._size, self._generator))
            batch = next(self._rest)
        self._used += 1
        return batch, False

    def state(self) -> dict[str, Any]:
        """Return what `go_on` takes."""
        now = None if self._generator is None else self._generator.get_state()
        return {"began": self._began, "used": self._used, "now": now}

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on in the pass, and with the generator, that a state was taken in."""
        if self._generator is None or state["now"] is None:
            return
        if self._size is not None and state["began"] is not None:
            self._began, self._used = state["began"], state["used"]
            self._generator.set_state(self._began)
            self._rest = iter(self._landscape.minibatches(self._size, self._generator))
            for _ in islice(self._rest, self._used):
                pass
        self._generator.set_state(state["now"])
