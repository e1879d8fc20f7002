"""Any optimizer by name: built in, a torch class by import path, or a user's function."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol

import torch
from torch import Tensor

from lowroad.importing import import_object
from lowroad.landscapes import Landscape
from lowroad.optimizers.function import minimize_by_function
from lowroad.optimizers.lbfgs import Tolerance, lbfgs
from lowroad.optimizers.line_searches import line_search_options, made_line_search
from lowroad.optimizers.result import Callback, OptimizationResult
from lowroad.optimizers.sgd import sgd
from lowroad.optimizers.torch_class import check_scheduler, minimize_by_class, optimizer_class

SGD: dict[str, Any] = {
    "learning_rate": 0.1,
    "epochs": 80,
    "batch_size": 64,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "patience": None,
    "scheduler": None,
    "scheduler_options": {},
}
LBFGS: dict[str, Any] = {
    "iterations": 1000,
    "history": 10,
    "line_search": "golden_section",
    "gradient_tolerance": 1e-9,
    "step_tolerance": 0.0,
    "value_tolerance": 0.0,
    "patience": None,
}
TORCH_CLASS: dict[str, Any] = {
    "epochs": 80,
    "batch_size": 64,
    "options": {},
    "patience": None,
    "scheduler": None,
    "scheduler_options": {},
}


class TrainingProblem(Protocol):
    """What an optimizer sees of a problem."""

    @property
    def train(self) -> Landscape:
        """What is minimized."""
        ...

    @property
    def test(self) -> Landscape | None:
        """What is recorded beside it."""
        ...

    @property
    def validation(self) -> Landscape | None:
        """What is recorded and selected by in place of the test landscape."""
        ...


def optimize(
    method: str,
    problem: TrainingProblem,
    start: Tensor,
    generator: torch.Generator,
    *,
    settings: Mapping[str, Any],
    callback: Callback | None = None,
    resume: dict[str, Any] | None = None,
) -> OptimizationResult:
    """Minimize a problem's training landscape by the optimizer that `method` names.

    Args:
        method: "sgd", "lbfgs", the import path of a class with the interface of
            torch.optim.Optimizer ("torch.optim.AdamW"), "module:function", or a name that an
            installed package registers as an entry point `lowroad.optimizers`.
        problem: its landscapes; the validation landscape, or else the test landscape, is recorded
            along the run, and the point of its lowest value kept.
        start: [d].
        generator: shuffles mini-batches, and seeds whatever else the optimizer draws.
        settings: those of `settings_of(method)`; what is not given has its default.
        callback: called with a `Progress` after every epoch or iteration; True stops the run.
        resume: what `Progress.snapshot()` gave.

    Raises:
        ValueError: when there is no such optimizer, or it does not take a setting.
        ImportError: when an import path leads to nothing.
    """
    check_settings(method, settings)
    held_out = problem.test if problem.validation is None else problem.validation
    common: dict[str, Any] = {"validation": held_out, "callback": callback, "resume": resume}
    own = {**settings_of(method, settings), **settings}
    if method == "sgd":
        scheduler, options = own.pop("scheduler"), own.pop("scheduler_options")
        if scheduler is None:
            own["batch_size"] = None if own["batch_size"] == "full" else own["batch_size"]
            (result,) = sgd(problem.train, start[None], generators=[generator], **own, **common)
            return result
        names = {"learning_rate": "lr", "momentum": "momentum", "weight_decay": "weight_decay"}
        own["options"] = {theirs: own.pop(ours) for ours, theirs in names.items()}
        own |= {"scheduler": scheduler, "scheduler_options": options}
        method = "torch.optim.SGD"
    if method == "lbfgs":
        tolerance = Tolerance(
            *(own.pop(f"{name}_tolerance") for name in ("gradient", "step", "value"))
        )
        search = own.pop("line_search")
        options = {name: own.pop(name) for name in line_search_options(search)}
        search = made_line_search(search, options)
        return lbfgs(problem.train, start, line_search=search, tolerance=tolerance, **own, **common)
    function = _function(method)
    if function is not None:
        return minimize_by_function(function, problem, start, generator, own, **common)
    return minimize_by_class(
        problem.train, start, optimizer_class(method), generator=generator, **own, **common
    )


def settings_of(method: str, chosen: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what can be set of an optimizer, with the defaults; some depend on what is chosen.

    Raises:
        ValueError: when there is no such optimizer.
        ImportError: when an import path leads to nothing.

    >>> settings_of("lbfgs")["budget"], settings_of("torch.optim.Adam")["epochs"]
    (6, 80)
    """
    if method == "sgd":
        return dict(SGD)
    if method == "lbfgs":
        search = (chosen or {}).get("line_search", LBFGS["line_search"])
        made_line_search(search)
        return {**LBFGS, **line_search_options(search)}
    function = _function(method)
    if function is None:
        optimizer_class(method)
        return dict(TORCH_CLASS)
    given = ("problem", "start", "generator", "report", "resume")
    return {
        name: None if parameter.default is parameter.empty else parameter.default
        for name, parameter in list(inspect.signature(function).parameters.items())[4:]
        if name not in given and parameter.kind is not parameter.VAR_KEYWORD
    }


def check_settings(method: str, settings: Mapping[str, Any]) -> None:
    """Refuse settings that an optimizer does not take.

    Raises:
        ValueError: with a line for each, that begins with the setting's name.
        ImportError: when an import path leads to nothing.

    >>> check_settings("sgd", {"learning_rat": 0.1})
    Traceback (most recent call last):
    ValueError: learning_rat: sgd has no such setting; did you mean "learning_rate"?
    """
    known = settings_of(method, settings)
    lines = list(_misfits(method, settings, known))
    if lines:
        raise ValueError("\n".join(lines))


def _function(method: str) -> Callable[..., Any] | None:
    """A user's function, or one that a package registers; None for a class."""
    if ":" in method:
        found = import_object(method)
        if isinstance(found, type) and issubclass(found, torch.optim.Optimizer):
            return None
        if not callable(found):
            raise ValueError(f"method: expected a function, got {type(found).__name__}")
        return found  # type: ignore[no-any-return]
    if "." in method:
        return None
    registered = {each.name: each for each in entry_points(group="lowroad.optimizers")}
    if method in registered:
        return registered[method].load()  # type: ignore[no-any-return]
    known = ["sgd", "lbfgs", *registered]
    close = difflib.get_close_matches(method, known, n=1, cutoff=0.5)
    hint = f'did you mean "{close[0]}"?' if close else f"known: {', '.join(known)}"
    raise ValueError(
        f'method: there is no optimizer "{method}"; {hint} Others are named by an import path such '
        'as "torch.optim.Adam" or "module:function"'
    )


def _misfits(method: str, settings: Mapping[str, Any], known: Mapping[str, Any]) -> Iterable[str]:
    function = _function(method) if method not in ("sgd", "lbfgs") else None
    if function is not None:
        parameters = inspect.signature(function).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return
        for name in list(parameters)[4:]:
            if parameters[name].default is inspect.Parameter.empty and name not in settings:
                yield f"{name}: missing; {method} needs it"
    for name, value in settings.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f'did you mean "{close[0]}"?' if close else f"it has {', '.join(known)}"
            yield f"{name}: {method} has no such setting; {hint}"
        elif function is None and (wrong := _wrong(name, value)):
            yield f"{name}: expected {wrong}, got {value!r:.60}"
    if function is not None:
        return
    if method not in ("sgd", "lbfgs"):
        yield from _misfitting_options(method, settings.get("options", {}))
    if isinstance(settings.get("scheduler"), str):
        try:
            check_scheduler(settings["scheduler"])
        except (ValueError, ImportError) as error:
            yield f"scheduler: {error}"
    if method == "lbfgs" and not any(_wrong(n, v) for n, v in settings.items()):
        search = settings.get("line_search", "golden_section")
        own = {n: settings[n] for n in line_search_options(search) if n in settings}
        try:
            made_line_search(search, own)
        except (ValueError, TypeError) as error:
            named = next((n for n in own if n in str(error)), "line_search")
            yield f"{named}: {error}"


_COUNTS = ("epochs", "iterations", "history", "patience", "budget")
_POSITIVE = ("learning_rate", "first_step")
_AT_LEAST_ZERO = ("weight_decay", "gradient_tolerance", "step_tolerance", "value_tolerance")


def _wrong(name: str, value: Any) -> str | None:
    """What is expected of a setting, where its value is not it."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    whole = number and isinstance(value, int)
    if value is None:
        return None
    if name in _COUNTS and not (whole and 1 <= value <= 1_000_000_000):
        return "a whole number of at least 1"
    if name == "batch_size" and not (value == "full" or (whole and value >= 1)):
        return 'a whole number of at least 1, or "full"'
    if name in _POSITIVE and not (number and 1e-30 <= value <= 1e30):
        return "a positive number from 1e-30 to 1e30"
    if name in _AT_LEAST_ZERO and not (number and value >= 0):
        return "a number of at least 0"
    if name == "momentum" and not (number and 0 <= value < 1):
        return "a number in [0, 1)"
    if name in ("options", "scheduler_options") and not isinstance(value, Mapping):
        return "a table"
    if name in ("scheduler", "line_search") and not isinstance(value, str):
        return "a text"
    return None


def _misfitting_options(method: str, options: Any) -> Iterable[str]:
    if not isinstance(options, Mapping):
        return
    parameters = inspect.signature(optimizer_class(method)).parameters
    known = list(parameters)[1:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f'did you mean "{close[0]}"?' if close else f"it has {', '.join(known)}"
            yield f"options.{name}: {method} has no such option; {hint}"
