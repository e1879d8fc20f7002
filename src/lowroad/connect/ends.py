"""The checkpoints to connect, and the one landscape that they lie on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lowroad.landscapes import Landscape, NetworkLandscape
from lowroad.landscapes.state_dicts import differing, frozen_of
from lowroad.problems.checkpoints import Checkpoint, read_checkpoint


def network(landscape: Landscape) -> NetworkLandscape:
    """Return the landscape if it is a network's.

    Raises:
        ValueError: when it is not.
    """
    if not isinstance(landscape, NetworkLandscape):
        raise ValueError(
            "aligning hidden units, re-estimating batch norm's statistics and choosing trainable "
            f"parameters need a NetworkLandscape, got {type(landscape).__name__}"
        )
    return landscape


def read_ends(
    files: Sequence[Path],
    landscape: Landscape,
    key: str | None = None,
    free: frozenset[str] = frozenset(),
) -> tuple[Landscape, list[Checkpoint]]:
    """Return the landscape with the files' frozen parameters and buffers, and what they hold.

    Args:
        files: the checkpoints.
        landscape: the landscape that they fit.
        key: see `read_checkpoint`.
        free: names of buffers that may differ, since they are re-estimated.

    Raises:
        ValueError: when a file does not fit the landscape, or the files' frozen parameters or
            buffers differ, since one landscape holds one set of them.
        OSError: when a file cannot be read.
    """
    ends = [read_checkpoint(file, landscape, key) for file in files]
    for file, end in zip(files[1:], ends[1:], strict=True):
        names = sorted(set(differing(ends[0].frozen, end.frozen)) - free)
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ValueError(
                f"{', '.join(names[:3])}{more}: not trainable, and different in {files[0]} and "
                f"{file}, but a landscape holds one set of frozen parameters and buffers. Where "
                "these are batch norm's statistics, use --reestimate-batch-norm; where they are "
                "parameters, let them move: requires_grad, or a pattern of --trainable that fits"
            )
    return with_frozen(landscape, ends[0]), ends


def trainable(landscape: Landscape, patterns: Sequence[str]) -> Landscape:
    """Return the landscape over the parameters that fit shell patterns; all when there are none.

    Raises:
        ValueError: when it is not a network's, or a pattern fits no parameter.
    """
    return network(landscape).with_trainable(*patterns) if patterns else landscape


def with_frozen(landscape: Landscape, checkpoint: Checkpoint) -> Landscape:
    """Return the landscape with a checkpoint's frozen parameters and buffers."""
    if not isinstance(landscape, NetworkLandscape):
        return landscape
    names = differing(frozen_of(landscape.module), checkpoint.frozen)
    other = {n: checkpoint.frozen[n] for n in names if n not in landscape.reestimated}
    return landscape.with_buffers(other) if other else landscape


def reestimated(landscape: Landscape) -> frozenset[str]:
    """Return the names of the buffers that depend on the point."""
    return landscape.reestimated if isinstance(landscape, NetworkLandscape) else frozenset()


def say_taken(files: Sequence[Path], ends: Sequence[Checkpoint], console: Console) -> None:
    """Say what was taken of files that hold more than the weights."""
    for file, end in zip(files, ends, strict=True):
        if end.taken:
            console.print(f"{file}: {end.taken}", markup=False, highlight=False)


def short_names(files: Sequence[Path]) -> list[str]:
    """Return the files' names, with as much of their folders as tells them apart."""
    for length in range(1, max(len(file.parts) for file in files) + 1):
        names = ["/".join(file.parts[-length:]) for file in files]
        if len(set(names)) == len(names):
            return names
    return [f"{number}: {file}" for number, file in enumerate(files, 1)]
