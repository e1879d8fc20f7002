"""One model at many points, each on its own batch, evaluated at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lowroad.landscapes.flat_module import FlatModule
from lowroad.landscapes.landscape import Landscape
from lowroad.landscapes.losses import Loss


def is_worth_vectorizing(module: nn.Module, device: torch.device) -> bool:
    """Return whether evaluating many points of a module at once is faster than one by one.

    Measured: on a GPU always; on a CPU for small dense networks alone, where one point's kernels
    are shorter than their launches. PyTorch's own convolutions and recurrent layers are slower
    when vectorized over weights.
    """
    dense = (nn.Linear, nn.Flatten, nn.Softplus, nn.ReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU)
    leaves = [m for m in module.modules() if not list(m.children())]
    return device.type == "cuda" or all(isinstance(m, dense) for m in leaves)


class VectorizedLandscape(Landscape):
    """L_i(w_i) = mean loss of the module at point i on batch i, all at once through `vmap`.

    Args:
        model: the module.
        loss: the sum of the losses of a batch.
        inputs: [s, n, ...], one batch for each of s points.
        targets: [s, n, ...].
    """

    def __init__(self, model: FlatModule, loss: Loss, inputs: Tensor, targets: Tensor) -> None:
        self._model, self._loss = model, loss
        self.inputs, self.targets = inputs, targets
        self.dimension = len(model.vector)
        self.dtype, self.device = model.vector.dtype, model.vector.device
        self.items = inputs.shape[1]

    def _evaluate(self, points: Tensor) -> Tensor:
        self.check_points(points)
        names = [n for n, p in self._model.module.named_parameters() if p.requires_grad]
        shapes = [p.shape for p in self._model.parameters]
        parts = points.split([shape.numel() for shape in shapes], dim=1)
        parameters = {
            name: part.view(len(points), *shape)
            for name, part, shape in zip(names, parts, shapes, strict=True)
        }

        def one(parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
            return self._loss(functional_call(self._model.module, parameters, inputs), targets)

        return vmap(one)(parameters, self.inputs, self.targets) / self.items

    @torch.no_grad()
    def heights(self, points: Tensor) -> Tensor:
        """Return L_i(w_i) [s] for `points` [s, d]."""
        return self._evaluate(points)

    def heights_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i(w_i) [s] and its gradients [s, d]."""
        with torch.enable_grad():
            leaves = points.detach().requires_grad_()
            heights = self._evaluate(leaves)
            (gradients,) = torch.autograd.grad(heights.sum(), leaves)
        return heights.detach(), gradients
