"""Steps along projected forces, which are not the gradient of a function: FIRE and L-BFGS."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowroad.optimizers.curvature import CurvatureMemory


class Fire:
    """The fast inertial relaxation engine, one state for the whole chain.

    Velocities turn towards the forces while these point along them, and are reset otherwise. The
    first time step moves by the longest allowed step. Source: Bitzek et al. 2006.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._time_step = self._longest_time_step = 0.0
        self._velocity: Tensor | None = None
        self._mix, self._good = 0.1, 0

    def step(self, forces: Tensor, least: float = 0.0) -> Tensor:
        """Return how far to move, for `forces` at the point that the last step led to.

        A first step is the longest for forces of the norm `least` or more, and in proportion below.
        """
        size = float(forces.norm())
        if self._velocity is None:
            self._velocity = torch.zeros_like(forces)
            self._time_step = (self._longest / max(size, least)) ** 0.5 if size > 0 else 1.0
            self._longest_time_step = 10 * self._time_step
        elif float((forces * self._velocity).sum()) > 0:
            speed = float(self._velocity.norm())
            self._velocity = (1 - self._mix) * self._velocity + self._mix * speed / size * forces
            if self._good > 5:
                self._time_step = min(1.1 * self._time_step, self._longest_time_step)
                self._mix *= 0.99
            self._good += 1
        else:
            self._velocity = torch.zeros_like(forces)
            self._mix, self._good = 0.1, 0
            self._time_step *= 0.5
        self._velocity = self._velocity + self._time_step * forces
        return _shortened(self._time_step * self._velocity, self._longest)

    def state(self) -> dict[str, Any]:
        """Return what `go_on` takes, as plain data."""
        return dict(vars(self))

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        vars(self).update(state)


class ProjectedLbfgs:
    """L-BFGS on the projected forces, which have no value: steps are limited, without line search.

    Where the forces have grown to twice the smallest so far, the memory is cleared and the limit
    halved.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._memory = CurvatureMemory(20)
        self._last: tuple[Tensor, Tensor] | None = None
        self._smallest = torch.inf

    def step(self, forces: Tensor, least: float = 0.0) -> Tensor:
        """Return how far to move, for `forces` at the point that the last step led to.

        A step without memory is the longest for forces of the norm `least` or more, and in
        proportion below.
        """
        flat = -forces.reshape(-1)
        size = float(flat.norm())
        if size > 2 * self._smallest:
            self._memory.clear()
            self._longest, self._smallest = self._longest / 2, size
        elif self._last is not None:
            self._memory.add(self._last[0], flat - self._last[1])
        self._smallest = min(self._smallest, size)
        if len(self._memory) > 0:
            step = self._memory.direction(flat)
        else:
            step = -flat * (self._longest / max(size, least) if size > 0 else 0.0)
        step = _shortened(step, self._longest)
        self._last = step, flat
        return step.view(forces.shape)

    def state(self) -> dict[str, Any]:
        """Return what `go_on` takes, as plain data."""
        return {**vars(self), "_memory": self._memory.state()}

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        vars(self).update(state, _memory=CurvatureMemory.from_state(state["_memory"]))


def projected_steps(name: str, longest: float) -> Fire | ProjectedLbfgs:
    """Return the stepper of that name, "fire" or "lbfgs", with steps of at most `longest`.

    Args:
        name: the name of the method.
        longest: a length.
    """
    return Fire(longest) if name == "fire" else ProjectedLbfgs(longest)


def _shortened(step: Tensor, longest: float) -> Tensor:
    length = float(step.norm())
    return step * (longest / length) if length > longest else step
