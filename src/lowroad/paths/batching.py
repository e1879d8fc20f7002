"""Concurrent searches whose evaluations share calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from lowroad.landscapes import Landscape

T = TypeVar("T")

AT_ONCE = 256  # concurrent searches: each has a thread


def run_batched(landscape: Landscape, searches: Sequence[Callable[[Landscape], T]]) -> list[T]:
    """Return the result of each search on the landscape.

    On a `batched` landscape every search runs up to its next request for values; when all have made
    one, the requests are evaluated in one call, in the order of the searches, and each continues
    with its own rows. Each search has a thread so that it can be suspended, but only one thread
    runs at any time: results and their order do not depend on timing. On other landscapes the
    searches run one after another.

    Args:
        landscape: the landscape to search.
        searches: functions of a landscape.

    Raises:
        Exception: that of the first search to fail; the others are abandoned.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> calls = []
    >>> bowl = FunctionLandscape(lambda x: (calls.append(len(x)), (x**2).sum(1))[1], dimension=1)
    >>> at = lambda x: lambda landscape: landscape.value(torch.tensor([x], dtype=torch.float64))
    >>> run_batched(bowl, [at(1.0), at(2.0), at(3.0)]), calls
    ([1.0, 4.0, 9.0], [3])
    """
    if not landscape.batched or len(searches) < 2:
        return [search(landscape) for search in searches]
    results: list[T] = []
    for first in range(0, len(searches), AT_ONCE):
        results += _concurrent(landscape, searches[first : first + AT_ONCE])
    return results


def _concurrent(landscape: Landscape, searches: Sequence[Callable[[Landscape], T]]) -> list[T]:
    started = [_Search(landscape, search) for search in searches]
    try:
        waiting = [each for each in started if each.advance(None)]
        while waiting:
            answers = _answers(landscape, [each.request for each in waiting])
            pairs = zip(waiting, answers, strict=True)
            waiting = [each for each, answer in pairs if each.advance(answer)]
    finally:
        for each in started:
            each.abandon()
    return [each.result for each in started]


class _Request(NamedTuple):
    points: Tensor
    with_gradients: bool


class _Abandoned(BaseException):
    """Ends a search whose result is no longer needed."""


class _Search(Landscape, Generic[T]):
    """One search, and the landscape that it sees: it stops at every request until answered."""

    request: _Request
    result: T

    def __init__(self, landscape: Landscape, search: Callable[[Landscape], T]) -> None:
        self._landscape, self._search = landscape, search
        self.dimension, self.samples = landscape.dimension, landscape.samples
        self.dtype, self.device = landscape.dtype, landscape.device
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)

    def advance(self, answer: Any) -> bool:
        """Run until the next request; return False when the search has ended instead."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._answers.put(answer)
        request = self._requests.get()
        if self._error is not None:
            raise self._error
        if request is not None:
            self.request = request
        return request is not None

    def abandon(self) -> None:
        """End the search where it is, if it has not ended."""
        if self._thread.ident is not None:
            self._answers.put(_Abandoned())
            self._thread.join()

    def _run(self) -> None:
        try:
            self.result = self._search(self)
        except _Abandoned:
            pass
        except BaseException as error:
            self._error = error
        self._requests.put(None)

    def _ask(self, points: Tensor, with_gradients: bool) -> Any:
        self._landscape.check_points(points)
        self._requests.put(_Request(points, with_gradients))
        answer = self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def values(self, points: Tensor) -> Tensor:
        """Return the values [n], evaluated together with those of other searches."""
        return self._ask(points, with_gradients=False)

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return values [n] and gradients [n, d], evaluated with those of other searches."""
        return self._ask(points, with_gradients=True)

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Landscape]:
        """Yield the landscape's own mini-batches: no two searches draw the same."""
        return self._landscape.minibatches(size, generator)


def _answers(landscape: Landscape, requests: Sequence[_Request]) -> list[Any]:
    """Return values, or values and gradients, or the exception that answers each request."""
    answers: list[Any] = [None] * len(requests)
    for with_gradients in (False, True):
        chosen = [i for i, r in enumerate(requests) if r.with_gradients is with_gradients]
        if not chosen:
            continue
        points = [requests[i].points for i in chosen]
        for i, answer in zip(chosen, _evaluated(landscape, points, with_gradients), strict=True):
            answers[i] = answer
    return answers


def _evaluated(
    landscape: Landscape, points: Sequence[Tensor], with_gradients: bool
) -> Sequence[Any]:
    evaluate = landscape.values_and_gradients if with_gradients else landscape.values
    sizes = [len(each) for each in points]
    try:
        evaluated = evaluate(torch.cat(list(points)))
    except Exception as error:
        if len(points) == 1:
            return [error]
        # find the request that failed by evaluating one by one
        return [_evaluated(landscape, [each], with_gradients)[0] for each in points]
    if isinstance(evaluated, Tensor):
        return evaluated.split(sizes)
    values, gradients = evaluated
    return list(zip(values.split(sizes), gradients.split(sizes), strict=True))
