"""A network's mean loss on a data set, as a landscape over its parameters."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from lowroad.landscapes.chunk_threads import Chunk, gains_from_threads, on_threads
from lowroad.landscapes.flat_module import FlatModule
from lowroad.landscapes.landscape import Landscape, PointwiseLandscape, RestrictedLandscape
from lowroad.landscapes.losses import Loss, summed_loss, weight_of
from lowroad.landscapes.shared_first_layer import FirstLayer, SharedFirstLayerRestriction
from lowroad.landscapes.sparse_samples import SparseSamples
from lowroad.landscapes.state_dicts import State, differing, frozen_of, read_state
from lowroad.landscapes.subspace import AffineSubspace
from lowroad.landscapes.symmetry import SymmetricImage
from lowroad.landscapes.vectorized import VectorizedLandscape, is_worth_vectorizing

# Samples evaluated at once: gradients of LSTM and LeNet take 1.2 to 1.5 times as long by 1,000.
CHUNK = 250

R = TypeVar("R")

CHECKED = 32
"""How many samples a check is made on."""


class NetworkLandscape(Landscape):
    """L(w) = 1/n Σ_i loss(module_w(inputs_i), targets_i), the landscape of Eq. (4)'s first term.

    A point is the concatenation of the flattened trainable parameters in the order of
    `module.parameters()`. The module is copied and not changed. Samples are evaluated in chunks of
    bounded size whose sums are added in float64. The data is not copied and must not be changed
    afterwards; where the first layer is linear and a tenth of the data or more is zeros, it is held
    a second time, in an order that lets products skip the zeros.

    Args:
        module: any `torch.nn.Module` that maps a batch of inputs to a batch of outputs.
        inputs: [n, ...], on the module's device.
        targets: [n, ...]: class numbers (int64 [n]) for `"cross_entropy"`, the wanted outputs for
            `"mean_squared_error"`, or whatever the callable takes.
        loss: `"cross_entropy"`, `"mean_squared_error"` (mean over components),
            `torch.nn.CrossEntropyLoss` with class weights, ignored targets or label smoothing, or a
            callable of (outputs, targets) that returns the batch's mean or one value per sample.
            Cross-entropies are Σ w l / Σ w over all of the data, w the weight of a target's class,
            0 for ignored ones (−100); a mini-batch is the same over its own targets, as in PyTorch,
            so the mean of batches is not that of the data where their Σ w differ.
        chunk: how many samples are evaluated at once.

    Raises:
        ValueError: when numbers of inputs and targets differ or are zero, when the module would
            give different values at the same point (dropout or batch norm in training mode, or any
            other randomness), when the loss is not a mean over samples, or when the parameters
            differ in type.
        TypeError: when inputs or targets are not tensors.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> landscape = NetworkLandscape(
    ...     model, torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [4.0]]), "mean_squared_error"
    ... )
    >>> landscape.value_and_gradient(torch.tensor([1.0]))  # mean of 1² and 2²; −2·1·1, −2·2·2
    (2.5, tensor([-5.]))
    """

    reestimated: frozenset[str] = frozenset()
    """Names of the buffers that are functions of the point; see `BatchNormLandscape`."""

    def __init__(
        self,
        module: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        loss: str | Loss,
        chunk: int = CHUNK,
    ) -> None:
        if len(inputs) != len(targets) or len(inputs) == 0:
            raise ValueError(
                f"expected as many inputs as targets, at least one, got {len(inputs)} inputs and "
                f"{len(targets)} targets"
            )
        if chunk < 1:
            raise ValueError(f"expected chunks of at least one sample, got {chunk}")
        if not (isinstance(inputs, Tensor) and isinstance(targets, Tensor)):
            raise TypeError(
                "expected inputs and targets as torch tensors, got "
                f"{type(inputs).__name__} and {type(targets).__name__}"
            )
        _refuse_training_mode(module)
        self._model = FlatModule(module)
        self._initial = self._model.vector.clone()
        self._first_layer = FirstLayer.of(self._model.module, inputs)
        self._loss = summed_loss(loss)
        own_loss = isinstance(loss, str | nn.CrossEntropyLoss)  # others may not stand threads
        self._threaded = own_loss and gains_from_threads(module, self._model.vector.device)
        self._inputs: Tensor | None = inputs
        self._targets: Tensor | None = targets
        # the landscape that holds the data, and the rows
        self._chosen: tuple[NetworkLandscape, Tensor] | None = None
        self._samples: SparseSamples | None = None
        self.samples = len(inputs)
        self.chunk = chunk
        self.dimension = len(self._model.vector)
        self.dtype, self.device = self._model.vector.dtype, self._model.vector.device
        if inputs.device.type != self.device.type:
            raise ValueError(
                f"expected inputs on the module's device {self.device}, got {inputs.device}"
            )
        self._weight: float | None = None
        # where nothing is ignored or weighted, samples are all that counts, also in batches
        self._counts_samples = weight_of(self._loss, targets) == len(targets)
        _ = self.weight
        self._refuse_own_parameters_moving()
        for point in (self._initial, self._perturbed()):
            self.check_repeatable(point)

    def _like(self) -> Self:
        """Return a landscape that shares all attributes with this one."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def _over(self, inputs: Tensor, targets: Tensor) -> NetworkLandscape:
        """Return the same network on other data, sharing the module."""
        other = self._like()
        other._chosen, other._samples, other._weight = None, None, None
        other._inputs, other._targets, other.samples = inputs, targets, len(inputs)
        return other

    def _at(self, rows: Tensor) -> NetworkLandscape:
        """Return the same network on some rows of the data, which are copied when needed."""
        other = self._like()
        other._chosen, other._samples, other._weight = (self, rows), None, None
        other._inputs, other._targets, other.samples = None, None, len(rows)
        return other

    @property
    def inputs(self) -> Tensor:
        """The inputs of the module, [n, ...]."""
        if self._inputs is None:
            assert self._chosen is not None
            whole, rows = self._chosen
            self._inputs = whole.inputs.index_select(0, rows)
        return self._inputs

    @property
    def targets(self) -> Tensor:
        """The targets of the outputs, [n, ...]."""
        if self._targets is None:
            assert self._chosen is not None
            whole, rows = self._chosen
            self._targets = whole.targets.index_select(0, rows)
        return self._targets

    @property
    def weight(self) -> float:
        """What the data counts: the number of samples, or Σ_i w_i of a weighted cross-entropy.

        Raises:
            ValueError: when nothing counts: all targets are ignored or of classes of weight 0.
        """
        if self._counts_samples:
            return self.samples
        if self._weight is None:
            self._weight = weight_of(self._loss, self.targets)
            if not self._weight > 0:
                raise ValueError(
                    f"none of the {self.samples} samples counts: their targets are all ignored, or "
                    "of classes of weight 0, so there is no mean"
                )
        return self._weight

    def _sparse_samples(self) -> SparseSamples:
        """Return the data in the order used by the shared first layer."""
        if self._samples is None:
            if self._chosen is None:
                self._samples = SparseSamples.of(self.inputs, self.targets)
            else:
                whole, rows = self._chosen
                self._samples = whole._sparse_samples().at(rows)
        return self._samples

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy or a file: this landscape's data, without derived data."""
        own = {"_inputs": self.inputs, "_targets": self.targets, "_chosen": None, "_samples": None}
        return {**self.__dict__, **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._first_layer is not None:  # its rest belongs to this landscape's own module
            self._first_layer = FirstLayer.of(self.module, self.inputs)

    @property
    def module(self) -> nn.Module:
        """The landscape's copy of the module; its parameters are those last evaluated."""
        return self._model.module

    @property
    def loss(self) -> Loss:
        """The loss of a batch, (outputs, targets) → the sum over its samples in float64."""
        return self._loss

    def with_buffers(self, buffers: Mapping[str, Tensor]) -> NetworkLandscape:
        """Return the landscape of the same network with other buffers or frozen parameters.

        This sets the running statistics of a checkpoint.

        Raises:
            ValueError: when the module has none of such a name, or one of another shape.
        """
        other = self._like()
        other._model = copy.deepcopy(self._model)
        own = dict(other.module.named_buffers())
        own |= {n: p.data for n, p in other.module.named_parameters() if not p.requires_grad}
        for name, value in buffers.items():
            if name not in own or own[name].shape != value.shape:
                raise ValueError(
                    f"expected buffers of the model, got {name} {list(value.shape)}; the model's "
                    f"are {', '.join(f'{n} {list(b.shape)}' for n, b in own.items()) or 'none'}"
                )
            own[name].copy_(value)
        if self._first_layer is not None:
            other._first_layer = FirstLayer.of(other.module, self.inputs)
        return other

    def with_trainable(self, *patterns: str) -> NetworkLandscape:
        """Return the landscape over the trainable parameters whose names match a shell pattern.

        The others are frozen at the values that the module was given with.

        Raises:
            ValueError: when a pattern matches none of them.

        >>> net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        >>> whole = NetworkLandscape(net, torch.ones(5, 3), torch.ones(5, 2), "mean_squared_error")
        >>> whole.dimension, whole.with_trainable("2.*").dimension
        (26, 10)
        """
        self._model.move_to(self._initial)
        module = copy.deepcopy(self.module)
        named = module.named_parameters(remove_duplicate=False)
        free = [(name, p) for name, p in named if p.requires_grad]
        for _, p in free:
            p.requires_grad_(False)
        for pattern in patterns:
            chosen = [p for name, p in free if fnmatchcase(name, pattern)]
            if not chosen:
                known = ", ".join(name for name, _ in free[:5]) + (", …" if len(free) > 5 else "")
                raise ValueError(
                    f"expected patterns of names of trainable parameters ({known}), got {pattern!r}"
                )
            for p in chosen:
                p.requires_grad_(True)
        other = self._like()
        other._model = FlatModule(module)
        other._initial = other._model.vector.clone()
        other.dimension = len(other._initial)
        if self._first_layer is not None:
            other._first_layer = FirstLayer.of(other.module, self.inputs)
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
        named = [(name, p) for name, p in self.module.named_parameters() if p.requires_grad]
        parts = point.split([p.numel() for _, p in named])
        return {name: part.view(p.shape) for (name, p), part in zip(named, parts, strict=True)}

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

    def chunks(self, size: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs and targets in chunks of `size` samples, or of the landscape's own."""
        size = self.chunk if size is None else size
        return zip(self.inputs.split(size), self.targets.split(size), strict=True)

    @torch.no_grad()
    def outputs(self, point: Tensor, inputs: Tensor | None = None) -> Tensor:
        """Return the network's outputs at `point` [d], on the landscape's inputs or on others."""
        self.check_points(point[None])
        self._move_to(point)
        chunks = (self.inputs if inputs is None else inputs).split(self.chunk)
        return torch.cat([self._model.module(chunk) for chunk in chunks])

    @torch.no_grad()
    def values(self, points: Tensor) -> Tensor:
        """Return the mean losses [n] at `points` [n, d]."""
        self.check_points(points)
        sums = torch.zeros(len(points), dtype=torch.float64, device=self.device)
        for i, point in enumerate(points):
            self._move_to(point)
            for value in self._of_chunks(self._value):
                sums[i] += value
        return sums / self.weight

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean losses [n] and their gradients [n, d]."""
        self.check_points(points)
        sums = torch.zeros(len(points), dtype=torch.float64, device=self.device)
        gradients = torch.empty(points.shape, dtype=points.dtype, device=self.device)
        for i, point in enumerate(points):
            self._move_to(point)
            sums[i], total = self._sums_and_gradients()
            gradients[i] = total.div_(self.weight)
        return sums / self.weight, gradients

    def _move_to(self, point: Tensor) -> None:
        self._model.move_to(point)

    def _sums_and_gradients(self) -> tuple[Tensor, Tensor]:
        """Return the summed loss and its gradient [d] where the module is, as float64."""
        value = torch.zeros((), dtype=torch.float64, device=self.device)
        total = torch.zeros(self.dimension, dtype=torch.float64, device=self.device)
        for loss, gradient in self._of_chunks(self._value_and_gradient):
            value += loss
            total += gradient
        return value, total

    def _of_chunks(self, evaluate: Callable[[FlatModule, Chunk], R]) -> Iterator[R]:
        """Yield `evaluate(model, chunk)` of each chunk, where the module is."""
        if self._threaded:
            return on_threads(self._model, list(self.chunks()), evaluate)
        return (evaluate(self._model, chunk) for chunk in self.chunks())

    @torch.no_grad()
    def _value(self, model: FlatModule, chunk: Chunk) -> Tensor:
        inputs, targets = chunk
        return self._loss(model.module(inputs), targets)

    def _value_and_gradient(self, model: FlatModule, chunk: Chunk) -> tuple[Tensor, Tensor]:
        inputs, targets = chunk
        model.gradient.zero_()
        with torch.enable_grad():
            loss = self._loss(model.module(inputs), targets)
            loss.backward()
        return loss.detach(), model.gradient.clone() if self._threaded else model.gradient

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Landscape]:
        """Yield the network's landscapes over one shuffled epoch of batches of `size` samples."""
        for chosen in self._shuffled(generator).split(_checked_batch_size(size)):
            yield self._at(chosen)

    def ensemble_minibatches(
        self, size: int, generators: Sequence[torch.Generator]
    ) -> Iterator[Landscape]:
        """Yield landscapes whose i-th point sees the i-th generator's shuffle.

        The points of one batch are evaluated at once where that is faster, one by one elsewhere.
        """
        batches = [self._shuffled(g).split(_checked_batch_size(size)) for g in generators]
        together = len(generators) > 1 and is_worth_vectorizing(self._model.module, self.device)
        for chosen in zip(*batches, strict=True):
            if together:
                rows, shape = torch.cat(chosen), (len(chosen), len(chosen[0]))
                inputs = self.inputs.index_select(0, rows).unflatten(0, shape)
                targets = inputs
                if self.targets is not self.inputs:
                    targets = self.targets.index_select(0, rows).unflatten(0, shape)
                yield VectorizedLandscape(self._model, self._loss, inputs, targets)
            else:
                yield PointwiseLandscape([self._at(rows) for rows in chosen])

    def _shuffled(self, generator: torch.Generator) -> Tensor:
        order = torch.randperm(self.samples, generator=generator, device=generator.device)
        return order.to(self.device)

    def first(self, samples: int) -> Landscape:
        """Return the same network on the first `samples` of its data, or on all if fewer."""
        return self._over(self.inputs[:samples], self.targets[:samples])

    def symmetric_image(self, reference: Tensor, point: Tensor) -> SymmetricImage | None:
        """Return a network with its hidden units renumbered, see `weight_matching`.

        None too where the units cannot be traced.
        """
        from lowroad.landscapes.weight_matching import weight_matching

        try:
            found = weight_matching(self, reference, point)
        except ValueError:
            return None
        rounding = torch.finfo(point.dtype).eps * float(torch.linalg.vector_norm(reference))
        method = "hidden units renumbered: weight matching"
        return SymmetricImage.between(reference, point, found.point, method, 100 * rounding)

    def restrict(self, subspace: AffineSubspace) -> RestrictedLandscape:
        """Return the landscape inside a subspace, sharing first-layer products where it can."""
        if self._first_layer is None:
            return super().restrict(subspace)
        return SharedFirstLayerRestriction(
            self, self._model, self._first_layer, self._loss, self._sparse_samples(), subspace
        )

    @torch.no_grad()
    def check_repeatable(self, point: Tensor) -> None:
        """Check on some samples that the value at a point is a function of the point.

        It is made here, and where work begins: at a start, at the ends of a path.

        Raises:
            ValueError: when two evaluations differ, the module moves its own parameters or buffers,
                or the value depends on which samples are evaluated together.
        """
        if not bool(torch.isfinite(point).all()):
            return
        rows = torch.linspace(0, self.samples - 1, min(self.samples, CHECKED)).round().long()
        rows = rows.to(self.device)
        inputs, targets = self.inputs[rows], self.targets[rows]
        self._move_to(point)
        model = self._model.module
        before = {name: b.clone() for name, b in model.named_buffers()}
        first = self._summed(inputs, targets)
        moved = [n for n, b in model.named_buffers() if not _equal(b, before[n])]
        if not torch.equal(self._model.vector, point) or moved:
            what = ", ".join(moved) or "its parameters"
            raise ValueError(
                f"the module moves {what} in every forward pass, so the value at a point depends "
                "on more than the point: call module.eval() before making a landscape, and make "
                "embeddings without max_norm"
            )
        second = self._summed(inputs, targets)
        if _differ(first, second, 1e-6):
            raise ValueError(
                f"expected the same value from two evaluations at one point, got {first} and "
                f"{second}: the module or the loss is random; call module.eval() or remove the "
                "randomness before making a landscape"
            )
        # the loss of pairs adds up to that of all only for sums over samples; far above rounding,
        # far below what a sum or a class-weighted mean is off by
        pairs = sum(
            self._summed(x, t) for x, t in zip(inputs.split(2), targets.split(2), strict=True)
        )
        if _differ(first, pairs, max(1e-3, 4 * torch.finfo(self.dtype).eps)):
            raise ValueError(
                f"expected a loss that is a mean over samples, but that of {len(inputs)} samples, "
                f"{first / len(inputs):.6g}, is not the mean of those of their pairs, "
                f"{pairs / len(inputs):.6g}: give torch.nn.CrossEntropyLoss(weight=…) itself, "
                'whose class weights are kept, or a loss with reduction="none"; the module must '
                "treat each sample by itself"
            )

    def _summed(self, inputs: Tensor, targets: Tensor) -> float:
        return float(self._loss(self._model.module(inputs), targets))

    def _perturbed(self) -> Tensor:
        """Return a point where what is zero at first is not: layers that start at zero."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(self.dimension, generator=generator, dtype=torch.float64)
        size = float(self._initial.double().square().mean().sqrt()) or 1.0
        return self._initial + (0.1 * size * noise).to(self._initial)

    def _refuse_own_parameters_moving(self) -> None:
        for name, part in self.module.named_modules():
            if getattr(part, "max_norm", None) is not None:
                raise ValueError(
                    f"{type(part).__name__} ({name or 'the module itself'}) has max_norm, which "
                    "rescales its rows in every forward pass: the value does not depend on their "
                    "length, but they move away from the point; make it without max_norm"
                )


def _equal(first: Tensor, second: Tensor) -> bool:
    return bool(((first == second) | ((first != first) & (second != second))).all())


def _differ(first: float, second: float, tolerance: float) -> bool:
    if math.isfinite(first) and math.isfinite(second):
        return abs(first - second) > tolerance * max(abs(first), abs(second))
    return not (first == second or (first != first and second != second))


def _refuse_training_mode(module: nn.Module) -> None:
    for name, part in module.named_modules():
        random = isinstance(part, nn.modules.dropout._DropoutNd)
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


def _checked_batch_size(size: int) -> int:
    if size < 1:
        raise ValueError(f"expected batches of at least one sample, got {size}")
    return size
