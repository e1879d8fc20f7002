"""One model at many points, each on its own batch, evaluated at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import vmap

from lowroad.landscapes.flat_module import FlatModule
from lowroad.landscapes.landscape import Landscape
from lowroad.landscapes.losses import (
    Loss,
    cross_entropies,
    cross_entropy,
    divisor_of,
    mean_squared_error,
    mean_squared_errors,
    weight_of,
)
from lowroad.landscapes.plain_recurrence import PlainRecurrence
from lowroad.landscapes.stateless import called_with

if TYPE_CHECKING:
    from lowroad.landscapes.network import NetworkLandscape

ELEMENTWISE = (nn.Softplus, nn.ReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU, nn.Identity)


def is_right_at_once(landscape: NetworkLandscape, point: Tensor) -> bool:
    """Return whether a network's values and gradients at many points can be had at once.

    They are tried out and compared: there are operations that `vmap` cannot take, others that it
    takes one by one, and modules that it gets wrong, with parameters behind other names.

    Args:
        landscape: on few samples.
        point: [d], another one than where the module is.
    """
    module = landscape.module
    if any(m._forward_hooks or m._forward_pre_hooks for m in module.modules()):
        return False
    points = torch.stack([point, 0.5 * point])
    try:
        expected = landscape.values_and_gradients(points)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*performance drop")
            found = landscape._at_once(2).values_and_gradients(points)
    except Exception:
        return False
    tolerance = torch.finfo(points.dtype).eps ** 0.5
    return all(
        bool((own - other).norm() <= tolerance * other.norm())
        for own, other in zip(found, expected, strict=True)
    )


def is_dense(module: nn.Module) -> bool:
    """Return whether the module is a chain of linear layers and elementwise functions."""
    if not isinstance(module, nn.Sequential) or type(module).forward is not nn.Sequential.forward:
        return False
    layers = list(module)
    plain = all(type(layer) in (nn.Linear, *ELEMENTWISE) for layer in layers)
    trainable = all(p.requires_grad for p in module.parameters())
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    distinct = len({id(layer) for layer in layers}) == len(layers)
    return plain and trainable and distinct and not hooked


class VectorizedLandscape(Landscape):
    """L_i(w_i) = mean loss of the module at point i on batch i, all points at once.

    Chains of linear layers go through batched matrix products, all other modules through `vmap`.
    Measured: on a CPU that is faster for chains of linear layers alone, where the kernels of one
    point take less time than their launches, on a GPU always.

    Args:
        model: the module.
        loss: the sum of the losses of a batch.
        inputs: [s, n, ...], one batch for each of s points.
        targets: [s, n, ...].
        weight: what each batch counts, where that is the same.
        together: how many points are evaluated at once; all of them when not given.
    """

    def __init__(
        self,
        model: FlatModule,
        loss: Loss,
        inputs: Tensor,
        targets: Tensor,
        *,
        weight: float | None = None,
        together: int | None = None,
    ) -> None:
        self._model, self._loss = model, loss
        self.inputs, self.targets = inputs, targets
        self.dimension = len(model.vector)
        self.dtype, self.device = model.vector.dtype, model.vector.device
        self.samples = inputs.shape[1]
        self._together = together or len(inputs)
        weights = [
            divisor_of(weight_of(loss, each)) if weight is None else weight for each in targets
        ]
        self._weights = torch.tensor(weights, dtype=torch.float64, device=self.device)

    def _groups(self, points: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Yield points with their inputs, targets and weights, as many as are evaluated at once."""
        self.check_points(points)
        all_of_it = points, self.inputs, self.targets, self._weights
        return zip(*(part.split(self._together) for part in all_of_it), strict=True)

    def _evaluate(self, points: Tensor, inputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        module = self._model.module
        if is_dense(module) and inputs.ndim == 3:
            if self._loss is cross_entropy:
                outputs = dense_outputs(module, points, inputs.transpose(1, 2))
                return cross_entropies(outputs, targets) / weights
            outputs = dense_outputs(module, points, inputs, features_first=False)
            if self._loss is mean_squared_error:
                return mean_squared_errors(outputs, targets) / weights
            return self._summed(outputs, targets) / weights
        parameters = split_parameters(self._model.parameters, points)
        names = [n for n, p in module.named_parameters() if p.requires_grad]
        named = dict(zip(names, parameters, strict=True))
        with PlainRecurrence():
            outputs = vmap(lambda own, x: called_with(module, own, x))(named, inputs)
        return self._summed(outputs, targets) / weights

    def _summed(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self._loss is cross_entropy and outputs.ndim == 3:
            return cross_entropies(outputs.transpose(1, 2), targets)
        losses = [self._loss(o, t) for o, t in zip(outputs, targets, strict=True)]
        return torch.stack(losses)

    @torch.no_grad()
    def values(self, points: Tensor) -> Tensor:
        """Return L_i(w_i) [s] for `points` [s, d]."""
        return torch.cat([self._evaluate(*group) for group in self._groups(points)])

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i(w_i) [s] and its gradients [s, d]."""
        pairs = []
        for own, *batch in self._groups(points):
            with torch.enable_grad():
                leaves = own.detach().requires_grad_()
                values = self._evaluate(leaves, *batch)
                (gradients,) = torch.autograd.grad(values.sum(), leaves)
            pairs.append((values.detach(), gradients))
        if len(pairs) == 1:
            return pairs[0]
        return torch.cat([v for v, _ in pairs]), torch.cat([g for _, g in pairs])


def split_parameters(parameters: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
    """Return `rows` [n, d] as parameters [n, ...] of the shapes of `parameters`, in their order."""
    parts = rows.split([p.numel() for p in parameters], dim=1)
    return [part.unflatten(1, p.shape) for part, p in zip(parts, parameters, strict=True)]


def dense_outputs(
    module: nn.Module, rows: Tensor, x: Tensor, features_first: bool = True
) -> Tensor:
    """Return the outputs [n, f', m] of a dense chain with parameters `rows` [n, d] on x [n, f, m].

    Features first is the faster order for cross-entropies, samples first ([n, m, f]) the faster one
    for wide outputs that are compared with targets of that order.
    """
    left = iter(split_parameters(list(module.parameters()), rows))
    for layer in module.children():
        if isinstance(layer, nn.Linear):
            weights = next(left)
            factors = (weights, x) if features_first else (x, weights.transpose(1, 2))
            if layer.bias is None:
                x = torch.bmm(*factors)
            else:
                bias = next(left)
                bias = bias[:, :, None] if features_first else bias[:, None]
                x = torch.baddbmm(bias, *factors)
        else:
            x = layer(x)
    return x
