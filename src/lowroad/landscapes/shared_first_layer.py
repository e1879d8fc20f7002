"""Networks whose first layer is linear in its weights: one product with the data per direction.

Inside an affine subspace w(c) = w_0 + Σ_j c_j w_j the first layer's output is
z(c) = X w_0ᵀ + Σ_j c_j X w_jᵀ: the data X meets each *direction* once, and every *point* is a
combination of these products. In the backward pass the output gradients ∂S/∂z_i of the points are
combined before they meet the data: again one product per direction. Outputs are [h, m] for h units
and m samples where the layer is dense, and [m, h] where it is a convolution of h outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lowroad.landscapes.chunk_sizes import floats_at_once
from lowroad.landscapes.first_layers import FirstConvolution, FirstLayer
from lowroad.landscapes.flat_module import FlatModule
from lowroad.landscapes.landscape import (
    RestrictedLandscape,
    SubspaceGradients,
    Weights,
    weighted_rows,
)
from lowroad.landscapes.losses import (
    Loss,
    cross_entropies,
    cross_entropy,
    mean_squared_error,
    mean_squared_errors,
)
from lowroad.landscapes.sparse_samples import SparseSamples
from lowroad.landscapes.subspace import AffineSubspace
from lowroad.landscapes.vectorized import dense_outputs, is_dense

if TYPE_CHECKING:
    from lowroad.landscapes.network import NetworkLandscape

LEAST_SAMPLES = 500  # of a chunk: with fewer, products are slow
FLOATS_AT_MOST = 30_000_000  # in one chunk's outputs of all points: more points go in groups
SAMPLES_AT_MOST = 10_000  # of a chunk: with more, nothing is faster
FLOATS_AT_ONCE = 3_000_000  # that a chunk holds: measured best on paths
IN_PLACE = {nn.Sigmoid: torch.sigmoid_, nn.Tanh: torch.tanh_, nn.ReLU: torch.relu_}


class SharedFirstLayerRestriction(RestrictedLandscape):
    """A network landscape in a subspace, its first layer's products with the data shared.

    A line is evaluated many times in a row, so its products are cached (2 h floats per sample, and
    h more of its last trial) and updated when the line moves, each move adding one rounding error;
    those of larger subspaces are computed chunk by chunk.
    """

    values_first = True

    def __init__(
        self,
        landscape: NetworkLandscape,
        model: FlatModule,
        first: FirstLayer | FirstConvolution,
        loss: Loss,
        samples: SparseSamples,
        subspace: AffineSubspace,
    ) -> None:
        super().__init__(landscape, subspace)
        self._data, self._first, self._samples = landscape, first, samples
        self._rest = _Rest(first, model, loss)
        self._rows = torch.cat([subspace.origin[None], subspace.directions])
        weights, self._biases = first.split(self._rows)
        self._weights = samples.arranged(weights)
        self._kept: dict[int, Tensor] | None = {} if subspace.rank <= 1 else None
        self._most = self._points_at_once()
        self._carried: dict[int, Tensor] = {}  # of the line that this one was moved from,
        self._step = 0.0  # which this one's origin lies on, here

    def _size(self, points: int) -> int:
        """Return how many samples a chunk has; on a line, whatever the number of points."""
        each = self._first.width * (len(self._rows) + (1 if self._kept is not None else points))
        if self._data.device.type != "cuda":
            return min(max(FLOATS_AT_ONCE // each, LEAST_SAMPLES), SAMPLES_AT_MOST)
        size = max(floats_at_once(self._data.device, self._rows.dtype) // each, LEAST_SAMPLES)
        return size if self._rest.dense else min(size, self._data.chunk)

    def _points_at_once(self) -> int:
        if self._kept is None or self._data.device.type != "cuda":
            return max(1, FLOATS_AT_MOST // (self._first.width * LEAST_SAMPLES))
        outputs = self._first.width * min(self._size(1), self._data.samples)
        return max(1, floats_at_once(self._data.device, self._rows.dtype) // outputs)

    def _chunks(self, points: int) -> Iterator[tuple[Tensor, list[Tensor], Tensor]]:
        """Yield the products [1 + k, h, m], blocks of features and targets of each chunk."""
        for i, (blocks, targets) in enumerate(self._samples.chunks(self._size(points))):
            products = None if self._kept is None else self._kept.get(i)
            if products is None:
                products = self._products(i, blocks)
                if self._kept is not None:
                    self._kept[i] = products
            yield products, blocks, targets

    def _products(self, i: int, blocks: list[Tensor]) -> Tensor:
        products = self._carried.pop(i, None)
        if products is None:
            return self._first.products(self._weights, self._biases, blocks)
        products[0].add_(products[1], alpha=self._step)  # in place: fresh memory costs page faults
        self._first.products(self._weights[1:], self._biases[1:], blocks, out=products[1:])
        return products

    @torch.no_grad()
    def values(self, coordinates: Tensor) -> Tensor:
        """Return the values [n] at `coordinates` [n, k]."""
        if len(coordinates) > self._most:
            return torch.cat([self.values(group) for group in coordinates.split(self._most)])
        coefficients, rest = self._combination(coordinates)
        sums = torch.zeros(len(coefficients), dtype=torch.float64, device=coefficients.device)
        for products, _, targets in self._chunks(len(coefficients)):
            sums += self._rest.sums(_combined(coefficients, products), rest, targets)
        return sums / self._data.weight

    def values_and_gradients(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Return values [n] and gradients by the coordinates [n, k]."""
        if len(coordinates) > self._most:
            groups = [self.values_and_gradients(c) for c in coordinates.split(self._most)]
            return torch.cat([h for h, _ in groups]), torch.cat([g for _, g in groups])
        coefficients, rest = self._combination(coordinates)
        gradients = torch.zeros(coordinates.shape, dtype=torch.float64, device=coefficients.device)

        def collect(products: Tensor, blocks: list[Tensor], output_gradients: Tensor) -> None:
            gradients.add_(output_gradients.flatten(1) @ products[1:].flatten(1).T)

        values, by_rest = self._sweep(coefficients, rest, collect)
        gradients += by_rest @ self._rows[1:, self._first.size :].T.double()
        return values, (gradients / self._data.weight).to(coordinates)

    def values_and_subspace_gradients(
        self, coordinates: Tensor, weights: Weights | None = None
    ) -> SubspaceGradients:
        """Return values [n] and the gradient by origin and directions [1 + k, d]."""
        if callable(weights):  # the points' gradients are combined before all values are known
            weights = weights(self.values(coordinates))
        coefficients, rest = self._combination(coordinates)
        values, gradients = self._combined_gradients(
            coefficients, rest, weighted_rows(coefficients[:, 1:], weights)
        )
        return SubspaceGradients(values, gradients)

    def value_and_gradient(self, coordinates: Tensor) -> tuple[float, Tensor]:
        """Return the value and the full gradient [d] at one point, `coordinates` [k]."""
        value, _, gradient = self.value_and_slope(coordinates)
        return value, gradient()

    def value_and_slope(self, coordinates: Tensor) -> tuple[float, Tensor, Callable[[], Tensor]]:
        """Return the value, its gradient by `coordinates` [k], and a function that returns ∇L [d].

        The slopes come from the cached products; only ∇L needs the data again.
        """
        coefficients, rest = self._combination(coordinates[None])
        slopes = torch.zeros(len(coordinates), dtype=torch.float64, device=coefficients.device)
        kept: list[tuple[Tensor, list[Tensor]]] = []

        def collect(products: Tensor, blocks: list[Tensor], output_gradients: Tensor) -> None:
            slopes.add_(products[1:].flatten(1) @ output_gradients.flatten())
            kept.append((output_gradients, blocks))

        values, by_rest = self._sweep(coefficients, rest, collect)
        size = self._first.size
        slopes += self._rows[1:, size:].double() @ by_rest[0]

        def gradient() -> Tensor:
            total = by_rest.new_zeros(1, self._data.dimension)
            total[:, size:] = by_rest
            for chunk in kept:
                self._first.add_pullback(total, *chunk)
            return self._mean(total)[0].to(coordinates)

        return float(values[0]), (slopes / self._data.weight).to(coordinates), gradient

    def rebased(self, coordinates: Tensor, directions: Tensor) -> RestrictedLandscape:
        """Return the restriction at another origin.

        The products are handed over from line to line rather than recomputed; the previous line
        recomputes its own if it is evaluated again.
        """
        origin = self.subspace.points(coordinates[None])[0]
        rebased = self._data.restrict(AffineSubspace(origin, directions))
        lines = self.subspace.rank == rebased.subspace.rank == 1
        if lines and isinstance(rebased, SharedFirstLayerRestriction):
            assert self._kept is not None
            rebased._carried, rebased._step = self._kept, float(coordinates[0])
            self._kept = {}
        return rebased

    def _combination(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows (1, c_i) [n, 1 + k] and the rest's parameters at each point [n, r]."""
        if coordinates.ndim != 2 or coordinates.shape[1] != self.subspace.rank:
            self.subspace.points(coordinates)  # raises, with what was expected
        coefficients = weighted_rows(coordinates.to(self._rows), None)
        return coefficients, coefficients @ self._rows[:, self._first.size :]

    def _combined_gradients(
        self, coefficients: Tensor, rest: Tensor, by: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return values [n] and Σ_i by_ij ∇L(x_i) as [columns of by, d]."""
        if len(coefficients) > self._most:
            parts = zip(*(rows.split(self._most) for rows in (coefficients, rest, by)), strict=True)
            groups = [self._combined_gradients(*own) for own in parts]
            gradients = torch.stack([g for _, g in groups]).sum(0)
            return torch.cat([h for h, _ in groups]), gradients
        size = self._first.size
        total = torch.zeros(
            by.shape[1], self._data.dimension, dtype=torch.float64, device=by.device
        )

        def collect(products: Tensor, blocks: list[Tensor], output_gradients: Tensor) -> None:
            combined = (by.T @ output_gradients.flatten(1)).view(-1, *output_gradients.shape[1:])
            self._first.add_pullback(total, combined, blocks)

        values, by_rest = self._sweep(coefficients, rest, collect)
        total[:, size:] = by.T.double() @ by_rest
        return values, self._mean(total).to(by)

    def _mean(self, total: Tensor) -> Tensor:
        """Return summed gradients [r, d] as means, their weights in the features' own order."""
        weights, _ = self._first.split(total)
        weights.copy_(self._samples.rearranged(weights))
        return total.div_(self._data.weight)

    def _sweep(
        self,
        coefficients: Tensor,
        rest: Tensor,
        collect: Callable[[Tensor, list[Tensor], Tensor], None],
    ) -> tuple[Tensor, Tensor]:
        """Go over the data once; return values [n] and summed gradients by the rest [n, r].

        `collect(products, blocks, output_gradients)` receives ∂L_i/∂z_i [n, h, m] of each chunk.
        """
        sums = torch.zeros(len(coefficients), dtype=torch.float64, device=coefficients.device)
        by_rest = torch.zeros(rest.shape, dtype=torch.float64, device=coefficients.device)
        for products, blocks, targets in self._chunks(len(coefficients)):
            outputs = _combined(coefficients, products)
            losses, output_gradients, by_parameters = self._rest.sums_and_output_gradients(
                outputs, rest, targets
            )
            sums += losses
            by_rest += by_parameters
            collect(products, blocks, output_gradients)
        return sums / self._data.weight, by_rest


class _Rest:
    """The layers after the first one: their summed losses, from first-layer outputs [n, h, m].

    Points are evaluated one by one, or at once with features before samples where that is faster
    (measured: for chains of narrow linear layers down to half the time, three quarters for a single
    point; with wide outputs, an autoencoder's, on a GPU alone). Values of chains of linear layers
    overwrite what they do not need again: wide outputs and their errors are the same memory.
    """

    def __init__(self, first: FirstLayer | FirstConvolution, model: FlatModule, loss: Loss) -> None:
        self._first, self._model, self._loss = first, model, loss
        self.dense = is_dense(first.rest)
        on_gpu = model.vector.is_cuda and loss is mean_squared_error
        self._together = self.dense and (loss is cross_entropy or on_gpu)

    def sums(self, outputs: Tensor, parameters: Tensor, targets: Tensor) -> Tensor:
        """Return the losses [n] at `parameters` [n, r], summed over samples.

        The `outputs` may be overwritten; there must be no gradient to compute.
        """
        if self._together:
            return self._at_once(outputs, parameters, targets)
        one = self._one_in_place if self.dense else self._one
        return torch.stack([one(z, p, targets) for z, p in zip(outputs, parameters, strict=True)])

    def sums_and_output_gradients(
        self, outputs: Tensor, parameters: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sums [n], their gradients by the outputs [n, h, m], and by the parameters."""
        if self._together:
            leaves = outputs.detach().requires_grad_(), parameters.detach().requires_grad_()
            with torch.enable_grad():
                sums = self._at_once(*leaves, targets)
                output_gradients, by_parameters = torch.autograd.grad(
                    sums.sum(), leaves, materialize_grads=True
                )
            return sums.detach(), output_gradients, by_parameters
        sums = outputs.new_empty(len(outputs), dtype=torch.float64)
        output_gradients, by_parameters = torch.empty_like(outputs), torch.empty_like(parameters)
        gradient = self._model.gradient[self._first.size :]
        for i, (z, own) in enumerate(zip(outputs, parameters, strict=True)):
            gradient.zero_()
            leaf = z.detach().requires_grad_()
            with torch.enable_grad():
                loss = self._one(leaf, own, targets)
                loss.backward()
            assert leaf.grad is not None
            sums[i], output_gradients[i], by_parameters[i] = loss.detach(), leaf.grad, gradient
        return sums, output_gradients, by_parameters

    def _one(self, outputs: Tensor, parameters: Tensor, targets: Tensor) -> Tensor:
        self._model.vector[self._first.size :] = parameters
        return self._loss(self._first.rest(self._first.by_sample(outputs)), targets)

    def _one_in_place(self, outputs: Tensor, parameters: Tensor, targets: Tensor) -> Tensor:
        self._model.vector[self._first.size :] = parameters
        x = outputs.T
        for layer in self._first.rest.children():
            x = IN_PLACE.get(type(layer), layer)(x)
        if self._loss is mean_squared_error:
            return mean_squared_error(x, targets, overwrite=True)
        return self._loss(x, targets)

    def _at_once(self, outputs: Tensor, parameters: Tensor, targets: Tensor) -> Tensor:
        targets = targets.expand(len(outputs), *targets.shape)
        if self._loss is mean_squared_error:
            last = dense_outputs(self._first.rest, parameters, outputs.transpose(1, 2), False)
            return mean_squared_errors(last, targets)
        return cross_entropies(dense_outputs(self._first.rest, parameters, outputs), targets)


def _combined(coefficients: Tensor, products: Tensor) -> Tensor:
    """Return z_i = Σ_j a_ij products_j as [n, h, m]."""
    if coefficients.shape == (1, 2):  # one point of a line
        return torch.add(products[:1], products[1:], alpha=float(coefficients[0, 1]))
    return (coefficients @ products.flatten(1)).view(len(coefficients), *products.shape[1:])
