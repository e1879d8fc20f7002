"""The results of all pairs: numbers, tables, pictures and the page."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from lowroad.analysis import MergeTree, merge_tree
from lowroad.connect.records import curves_of
from lowroad.study.files import write_atomically

SIDES = {"": "as they are", "aligned_": "aligned"}


def write_results(
    directory: Path, records: Sequence[xr.Dataset], settings: Mapping[str, str | int]
) -> None:
    """Write `summary.json`, pictures and `report.html`."""
    from lowroad.connect.page import write_page

    names = names_of(records)
    text = json.dumps(
        _jsonable({**summary(names, records), **settings}),
        indent=2, ensure_ascii=False, allow_nan=False,
    )  # fmt: skip
    write_atomically(directory / "summary.json", f"{text}\n".encode())
    if len(records) == 1:
        write_atomically(directory / "profile.png", _picture(records[0]))
    else:
        write_atomically(directory / "barriers.png", _matrices_picture(names, records))
        write_atomically(directory / "disconnectivity.png", _trees_picture(names, records))
    write_page(directory / "report.html", names, records, settings)


def _jsonable(value: Any) -> Any:
    """Return the value, or None for a number that JSON does not have (infinite, or not one)."""
    if isinstance(value, Mapping):
        return {name: _jsonable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_jsonable(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summary(names: Sequence[str], records: Sequence[xr.Dataset]) -> dict[str, Any]:
    """Return all numbers: of two checkpoints by name, of more also as matrices.

    `linear_barriers` are those of linear mode connectivity (see `above_mean`), by quantity.
    """
    pairs = [
        {**{k: v for k, v in record.attrs.items() if k != "task"},
         "linear_barriers": linear_barriers(record)}
        for record in records
    ]  # fmt: skip
    if len(records) == 1:
        return pairs[0]
    matrices = {
        title: matrix.tolist() for title, matrix in barrier_matrices(names, records).items()
    }
    return {"checkpoints": list(names), "barriers": matrices, "pairs": pairs}


def linear_barriers(record: xr.Dataset) -> dict[str, float]:
    """Return the barriers of linear mode connectivity by quantity and side."""
    barriers = {}
    for curve in curves_of(record):
        if curve.is_straight and not curve.interpolated:
            for name in curve:
                quantity = "train_loss" if name == "profile" else name
                number = "" if name == "profile" else f"{name}_"
                barriers[f"{quantity}{', aligned' if curve.is_aligned else ''}"] = float(
                    curve.numbers[f"{number}barrier_above_mean"]
                )
    return barriers


def barrier_matrices(
    names: Sequence[str], records: Sequence[xr.Dataset], number: str = "barrier"
) -> dict[str, NDArray[np.float64]]:
    """Return a number of all pairs as symmetric matrices by the curve's label, 0 with oneself."""
    place = {name: i for i, name in enumerate(names)}
    matrices: dict[str, NDArray[np.float64]] = {}
    for record in records:
        i, j = place[record.attrs["first"]], place[record.attrs["second"]]
        for curve in curves_of(record):
            matrix = matrices.setdefault(curve.label, _no_barriers(len(names)))
            matrix[i, j] = matrix[j, i] = curve.numbers[number]
    return matrices


def _no_barriers(size: int) -> NDArray[np.float64]:
    matrix = np.full((size, size), np.nan)
    np.fill_diagonal(matrix, 0.0)
    return matrix


def trees(names: Sequence[str], records: Sequence[xr.Dataset]) -> dict[str, MergeTree]:
    """Return the disconnectivity graphs of the checkpoints by the paths found, for each side."""
    place = {name: i for i, name in enumerate(names)}
    found: dict[str, MergeTree] = {}
    for side, title in SIDES.items():
        curves = [curve for record in records for curve in curves_of(record) if curve.key == side]
        if not curves:
            continue
        heights = np.full(len(names), np.nan)
        pairs, tops = [], []
        for record, curve in zip(records, curves, strict=True):
            i, j = place[record.attrs["first"]], place[record.attrs["second"]]
            heights[i], heights[j] = curve["profile"][0], curve["profile"][-1]
            pairs.append((i, j))
        # one value for each checkpoint: those of aligned copies differ by rounding
        for (i, j), curve in zip(pairs, curves, strict=True):
            tops.append(max(float(curve["profile"].max()), heights[i], heights[j]))
        found[title] = merge_tree(heights, pairs, tops)
    return found


def names_of(records: Sequence[xr.Dataset]) -> list[str]:
    """Return the checkpoints' names in their order."""
    ends = [str(record.attrs[end]) for end in ("first", "second") for record in records]
    return list(dict.fromkeys(ends))


def table(records: Sequence[xr.Dataset]) -> str:
    """Return the results as lines of text."""
    names = names_of(records)
    if len(records) > 1:
        parts = [
            f"Barriers, {label}\n{_matrix_lines(names, matrix)}"
            for label, matrix in barrier_matrices(names, records).items()
        ]
        notes = [
            f"note: {record.attrs['first']} – {record.attrs['second']}: {record.attrs['note']}"
            for record in records
            if "note" in record.attrs
        ]
        return "\n\n".join(parts + (["\n".join(notes)] if notes else []))
    (record,) = records
    curves = curves_of(record)
    width = max(len(curve.label) for curve in curves)
    lines = [f"{'':{width}}  {'height':>11}  {'refined':>11}  {'barrier':>11}  {'length':>8}"]
    for curve in curves:
        own = curve.numbers
        lines.append(
            f"{curve.label:{width}}  {own['height']:11.6g}  "
            + (f"{own['refined_height']:11.6g}" if "refined_height" in own else " " * 11)
            + f"  {own['barrier']:11.6g}"
            + (f"  {own['length']:8.4g}" if "length" in own else "")
        )
    lines += [f"{c.label}: {c.numbers['outcome']}" for c in curves if c.key in SIDES]
    lines += [
        f"linear mode connectivity barrier, {name.replace('_', ' ')}: {value:.6g}"
        for name, value in linear_barriers(record).items()
    ]
    lines += [f"note: {record.attrs['note']}"] if "note" in record.attrs else []
    return "\n".join(lines)


def _matrix_lines(names: Sequence[str], matrix: NDArray[np.float64]) -> str:
    width = max(10, *(len(name) for name in names))
    head = " " * width + "".join(f"  {name:>{width}}" for name in names)
    rows = [
        f"{name:{width}}" + "".join(f"  {value:{width}.4g}" for value in row)
        for name, row in zip(names, matrix, strict=True)
    ]
    return "\n".join([head, *rows])


def _picture(record: xr.Dataset) -> bytes:
    from matplotlib.figure import Figure

    curves, t = curves_of(record), record["t"].values
    sides = {
        "as they are": [curve for curve in curves if not curve.is_aligned],
        "aligned": [curve for curve in curves if curve.is_aligned],
    }
    panels = {name: panel for name, panel in sides.items() if panel}
    figure = Figure(figsize=(1.5 + 4 * len(panels), 4.0), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, panel) in zip(row, panels.items(), strict=True):
        for curve in panel:
            dash = ":" if curve.interpolated else "--" if curve.is_straight else "-"
            color = "#D55E00" if curve.is_straight else "#0072B2"
            axes.plot(t, curve["profile"], dash, color=color)
        best = next((curve for curve in panel if curve.key in SIDES), panel[0])
        top = float(best.numbers["refined_height"])
        axes.set(xlabel="t", title=f"{name}: highest point {top:.4g}")
    row[0].set_ylabel("height")
    labels = [curve.label for curve in next(iter(panels.values()))]
    figure.legend(
        row[0].lines[: len(labels)], labels, loc="outside lower center", ncols=2, frameon=False
    )
    return _png(figure)


def _matrices_picture(names: Sequence[str], records: Sequence[xr.Dataset]) -> bytes:
    from lowroad.plotting import set_matrices

    matrices = barrier_matrices(names, records)
    return _png(set_matrices({label: (names, m) for label, m in matrices.items()}, "barrier"))


def _trees_picture(names: Sequence[str], records: Sequence[xr.Dataset]) -> bytes:
    from lowroad.plotting import disconnectivity_graphs
    from lowroad.plotting.barriers import tree_lines

    found = trees(names, records)
    figure = disconnectivity_graphs({side: {"checkpoints": t} for side, t in found.items()})
    for axes, tree in zip(figure.axes, found.values(), strict=False):
        axes.set_xticks(tree_lines(tree)[0].tolist(), names, rotation=40, ha="right")
    return _png(figure)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
