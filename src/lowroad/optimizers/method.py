"""Any optimizer by name: built in, a torch class by import path, or a user's function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol

import torch
from torch import Tensor

from lowroad.importing import ImportPathError, import_object
from lowroad.landscapes import Landscape
from lowroad.nearest import closest, nearest
from lowroad.optimizers.function import GIVEN, check_function, minimize_by_function
from lowroad.optimizers.lbfgs import Tolerance, lbfgs
from lowroad.optimizers.line_searches import (
    default_line_search,
    line_search_options,
    made_line_search,
)
from lowroad.optimizers.result import Callback, OptimizationResult
from lowroad.optimizers.setting_rules import (
    BUILT_IN,
    IN_TORCH,
    LBFGS,
    SCHEDULER,
    TORCH_CLASS,
    expected_of,
    misfits,
)
from lowroad.optimizers.sgd import sgd
from lowroad.optimizers.torch_class import minimize_by_class
from lowroad.optimizers.torch_parameters import (
    GlobalRandom,
    Recipe,
    optimizer_class,
    tried_step,
)

Method = str | type | Callable[..., Any]


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
    method: Method,
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
            torch.optim.Optimizer ("torch.optim.AdamW") or of a function ("module:function"), such a
            class or function itself, or a name that an installed package registers as an entry
            point `lowroad.optimizers`.
        problem: its landscapes; the validation landscape, or else the test landscape, is recorded
            along the run, and the point of its lowest value kept.
        start: [d].
        generator: shuffles mini-batches, and seeds whatever else the optimizer draws.
        settings: those of `settings_of(method)`; what is not given has its default. Where the
            landscape has no data, every step is one on the full landscape. With a scheduler, "sgd"
            is torch.optim.SGD.
        callback: called with a `Progress` after every epoch or iteration; True stops the run.
        resume: what `Progress.snapshot()` gave.

    Raises:
        ValueError: when there is no such optimizer, or it does not take a setting.

    >>> from types import SimpleNamespace
    >>> from lowroad.landscapes import FunctionLandscape
    >>> bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    >>> problem = SimpleNamespace(train=bowl, test=None, validation=None)
    >>> start = torch.ones(2, dtype=torch.float64)
    >>> settings = {"iterations": 5}
    >>> optimize("lbfgs", problem, start, torch.Generator(), settings=settings).value < 1e-9
    True
    """
    check_settings(method, settings)
    held_out = problem.test if problem.validation is None else problem.validation
    common: dict[str, Any] = {"validation": held_out, "callback": callback, "resume": resume}
    found = _found(method)
    if not isinstance(found, str | type):
        return minimize_by_function(found, problem, start, generator, settings, **common)
    own = {**settings_of(method, settings, problem.train), **settings}
    if start.shape == (problem.train.dimension,):
        problem.train.check_repeatable(start)
    if found == "lbfgs":
        tolerance = Tolerance(
            *(own.pop(f"{name}_tolerance") for name in ("gradient", "step", "value"))
        )
        search = own.pop("line_search")
        options = {name: own.pop(name) for name in line_search_options(search)}
        search = made_line_search(search, options)
        return lbfgs(problem.train, start, line_search=search, tolerance=tolerance, **own, **common)
    if problem.train.samples == 1:
        own["batch_size"] = "full"
    if found == "sgd" and own["scheduler"] is None:
        sgd_settings = {name: value for name, value in own.items() if name not in SCHEDULER}
        (result,) = sgd(
            problem.train, start[None], generators=[generator], **sgd_settings, **common
        )
        return result
    if found == "sgd":
        found = torch.optim.SGD
        own["options"] = {theirs: own.pop(ours) for ours, theirs in IN_TORCH.items()}
    return minimize_by_class(problem.train, start, found, generator=generator, **own, **common)


class Defaults(Protocol):
    """What defaults depend on: a landscape, or what is noted of one."""

    @property
    def free_gradients(self) -> bool:
        """See `Landscape`."""
        ...

    @property
    def gradient_tolerance(self) -> float:
        """See `Landscape`."""
        ...


def settings_of(
    method: Method, chosen: Mapping[str, Any] | None = None, landscape: Defaults | None = None
) -> dict[str, Any]:
    """Return what can be set of an optimizer, with the defaults; None where there is none.

    Args:
        method: as for `optimize`.
        chosen: settings on which others depend: `line_search` brings its own.
        landscape: what is minimized; where its gradients are free, "lbfgs" searches by strong Wolfe
            to the landscape's `gradient_tolerance`.

    Raises:
        ValueError: when there is no such optimizer.

    >>> settings_of("lbfgs")["budget"], settings_of("torch.optim.Adam")["epochs"]
    (6, 80)
    """
    found = _found(method)
    if found == "lbfgs":
        own = dict(LBFGS)
        if landscape is not None:
            own["line_search"] = default_line_search(landscape.free_gradients, chosen or ())
            own["gradient_tolerance"] = landscape.gradient_tolerance
        search = (chosen or {}).get("line_search", own["line_search"])
        made_line_search(search)
        return {**own, **line_search_options(search)}
    if isinstance(found, str):
        return dict(BUILT_IN[found])
    if isinstance(found, type):
        return dict(TORCH_CLASS)
    return {
        name: None if parameter.default is parameter.empty else parameter.default
        for name, parameter in _own_parameters(found).items()
    }


def check_settings(method: Method, settings: Mapping[str, Any]) -> None:
    """Refuse settings that an optimizer does not take.

    Raises:
        ValueError: with a line for each, that begins with the setting's name.

    >>> check_settings("sgd", {"learning_rat": 0.1})
    Traceback (most recent call last):
    ValueError: learning_rat: sgd has no such setting; did you mean "learning_rate"?
    """
    found = _found(method)
    shown = method if isinstance(method, str) else getattr(method, "__qualname__", repr(method))
    known = settings_of(method, settings)
    if isinstance(found, str | type):
        lines = list(_unknown(shown, found, settings, known))
        wrong = {
            name: expected_of(name, value) for name, value in settings.items() if name in known
        }
        lines += [f"{n}: expected {w}, got {settings[n]!r:.60}" for n, w in wrong.items() if w]
        lines += misfits(found, {name: settings[name] for name, w in wrong.items() if not w})
    else:
        lines = list(_missing(found, shown, settings))
        if not _takes_anything(found):
            lines += _unknown(shown, found, settings, known)
    if lines:
        raise ValueError("\n".join(lines))


def check_first_step(
    method: Method, settings: Mapping[str, Any], landscape: Landscape, start: Tensor
) -> None:
    """Refuse a torch class that cannot take a first step on a part of the data.

    Raises:
        ValueError: with what it raised.

    >>> from lowroad.landscapes import FunctionLandscape
    >>> bowl = FunctionLandscape(lambda x: (x**2).sum(1), dimension=2)
    >>> check_first_step("torch.optim.SparseAdam", {}, bowl, torch.ones(2).double())
    Traceback (most recent call last):
    ValueError: method: SparseAdam failed in its first step; expected an optimizer whose ...
    """
    found = _found(method)
    if isinstance(found, type):
        recipe = Recipe(found, settings.get("options", {}), None, {})
        random = GlobalRandom.seeded(landscape.device, torch.Generator())
        tried_step(recipe, landscape, start, random)


def _found(method: Method) -> str | type | Callable[..., Any]:
    """Return a built-in optimizer's name, a torch class, or a function."""
    if isinstance(method, str) and method in BUILT_IN:
        return method
    found: Any = method
    if isinstance(method, str) and (":" in method or "." in method):
        try:
            found = import_object(method)
        except ImportPathError as error:
            raise ValueError(f"method: {error}") from error
    elif isinstance(method, str):
        registered = {each.name: each for each in entry_points(group="lowroad.optimizers")}
        if method not in registered:
            hint = nearest(method, [*BUILT_IN, *registered]).removesuffix("?")
            raise ValueError(
                f'method: there is no optimizer "{method}"{hint}; others are named by an import '
                'path such as "torch.optim.Adam" or "module:function"'
            )
        found = registered[method].load()
    if isinstance(found, type):
        return optimizer_class(method if isinstance(method, str) and "." in method else found)
    if not callable(found):
        raise ValueError(
            f"method: expected an optimizer class or a function, got {method!r:.80}, "
            f"which is {type(found).__name__}"
        )
    check_function(found, method if isinstance(method, str) else repr(found))
    return found


def _own_parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options of a user's function."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(function).parameters.items())
    own = [each for k, each in enumerate(parameters) if k >= 4 or each[1].kind is named[1]]
    given = (*GIVEN, "resume")
    return {name: each for name, each in own if each.kind in named and name not in given}


def _takes_anything(function: Callable[..., Any]) -> bool:
    kinds = {each.kind for each in inspect.signature(function).parameters.values()}
    return inspect.Parameter.VAR_KEYWORD in kinds


def _unknown(
    method: str, found: Any, settings: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterable[str]:
    for name in settings:
        if name not in known:
            yield f"{name}: {method} has no such setting{_instead(found, name, known)}"


def _instead(found: Any, name: str, known: Mapping[str, Any]) -> str:
    """What to write instead of a setting that an optimizer does not have."""
    if isinstance(found, type):
        options = list(inspect.signature(found).parameters)[1:]
        meant = closest(name, options)
        if meant is not None and (name in options or closest(name, known) is None):
            return f"; write options = {{ {meant} = ... }}"
    elif isinstance(found, str) and name == "options":
        return "; write its settings beside the method"
    elif found == "lbfgs" and closest(name, ["lr"]):
        return "; leave it out, since the line search finds the length of every step"
    return nearest(name, known)


def _missing(
    function: Callable[..., Any], method: str, settings: Mapping[str, Any]
) -> Iterable[str]:
    for name, parameter in _own_parameters(function).items():
        if parameter.default is parameter.empty and name not in settings:
            yield f"{name}: missing; {method} needs it"
