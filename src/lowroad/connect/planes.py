"""Values on a plane through one, two or three checkpoints."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from rich.console import Console

from lowroad.analysis import plane_through, random_directions, random_plane
from lowroad.connect.ends import (
    network,
    read_ends,
    reestimated,
    say_taken,
    short_names,
    trainable,
)
from lowroad.connect.plane_page import write_plane_page
from lowroad.landscapes import BatchNormLandscape, Landscape, NetworkLandscape
from lowroad.plotting import plane_figure
from lowroad.study.files import write_atomically

RowsDone = Callable[[int, int], None]
"""Called with the rows that are done and their number in all."""


def plane(
    files: Sequence[Path],
    landscape: Landscape,
    directory: Path,
    *,
    normalize: str | None = None,
    extent: float = 1.0,
    margin: float = 0.2,
    resolution: int = 25,
    seed: int = 0,
    reestimate_batch_norm: bool = False,
    key: str | None = None,
    patterns: Sequence[str] = (),
    console: Console | None = None,
    callback: RowsDone | None = None,
) -> xr.Dataset:
    """Evaluate the plane through checkpoints and write it: `plane.nc`, `.png` and `.html`.

    Rows are stored in `rows.npz` as they come. The same call goes on from there, and a call with
    other settings or checkpoints begins anew.

    Args:
        files: one checkpoint, for a plane along two random directions; two, for the plane through
            the line between them along a random direction; or three, for the plane through them.
        landscape: whose values are taken.
        directory: where the results go.
        normalize: of random directions (at the first checkpoint), see
            `lowroad.analysis.random_directions`; "filter" for a network when not given, "none"
            elsewhere.
        extent: see `random_plane`.
        margin: see `plane_through`.
        resolution: values along each side.
        seed: of the random directions.
        reestimate_batch_norm: whether batch norm's statistics are estimated anew at every point.
        key: where the weights are in files that hold several; see `read_checkpoint`.
        patterns: shell patterns of the names of the parameters that move; all when empty.
        console: where it is said what was taken of the files.
        callback: see `RowsDone`.

    Raises:
        ValueError: when the files are not one to three, do not fit the landscape, or a setting is
            out of range.
        OSError: when a file cannot be read or written.
    """
    if len(files) not in (1, 2, 3):
        raise ValueError(
            "expected one checkpoint, for a plane along two random directions, two, for their line "
            f"and a random direction, or three, for the plane through them, got {len(files)}"
        )
    landscape = trainable(landscape, patterns)
    surface = BatchNormLandscape(network(landscape)) if reestimate_batch_norm else landscape
    landscape, ends = read_ends(files, landscape, key, reestimated(surface))
    surface = BatchNormLandscape(network(landscape)) if reestimate_batch_norm else landscape
    say_taken(files, ends, console or Console(quiet=True))
    points = [end.point for end in ends]
    if normalize is None:
        normalize = "filter" if isinstance(surface, NetworkLandscape) else "none"
    digest = hashlib.sha256(
        repr((normalize, extent, margin, resolution, seed, reestimate_batch_norm)).encode()
    )
    for point in points:
        digest.update(point.cpu().numpy().tobytes())
    digest.update(surface.value(points[0]).hex().encode())  # other data has another value
    identity = digest.hexdigest()
    directory.mkdir(parents=True, exist_ok=True)
    known = _stored_rows(directory / "rows.npz", identity, resolution)

    def done(rows: NDArray[np.float64]) -> None:
        content = io.BytesIO()
        np.savez(content, rows=rows, identity=np.array(identity))
        write_atomically(directory / "rows.npz", content.getvalue())
        if callback is not None:
            callback(len(rows), resolution)

    if len(points) == 1:
        table = random_plane(
            surface,
            points[0],
            normalize=normalize,  # type: ignore[arg-type]
            generator=torch.Generator().manual_seed(seed),
            extent=extent,
            resolution=resolution,
            known=known,
            callback=done,
        )
    else:
        direction = None
        if len(points) == 2:
            generator = torch.Generator().manual_seed(seed)
            [direction] = random_directions(
                surface, points[0], 1, normalize=normalize, generator=generator,  # type: ignore[arg-type]
            )  # fmt: skip
        table = plane_through(
            surface,
            dict(zip(short_names(files), points, strict=True)),
            direction=direction,
            resolution=resolution,
            margin=margin,
            known=known,
            callback=done,
        )
    facts = [("Checkpoints", ", ".join(map(str, files))), ("Resolution", f"{resolution}²")]
    facts += [("Directions", normalize), ("Seed", str(seed))] if len(files) < 3 else []
    _write(table, directory, facts)
    return table


def _stored_rows(path: Path, identity: str, resolution: int) -> NDArray[np.float64] | None:
    """Return the rows of an interrupted call with the same checkpoints and settings."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["identity"]) != identity:
                return None
            rows = np.asarray(stored["rows"], dtype=np.float64)
    except (OSError, ValueError, KeyError, EOFError):
        return None
    return rows if rows.ndim == 2 and rows.shape[1] == resolution else None


def _write(table: xr.Dataset, directory: Path, facts: list[tuple[str, str]]) -> None:
    picture = io.BytesIO()
    plane_figure(table).savefig(picture, format="png", dpi=150)
    write_atomically(directory / "plane.png", picture.getvalue())
    write_plane_page(directory / "plane.html", table, facts)
    write_atomically(directory / "plane.nc", bytes(table.to_netcdf(engine="h5netcdf")))
