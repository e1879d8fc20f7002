"""The nearest known name to one that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SAME = ({"lr", "learning_rate", "rate", "step_size"}, {"iterations", "max_iter", "maxiter"})
"""What different libraries call the same thing."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was meant; None where none is like it.

    >>> closest("lr", ["learning_rate", "epochs"]), closest("epoch", ["learning_rate", "epochs"])
    ('learning_rate', 'epochs')
    """
    spelled = {each.lower(): each for each in known}
    same = [each for names in _SAME if name.lower() in names for each in names & spelled.keys()]
    close = same or difflib.get_close_matches(name.lower(), spelled, n=1, cutoff=0.55)
    return spelled[close[0]] if close else None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a message: the nearest of the known names, or all of them.

    >>> nearest("step", ["steps", "points"]), nearest("x", ["steps", "points"])
    ('; did you mean "steps"?', '; known: steps, points')
    """
    names = list(dict.fromkeys(known))
    found = closest(name, names)
    if found is not None:
        return f'; did you mean "{found}"?'
    return f"; known: {', '.join(names)}" if names else "; there is none"
