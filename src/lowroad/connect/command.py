"""From checkpoints to the paths between them, their numbers and their pictures."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from lowroad.connect.ends import (
    network,
    read_ends,
    reestimated,
    say_taken,
    short_names,
    trainable,
    with_frozen,
)
from lowroad.connect.memory import check_memory
from lowroad.connect.named import check_metrics
from lowroad.connect.progress import SearchDisplay
from lowroad.connect.records import Curve, read_record, record_of, write_record
from lowroad.connect.results import write_results
from lowroad.connect.search import Search
from lowroad.connect.tensor_files import Parts, check_room, write_tensors
from lowroad.connect.variants import aligned, save_checkpoint, with_interpolated_statistics
from lowroad.landscapes import BatchNormLandscape, Landscape
from lowroad.paths import FoundPath, PathFinder, StraightLine
from lowroad.problems.checkpoints import Checkpoint
from lowroad.problems.problem import Metric

ALIGNED_UNASKED = 2_000_000  # parameters of a network: more take minutes, and wait for --align


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure between checkpoints, and how.

    Attributes:
        seed: of mini-batches, noise and further starts.
        key: where the weights are in files that hold several; see `read_checkpoint`.
        trainable: shell patterns of the names of the parameters that move; all when empty.
        align: whether to connect each pair also with the second one aligned to the first.
        match: how units are paired then: by "weights" or by "activations" (`weight_matching`,
            `activation_matching`).
        save_aligned: a folder for the aligned checkpoints, as state dicts.
        reestimate_batch_norm: whether values are those of a `BatchNormLandscape`. The profiles
            with the two checkpoints' own statistics, interpolated in t, are shown too.
        test: the same network's landscape on test data, which values are taken on along the paths.
            Statistics that are re-estimated are those of the training data there too.
        metrics: numbers (landscape, point [d]) that are taken along the paths, by name.
        resume: whether to go on from what an interrupted search has left.
        save_path: a .safetensors file for the found path's points [T, d].
    """

    seed: int = 0
    key: str | None = None
    trainable: tuple[str, ...] = ()
    align: bool = False
    match: str = "weights"
    save_aligned: Path | None = None
    reestimate_batch_norm: bool = False
    test: Landscape | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    resume: bool = False
    save_path: Path | None = None


def connect(
    files: Sequence[Path],
    landscape: Landscape,
    finder: PathFinder,
    directory: Path,
    options: Options | None = None,
    console: Console | None = None,
) -> list[xr.Dataset]:
    """Find the paths between all pairs of checkpoints and write them.

    Writes `report.html`, `summary.json`, the profiles (`path.nc`, or `paths/I-J.nc` for more than
    two checkpoints) and pictures.

    Args:
        files: two or more files for `read_checkpoint`.
        landscape: the landscape that the paths lie on.
        finder: the path finder.
        directory: the directory for the results.
        options: what else is measured.
        console: where progress is told.

    Returns:
        A record of each pair, as it is stored: profiles, and numbers as attributes.

    Raises:
        ValueError: when a file does not fit the landscape, two files hold the same point, an option
            does not fit the model, the memory is not there, or a metric returns no number; before
            any search.
        OSError: when a file cannot be read or the directory cannot be made; before any search.
    """
    chosen = Options() if options is None else options
    console = Console(quiet=True) if console is None else console
    setup = _Setup.of(files, landscape, finder, directory, chosen)
    say_taken(setup.files, setup.ends, console)
    records = []
    with _made(directory), SearchDisplay(setup.searches, console) as display:
        for i, j in setup.pairs:
            record = setup.stored(i, j)
            if record is None:
                record = setup.measure(i, j, display)
                write_record(setup.file_of(i, j), record)
            records.append(record)
            setup.search(i, j, "").forget()
            setup.search(i, j, "aligned_").forget()
    write_results(directory, records, {"finder": repr(finder), "seed": chosen.seed})
    return records


@dataclass(frozen=True)
class _Setup:
    """Checked input: all that can fail early has not failed."""

    files: tuple[Path, ...]
    finder: PathFinder
    directory: Path
    options: Options
    plain: Landscape  # with fixed statistics
    splits: dict[str, Landscape]  # "train" is the one that is searched
    ends: list[Checkpoint]
    _aligned: dict[tuple[int, int], Checkpoint] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        files: Sequence[Path],
        landscape: Landscape,
        finder: PathFinder,
        directory: Path,
        options: Options,
    ) -> _Setup:
        if len(files) < 2:
            raise ValueError(f"expected at least two checkpoints, got {len(files)}")
        if options.save_path is not None and len(files) > 2:
            raise ValueError(f"--save-path: expected two checkpoints, got {len(files)}")
        given = {"train": landscape} | ({} if options.test is None else {"test": options.test})
        given = {name: trainable(each, options.trainable) for name, each in given.items()}
        free: frozenset[str] = reestimated(given["train"])
        if options.reestimate_batch_norm:
            free = reestimated(BatchNormLandscape(network(given["train"])))
        plain, ends = read_ends(files, given["train"], options.key, free)
        splits: dict[str, Landscape] = {"train": plain}
        if "test" in given:
            splits["test"] = with_frozen(_fitting(given["test"], plain), ends[0])
        if options.reestimate_batch_norm:
            own = network(plain)
            splits = {
                name: BatchNormLandscape(network(each), None if name == "train" else own)
                for name, each in splits.items()
            }
        setup = cls(tuple(files), finder, directory, options, plain, splits, ends)
        setup.check()
        return setup

    def check(self) -> None:
        """Refuse what a search would fail with."""
        surface, points = self.splits["train"], [end.point for end in self.ends]
        for i, j in self.pairs:
            if torch.equal(points[i], points[j]):
                raise ValueError(
                    f"{self.files[i]} and {self.files[j]} hold the same point: there is no path "
                    "to find"
                )
        check_memory(self.finder, surface, len(points))
        if self.options.save_path is not None:
            sides = 1 + self.options.align
            size = self.finder.points * surface.dimension * surface.dtype.itemsize * sides
            check_room(self.options.save_path, size)
        for file, point in zip(self.files, points, strict=True):
            surface.check_repeatable(point)
            value = surface.value(point)
            if not np.isfinite(value):
                raise ValueError(f"{file}: the landscape's value there is {value}")
        check_metrics(self.options.metrics, self.splits, points[0])
        if self.options.align:
            for i, j in self.pairs:
                self.end(i, j, "aligned_")

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return list(itertools.combinations(range(len(self.files)), 2))

    @cached_property
    def names(self) -> list[str]:
        return short_names(self.files)

    @cached_property
    def digests(self) -> list[str]:
        return [_digest(end) for end in self.ends]

    @property
    def sides(self) -> list[str]:
        return ["", "aligned_"] if self.options.align else [""]

    @property
    def searches(self) -> int:
        return len(self.pairs) * len(self.sides)

    def file_of(self, i: int, j: int) -> Path:
        """Where the record of a pair is."""
        return self.directory / ("path.nc" if len(self.files) == 2 else f"paths/{i + 1}-{j + 1}.nc")

    def search(self, i: int, j: int, side: str) -> Search:
        file = self.directory / f"search-{side}{i + 1}-{j + 1}.pt"
        return Search(self.finder, file, self.task(i, j))

    def task(self, i: int, j: int) -> str:
        """What identifies a pair's searches, as JSON."""
        options = self.options
        content = {
            "points": [self.digests[k] for k in (i, j)],
            "finder": repr(self.finder),
            "seed": options.seed,
            "align": options.match if options.align else False,
            "trainable": options.trainable,
            "reestimate_batch_norm": options.reestimate_batch_norm,
            "splits": list(self.splits),
            "metrics": list(options.metrics),
        }
        return json.dumps(content)

    def stored(self, i: int, j: int) -> xr.Dataset | None:
        """Return the pair's record of an earlier run that is gone on with."""
        if not self.options.resume or self.options.save_path is not None:
            return None
        record = read_record(self.file_of(i, j))
        if record is not None and record.attrs.get("task") != self.task(i, j):
            raise ValueError(
                f"{self.file_of(i, j)}: of other checkpoints or settings; give the same, or begin "
                "anew without --resume"
            )
        return record

    def end(self, i: int, j: int, side: str) -> Checkpoint:
        """Return the pair's second end, aligned to the first where that is asked for."""
        if not side:
            return self.ends[j]
        if (i, j) not in self._aligned:
            self._aligned.clear()  # one at a time: it is as large as a checkpoint
            surface = network(self.splits["train"])
            end = aligned(surface, self.ends[i], self.ends[j], self.options.match)
            self._aligned[i, j] = end
            if self.options.save_aligned is not None:
                names = [Path(self.names[k]).stem for k in (j, i)]
                self.options.save_aligned.mkdir(parents=True, exist_ok=True)
                file = self.options.save_aligned / f"{names[0]}-aligned-to-{names[1]}.pt"
                save_checkpoint(file, surface, end)
        return self._aligned[i, j]

    def measure(self, i: int, j: int, display: SearchDisplay) -> xr.Dataset:
        """Find the pair's paths and measure them."""
        surface, start, pair = self.splits["train"], self.ends[i], f"{self.names[i]} – "
        symmetry = None
        if surface.samples == 1 or surface.dimension <= ALIGNED_UNASKED:
            symmetry = surface.symmetric_image(start.point, self.ends[j].point)
        curves, saved = [], {}
        ends = {side: self.end(i, j, side) for side in self.sides}
        for kind in ("straight_", ""):
            for side, end in ends.items():
                label = ("path found" if not kind else "straight line") + (
                    ", aligned" if side else ""
                )
                generator = torch.Generator().manual_seed(self.options.seed)
                if kind:
                    display.begin(f"{pair}{self.names[j]}, {label}")
                    line = StraightLine(points=self.finder.points)
                    found = line.find(surface, start.point, end.point)
                    display.finish(found.height, found.outcome.value)
                else:
                    found = self.search(i, j, side).run(
                        surface, start.point, end.point, generator, display,
                        f"{pair}{self.names[j]}, {label}", self.options.resume,
                    )  # fmt: skip
                    if self.options.save_path is not None:
                        saved[f"{side}points"] = found
                if not side:
                    found = replace(found, symmetry=symmetry)
                curves.append(Curve(f"{side}{kind}", label, found, along=self.along(found)))
                if self.options.reestimate_batch_norm:
                    fixed = with_interpolated_statistics(network(self.plain), found, start, end)
                    key, label = f"{side}interpolated_{kind}", f"{label}, statistics interpolated"
                    curves.append(Curve(key, label, fixed, interpolated=True))
        if saved and self.options.save_path is not None:
            _save_points(self.options.save_path, saved)
        about = {"first": self.names[i], "second": self.names[j], "task": self.task(i, j)}
        return record_of(curves, about)

    def along(self, found: FoundPath) -> dict[str, NDArray[np.float64]]:
        """Return the test loss and the metrics of all splits along a path, by "split_name"."""
        quantities: dict[str, NDArray[np.float64]] = {}
        names = [f"{split}_{name}" for split in self.splits for name in self.options.metrics]
        for name in (["test_loss"] if "test" in self.splits else []) + names:
            quantities[name] = np.empty(len(found.t))
        for k, t in enumerate(torch.from_numpy(found.t) if quantities else ()):
            point = found.path(t[None])[0]
            for split, landscape in self.splits.items():
                if split == "test":
                    quantities["test_loss"][k] = landscape.value(point)
                for name, metric in self.options.metrics.items():
                    quantities[f"{split}_{name}"][k] = float(metric(landscape, point))
        return quantities


def _fitting(test: Landscape, train: Landscape) -> Landscape:
    if (test.dimension, test.dtype) != (train.dimension, train.dtype):
        raise ValueError(
            f"--test: expected a landscape over the same {train.dimension} parameters of "
            f"{train.dtype}, got {test.dimension} of {test.dtype}"
        )
    return test


def _digest(checkpoint: Checkpoint) -> str:
    digest = hashlib.sha256()
    for tensor in (checkpoint.point, *(checkpoint.frozen[n] for n in sorted(checkpoint.frozen))):
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _save_points(path: Path, saved: Mapping[str, FoundPath]) -> None:
    def points(found: FoundPath) -> Iterator[Tensor]:
        for t in torch.from_numpy(found.t):
            yield found.path(t[None])

    tensors = {
        name: Parts(found.path.start.dtype, (len(found.t), len(found.path.start)), points(found))
        for name, found in saved.items()
    }
    t = torch.from_numpy(next(iter(saved.values())).t)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, {"t": Parts(t.dtype, tuple(t.shape), [t]), **tensors}, {})


@contextmanager
def _made(directory: Path) -> Iterator[None]:
    """Make a directory, and remove it again if nothing was written there."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(parents=True, exist_ok=True)  # before the search, since it may fail
    try:
        yield
    except BaseException:
        for each in missing:
            try:
                each.rmdir()
            except OSError:  # something is in it
                break
        raise
