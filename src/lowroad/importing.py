"""Objects by import path, as study files and commands name them."""

from __future__ import annotations

import difflib
import importlib
from typing import Any


class ImportPathError(ImportError):
    """An import path leads to nothing."""


def import_object(path: str) -> Any:
    """Return what an import path names: "module:attribute", or "package.module.attribute".

    Raises:
        ImportPathError: when the path has no such form, the module or the attribute is not found,
            or the module ends the program.
        Exception: what the module itself raises when it is imported.

    >>> import_object("math:pi") == import_object("math.pi")
    True
    """
    module_name, colon, attribute = path.partition(":")
    if not colon:
        module_name, _, attribute = path.rpartition(".")
    if not module_name or not attribute or module_name.startswith("."):
        raise ImportPathError(
            f'expected an import path such as "module:function" or "package.Class", got "{path}"'
        )
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there and imports another one that is not
        raise ImportPathError(
            f'there is no module "{error.name}" for "{path}": expected a file {error.name}.py '
            "beside the study file, or an installed package"
        ) from None
    except SystemExit as error:
        raise ImportPathError(
            f'the module "{module_name}" ends the program when it is imported: what it does as a '
            'program belongs under if __name__ == "__main__":'
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            close = difflib.get_close_matches(part, dir(found), n=1, cutoff=0.6)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise ImportPathError(f'the module "{module_name}" has no "{attribute}"{hint}')
        found = getattr(found, part)
    return found
