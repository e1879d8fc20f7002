"""Path finders by name, as study files and commands name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib.metadata import entry_points
from typing import Any

from lowroad.nearest import nearest
from lowroad.paths.bezier import BezierPathFinder
from lowroad.paths.elastic_band import ElasticBandFinder
from lowroad.paths.finder import PathFinder
from lowroad.paths.fourier import FourierPathFinder
from lowroad.paths.polygonal_chain import PolygonalChainFinder
from lowroad.paths.straight import StraightLine
from lowroad.paths.string import StringFinder

FINDERS: dict[str, type[PathFinder]] = {
    "fourier": FourierPathFinder,
    "bezier": BezierPathFinder,
    "polygonal_chain": PolygonalChainFinder,
    "elastic_band": ElasticBandFinder,
    "string": StringFinder,
    "straight": StraightLine,
}
"""The built-in path finders; packages add theirs as entry points `lowroad.path_finders`."""


def finder_class(name: str) -> type[PathFinder]:
    """Return the path finder of a name.

    Raises:
        ValueError: when there is none of that name.

    >>> finder_class("bezier").__name__
    'BezierPathFinder'
    """
    if name in FINDERS:
        return FINDERS[name]
    others = {each.name: each for each in entry_points(group="lowroad.path_finders")}
    if name in others:
        return others[name].load()
    hint = nearest(name, [*FINDERS, *others])
    raise ValueError(f'finder: there is no path finder "{name}"{hint}')


def finder_settings(name: str) -> dict[str, Any]:
    """Return a path finder's settings with their defaults."""
    return {
        field.name: field.default
        for field in fields(finder_class(name))
        if field.init and field.default is not MISSING
    }


def make_finder(name: str, settings: Mapping[str, Any]) -> PathFinder:
    """Return a path finder of a name with settings.

    Raises:
        ValueError: when there is none of that name, it has no such setting, or a setting is out of
            range; the message begins with the setting's name where it is known.
        TypeError: when a setting is of another type.

    >>> make_finder("fourier", {"terms": 3}).terms
    3
    """
    known = finder_settings(name)
    lines = [
        f"{key}: the {name} path finder has no such setting{nearest(key, known)}"
        for key in settings
        if key not in known
    ]
    if lines:
        raise ValueError("\n".join(lines))
    try:
        return finder_class(name)(**settings)
    except (ValueError, TypeError) as error:
        named = next((key for key in settings if key in str(error).split()), "finder")
        raise type(error)(f"{named}: {error}") from None


def check_finder(name: str, settings: Mapping[str, Any]) -> None:
    """Refuse settings that `make_finder` would not take; raises as it does."""
    make_finder(name, settings)
