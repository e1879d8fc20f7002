"""The settings of the built-in optimizers and of torch classes, and which values they may have."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import torch
from torch import nn

from lowroad.importing import ImportPathError
from lowroad.nearest import nearest
from lowroad.optimizers.line_searches import line_search_options, made_line_search
from lowroad.optimizers.torch_parameters import Recipe, end_epoch, scheduler_class

TRIED_EPOCHS = 1000  # of a scheduler, before a run

_EPOCHS: dict[str, Any] = {"epochs": 80, "batch_size": 64, "patience": None}
SCHEDULER: dict[str, Any] = {"scheduler": None, "scheduler_options": {}}
SGD: dict[str, Any] = {
    "learning_rate": 0.1,
    **_EPOCHS,
    "momentum": 0.0,
    "weight_decay": 0.0,
    **SCHEDULER,
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
TORCH_CLASS: dict[str, Any] = {"options": {}, **_EPOCHS, **SCHEDULER}
BUILT_IN = {"sgd": SGD, "lbfgs": LBFGS}
IN_TORCH = {"learning_rate": "lr", "momentum": "momentum", "weight_decay": "weight_decay"}

_COUNTS = ("epochs", "iterations", "history", "patience", "budget")
_POSITIVE = ("learning_rate", "first_step")
_AT_LEAST_ZERO = ("weight_decay", "gradient_tolerance", "step_tolerance", "value_tolerance")
_OPTIONAL = ("patience", "batch_size", "scheduler")


def expected_of(name: str, value: Any) -> str | None:
    """What is expected of a setting, where its value is not it."""
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    whole = number and isinstance(value, Integral)
    if value is None and name in _OPTIONAL:
        return None
    if name in _COUNTS and not (whole and 1 <= value <= 1_000_000_000):
        return "a whole number of at least 1"
    if name == "batch_size" and not (value == "full" or (whole and value >= 1)):
        return 'a whole number of at least 1, or "full"'
    if name == "learning_rate" and callable(value):
        return None
    if name in _POSITIVE and not (number and 1e-30 <= value <= 1e30):
        return "a positive number from 1e-30 to 1e30"
    if name in _AT_LEAST_ZERO and not (number and value >= 0):
        return "a number of at least 0"
    if name == "momentum" and not (number and 0 <= value < 1):
        return "a number in [0, 1)"
    if name in ("options", "scheduler_options") and not isinstance(value, Mapping):
        return "a table"
    if name == "scheduler" and not isinstance(value, str | type):
        return 'an import path such as "torch.optim.lr_scheduler.CosineAnnealingLR"'
    return None


def misfits(found: str | type, settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with settings that are right one by one."""
    if found == "lbfgs":
        return _misfitting_search(settings)
    scheduler, scheduler_options = settings.get("scheduler"), settings.get("scheduler_options", {})
    if scheduler is not None:
        try:
            scheduler = scheduler_class(scheduler)
        except (ValueError, ImportPathError) as error:
            return [f"scheduler: {error}"]
    elif scheduler_options:
        return ["scheduler_options: expected a scheduler beside, got none"]
    if isinstance(found, str):
        options = {theirs: settings.get(ours, SGD[ours]) for ours, theirs in IN_TORCH.items()}
        if scheduler is None:
            return []
        if callable(options["lr"]):
            return ["scheduler: expected a number as learning_rate beside, got a function"]
        found = torch.optim.SGD
    else:
        options = settings.get("options", {})
        unknown = _unknown_options(found, options)
        if unknown:
            return unknown
    recipe = Recipe(found, options, scheduler, scheduler_options)
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the scheduler steps without the optimizer
            _, stepped = recipe.make([nn.Parameter(torch.zeros(2, 2))])
            steps = settings.get("epochs", TORCH_CLASS["epochs"]) if scheduler else 0
            for step in range(min(steps, TRIED_EPOCHS)):
                _step_scheduler(stepped, step)
    except ValueError as error:
        return [" ".join(str(error).split())]
    return []


def _step_scheduler(scheduler: Any, step: int) -> None:
    try:
        end_epoch(scheduler, 1.0)
    except Exception as error:
        raise ValueError(
            f"scheduler_options: {type(scheduler).__name__} fails after epoch {step + 1}: {error}"
        ) from error


def _misfitting_search(settings: Mapping[str, Any]) -> list[str]:
    search = settings.get("line_search", LBFGS["line_search"])
    own = {name: settings[name] for name in line_search_options(search) if name in settings}
    try:
        made_line_search(search, own)
    except (ValueError, TypeError) as error:
        named = next((name for name in own if name in str(error)), "line_search")
        return [f"{named}: {error}"]
    return []


def _unknown_options(optimizer: type, options: Mapping[str, Any]) -> list[str]:
    parameters = inspect.signature(optimizer).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return []
    known = list(parameters)[1:]
    return [
        f"options.{name}: {optimizer.__name__} has no such option{nearest(name, known)}"
        for name in options
        if name not in known
    ]
