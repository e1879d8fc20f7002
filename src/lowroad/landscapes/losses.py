"""Losses of a network landscape: sums over samples, accurate enough to be added in float64."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return Σ_i −log softmax(outputs_i)[targets_i].

    The scores [n, classes] are few, so their logarithms are taken in float64: in float32 every
    loss below 6e-8 is rounded to zero, and so is its gradient.
    """
    return F.cross_entropy(outputs.double(), targets, reduction="sum")


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return Σ_i mean_j (outputs_ij − targets_ij)²."""
    if outputs.shape != targets.shape:
        raise ValueError(
            f"expected targets of the outputs' shape {list(outputs.shape)} for "
            f"mean_squared_error, got {list(targets.shape)}"
        )
    per_item = max(outputs[0].numel(), 1)
    return F.mse_loss(outputs, targets, reduction="sum").double() / per_item


def cross_entropies(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the summed cross-entropies [n] of n sets, all at once where the targets are classes.

    Args:
        outputs: [n, classes, m]: features before samples.
        targets: [n, m] class numbers, or [n, m, classes] probabilities.
    """
    if targets.ndim == 2:
        return F.cross_entropy(outputs.double(), targets, reduction="none").sum(1)
    return torch.stack([cross_entropy(o.T, t) for o, t in zip(outputs, targets, strict=True)])


def mean_squared_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the summed mean squared errors [n] of n sets, outputs and targets [n, m, ...]."""
    if outputs.shape == targets.shape:
        errors = F.mse_loss(outputs, targets, reduction="none").flatten(1).sum(1)
        return errors.double() / max(outputs[0, 0].numel(), 1)
    return torch.stack([mean_squared_error(o, t) for o, t in zip(outputs, targets, strict=True)])


_BY_NAME: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "mean_squared_error": mean_squared_error,
}


def summed_loss(loss: str | Loss) -> Loss:
    """Return the loss as a sum over samples, from a name or from a user's callable.

    A callable takes (outputs, targets) of n samples and returns either their mean as a scalar (as
    PyTorch's losses do) or one loss per sample, [n].

    Raises:
        ValueError: for an unknown name; when called, for a result of any other shape.
    """
    if isinstance(loss, str):
        if loss not in _BY_NAME:
            raise ValueError(
                f"expected a loss among {sorted(_BY_NAME)} or a callable, got {loss!r}"
            )
        return _BY_NAME[loss]

    def summed(outputs: Tensor, targets: Tensor) -> Tensor:
        value = loss(outputs, targets)
        samples = len(targets)
        if not isinstance(value, Tensor) or value.shape not in ((), (samples,)):
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"expected the loss to return a scalar mean or one value per sample [{samples}], "
                f"got {got}"
            )
        return value.double() * samples if value.ndim == 0 else value.sum(dtype=torch.float64)

    return summed
