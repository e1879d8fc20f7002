"""A module and its data: points as state dicts, outputs and losses where the module is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from lowroad.landscapes.flat_module import FlatModule
from lowroad.landscapes.landscape import Landscape
from lowroad.landscapes.network_data import Data
from lowroad.landscapes.state_dicts import State, differing, frozen_of, read_state
from lowroad.landscapes.tensor_data import TensorData


class ModuleLandscape(Landscape):
    """A landscape over the trainable parameters of a module with data.

    A point is the concatenation of the flattened trainable parameters in the order of
    `module.parameters()`. The module is copied and not changed.
    """

    _data: Data
    chunk: int
    _regularizer: Callable[[nn.Module], Tensor] | None = None
    _differentiates = False  # the loss calls autograd itself, so its values need gradients

    reestimated: frozenset[str] = frozenset()
    """Names of the buffers that are functions of the point; see `BatchNormLandscape`."""

    def __init__(self, module: nn.Module) -> None:
        self._model = FlatModule(module)
        self._initial = self._model.vector.clone()
        self.dimension = len(self._model.vector)
        self.dtype, self.device = self._model.vector.dtype, self._model.vector.device

    def _like(self) -> Self:
        """Return a landscape that shares all attributes with this one."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def _of(self, model: FlatModule) -> Self:
        """Return the landscape of another module of the same kind."""
        other = self._like()
        other._model = model
        return other

    @property
    def module(self) -> nn.Module:
        """The landscape's copy of the module; its parameters are those last evaluated alone."""
        return self._model.module

    def with_buffers(self, buffers: Mapping[str, Tensor]) -> Self:
        """Return the landscape of the same network with other buffers or frozen parameters.

        This sets the running statistics of a checkpoint.

        Raises:
            ValueError: when the module has none of such a name, or one of another shape.
        """
        return self._of(self._model.with_buffers(buffers))

    def with_trainable(self, *patterns: str) -> Self:
        """Return the landscape over the trainable parameters whose names match a shell pattern.

        The others are frozen at the values that the module was given with.

        Raises:
            ValueError: when a pattern matches none of them.

        >>> from lowroad import NetworkLandscape
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        >>> whole = NetworkLandscape(net, torch.ones(5, 3), torch.ones(5, 2), "mean_squared_error")
        >>> whole.dimension, whole.with_trainable("2.*").dimension
        (26, 10)
        """
        self._model.move_to(self._initial)
        model = self._model.with_trainable(patterns)
        other = self._of(model)
        other._initial = model.vector.clone()
        other.dimension = len(other._initial)
        return other

    def initial_point(self) -> Tensor:
        """Return the initial parameters [d] of the module."""
        return self._initial.clone()

    def parameters_at(self, point: Tensor) -> dict[str, Tensor]:
        """Return the trainable parameters by their names at `point` [d], as views of it.

        The inverse of `point_of`: `module.load_state_dict(landscape.parameters_at(x),
        strict=False)`.
        """
        self.check_points(point[None])
        return self._model.parameters_at(point)

    def point_of(self, state: Mapping[str, Tensor]) -> Tensor:
        """Return the point [d] of a state dict of the module, read as `load_state_dict` reads it.

        Raises:
            ValueError: when the state dict does not fit (see `read_state`), or when frozen weights
                or buffers, such as batch norm's running statistics, are not this landscape's: they
                are no part of a point, so the value would be another network's
                (`BatchNormLandscape` re-estimates the statistics and so takes any).
        """
        read = self.read_state(state)
        self.check_frozen(read.frozen)
        return read.trainable

    def check_frozen(self, frozen: Mapping[str, Tensor]) -> None:
        """Refuse frozen parameters and buffers that are not this landscape's; see `point_of`."""
        differ = sorted(set(differing(frozen_of(self.module), frozen)) - self.reestimated)
        if differ:
            raise ValueError(
                f"{differ[0]} is not a trainable parameter and differs from the landscape's: make "
                "the landscape from a module that has these values, or, for batch norm's "
                "statistics, re-estimate them at every point with BatchNormLandscape "
                "(lowroad connect --reestimate-batch-norm)"
            )

    def read_state(self, state: Mapping[str, Tensor]) -> State:
        """Return the point and the frozen tensors that a state dict of the module holds.

        It may be any that `module.load_state_dict(state, strict=True)` takes; see
        `state_dicts.read_state`.

        Raises:
            ValueError: when it does not fit the module.
        """
        return read_state(self.module, state)

    def move_to(self, point: Tensor) -> None:
        """Give the module the parameters `point` [d], and the statistics that follow from them."""
        self.check_points(point[None])
        self._move_to(point)

    def _move_to(self, point: Tensor) -> None:
        self._model.move_to(point)

    @property
    def _pairs(self) -> TensorData:
        if not isinstance(self._data, TensorData):
            raise TypeError(
                "this landscape is made of batches, not of inputs and targets in two tensors: use "
                "landscape.average(point, function) with a function of (module, batch)"
            )
        return self._data

    @property
    def inputs(self) -> Tensor:
        """The inputs of the module, [n, ...]."""
        return self._pairs.inputs

    @property
    def targets(self) -> Tensor:
        """The targets of the outputs, [n, ...]."""
        return self._pairs.targets

    @property
    def weight(self) -> float:
        """What the data counts: Σ_b w_b, by default the number of samples."""
        return self._data.weight

    def losses(self) -> Iterator[Tensor]:
        """Yield the terms whose sum over `weight` is the value, where the module is.

        Those of the chunks one after another, in float64, and that of the regularizer.
        """
        for batch in self._data.chunks(self.chunk):
            yield self._data.summed(self.module, batch)
        if (penalty := self.penalty()) is not None:
            yield penalty

    def penalty(self) -> Tensor | None:
        """Return what the regularizer adds to the sum of the losses, where the module is."""
        if self._regularizer is None:
            return None
        value = self._regularizer(self.module)
        if not isinstance(value, Tensor) or value.numel() != 1:
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"expected the regularizer to return one number, a tensor, got {got}")
        return value.reshape(()).double() * self.weight

    def _penalty_value(self) -> float:
        with torch.set_grad_enabled(self._differentiates):
            penalty = self.penalty()
        return 0.0 if penalty is None else float(penalty.detach())

    def outputs_and_losses(self) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor]]]:
        """Yield each chunk's outputs and its summed loss as a function of them.

        Raises:
            TypeError: when the landscape has an objective instead of a loss of the outputs.
        """
        return self._data.outputs_and_losses(self.module, self.chunk)

    def some(self, count: int) -> Any:
        """Return up to `count` samples, evenly spaced in the data, as `response` takes them."""
        return self._data.some(count)

    def response(self, module: nn.Module, batch: Any) -> Tensor:
        """Return what a module makes of samples: its outputs, or its objective's value [1]."""
        wanted = torch.is_grad_enabled()
        with torch.set_grad_enabled(wanted or self._differentiates):
            found = self._data.response(module, batch)
        return found if wanted else found.detach()

    @torch.no_grad()
    def respond(self, point: Tensor, one_chunk: bool = False) -> None:
        """Let the module at `point` [d] work through the data, for what hooks record of it."""
        self.move_to(point)
        with torch.set_grad_enabled(self._differentiates):
            for batch in self._data.chunks(self.chunk):
                self._data.response(self.module, batch)
                if one_chunk:
                    return

    @torch.no_grad()
    def average(self, point: Tensor, function: Callable[[nn.Module, Any], Any]) -> float:
        """Return Σ_b w_b f(module, batch_b) / Σ_b w_b at `point` [d].

        Args:
            point: where [d].
            function: (module, batch) → the batch's mean of what is asked for, a number. A batch is
                (inputs, targets) where the landscape has two tensors.

        Raises:
            ValueError: when it returns no number.

        >>> from lowroad import NetworkLandscape
        >>> net, x, y = nn.Linear(1, 1), torch.ones(4, 1), torch.tensor([[0.0], [0], [0], [8]])
        >>> loss = NetworkLandscape(net, x, y, "mean_squared_error")
        >>> loss.average(
        ...     torch.tensor([1.0, 1.0]), lambda net, batch: (net(batch[0]) - batch[1]).abs().mean()
        ... )
        3.0
        """
        self.move_to(point)
        total = weights = 0.0
        for batch in self._data.chunks(self.chunk):
            value = function(self.module, self._data.content(batch))
            try:
                number = float(value)
            except (TypeError, ValueError, RuntimeError):
                got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"expected a number for each batch, got {got}") from None
            weight = self._data.weight_of(batch)
            total, weights = total + weight * number, weights + weight
        return total / weights

    def batches(self) -> Iterator[Any]:
        """Yield the data as it is evaluated: batches, or pairs of inputs and targets."""
        return (self._data.content(batch) for batch in self._data.chunks(self.chunk))

    @torch.no_grad()
    def outputs(self, point: Tensor, inputs: Tensor | None = None) -> Tensor:
        """Return the network's outputs at `point` [d], on the landscape's inputs or on others."""
        self.move_to(point)
        chunks = (self.inputs if inputs is None else inputs).split(self.chunk)
        return torch.cat([self._model.module(chunk) for chunk in chunks])
