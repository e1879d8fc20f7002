"""What a network's landscape asks of its data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Data(Protocol):
    """What a landscape asks of its data; batches are the data's own."""

    samples: int
    units: int

    @property
    def weight(self) -> float:
        """Σ_b w_b."""

    def at(self, rows: Tensor) -> Data:
        """Return some of the units."""

    def first(self, samples: int) -> Data:
        """Return the first samples."""

    def chunks(self, size: int) -> Iterator[Any]:
        """Yield what is evaluated at once."""

    def some(self, count: int) -> Any:
        """Return a batch of samples that are evenly spaced in the data."""

    def summed(self, module: nn.Module, batch: Any) -> Tensor:
        """Return w_b l_b, in float64."""

    def response(self, module: nn.Module, batch: Any) -> Tensor:
        """Return what the module makes of a batch."""

    def outputs_and_losses(
        self, module: nn.Module, size: int
    ) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor]]]:
        """Yield outputs, and w_b l_b as a function of them."""

    def content(self, batch: Any) -> Any:
        """Return what a function of the user's takes."""

    def weight_of(self, batch: Any) -> float:
        """Return w_b."""

    def check_mean(self, module: nn.Module, batch: Any, value: float) -> None:
        """Refuse a loss that is no mean over samples."""

    def refuse_misfit(self, module: nn.Module) -> None:
        """Refuse inputs that the module cannot be called on."""


def refuse_misfit(module: nn.Module, inputs: Any) -> None:
    """Say what a module was given that cannot be called on the inputs.

    Raises:
        ValueError: when it cannot.
    """
    try:
        module(inputs)
    except Exception as error:
        what, hint = f"a {type(inputs).__name__}", ""
        if isinstance(inputs, Tensor):
            what = f"[{', '.join(['n', *map(str, inputs.shape[1:])])}] of {inputs.dtype}"
            wanted = next(module.parameters()).dtype
            if inputs.dtype != wanted and (inputs.is_floating_point() or "dtype" in str(error)):
                hint = f"; convert them with inputs.to({wanted})"
        raise ValueError(
            f"the module cannot be called on the inputs, {what}{hint}: {error}"
        ) from error


def needs_gradients(
    data: Data, samples: int, module: nn.Module, penalty: Callable[[], Tensor | None]
) -> bool:
    """Return whether a loss itself differentiates, and so needs gradients for its values.

    Raises:
        ValueError: when the loss, or the regularizer's penalty, has no gradient by the parameters.
    """
    batch = data.some(samples)
    with torch.enable_grad():
        try:
            loss = data.summed(module, batch)
        except Exception:
            data.refuse_misfit(module)
            raise
        penalized = penalty()
    for what, value in (("loss", loss), ("regularizer", penalized)):
        if value is not None and not value.requires_grad:
            raise ValueError(
                f"expected a {what} that depends on the module's parameters, got one without a "
                "gradient: compute it with PyTorch, without .item(), .detach() or NumPy"
            )
    try:
        with torch.no_grad():
            data.summed(module, batch)
            penalty()
    except RuntimeError:
        return True
    return False
