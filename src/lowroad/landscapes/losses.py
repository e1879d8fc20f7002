"""Losses of a network landscape: sums over samples, accurate enough to be added in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]


NOTHING_COUNTS = (
    "none of the {} samples counts: their targets are all ignored, or of classes of weight 0, so "
    "there is no mean"
)

IGNORED = -100
"""The class of targets that do not count, as in `torch.nn.functional.cross_entropy`."""


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return Σ_i −log softmax(outputs_i)[targets_i]; targets of −100 do not count.

    The scores [n, classes] are few, so their logarithms are taken in float64: in float32 every
    loss below 6e-8 is rounded to zero, and so is its gradient. Targets [n, ...] may also number the
    classes of sequences and images, with outputs [n, classes, ...], or be probabilities.
    """
    return _summed_cross_entropy(outputs, targets)


def _summed_cross_entropy(outputs: Tensor, targets: Tensor, **options: Any) -> Tensor:
    try:
        return F.cross_entropy(outputs.double(), targets, reduction="sum", **options)
    except (IndexError, RuntimeError, ValueError) as error:
        raise ValueError(_misfit(outputs, targets, options.get("ignore_index", IGNORED))) from error


def _misfit(outputs: Tensor, targets: Tensor, ignored: int) -> str:
    """What is wrong with targets that a cross-entropy does not take."""
    classes = outputs.shape[1] if outputs.ndim > 1 else len(outputs)
    expected = (
        f"expected targets for the outputs [{', '.join(['n', *map(str, outputs.shape[1:])])}] of "
        f"cross_entropy: class numbers from 0 to {classes - 1} as torch.int64"
    )
    shape = [outputs.shape[0], *outputs.shape[2:]]
    if targets.dtype == torch.int64 and list(targets.shape) == shape:
        counted = targets[targets != ignored]
        wrong = counted[(counted < 0) | (counted >= classes)]
        if len(wrong):
            return f"{expected}, got class {int(wrong[0])}"
    names = ", ".join(["n", *map(str, targets.shape[1:])])
    return (
        f"{expected} [{', '.join(['n', *map(str, outputs.shape[2:])])}], or probabilities of the "
        f"outputs' shape, got {targets.dtype} [{names}]"
    )


@dataclass(frozen=True, eq=False)
class WeightedCrossEntropy:
    """Σ_i w_i l_i of `torch.nn.CrossEntropyLoss` with its class weights and label smoothing.

    Attributes:
        weight: of each class [classes], or None.
        ignored: the class of targets that do not count.
        label_smoothing: what of a target's probability goes to all classes alike.
    """

    weight: Tensor | None
    ignored: int
    label_smoothing: float

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sum over a batch, in float64."""
        return _summed_cross_entropy(
            outputs,
            targets,
            weight=None if self.weight is None else self.weight.to(outputs.device).double(),
            ignore_index=self.ignored,
            label_smoothing=self.label_smoothing,
        )


@dataclass(frozen=True, eq=False)
class SummedLoss:
    """The sum of a user's loss over a batch.

    Attributes:
        loss: (outputs, targets) → the batch's mean, or one value per sample [n].
    """

    loss: Loss

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sum over a batch, in float64.

        Raises:
            ValueError: when the loss returns anything else.
        """
        value = self.loss(outputs, targets)
        samples = len(targets)
        if not isinstance(value, Tensor) or value.shape not in ((), (samples,)):
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"expected the loss to return a scalar mean or one value per sample [{samples}], "
                f"got {got}"
            )
        return value.double() * samples if value.ndim == 0 else value.sum(dtype=torch.float64)


def weight_of(loss: Loss, targets: Tensor) -> float:
    """Return what a batch counts: its samples, or Σ_i w_i for cross-entropies.

    The value of a landscape is the sum of the losses over the sum of these. As in PyTorch, a
    cross-entropy counts targets rather than samples, each with its class's weight; probabilities
    count once each, whatever the weights.

    Raises:
        ValueError: when targets are not numbers of classes that have weights.
    """
    if not (loss is cross_entropy or isinstance(loss, WeightedCrossEntropy)):
        return len(targets)
    if targets.is_floating_point():
        if targets.ndim < 2:
            raise ValueError(
                "expected targets of cross_entropy as class numbers of type torch.int64 [n], or as "
                f"probabilities [n, classes], got {targets.dtype} [n]: convert class numbers with "
                "targets.long()"
            )
        return targets.numel() // max(1, targets.shape[1])
    weight, ignored = None, IGNORED
    if isinstance(loss, WeightedCrossEntropy):
        weight, ignored = loss.weight, loss.ignored
    counted = targets[targets != ignored]
    if weight is None:
        return counted.numel()
    wrong = counted[(counted < 0) | (counted >= len(weight))]
    if len(wrong):
        raise ValueError(
            f"expected targets of cross_entropy as class numbers from 0 to {len(weight) - 1}, one "
            f"for each of its class weights, got class {int(wrong[0])}"
        )
    return float(weight.to(targets.device).double()[counted.long()].sum())


def divisor_of(weight: float) -> float:
    """Return what a sum of losses is divided by; it is 0 where nothing counts, and so is its mean.

    >>> divisor_of(2.5), divisor_of(0.0)
    (2.5, 1.0)
    """
    return weight or 1.0


def outputs_or_loss(outputs: Any, targets: Tensor, loss: Loss) -> Tensor:
    """Return a module's outputs, or the loss [1] where they are not one tensor.

    Recurrent layers return their states beside, models of other libraries return tables.
    """
    return outputs if isinstance(outputs, Tensor) else loss(outputs, targets).reshape(1)


def loss_given(loss: Loss, targets: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the loss as a function of the outputs alone."""
    return lambda outputs: loss(outputs, targets)


def mean_squared_error(outputs: Tensor, targets: Tensor, overwrite: bool = False) -> Tensor:
    """Return Σ_i mean_j (outputs_ij − targets_ij)²; `overwrite` leaves the squares in `outputs`."""
    if outputs.shape != targets.shape:
        one_column = tuple(outputs.shape) == (*targets.shape, 1)
        expected, got = (["n", *map(str, each.shape[1:])] for each in (outputs, targets))
        raise ValueError(
            f"expected targets of the outputs' shape [{', '.join(expected)}] for "
            f"mean_squared_error, got [{', '.join(got)}]"
            + ("; give targets.unsqueeze(-1)" if one_column else "")
        )
    per_item = max(outputs[0].numel(), 1)
    if overwrite and outputs.dtype == targets.dtype:
        return outputs.sub_(targets).square_().sum().double() / per_item
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
        errors = F.mse_loss(outputs, targets, reduction="none")
        if errors.is_cuda:  # where there are many samples at once
            sums = errors.flatten(2).sum(2).sum(1, dtype=torch.float64)
        else:
            sums = errors.flatten(1).sum(1).double()
        return sums / max(outputs[0, 0].numel(), 1)
    return torch.stack([mean_squared_error(o, t) for o, t in zip(outputs, targets, strict=True)])


_BY_NAME: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "mean_squared_error": mean_squared_error,
}


def summed_loss(loss: str | Loss) -> Loss:
    """Return the loss as a sum over samples, from a name or from a user's callable.

    `torch.nn.CrossEntropyLoss` keeps its meaning of weights, ignored targets and label smoothing,
    see `weight_of`. Any other callable takes (outputs, targets) of n samples and returns either
    their mean as a scalar (as PyTorch's losses do) or one loss per sample, [n].

    Raises:
        ValueError: for an unknown name; when called, for a result of any other shape.
    """
    if isinstance(loss, str):
        if loss not in _BY_NAME:
            raise ValueError(
                f"expected a loss among {sorted(_BY_NAME)} or a callable, got {loss!r}"
            )
        return _BY_NAME[loss]
    if isinstance(loss, nn.CrossEntropyLoss) and loss.reduction == "mean":
        return WeightedCrossEntropy(loss.weight, loss.ignore_index, loss.label_smoothing)

    return SummedLoss(loss)
