"""Networks on data as problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lowroad.landscapes import BatchNormLandscape, NetworkLandscape
from lowroad.landscapes.batch_data import Objective, Weight, named
from lowroad.landscapes.losses import IGNORED
from lowroad.problems.problem import Metric, Problem


def network_problem(
    module: Callable[[], nn.Module],
    train: Any,
    test: Any = None,
    validation: Any = None,
    *,
    loss: Any = None,
    objective: Objective | None = None,
    weight: Weight | None = None,
    regularizer: Callable[[nn.Module], Tensor] | None = None,
    seed: int | None = None,
    metrics: Sequence[str] | Mapping[str, Metric] = (),
    quantity: str = "loss",
    lower_bound: float | None = 0.0,
    device: str = "cpu",
) -> Problem:
    """A network's mean loss on data as a problem.

    Modules with batch norm are normalized by statistics of the training data at each point, also on
    test and validation data.

    Args:
        module: makes the network; its initial weights are the starts. It draws from PyTorch's
            global generator, which is seeded for the call and put back afterwards.
        train: inputs [n, ...] and targets [n, ...], or batches in any of the forms that
            `NetworkLandscape` takes.
        test: the same of the test data.
        validation: the same of data that early stopping selects on.
        loss: "cross_entropy" (the default for a pair of tensors), "mean_squared_error" or
            a function of (outputs, targets), as for `NetworkLandscape`.
        objective: (module, batch) → its mean loss, in place of a loss; with `weight`, `regularizer`
            and `seed` as for `NetworkLandscape`.
        weight: batch → what it counts.
        regularizer: module → a number that is added to the training loss alone.
        seed: of the random numbers of the objective.
        metrics: "error" (fraction of inputs whose largest output is not the target's), "accuracy"
            (one minus that), or functions of (landscape, point) by name.
        quantity: what a value is.
        lower_bound: the number that no loss is below.
        device: where network and data are.

    Raises:
        TypeError: when `module` is not a function that makes a module, or `metrics` is a string;
            as `NetworkLandscape`.
        ValueError: as `NetworkLandscape` and `Problem`.

    >>> inputs, targets = torch.randn(20, 3), torch.randint(0, 2, (20,))
    >>> problem = network_problem(lambda: nn.Linear(3, 2), (inputs, targets), metrics=["error"])
    >>> problem.train.dimension, problem.start(torch.Generator().manual_seed(0)).shape
    (8, torch.Size([8]))
    """
    if isinstance(module, nn.Module) or not callable(module):
        raise TypeError(
            "expected a function that makes the network, such as lambda: MyNetwork(), since every "
            f"start is a new one; got {type(module).__name__}"
        )
    made = _made(module, torch.Generator().manual_seed(0)).to(device)
    landscapes: dict[str, NetworkLandscape] = {
        name: _landscape(
            made,
            name,
            data,
            device,
            loss=loss,
            objective=objective,
            weight=weight,
            seed=seed,
            regularizer=regularizer if name == "train" else None,
        )
        for name, data in (("train", train), ("test", test), ("validation", validation))
        if data is not None
    }
    own = landscapes["train"]
    if any(isinstance(p, _BatchNorm) and p.track_running_stats for p in made.modules()):
        landscapes = {
            name: BatchNormLandscape(each, None if name == "train" else own)
            for name, each in landscapes.items()
        }
        own = landscapes["train"]

    def start(generator: torch.Generator) -> Tensor:
        parts = [p.detach().reshape(-1) for p in _trainable(_made(module, generator))]
        return torch.cat(parts).to(own.dtype).to(device)

    return Problem(
        train=own,
        start=start,
        test=landscapes.get("test"),
        validation=landscapes.get("validation"),
        metrics=metrics if isinstance(metrics, Mapping) else _named_metrics(metrics, landscapes),
        quantity=quantity,
        lower_bound=lower_bound,
    )


def _trainable(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _landscape(
    module: nn.Module, name: str, data: Any, device: str, *, loss: Any, **options: Any
) -> NetworkLandscape:
    pair = isinstance(data, tuple | list) and len(data) == 2
    tensors = pair and all(isinstance(part, Tensor) for part in data)
    arrays = [part for part in data if isinstance(part, np.ndarray)] if pair else []
    try:
        if arrays:
            raise TypeError("expected torch tensors, got numpy arrays: give torch.as_tensor(array)")
        if options["objective"] is None and tensors:
            inputs, targets = (part.to(device) for part in data)
            loss = "cross_entropy" if loss is None else loss
            return NetworkLandscape(module, inputs, targets, loss, **options)
        return NetworkLandscape(module, data, loss=loss, **options)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from error


@contextmanager
def seeded_from(generator: torch.Generator) -> Iterator[None]:
    """Seed PyTorch's global CPU generator from `generator` for a while, and put it back.

    Layers draw their initial weights from that generator only. They are made on the CPU: other
    devices draw other numbers.
    """
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        yield


def _made(module: Callable[[], nn.Module], generator: torch.Generator) -> nn.Module:
    with seeded_from(generator):
        made = module()
    if not isinstance(made, nn.Module):
        raise TypeError(f"expected the function to make a module, got {type(made).__name__}")
    return made.eval()


def _named_metrics(
    names: Sequence[str], landscapes: Mapping[str, NetworkLandscape]
) -> dict[str, Metric]:
    known: dict[str, Metric] = {"error": error_rate, "accuracy": accuracy}
    if isinstance(names, str):
        raise TypeError(f"metrics: expected a list of names, such as [{names!r}], got a string")
    for name in names:
        if name not in known:
            raise ValueError(f"metrics: expected names among {', '.join(known)}, got {name!r}")
        for split, landscape in landscapes.items():
            try:
                _right(landscape.module, next(landscape.batches()))
            except (ValueError, TypeError) as error:
                raise type(error)(f"metrics: {name!r} on {split} data: {error}") from error
    return {name: known[name] for name in names}


def error_rate(landscape: Any, point: Tensor) -> float:
    """Fraction of the landscape's inputs whose largest output is not the target's class."""
    return 1.0 - accuracy(landscape, point)


def accuracy(landscape: Any, point: Tensor) -> float:
    """Fraction of the landscape's inputs whose largest output is the target's class.

    Inputs and targets are those of the landscape, of its batches (inputs, targets), or a
    dictionary's `labels` with the `logits` that the module makes of it.

    Raises:
        ValueError: when a sample has no output for each class, or no one class as its target.
    """
    landscape.move_to(point)
    parts = [_right(landscape.module, batch) for batch in landscape.batches()]
    right, counted = (sum(numbers) for numbers in zip(*parts, strict=True))
    return right / max(counted, 1)


@torch.no_grad()
def _right(module: nn.Module, batch: Any) -> tuple[int, int]:
    """Return how many samples of a batch the module gets right, and how many count."""
    outputs, targets = _classified(module, batch)
    if not isinstance(targets, Tensor) or targets.is_floating_point():
        got = f"targets of {targets.dtype}" if isinstance(targets, Tensor) else "other batches"
        raise ValueError(
            "an error rate needs batches (inputs, class numbers), or dictionaries with such labels "
            f"for a module that returns logits, got {got}"
        )
    shape = outputs.shape if isinstance(outputs, Tensor) else ()
    if len(shape) < 2 or (shape[0], *shape[2:]) != tuple(targets.shape):
        raise ValueError(
            "an error rate needs outputs [n, classes, ...] and targets [n, ...], got "
            f"{list(shape) if shape else type(outputs).__name__} and {list(targets.shape)}"
        )
    counts = targets != IGNORED
    return int(((outputs.argmax(1) == targets) & counts).sum()), int(counts.sum())


def _classified(module: nn.Module, batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, Mapping):
        return named(module(**batch), "logits"), batch.get("labels")
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return module(batch[0]), batch[1]
    return None, None
