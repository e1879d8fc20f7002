"""First layers that are linear in their parameters, and what follows them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.grad import conv1d_weight, conv2d_weight, conv3d_weight

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_WEIGHT_GRADIENTS = {3: conv1d_weight, 4: conv2d_weight, 5: conv3d_weight}  # by the weight's axes


@dataclass(frozen=True)
class FirstLayer:
    """A network's first layer, linear in its weights, and the layers after it.

    Attributes:
        outputs: h, the layer's width.
        features: f, the number of inputs.
        biased: whether the layer has a bias.
        rest: the layers after it.
        width: the most numbers that any layer makes of a sample.
    """

    outputs: int
    features: int
    biased: bool
    rest: nn.Module
    width: int

    @classmethod
    def of(cls, module: nn.Module, inputs: Tensor) -> FirstLayer | None:
        """Return the first layer where the module has one of this form, else None.

        That is an `nn.Sequential` (or a subclass with its `forward`) that begins with `nn.Linear`,
        or `nn.Flatten` and then `nn.Linear`, whose weights nothing else shares.
        """
        layers = _layers(module)
        if (
            layers
            and type(layers[0]) is nn.Flatten
            and (layers[0].start_dim, layers[0].end_dim) == (1, -1)
        ):
            layers = layers[1:]
        elif inputs.ndim != 2:
            return None
        if len(layers) < 2 or type(layers[0]) is not nn.Linear:
            return None
        linear, rest = layers[0], nn.Sequential(*layers[1:])
        if not _stands_alone(linear, rest, module):
            return None
        linears = [m for m in module.modules() if isinstance(m, nn.Linear)]
        width = max(m.out_features for m in linears)
        biased = linear.bias is not None
        return cls(linear.out_features, linear.in_features, biased, rest, width)

    def by_sample(self, outputs: Tensor) -> Tensor:
        """Return one point's outputs [h, m] as the layers after it take them, [m, h]."""
        return outputs.T

    @property
    def size(self) -> int:
        """How many of the network's parameters are this layer's: the vector's first ones."""
        return self.outputs * (self.features + self.biased)

    def products(
        self, weights: Tensor, biases: Tensor, blocks: list[Tensor], out: Tensor | None = None
    ) -> Tensor:
        """Return the layer's outputs [r, h, m] on blocks of features [m', c], all m samples.

        The first c of each unit's `weights` [r, h, f] meet a block; `biases` are [r, h], or [r, 0].
        """
        if out is None:
            out = weights.new_empty(len(weights), self.outputs, sum(len(x) for x in blocks))
        for x, made in zip(blocks, _of_blocks(out.flatten(0, 1), blocks), strict=True):
            torch.mm(weights.flatten(0, 1)[:, : x.shape[1]], x.T, out=made)
        return out.add_(biases[:, :, None]) if self.biased else out

    def add_pullback(self, total: Tensor, output_gradients: Tensor, blocks: list[Tensor]) -> None:
        """Add to `total` [r, size] the gradients by the layer's parameters.

        The `output_gradients` ∂S/∂z [r, h, m] belong to blocks of features [m', c], all m samples.
        """
        weights, biases = self.split(total)
        for x, own in zip(blocks, _of_blocks(output_gradients.flatten(0, 1), blocks), strict=True):
            weights[:, :, : x.shape[1]] += (own @ x).unflatten(0, output_gradients.shape[:2])
        if self.biased:
            biases += output_gradients.sum(2)

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the layer's weights [r, h, f] and biases [r, h or 0] in `rows` [r, ...]."""
        weights = self.outputs * self.features
        shaped = rows[:, :weights].unflatten(1, (self.outputs, self.features))
        return shaped, rows[:, weights : self.size]


@dataclass(frozen=True)
class FirstConvolution:
    """A network's first layer, a convolution, and the layers after it.

    Attributes:
        layer: the convolution.
        before: what shapes the data for it, without parameters.
        rest: the layers after it.
        data: the shape of a sample, [...].
        shape: the shape of the layer's output for a sample, of h numbers in all.
        width: h, how many numbers that are.
    """

    layer: nn.Conv1d | nn.Conv2d | nn.Conv3d
    before: nn.Sequential
    rest: nn.Module
    data: torch.Size
    shape: torch.Size
    width: int

    @classmethod
    def of(cls, module: nn.Module, inputs: Tensor) -> FirstConvolution | None:
        """Return the first layer where the module has one of this form, else None.

        That is an `nn.Sequential` (or a subclass with its `forward`) that begins with a
        convolution with a border of zeros, or `nn.Unflatten` and then one, whose weights nothing
        else shares. A subclass says by an attribute `linear_in_parameters` that it is one, too.
        """
        layers = _layers(module)
        ahead = 1 if layers and type(layers[0]) is nn.Unflatten else 0
        if len(layers) < ahead + 2:
            return None
        layer, rest = layers[ahead], nn.Sequential(*layers[ahead + 1 :])
        marked = "linear_in_parameters" in vars(type(layer))  # not what subclasses inherit
        linear = type(layer) in CONVOLUTIONS or marked
        if not (linear and isinstance(layer, CONVOLUTIONS) and _stands_alone(layer, rest, module)):
            return None
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            return None
        before = nn.Sequential(*layers[:ahead])
        with torch.no_grad():
            shape = layer(before(inputs[:1])).shape[1:]
        return cls(layer, before, rest, inputs.shape[1:], shape, shape.numel())

    @property
    def size(self) -> int:
        """How many of the network's parameters are this layer's: the vector's first ones."""
        return sum(p.numel() for p in self.layer.parameters())

    def by_sample(self, outputs: Tensor) -> Tensor:
        """Return one point's outputs [m, h] as the layers after it take them, [m, ...]."""
        return outputs.view(len(outputs), *self.shape)

    def products(
        self, weights: Tensor, biases: Tensor, blocks: list[Tensor], out: Tensor | None = None
    ) -> Tensor:
        """Return the layer's outputs [r, m, h] on blocks of features [m', f], all m samples.

        Its `weights` are [r, size], with no `biases` of their own, [r, 0].
        """
        made = [
            torch.cat([self._outputs(own, block).flatten(1) for block in blocks]) for own in weights
        ]
        return torch.stack(made) if out is None else torch.stack(made, out=out)

    def add_pullback(self, total: Tensor, output_gradients: Tensor, blocks: list[Tensor]) -> None:
        """Add to `total` [r, size] the gradients by the layer's parameters.

        The `output_gradients` ∂S/∂z [r, m, h] belong to blocks of features [m', f], all m samples.
        """
        layer, sizes = self.layer, [len(block) for block in blocks]
        weights = layer.weight.numel()
        by_weight = _WEIGHT_GRADIENTS[layer.weight.ndim]
        how = layer.stride, layer.padding, layer.dilation, layer.groups
        for own, gradients in zip(total, output_gradients, strict=True):
            for block, part in zip(blocks, gradients.split(sizes), strict=True):
                by_output = self.by_sample(part)
                found = by_weight(self._data(block), layer.weight.shape, by_output, *how)
                own[:weights] += found.flatten()
                if layer.bias is not None:
                    own[weights : self.size] += by_output.flatten(2).sum((0, 2))

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the layer's weights with its biases [r, size] in `rows`, and none apart [r, 0]."""
        return rows[:, : self.size], rows[:, :0]

    def _outputs(self, parameters: Tensor, block: Tensor) -> Tensor:
        named = dict(self.layer.named_parameters())
        parts = parameters.split([p.numel() for p in named.values()])
        own = {n: part.view(p.shape) for (n, p), part in zip(named.items(), parts, strict=True)}
        outputs: Tensor = functional_call(self.layer, own, self._data(block))
        return outputs

    def _data(self, block: Tensor) -> Tensor:
        data: Tensor = self.before(block.view(len(block), *self.data))
        return data


def _layers(module: nn.Module) -> list[nn.Module]:
    """Return the layers of a chain whose first one's parameters are the module's first ones."""
    plain = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
    own = any(True for _ in module.parameters(recurse=False))
    return list(module) if plain and not own else []  # type: ignore[call-overload]


def _stands_alone(layer: nn.Module, rest: nn.Module, module: nn.Module) -> bool:
    """Return whether a layer is trainable, without hooks, and shares no parameters."""
    own = list(layer.parameters())
    shared = {id(p) for p in own} & {id(p) for p in rest.parameters()}
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in (module, layer))
    return not shared and not hooked and all(p.requires_grad for p in own)


def _of_blocks(values: Tensor, blocks: list[Tensor]) -> tuple[Tensor, ...]:
    """Return `values` [..., m] in parts that belong to blocks of m samples in all."""
    return values.split([len(x) for x in blocks], dim=-1)
