"""Objects by import path, as study files and commands name them."""

from __future__ import annotations

import importlib
from typing import Any


def import_object(path: str) -> Any:
    """Return what an import path names: "module:attribute", or "package.module.attribute".

    Raises:
        ImportError: when the path has no such form, or the module or the attribute is not found.
        Exception: what the module itself raises when it is imported.

    >>> import_object("math:pi") == import_object("math.pi")
    True
    """
    module_name, colon, attribute = path.partition(":")
    if not colon:
        module_name, _, attribute = path.rpartition(".")
    if not module_name or not attribute:
        raise ImportError(
            f'expected an import path such as "module:function" or "package.Class", got "{path}"'
        )
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there and imports another one that is not
        raise ImportError(
            f'there is no module "{error.name}" for "{path}": expected a file {error.name}.py '
            "beside the study file, or an installed package"
        ) from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ImportError(f'the module "{module_name}" has no "{attribute}"')
        found = getattr(found, part)
    return found
