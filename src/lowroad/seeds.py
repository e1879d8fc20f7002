"""Seeds derived from what they are for."""

from __future__ import annotations

import hashlib
import json


def derived_seed(*parts: str | int) -> int:
    """A seed in [0, 2^63) from a hash of ``parts``: independent of order, workers and each other.

    >>> derived_seed(0, "FCP", "initial weights", 3) == derived_seed(0, "FCP", "shuffling", 3)
    False
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
