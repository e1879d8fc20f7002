"""One search that can be interrupted and goes on in the same bits."""

from __future__ import annotations

import pickle
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowroad.connect.progress import SearchDisplay
from lowroad.landscapes import Landscape
from lowroad.paths import FoundPath, PathFinder
from lowroad.paths.keeper import Keeper, State
from lowroad.study.files import replacing

PAUSE = 60.0  # seconds between two times that a search's state is kept, at least
SHARE = 20  # times that writing it took: no more than a twentieth of the time is spent so


class Search:
    """A search for a path whose present state is kept in a file, to go on from.

    Args:
        finder: the path finder.
        file: where the state is kept while the search runs.
        task: what identifies the search; the state of another one is refused.
    """

    def __init__(self, finder: PathFinder, file: Path, task: str) -> None:
        self._finder, self._file, self._task = finder, file, task
        self._last, self._took = time.monotonic(), 0.0  # when it was kept, and how long it took

    def run(
        self,
        landscape: Landscape,
        start: Tensor,
        end: Tensor,
        generator: torch.Generator,
        display: SearchDisplay,
        label: str,
        resume: bool,
    ) -> FoundPath:
        """Find the path, from where a search before was interrupted if there was one.

        Raises:
            KeyboardInterrupt: after the present state is kept.
            ValueError: as `PathFinder.find`.
        """
        keeper = Keeper(self._kept() if resume else None, undisturbed=interrupts_held_back)
        first = 0 if keeper.state is None else int(keeper.state["step"])
        display.begin(label, int(getattr(self._finder, "steps", 0)), first)

        def callback(step: int, height: float) -> None:
            display.step(step, height)
            if time.monotonic() - self._last > max(PAUSE, SHARE * self._took):
                self._keep(keeper)

        try:
            found = self._finder.find(landscape, start, end, generator, callback, keeper=keeper)
        except KeyboardInterrupt:
            self._keep(keeper)
            raise
        display.finish(found.height, found.outcome.value)
        return found

    def forget(self) -> None:
        """Remove the file: the search is done and its result stored."""
        self._file.unlink(missing_ok=True)

    def _keep(self, keeper: Keeper) -> None:
        if keeper.state is None or keeper.state["step"] == 0:
            return
        began = time.monotonic()
        with replacing(self._file) as file:
            torch.save({"task": self._task, "state": keeper.state}, file)
        self._last, self._took = time.monotonic(), time.monotonic() - began

    def _kept(self) -> State | None:
        try:
            content = torch.load(self._file, weights_only=True, map_location="cpu")
            task, state = content["task"], content["state"]
        except FileNotFoundError:
            return None
        except (pickle.UnpicklingError, EOFError, KeyError, RuntimeError, TypeError) as error:
            raise ValueError(f"{self._file}: damaged ({error}); remove it to begin anew") from None
        if task != self._task:
            raise ValueError(
                f"{self._file}: of a search with other checkpoints or settings; give the same, or "
                "begin anew without --resume"
            )
        return dict(state)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let signals that end a program wait until the context is left."""
    came: list[int] = []
    handlers: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and callable(signal.getsignal(number)):
                    handlers[number] = signal.getsignal(number)
                    signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number in came:
        signal.raise_signal(number)
