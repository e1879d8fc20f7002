"""The line searches by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from lowroad.nearest import nearest
from lowroad.optimizers.backtracking import Backtracking
from lowroad.optimizers.brent import Brent
from lowroad.optimizers.golden_section import GoldenSection
from lowroad.optimizers.hager_zhang import HagerZhang
from lowroad.optimizers.line_search import LineSearch, check_line_search
from lowroad.optimizers.strong_wolfe import StrongWolfe

LINE_SEARCHES: dict[str, Any] = {
    "golden_section": GoldenSection,
    "brent": Brent,
    "backtracking": Backtracking,
    "strong_wolfe": StrongWolfe,
    "hager_zhang": HagerZhang,
}


def made_line_search(
    search: LineSearch | str | None, options: Mapping[str, Any] | None = None
) -> LineSearch:
    """Return a line search from its name and options, or as it is; golden section for None.

    Raises:
        ValueError: when there is none of that name, or it does not take the options.

    >>> made_line_search("strong_wolfe", {"c2": 0.5}).c2
    0.5
    """
    if search is None:
        search = "golden_section"
    if not isinstance(search, str):
        check_line_search(search)
        return search
    if search not in LINE_SEARCHES:
        raise ValueError(
            f'line_search: there is no line search "{search}"{nearest(search, LINE_SEARCHES)}'
        )
    return LINE_SEARCHES[search](**(options or {}))


def default_line_search(free_gradients: bool, chosen: Iterable[str] = ()) -> str:
    """Return the name of the line search where none is named.

    By slopes where gradients are free; else golden section, the paper's, which needs values only,
    also where one of its own options is chosen.
    """
    own = line_search_options("golden_section").keys() - line_search_options("strong_wolfe").keys()
    return "strong_wolfe" if free_gradients and not own & set(chosen) else "golden_section"


def line_search_options(search: LineSearch | str) -> dict[str, Any]:
    """Return the options of a line search with their defaults; none of one that is made already."""
    if not isinstance(search, str):
        return {}
    return {field.name: field.default for field in fields(LINE_SEARCHES[search])}
