"""One search that can be interrupted and gone on with."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path as FilePath

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lowroad.connect.progress import SearchDisplay
from lowroad.connect.tensor_files import Parts, write_tensors
from lowroad.landscapes import AffineSubspace, Landscape, RestrictedLandscape
from lowroad.paths import FoundPath, Path, PathFinder
from lowroad.paths.basis import SplineBasis
from lowroad.paths.curve import CurveFinder
from lowroad.paths.image_chain import ImageChainFinder

PAUSE = 60.0  # seconds between two times that a search's path is kept, at least
SHARE = 20  # times that writing it took: no more than a twentieth of the time is spent so


class Watched(Landscape):
    """A landscape that remembers where a search evaluated it last: the search's present path.

    A curve's search evaluates the landscape inside the span of its path, a chain's at its images.
    """

    def __init__(self, landscape: Landscape, finder: PathFinder, watch: Watched | None = None):
        self._landscape, self._finder = landscape, finder
        self._watch = self if watch is None else watch
        self.dimension, self.samples = landscape.dimension, landscape.samples
        self.dtype, self.device = landscape.dtype, landscape.device
        self.batched = landscape.batched
        self.coefficients: Tensor | None = None

    def values(self, points: Tensor) -> Tensor:
        """Return the landscape's values."""
        return self._landscape.values(points)

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the landscape's values and gradients; a chain's images are remembered."""
        if isinstance(self._finder, ImageChainFinder):
            self._watch.coefficients = points
        return self._landscape.values_and_gradients(points)

    def restrict(self, subspace: AffineSubspace) -> RestrictedLandscape:
        """Return the landscape's restriction; a curve's coefficients are remembered."""
        if isinstance(self._finder, CurveFinder) and subspace.rank == 1 + self._finder.basis.terms:
            self._watch.coefficients = subspace.directions[1:]
        return self._landscape.restrict(subspace)

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Landscape]:
        """Yield the landscape's mini-batches, watched."""
        for batch in self._landscape.minibatches(size, generator):
            yield Watched(batch, self._finder, self._watch)


class Search:
    """A search for a path whose present path is kept in a file, to go on from.

    Args:
        finder: the path finder.
        file: where the path is kept while the search runs.
        task: what identifies the search; a path of another one is not gone on from.
    """

    def __init__(self, finder: PathFinder, file: FilePath, task: str) -> None:
        self._finder, self._file, self._task = finder, file, task
        self._kept, self._took = time.monotonic(), 0.0
        self._step = 0

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
            KeyboardInterrupt: after the present path is kept.
            ValueError: as `PathFinder.find`.
        """
        first, initial = self._resumed(start, end) if resume else (0, None)
        finder = self._finder
        steps = int(getattr(finder, "steps", 0))
        if initial is not None and steps:
            finder = dataclasses.replace(finder, **{"steps": max(steps - first, 1)})
        # of several starts none is the search's one path
        watched = Watched(landscape, finder) if finder.starts == 1 else None
        display.begin(label, steps, first)
        self._step = first

        def callback(step: int, height: float) -> None:
            self._step = first + step
            display.step(first + step, height)
            if time.monotonic() - self._kept > max(PAUSE, SHARE * self._took):
                self._keep(watched)

        try:
            found = finder.find(watched or landscape, start, end, generator, callback, initial)
        except KeyboardInterrupt:
            self._keep(watched)
            raise
        display.finish(found.height, found.outcome.value)
        return found

    def forget(self) -> None:
        """Remove the file: the search is done and its result stored."""
        self._file.unlink(missing_ok=True)

    def _keep(self, watched: Watched | None) -> None:
        if watched is None or watched.coefficients is None or self._step == 0:
            return
        began = time.monotonic()
        rows = watched.coefficients
        parts = Parts(rows.dtype, tuple(rows.shape), rows.split(1))
        about = {"task": self._task, "step": str(self._step)}
        write_tensors(self._file, {"coefficients": parts}, about)
        self._kept, self._took = time.monotonic(), time.monotonic() - began

    def _resumed(self, start: Tensor, end: Tensor) -> tuple[int, Path | None]:
        try:
            with safe_open(self._file, framework="pt") as file:
                about, rows = file.metadata(), file.get_tensor("coefficients").to(start)
        except FileNotFoundError:
            return 0, None
        except SafetensorError as error:
            raise ValueError(f"{self._file}: damaged ({error}); remove it to begin anew") from None
        if about.get("task") != self._task:
            raise ValueError(
                f"{self._file}: of a search with other checkpoints or settings; give the same, or "
                "begin anew without --resume"
            )
        if isinstance(self._finder, CurveFinder):
            return int(about["step"]), Path(start, end, rows, self._finder.basis)
        knots = torch.linspace(0, 1, len(rows) + 2, dtype=torch.float64)[1:-1]
        line = torch.lerp(start, end, knots[:, None].to(start))
        return int(about["step"]), Path(start, end, rows - line, SplineBasis(tuple(knots.tolist())))
