"""Sharpness of a checkpoint: eigenvalues, trace, ascent, and the spectral density."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from lowroad.analysis import ascent_sharpness, sharpness, spectral_density
from lowroad.connect.ends import network, read_ends, reestimated, say_taken, trainable
from lowroad.landscapes import Landscape
from lowroad.plotting.spectra import spectrum_figure
from lowroad.study.files import write_atomically


def checkpoint_sharpness(
    file: Path,
    landscape: Landscape,
    directory: Path,
    *,
    matrix: str = "hessian",
    eigenvalues: int = 5,
    vectors: int = 30,
    radius: float = 0.05,
    samples: int | None = None,
    density: bool = False,
    seed: int = 0,
    key: str | None = None,
    patterns: Sequence[str] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Measure a checkpoint's sharpness and write `sharpness.json`, with a density `spectrum.png`.

    Args:
        file: the checkpoint.
        landscape: the network's loss.
        directory: where the results go.
        matrix: "hessian" or "gauss_newton".
        eigenvalues: how many of the largest.
        vectors: random vectors for the trace.
        radius: of the ball for the ascent, see `ascent_sharpness`.
        samples: how many samples of the data, the first ones; all when not given.
        density: whether the spectral density is estimated and drawn.
        seed: of all random vectors.
        key: where the weights are in a file that holds several; see `read_checkpoint`.
        patterns: shell patterns of the names of the parameters that count; all when empty.
        console: where it is said what was taken of the file.

    Returns:
        What `sharpness.json` holds.

    Raises:
        ValueError: when the file does not fit or a setting is out of range.
        OSError: when a file cannot be read or written.
    """
    own = network(trainable(landscape, patterns))
    landscape, [end] = read_ends([file], own, key, reestimated(own))
    say_taken([file], [end], console or Console(quiet=True))
    loss = network(landscape)
    if samples is not None:
        if samples < 1:
            raise ValueError(f"samples: expected at least one, got {samples}")
        loss = network(loss.first(samples))
    generator = torch.Generator().manual_seed(seed)
    found = sharpness(
        loss, end.point, eigenvalues=eigenvalues, samples=vectors,
        matrix=matrix, generator=generator,  # type: ignore[arg-type]
    )  # fmt: skip
    rises = {
        name: ascent_sharpness(
            loss, end.point, radius, adaptive=name == "adaptive_ascent", generator=generator
        ).rise
        for name in ("ascent", "adaptive_ascent")
    }
    numbers: dict[str, Any] = {
        "checkpoint": str(file),
        "matrix": matrix,
        "samples": loss.samples,
        "loss": loss.value(end.point),
        "eigenvalues": found.eigenvalues.tolist(),
        "trace": found.trace,
        "trace_error": found.trace_error,
        "radius": radius,
        **rises,
    }
    directory.mkdir(parents=True, exist_ok=True)
    if density:
        spectrum = spectral_density(
            loss, end.point, outliers=eigenvalues,
            matrix=matrix, generator=generator,  # type: ignore[arg-type]
        )  # fmt: skip
        numbers["moments"] = {str(k): spectrum.moment(k) for k in (1, 2, 3, 4)}
        picture = io.BytesIO()
        spectrum_figure(spectrum).savefig(picture, format="png", dpi=150)
        write_atomically(directory / "spectrum.png", picture.getvalue())
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }
    text = json.dumps(finite, indent=2, default=np.ndarray.tolist) + "\n"
    write_atomically(directory / "sharpness.json", text.encode())
    return numbers
