"""Whether a network's value at a point is a function of the point."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lowroad.landscapes.flat_module import FlatModule


def refuse_training_mode(module: nn.Module) -> None:
    """Refuse dropout and norms in training mode, and norms without running statistics.

    Raises:
        ValueError: naming the part.
    """
    for name, part in module.named_modules():
        random = isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0
        moving = isinstance(part, nn.modules.batchnorm._NormBase)
        if part.training and (random or moving):
            raise ValueError(
                f"{type(part).__name__} ({name or 'the module itself'}) is in training mode, so "
                "the value at a point depends on more than the point; call module.eval() before "
                "making a landscape"
            )
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is None:
            raise ValueError(
                f"{type(part).__name__} ({name or 'the module itself'}) keeps no running "
                "statistics, so the value depends on which samples are evaluated together; make it "
                "with track_running_stats=True"
            )


def refuse_rescaling(module: nn.Module) -> None:
    """Refuse embeddings that move their own parameters.

    Raises:
        ValueError: naming the part.
    """
    for name, part in module.named_modules():
        if getattr(part, "max_norm", None) is not None:
            raise ValueError(
                f"{type(part).__name__} ({name or 'the module itself'}) has max_norm, which "
                "rescales its rows in every forward pass: the value does not depend on their "
                "length, but they move away from the point; make it without max_norm"
            )


def repeated_value(
    model: FlatModule,
    point: Tensor,
    evaluate: Callable[[], float],
    between: Callable[[], object],
) -> float:
    """Return a value at a point, evaluated twice, with other samples evaluated in between.

    Raises:
        ValueError: when the module moves its own parameters or buffers, or the values differ.
    """
    before = {name: b.clone() for name, b in model.module.named_buffers()}
    first = evaluate()
    moved = [n for n, b in model.module.named_buffers() if not equal(b, before[n])]
    if not torch.equal(model.vector, point) or moved:
        what = ", ".join(moved) or "its parameters"
        raise ValueError(
            f"the module moves {what} in every forward pass, so the value at a point depends "
            "on more than the point: call module.eval() before making a landscape, and make "
            "embeddings without max_norm"
        )
    between()
    second = evaluate()
    if differ(first, second, 1e-6):
        raise ValueError(
            f"expected the same value from two evaluations at one point, got {first} and "
            f"{second}: the module, the loss or the regularizer is random, or remembers what it "
            "has seen; call module.eval(), remove the randomness, or give an objective's seed=…"
        )
    return first


def refuse_no_mean(value: float, parts: Sequence[float], samples: int, dtype: torch.dtype) -> None:
    """Refuse a loss whose sum over some samples is not the sum over their parts.

    The tolerance is far above the rounding of the type, far below what a sum or a class-weighted
    mean is off by.

    Raises:
        ValueError: with both means.
    """
    total = sum(parts)
    if differ(value, total, max(1e-3, 4 * torch.finfo(dtype).eps)):
        raise ValueError(
            f"expected a loss that is a mean over samples, but that of {samples} samples, "
            f"{value / samples:.6g}, is not the mean of those of their pairs, "
            f"{total / samples:.6g}: give torch.nn.CrossEntropyLoss(weight=…) itself, "
            'whose class weights are kept, or a loss with reduction="none"; the module must '
            "treat each sample by itself"
        )


def equal(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors hold the same numbers, those that are none included."""
    return first.shape == second.shape and bool(
        ((first == second) | ((first != first) & (second != second))).all()
    )


def differ(first: float, second: float, tolerance: float) -> bool:
    """Return whether two numbers differ by more than a relative tolerance."""
    if math.isfinite(first) and math.isfinite(second):
        return abs(first - second) > tolerance * max(abs(first), abs(second))
    return not (first == second or (first != first and second != second))


def perturbed(point: Tensor) -> Tensor:
    """Return a point where what is zero at `point` [d] is not: layers that start at zero."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(point), generator=generator, dtype=torch.float64)
    size = float(point.double().square().mean().sqrt()) or 1.0
    return point + (0.1 * size * noise).to(point)
