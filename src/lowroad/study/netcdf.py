"""What a record holds, as a netCDF-4 file, and the digest of it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

NETCDFS_OWN = frozenset({"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"})
PROVENANCE = frozenset({"seconds", "elapsed", "created", "machine", "versions", "content_sha256"})
"""Variables and attributes that may differ between two runs of the same task."""


def as_netcdf(dataset: xr.Dataset) -> bytes:
    """The bytes of a netCDF-4 file; equal data sets give equal bytes."""
    # Not with `Dataset.to_netcdf`, which asks for locks of the scheduler when a worker calls it.
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        file.dimensions = {str(name): size for name, size in dataset.sizes.items()}
        file.attrs.update(dataset.attrs)
        for name, variable in dataset.variables.items():
            written = file.create_variable(str(name), variable.dims, data=variable.values)
            written.attrs.update(variable.attrs)
    return buffer.getvalue()


def attributes_of(held: h5py.File | h5py.Dataset) -> dict[str, Any]:
    """Attributes as plain Python values, without netCDF's own."""
    return {
        name: _plain(value)
        for name, value in held.attrs.items()
        if name[0] != "_" and name not in NETCDFS_OWN
    }


def variables_of(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The variables by name, without data sets that merely stand for a netCDF dimension."""
    return {
        name: each
        for name, each in file.items()
        if not bytes(each.attrs.get("NAME", b"")).startswith(b"This is a netCDF dimension but not")
    }


def infinite(
    arrays: Mapping[str, Any], dimensions: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Names of coordinates and points that hold numbers which are not finite, or none at all."""
    checked = (
        name
        for name in arrays
        if dimensions[name] == (name,) or (name.endswith("_point") and name != "last_point")
    )
    return tuple(
        name
        for name in checked
        if arrays[name].dtype.kind not in "fiu" or not np.isfinite(arrays[name][()]).all()
    )


def dimensions_of(variable: h5py.Dataset) -> tuple[str, ...]:
    """Names of a netCDF variable's dimensions."""
    if "DIMENSION_LIST" not in variable.attrs:
        return (variable.name.rpartition("/")[2],) if variable.ndim else ()
    file = variable.file
    return tuple(
        file[reference[0]].name.rpartition("/")[2] for reference in variable.attrs["DIMENSION_LIST"]
    )


def content_digest(dataset: xr.Dataset) -> str:
    """SHA-256 over names, dimensions, types, bytes and attributes, without provenance.

    Two records of the same task have equal digests, whenever and wherever they were computed.
    """
    variables = {
        str(name): (tuple(map(str, each.dims)), each.values, each.attrs)
        for name, each in dataset.variables.items()
    }
    return digest_of_parts(dataset.attrs, variables)


def digest_of_parts(
    attributes: Mapping[Any, Any],
    variables: Mapping[str, tuple[tuple[str, ...], NDArray[Any], Mapping[Any, Any]]],
) -> str:
    """The content digest of attributes and of variables by name: dimensions, values, attributes."""
    digest = hashlib.sha256()

    def add(*parts: Any) -> None:
        digest.update(repr(parts).encode())

    add(sorted((key, _plain(value)) for key, value in attributes.items() if _lasting(key)))
    for name in sorted(filter(_lasting, variables)):
        dimensions, array, own = variables[name]
        values = np.ascontiguousarray(array)
        add(name, dimensions, values.shape, values.dtype.str)
        add(sorted((key, _plain(value)) for key, value in own.items()))
        digest.update(values.tobytes())
    return digest.hexdigest()


def _lasting(name: Any) -> bool:
    return name not in PROVENANCE


def _plain(value: Any) -> Any:
    """An attribute as Python values: netCDF holds numbers as arrays of one."""
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return plain[0] if isinstance(plain, list) and len(plain) == 1 else plain
