"""Parameters of a landscape's own shapes that an optimizer written for modules steps."""

from __future__ import annotations

import copy
import inspect
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lowroad.importing import import_object
from lowroad.landscapes import CountingLandscape, Landscape

PROBE_SAMPLES = 64  # of the data, on which an optimizer is tried out before a run


class NotFinite(ArithmeticError):
    """A step begins where the mini-batch's value is not finite."""


@dataclass(frozen=True)
class Recipe:
    """What an optimizer is made of.

    Attributes:
        optimizer: the class.
        options: its own.
        scheduler: a class of `torch.optim.lr_scheduler`, or None.
        scheduler_options: its own.
    """

    optimizer: type
    options: Mapping[str, Any]
    scheduler: type | None
    scheduler_options: Mapping[str, Any]

    def make(self, parameters: list[nn.Parameter]) -> tuple[Any, Any]:
        """Return the optimizer of some parameters, and its scheduler or None.

        Raises:
            ValueError: when one of them does not take its options.
        """
        try:
            optimizer = self.optimizer(parameters, **self.options)
        except Exception as error:  # a class refuses its options with any kind of error
            raise ValueError(
                f"options: {self.optimizer.__name__} cannot be made with {dict(self.options)}: "
                f"{error}"
            ) from error
        if self.scheduler is None:
            return optimizer, None
        try:
            return optimizer, self.scheduler(optimizer, **self.scheduler_options)
        except Exception as error:
            raise ValueError(
                f"scheduler_options: {self.scheduler.__name__} cannot be made with "
                f"{dict(self.scheduler_options)}: {error}"
            ) from error

    def described(self) -> dict[str, str]:
        """Return the recipe as text that is the same in another process."""
        return {
            "options": _text(self.options),
            "scheduler": "none" if self.scheduler is None else self.scheduler.__qualname__,
            "scheduler_options": _text(self.scheduler_options),
        }


def _text(options: Mapping[str, Any]) -> str:
    shown = {k: getattr(v, "__qualname__", None) or repr(v) for k, v in sorted(options.items())}
    return ", ".join(f"{name} = {value}" for name, value in shown.items()) or "none"


def optimizer_class(given: str | type) -> type:
    """Return an optimizer class, given itself or by its import path.

    Raises:
        ImportError: when there is nothing at the path.
        ValueError: when it is no class with the interface of `torch.optim.Optimizer`.

    >>> optimizer_class("torch.optim.Adam").__name__
    'Adam'
    """
    found = import_object(given) if isinstance(given, str) else given
    needed = ("step", "zero_grad", "state_dict", "load_state_dict")
    lacking = [name for name in needed if not callable(getattr(found, name, None))]
    if not isinstance(found, type) or lacking:
        what = f"the class {found.__name__}" if isinstance(found, type) else repr(found)
        lacks = f" (it has no {', '.join(lacking)})" if isinstance(found, type) else ""
        at = f' at "{given}"' if isinstance(given, str) else ""
        raise ValueError(
            f"method: expected a class with the interface of torch.optim.Optimizer, got {what:.80}"
            f'{at}{lacks}; name a training function of your own as "module:function"'
        )
    if found is torch.optim.Optimizer:
        raise ValueError(
            "method: torch.optim.Optimizer is the interface alone; name a class that implements it"
        )
    return found


def scheduler_class(given: str | type) -> type:
    """Return a class of `torch.optim.lr_scheduler`, given itself or by its import path.

    Raises:
        ImportError: when there is nothing at the path.
        ValueError: when it is no such class.
    """
    found = import_object(given) if isinstance(given, str) else given
    if not (isinstance(found, type) and callable(getattr(found, "step", None))):
        raise ValueError(
            "expected a class of torch.optim.lr_scheduler, such as "
            f'"torch.optim.lr_scheduler.CosineAnnealingLR", got {given!r}'
        )
    return found


class GlobalRandom:
    """PyTorch's global generators as one optimizer sees them.

    Inside `with`, they are where the last block left them; outside, nothing shows.

    Attributes:
        states: of the CPU's generator, and of the CUDA device's where the landscape is on one.
    """

    def __init__(self, device: torch.device, states: list[Tensor]) -> None:
        self._device, self.states = device, list(states)

    @classmethod
    def seeded(cls, device: torch.device, generator: torch.Generator) -> GlobalRandom:
        """Seed from a generator, whose own sequence stays as it is."""
        own = generator.clone_state()
        seed = int(torch.randint(2**62, (), generator=own, device=own.device))
        devices = [torch.device("cpu"), *([device] if device.type == "cuda" else [])]
        return cls(device, [torch.Generator(d).manual_seed(seed).get_state() for d in devices])

    def __enter__(self) -> None:
        self._outside = self.now()
        self._set(self.states)

    def __exit__(self, *_: object) -> None:
        self.states = self.now()
        self._set(self._outside)

    def now(self) -> list[Tensor]:
        """Return the states as they are, within a block."""
        cuda = self._device.type == "cuda"
        more = [torch.cuda.get_rng_state(self._device)] if cuda else []
        return [torch.get_rng_state(), *more]

    def _set(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self._device)


class Stepper:
    """Separate parameters of a landscape's own shapes, stepped by a torch optimizer.

    Args:
        recipe: what the optimizer is made of.
        landscape: whose shapes the parameters have (one vector where it knows none).
        point: where they begin, [d].
        gradient_first: whether the gradient is evaluated before each `step` too.
    """

    def __init__(
        self, recipe: Recipe, landscape: Landscape, point: Tensor, gradient_first: bool = False
    ) -> None:
        parts = getattr(landscape, "parameters_at", lambda x: {"point": x})(point)
        self.parameters = [nn.Parameter(part.detach().clone()) for part in parts.values()]
        self.optimizer, self.scheduler = recipe.make(self.parameters)
        self.gradient_first = gradient_first
        takes_closure = len(inspect.signature(recipe.optimizer.step).parameters) > 1  # type: ignore[attr-defined]
        self._takes_closure = takes_closure
        self.called = False  # whether the last step evaluated a gradient

    def point(self) -> Tensor:
        """Return the parameters as one vector [d]."""
        return torch.cat([p.detach().reshape(-1) for p in self.parameters])

    def step(self, batch: Landscape, whatever: bool = False) -> None:
        """Let the optimizer do one step on a mini-batch.

        Raises:
            NotFinite: when the batch's value where the step begins is not finite, unless the
                optimizer is to be asked `whatever` happens.
        """
        self.called = False
        for p in self.parameters:
            p.grad = None

        def closure() -> Tensor:
            value, gradient = batch.value_and_gradient(self.point())
            if not (self.called or whatever or math.isfinite(value)):
                raise NotFinite
            self.called = True
            parts = gradient.split([p.numel() for p in self.parameters])
            for p, part in zip(self.parameters, parts, strict=True):
                p.grad = part.view(p.shape).clone()
            return gradient.new_tensor(value)

        if self.gradient_first or not self._takes_closure:
            closure()
        self.optimizer.step(*([closure] if self._takes_closure else []))

    def state(self) -> dict[str, Any]:
        """Return a copy of everything."""
        scheduler = None if self.scheduler is None else self.scheduler.state_dict()
        return {
            "point": self.point(),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "scheduler": copy.deepcopy(scheduler),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        sizes = [p.numel() for p in self.parameters]
        with torch.no_grad():
            for p, part in zip(self.parameters, state["point"].split(sizes), strict=True):
                p.copy_(part.view(p.shape))
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        if self.scheduler is not None:
            self.scheduler.load_state_dict(copy.deepcopy(state["scheduler"]))


def end_epoch(scheduler: Any, value: float) -> None:
    """Let a scheduler step, or None; `value` is for one that follows the value."""
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        scheduler.step(value)
    elif scheduler is not None:
        scheduler.step()


def tried_out(
    recipe: Recipe, landscape: Landscape, start: Tensor, random: GlobalRandom
) -> tuple[bool, bool]:
    """Try an optimizer on a part of the data, uncounted and without a trace.

    Returns:
        Whether it needs the gradient before `step` (as a SAM does whose `step` begins with the
        gradients that it finds), and whether it can be resumed: saved with `torch.save` after one
        step, loaded with `weights_only=True`, it has to take the next two in the same bits, and
        leave the global generators in the same state.

    Raises:
        ValueError: when it cannot take a first step.
    """
    while isinstance(landscape, CountingLandscape):
        landscape = landscape.landscape
    gradient_first = tried_step(recipe, landscape, start, random)
    return gradient_first, _resumes(recipe, landscape, start, gradient_first, random.states)


def tried_step(recipe: Recipe, landscape: Landscape, start: Tensor, random: GlobalRandom) -> bool:
    """Return whether an optimizer needs the gradient before its first step.

    Raises:
        ValueError: when it cannot take a first step.
    """
    batch = landscape.first(PROBE_SAMPLES)
    failure: Exception | None = None
    for gradient_first in (False, True):
        try:
            with GlobalRandom(landscape.device, random.states):
                stepper = Stepper(recipe, landscape, start, gradient_first)
                stepper.step(batch, whatever=True)
        except ValueError as error:
            if str(error).startswith(("options:", "scheduler_options:")):
                raise
            failure = failure or error
        except Exception as error:  # an optimizer may fail in any way
            failure = failure or error
        else:
            if stepper.called:
                return gradient_first
    raise ValueError(
        f"method: {recipe.optimizer.__name__} failed in its first step; expected an optimizer "
        f"whose step(closure) works with dense gradients of {landscape.dtype}: {failure}"
    ) from failure


def _resumes(
    recipe: Recipe, landscape: Landscape, start: Tensor, gradient_first: bool, states: list[Tensor]
) -> bool:
    batch = landscape.first(PROBE_SAMPLES)
    ends = []
    try:
        random = GlobalRandom(landscape.device, states)
        with random:
            one, other = (Stepper(recipe, landscape, start, gradient_first) for _ in range(2))
            one.step(batch, whatever=True)
            end_epoch(one.scheduler, 1.0)
        buffer = io.BytesIO()
        torch.save([one.state(), random.states], buffer)
        state, states = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
        other.load(state)
        for each in (one, other):
            random = GlobalRandom(landscape.device, states)
            with random:
                for _ in range(2):
                    each.step(batch, whatever=True)
                    end_epoch(each.scheduler, 1.0)
            ends.append([each.point(), *random.states])
    except Exception:  # whatever an optimizer does with a state that it cannot save or load
        return False
    return all(_same_bits(x, y) for x, y in zip(*ends, strict=True))


def _same_bits(one: Tensor, other: Tensor) -> bool:
    return one.cpu().numpy().tobytes() == other.cpu().numpy().tobytes()
