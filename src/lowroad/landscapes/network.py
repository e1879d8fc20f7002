"""A network's mean loss on a data set, as a landscape over its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from lowroad.landscapes.batch_data import BatchData, Objective, Weight
from lowroad.landscapes.chunk_sizes import CACHED, default_chunk, fits_beside
from lowroad.landscapes.chunk_threads import PointsOnThreads, gains_from_threads, on_threads
from lowroad.landscapes.first_layers import FirstConvolution, FirstLayer
from lowroad.landscapes.flat_module import FlatModule
from lowroad.landscapes.landscape import Landscape, PointwiseLandscape, RestrictedLandscape
from lowroad.landscapes.losses import Loss, summed_loss
from lowroad.landscapes.module_landscape import ModuleLandscape
from lowroad.landscapes.network_data import Data, needs_gradients
from lowroad.landscapes.repeatable import (
    perturbed,
    refuse_rescaling,
    refuse_training_mode,
    repeated_value,
)
from lowroad.landscapes.shared_first_layer import SharedFirstLayerRestriction
from lowroad.landscapes.subspace import AffineSubspace
from lowroad.landscapes.symmetry import SymmetricImage
from lowroad.landscapes.tensor_data import TensorData, data_of
from lowroad.landscapes.vectorized import VectorizedLandscape, is_dense, is_right_at_once

R = TypeVar("R")

SMALL = 2000  # samples of a batch on a GPU whose kernels take no longer than their launches

CHECKED = 32
"""How many samples a check is made on."""


class NetworkLandscape(ModuleLandscape):
    """L(w) = Σ_b w_b l_b(w) / Σ_b w_b + r(w), a network's mean loss over its data.

    With inputs and targets in two tensors, this is 1/n Σ_i loss(module_w(inputs_i), targets_i), the
    landscape of Eq. (4)'s first term; with batches, l_b = objective(module_w, batch), its mean
    loss, and w_b = weight(batch), what it counts. r is the regularizer, 0 by default.

    A point is the concatenation of the flattened trainable parameters in the order of
    `module.parameters()`. The module is copied and not changed. Samples are evaluated in chunks of
    bounded size whose sums are added in float64. The data is not copied and must not be changed
    afterwards; where the first layer is linear and a tenth of the data or more is zeros, a CPU
    holds it a second time, in an order that lets products skip the zeros. A data set or loader is
    read anew at each evaluation, and no more than its present batch is held.

    Args:
        module: any `torch.nn.Module`.
        inputs: [n, ...], on the module's device, where targets are given. Else all of the data as a
            tensor, tuple or dictionary of tensors [n, ...]; a list of batches; a
            `torch.utils.data.Dataset`; or a `DataLoader`, whose samples are read in fixed order.
            Batches are moved to the module's device.
        targets: [n, ...]: class numbers (int64 [n]) for `"cross_entropy"`, the wanted outputs for
            `"mean_squared_error"`, or whatever the callable takes.
        loss: `"cross_entropy"`, `"mean_squared_error"` (mean over components),
            `torch.nn.CrossEntropyLoss` with class weights, ignored targets or label smoothing, or a
            callable of (outputs, targets) that returns the batch's mean or one value per sample;
            for batches that are pairs (inputs, targets), too.
            Cross-entropies are Σ w l / Σ w over all of the data, w the weight of a target's class,
            0 for ignored ones (−100); a mini-batch is the same over its own targets, as in PyTorch,
            so the mean of batches is not that of the data where their Σ w differ. A mini-batch in
            which nothing counts has value and gradient 0.
        chunk: how many samples are evaluated at once, by default 250, with targets on a CUDA device
            as many as fill a part of its memory; batches of a list or loader stay as they are.
        objective: (module, batch) → the batch's mean loss, a tensor of one number. It may
            differentiate by itself. By default a batch that is a dictionary is passed as
            `module(**batch)`, whose `loss` it is (Hugging Face's convention).
        weight: batch → how much its mean counts: by default the number of its samples; for losses
            that are means over tokens, the number of tokens.
        regularizer: module → a number that is added, such as a weight decay.
        seed: lets an objective draw random numbers, the same ones for a batch at every point:
            PyTorch's global generator is seeded for each batch and put back afterwards.

    Raises:
        ValueError: when numbers of inputs and targets differ or are zero, when the module or the
            objective would give different values at the same point (dropout or batch norm in
            training mode, random augmentation, or any other randomness), when the loss is not a
            mean over samples, when a batch's weight is not above zero, or when the parameters
            differ in type.
        TypeError: when inputs or targets are not tensors, when data can be read only once, or the
            objective returns no tensor.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> inputs, targets = torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [4.0]])
    >>> landscape = NetworkLandscape(model, inputs, targets, "mean_squared_error")
    >>> landscape.value_and_gradient(torch.tensor([1.0]))  # mean of 1² and 2²; −2·1·1, −2·2·2
    (2.5, tensor([-5.]))
    >>> landscape = NetworkLandscape(
    ...     model,
    ...     [{"x": inputs[:1], "y": targets[:1]}, {"x": inputs[1:], "y": targets[1:]}],
    ...     objective=lambda model, batch: (model(batch["x"]) - batch["y"]).square().mean(),
    ...     regularizer=lambda model: 0.5 * model.weight.square().sum(),
    ... )
    >>> landscape.value_and_gradient(torch.tensor([1.0]))
    (3.0, tensor([-4.]))
    """

    _vectorized = False  # whether any module's points are evaluated at once, as on a GPU
    _chosen_chunk = True

    def __init__(
        self,
        module: nn.Module,
        inputs: Any,
        targets: Tensor | None = None,
        loss: str | Loss | None = None,
        chunk: int | None = None,
        *,
        objective: Objective | None = None,
        weight: Weight | None = None,
        regularizer: Callable[[nn.Module], Tensor] | None = None,
        seed: int | None = None,
    ) -> None:
        if chunk is not None and chunk < 1:
            raise ValueError(f"expected chunks of at least one sample, got {chunk}")
        if loss is not None or targets is not None:
            unused = {"objective": objective, "weight": weight, "seed": seed}
            for name, given in unused.items():
                if given is not None:
                    raise ValueError(
                        f"{name} goes with an objective of batches, not with targets or a loss of "
                        "outputs and targets: give inputs and targets as one tuple and objective=…"
                    )
        refuse_training_mode(module)
        super().__init__(module)
        self._regularizer = regularizer
        self._first_layer: FirstLayer | FirstConvolution | None = None
        self._threaded = False
        refuse_rescaling(self.module)
        if targets is not None:
            self._use(data_of(inputs, targets, loss, self.device), chunk or CACHED)
        else:
            summed = None if loss is None else summed_loss(loss)
            made = BatchData(
                inputs,
                chunk or CACHED,
                self.device,
                loss=summed,
                objective=objective,
                weight=weight,
                seed=seed,
            )
            self._use(made, made.size)
        self._differentiates = needs_gradients(self._data, CHECKED, self.module, self.penalty)
        if targets is not None and chunk is None:
            self.chunk = default_chunk(self._loss_of, self.samples, self.device)
            self._chosen_chunk = False
        if targets is not None and regularizer is None and not self._differentiates:
            self._first_layer = self._found_first_layer()
            own_loss = isinstance(loss, str | nn.CrossEntropyLoss)  # others may not stand threads
            self._threaded = own_loss and gains_from_threads(module, self.inputs)
            if self.device.type == "cuda":
                few, of_few = self._pairs.some(2)
                tried = self._over(TensorData(few, of_few, self._pairs.loss))
                self._vectorized = is_right_at_once(tried, perturbed(self._initial))
        for point in (self._initial, perturbed(self._initial)):
            self.check_repeatable(point)

    def _use(self, data: Data, chunk: int) -> None:
        self._data = data
        self.samples, self.chunk = data.samples, chunk

    def _over(self, data: Data) -> NetworkLandscape:
        """Return the same network on other data, sharing the module."""
        other = self._like()
        other._use(data, data.size if isinstance(data, BatchData) else self.chunk)
        return other

    def _at(self, rows: Tensor) -> NetworkLandscape:
        """Return the same network on some rows of the data, which are copied when needed."""
        return self._over(self._data.at(rows))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._find_first_layer()  # its rest belongs to this landscape's own module

    def _of(self, model: FlatModule) -> Self:
        other = super()._of(model)
        other._find_first_layer()
        return other

    def _find_first_layer(self) -> None:
        if self._first_layer is not None:
            self._first_layer = self._found_first_layer()

    def _found_first_layer(self) -> FirstLayer | FirstConvolution | None:
        found = FirstLayer.of(self.module, self.inputs)
        if found is not None or self.device.type != "cuda":
            return found
        return FirstConvolution.of(self.module, self.inputs)

    def _vectorizes(self, samples: int) -> bool:
        """Return whether points, each on a batch of so many samples, are evaluated at once."""
        penalized = self._regularizer is not None
        if self._differentiates or penalized or not isinstance(self._data, TensorData):
            return False
        if self.device.type == "cuda":
            return self._vectorized and samples <= SMALL
        return is_dense(self._model.module)

    def _all_at(self, points: Tensor) -> VectorizedLandscape | None:
        """Return this landscape for several points at once, where a GPU holds them in one chunk."""
        fit = self.chunk // self.samples
        if self.device.type != "cuda" or not self._vectorizes(self.samples):
            return None
        if min(len(points), fit) < 2:
            return None
        return self._at_once(len(points))

    def _at_once(self, points: int) -> VectorizedLandscape:
        """Return this landscape for so many points, as many at once as fit in a chunk."""
        pair = (part.expand(points, *part.shape) for part in (self.inputs, self.targets))
        together = max(1, self.chunk // self.samples)
        loss = self._pairs.loss
        return VectorizedLandscape(self._model, loss, *pair, weight=self.weight, together=together)

    def _side_by_side(self, points: Tensor) -> PointsOnThreads | None:
        """Return this landscape for points that are a thread's work each, where it has several."""
        threads = torch.get_num_threads()
        if not self._threaded or threads < 2 or len(points) < threads:
            return None
        return PointsOnThreads(self._model, [self] * len(points))

    def values(self, points: Tensor) -> Tensor:
        """Return the mean losses [n] at `points` [n, d]."""
        self.check_points(points)
        if (together := self._all_at(points) or self._side_by_side(points)) is not None:
            return together.values(points)
        sums = torch.zeros(len(points), dtype=torch.float64, device=self.device)
        with torch.no_grad():
            for i, point in enumerate(points):
                self._move_to(point)
                for value in self._of_chunks(self._value):
                    sums[i] += value
                sums[i] += self._penalty_value()
        return sums / self.weight

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean losses [n] and their gradients [n, d]."""
        self.check_points(points)
        if (together := self._all_at(points) or self._side_by_side(points)) is not None:
            return together.values_and_gradients(points)
        sums = torch.zeros(len(points), dtype=torch.float64, device=self.device)
        gradients = torch.empty(points.shape, dtype=points.dtype, device=self.device)
        for i, point in enumerate(points):
            self._move_to(point)
            sums[i], total = self._sums_and_gradients()
            gradients[i] = total.div_(self.weight)
        return sums / self.weight, gradients

    def _sums_and_gradients(self) -> tuple[Tensor, Tensor]:
        """Return the summed loss and its gradient [d] where the module is, as float64."""
        value = torch.zeros((), dtype=torch.float64, device=self.device)
        total = torch.zeros(self.dimension, dtype=torch.float64, device=self.device)
        for loss, gradient in self._of_chunks(self._value_and_gradient):
            value += loss
            total += gradient
        with torch.enable_grad():
            penalty = self.penalty()
        if penalty is not None:
            loss, gradient = self._differentiated(self._model, penalty)
            value += loss
            total += gradient
        return value, total

    def _of_chunks(self, evaluate: Callable[[FlatModule, Any], R]) -> Iterator[R]:
        """Yield `evaluate(model, chunk)` of each chunk, where the module is."""
        chunks = self._data.chunks(self.chunk)
        if self._threaded:
            return on_threads(self._model, list(chunks), evaluate)
        return (evaluate(self._model, chunk) for chunk in chunks)

    def _value(self, model: FlatModule, chunk: Any) -> Tensor:
        with torch.set_grad_enabled(self._differentiates):
            return self._data.summed(model.module, chunk).detach()

    def _value_and_gradient(self, model: FlatModule, chunk: Any) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            return self._differentiated(model, self._data.summed(model.module, chunk))

    def _differentiated(self, model: FlatModule, loss: Tensor) -> tuple[Tensor, Tensor]:
        model.zero_gradient()
        if loss.requires_grad:
            loss.backward()
        return loss.detach(), model.gradient.clone() if self._threaded else model.gradient

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Landscape]:
        """Yield the network's landscapes over one shuffled epoch of batches of `size` samples."""
        for chosen in self._shuffled(generator).split(self._checked_batch_size(size)):
            yield self._at(chosen)

    def ensemble_minibatches(
        self, size: int, generators: Sequence[torch.Generator]
    ) -> Iterator[Landscape]:
        """Yield landscapes whose i-th point sees the i-th generator's shuffle.

        The points of one batch are evaluated at once, or on a thread each, where that is faster,
        one by one elsewhere.
        """
        batches = [self._shuffled(g).split(self._checked_batch_size(size)) for g in generators]
        together = len(generators) > 1 and self._vectorizes(size)
        for chosen in zip(*batches, strict=True):
            if together:
                rows, shape = torch.cat(chosen), (len(chosen), len(chosen[0]))
                inputs = self.inputs.index_select(0, rows).unflatten(0, shape)
                targets = inputs
                if self.targets is not self.inputs:
                    targets = self.targets.index_select(0, rows).unflatten(0, shape)
                fit = max(1, self.chunk // shape[1]) if self.device.type == "cuda" else None
                loss = self._pairs.loss
                yield VectorizedLandscape(self._model, loss, inputs, targets, together=fit)
            elif self._threaded:
                yield PointsOnThreads(self._model, [self._at(rows) for rows in chosen])
            else:
                yield PointwiseLandscape([self._at(rows) for rows in chosen])

    def evaluated_by(self, model: FlatModule) -> NetworkLandscape:
        """Return the landscape that a thread of its own evaluates with its copy of the module."""
        other = self._like()
        other._model, other._threaded = model, False
        return other

    def _shuffled(self, generator: torch.Generator) -> Tensor:
        order = torch.randperm(self._data.units, generator=generator, device=generator.device)
        return order.to(self.device)

    def first(self, samples: int) -> Landscape:
        """Return the same network on the first `samples` of its data, or on all if fewer."""
        return self._over(self._data.first(samples))

    def symmetric_image(self, reference: Tensor, point: Tensor) -> SymmetricImage | None:
        """Return a network with its hidden units renumbered, see `weight_matching`.

        None too where the units cannot be traced.
        """
        from lowroad.landscapes.weight_matching import weight_matching

        try:
            found = weight_matching(self, reference, point)
        except (ValueError, RuntimeError):  # a module that cannot be traced
            return None
        rounding = torch.finfo(point.dtype).eps * float(torch.linalg.vector_norm(reference))
        method = "hidden units renumbered: weight matching"
        return SymmetricImage.between(reference, point, found.point, method, 100 * rounding)

    def restrict(self, subspace: AffineSubspace) -> RestrictedLandscape:
        """Return the landscape inside a subspace, sharing first-layer products where it can."""
        first, data = self._first_layer, self._data
        if first is None:
            return super().restrict(subspace)
        assert isinstance(data, TensorData)
        if isinstance(first, FirstLayer):
            samples = data.sparse_samples()
        elif subspace.rank <= 1 and fits_beside(
            2 * first.width * data.samples, self.device, self.dtype
        ):
            samples = data.samples_as_they_are()
        else:
            return super().restrict(subspace)
        return SharedFirstLayerRestriction(self, self._model, first, data.loss, samples, subspace)

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
        self._move_to(point)
        batch, other = self._data.some(CHECKED), self._data.some(2)
        value = repeated_value(
            self._model, point, lambda: self._summed(batch), lambda: self._summed(other)
        )
        repeated_value(self._model, point, self._penalty_value, lambda: None)
        with torch.set_grad_enabled(self._differentiates):
            self._data.check_mean(self.module, batch, value)

    def _loss_of(self, samples: int) -> Tensor:
        return self._data.summed(self.module, self._data.some(samples))

    def _summed(self, batch: Any) -> float:
        with torch.set_grad_enabled(self._differentiates):
            return float(self._data.summed(self.module, batch).detach())

    def _checked_batch_size(self, size: int) -> int:
        if size < 1:
            raise ValueError(f"expected batches of at least one sample, got {size}")
        return 1 if isinstance(self._data, BatchData) and self._data.whole else size
