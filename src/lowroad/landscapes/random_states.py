"""How far random generators have gone."""

from __future__ import annotations

import pickle
import random
from collections import deque
from types import ModuleType
from typing import Any

import numpy as np
import torch

LOOKED_INTO = 1000  # objects at most; data sets hold their generators near the top


def random_states(owner: Any, torchs: bool) -> list[bytes]:
    """Return the states of the generators that code of `owner` may draw from.

    They are Python's and NumPy's global ones and those in the attributes of `owner`, at any depth.

    Args:
        owner: a data set, a loader, a function.
        torchs: whether PyTorch's count.
    """
    states: list[Any] = [random.getstate(), np.random.get_state()]  # noqa: NPY002
    if torchs:
        states.append(torch.get_rng_state().numpy())
    todo, seen = deque([owner]), {id(owner)}
    while todo:
        value = todo.popleft()
        inner: list[Any] = []
        match value:
            case random.Random():
                states.append(value.getstate())
            case np.random.RandomState():
                states.append(value.get_state())
            case np.random.Generator():
                states.append(value.bit_generator.state)
            case torch.Generator():
                states.extend([value.get_state().cpu().numpy()] if torchs else [])
            case dict():
                inner = list(value.values())[:LOOKED_INTO]
            case list() | tuple():
                inner = list(value[:LOOKED_INTO])
            case _ if not isinstance(value, type | ModuleType):
                inner = list(getattr(value, "__dict__", {}).values())
        for each in inner:
            if len(seen) < LOOKED_INTO and id(each) not in seen:
                seen.add(id(each))
                todo.append(each)
    return [pickle.dumps(state) for state in states]
