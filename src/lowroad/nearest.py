"""The nearest known name to one that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a message: the nearest of the known names, or all of them.

    >>> nearest("step", ["steps", "points"]), nearest("x", ["steps", "points"])
    ('; did you mean "steps"?', '; known: steps, points')
    """
    spelled = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), spelled, n=1, cutoff=0.55)
    if close:
        return f'; did you mean "{spelled[close[0]]}"?'
    return f"; known: {', '.join(spelled.values())}" if spelled else "; there is none"
