"""The central abstraction of the package: a differentiable function of flat vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lowroad.landscapes.subspace import AffineSubspace
from lowroad.landscapes.symmetry import SymmetricImage


class Landscape(ABC):
    """A differentiable function L(x) of points x in R^d, always evaluated in batches.

    A network's loss on a data set, a test surface, a cluster's energy and a user's own function are
    all landscapes. An implementation sets the three attributes and writes `values` and
    `values_and_gradients`; one with data also writes `minibatches`, and one that evaluates points
    of a small affine subspace more cheaply overrides `restrict`.

    Attributes:
        dimension: d, the number of components of a point.
        dtype: the floating-point type that points must have.
        device: where points must lie.
        samples: the number of data samples that the value is a mean over; 1 where there is no data.
        batched: whether a call on many points costs about as much as one on a few, so that several
            searches should share their calls.
        free_gradients: whether a gradient comes with a value at no cost, as forces do with an
            energy; line searches use slopes then, unless told otherwise.
        gradient_tolerance: the largest component of a gradient at which an optimizer has arrived,
            unless told otherwise.
        failure: the exception for which a value of the last call is not finite, if there was one.
    """

    dimension: int
    dtype: torch.dtype
    device: torch.device
    samples: int = 1
    batched: bool = False
    free_gradients: bool = False
    gradient_tolerance: float = 1e-9
    failure: Exception | None = None

    @abstractmethod
    def values(self, points: Tensor) -> Tensor:
        """Return the values L(x_i) of `points` [n, d] as float64 [n], without gradients."""

    @abstractmethod
    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return values as float64 [n] and gradients [n, d] in the points' own type."""

    def value(self, point: Tensor) -> float:
        """Return the value of one point [d]."""
        return float(self.values(point[None])[0])

    def value_and_gradient(self, point: Tensor) -> tuple[float, Tensor]:
        """Return the value and the gradient [d] at one point [d]."""
        values, gradients = self.values_and_gradients(point[None])
        return float(values[0]), gradients[0]

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Landscape]:
        """Yield one shuffled epoch of landscapes, each over `size` samples of the data.

        The last batch holds the remaining samples; `generator` shuffles them.

        Raises:
            TypeError: when the landscape is not a mean over data.
        """
        raise TypeError(
            f"{type(self).__name__} has no data to draw mini-batches from; "
            "use the full landscape (batch_size=None)"
        )

    def ensemble_minibatches(
        self, size: int, generators: Sequence[torch.Generator]
    ) -> Iterator[Landscape]:
        """Yield one epoch of landscapes whose i-th point sees the i-th generator's own shuffle.

        The landscapes take exactly one point for each generator: `points` [len(generators), d].
        """
        for batches in zip(*(self.minibatches(size, g) for g in generators), strict=True):
            yield PointwiseLandscape(batches)

    def check_repeatable(self, point: Tensor) -> None:  # noqa: B027
        """Refuse a landscape whose value at `point` [d] depends on more than the point.

        Called where work begins: at a start, at the ends of a path. Nothing here; landscapes that
        can tell cheaply do.

        Raises:
            ValueError: when it does.
        """

    def first(self, samples: int) -> Landscape:
        """Return the landscape over the first `samples` of its data; itself where it has none."""
        return self

    def symmetric_image(self, reference: Tensor, point: Tensor) -> SymmetricImage | None:
        """Return the image of `point` [d] that a symmetry brings nearest to `reference` [d].

        None where the landscape knows no symmetry, or none is found that brings it nearer.
        """
        return None

    def restrict(self, subspace: AffineSubspace) -> RestrictedLandscape:
        """Return this landscape inside an affine subspace (a line, a path's span, a plane)."""
        return RestrictedLandscape(self, subspace)

    def check_points(self, points: Tensor) -> None:
        """Refuse points that this landscape cannot take.

        Raises:
            ValueError: when `points` is not [n, d] with the landscape's dimension.
            TypeError: when it is not a tensor, or its type or device differs from the landscape's.
        """
        if not isinstance(points, Tensor):
            raise TypeError(
                f"expected points as a torch tensor for {type(self).__name__}, got "
                f"{type(points).__name__}"
            )
        if points.ndim != 2 or points.shape[1] != self.dimension:
            raise ValueError(
                f"expected points of shape [n, {self.dimension}] for {type(self).__name__}, "
                f"got {list(points.shape)}"
            )
        if points.dtype != self.dtype:
            raise TypeError(
                f"expected points of type {self.dtype} for {type(self).__name__}, got "
                f"{points.dtype}; convert them with points.to({self.dtype})"
            )
        if points.device.type != self.device.type:
            raise TypeError(
                f"expected points on {self.device} for {type(self).__name__}, got them on "
                f"{points.device}; move them with points.to({str(self.device)!r})"
            )


def check_landscape(landscape: object) -> None:
    """Refuse anything that is not a landscape.

    Raises:
        TypeError: when it is none.
    """
    if not isinstance(landscape, Landscape):
        raise TypeError(
            f"expected a landscape, got {type(landscape).__name__}; FunctionLandscape and "
            "NumpyLandscape make one of a function, NetworkLandscape of a module"
        )


class PointwiseLandscape(Landscape):
    """A landscape whose i-th point is evaluated on the i-th of several landscapes."""

    def __init__(self, landscapes: Sequence[Landscape]) -> None:
        self.landscapes = landscapes
        self.dimension = landscapes[0].dimension
        self.dtype, self.device = landscapes[0].dtype, landscapes[0].device
        self.samples = landscapes[0].samples

    def values(self, points: Tensor) -> Tensor:
        """Return L_i(x_i) for `points` [n, d], n being the number of landscapes."""
        return torch.cat(
            [each.values(x[None]) for each, x in zip(self.landscapes, points, strict=True)]
        )

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_i(x_i) [n] and their gradients [n, d]."""
        pairs = [
            each.values_and_gradients(x[None])
            for each, x in zip(self.landscapes, points, strict=True)
        ]
        return torch.cat([h for h, _ in pairs]), torch.cat([g for _, g in pairs])


class SubspaceGradients(NamedTuple):
    """Values [n] and the gradient of their weighted sum by the subspace itself [1 + k, d]."""

    values: Tensor
    gradients: Tensor


Weights = Tensor | Callable[[Tensor], Tensor]

FLOATS_AT_ONCE = 2**26  # of the points that a restriction makes at once: 256 MB in float32
FEW = 16  # points at once: with no more, values for weights come first and no gradients wait


class RestrictedLandscape:
    """A landscape inside an affine subspace x(c) = origin + c · directions.

    This generic form makes the points and evaluates them, those of large landscapes in groups. A
    landscape with a cheaper method returns a subclass from `restrict`, which gives the same
    numbers.

    Attributes:
        values_first: whether weights given as a function of the values need a separate evaluation
            of the values.
    """

    values_first = False

    def __init__(self, landscape: Landscape, subspace: AffineSubspace) -> None:
        landscape.check_points(subspace.origin[None])
        self.landscape = landscape
        self.subspace = subspace
        self._together = max(1, FLOATS_AT_ONCE // landscape.dimension)
        if self._together <= FEW:
            self.values_first = True

    def values(self, coordinates: Tensor) -> Tensor:
        """Return the values of the points at `coordinates` [n, k] as float64 [n]."""
        groups = coordinates.split(self._together)
        return torch.cat([self.landscape.values(self.subspace.points(each)) for each in groups])

    def values_and_gradients(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Return values [n] and their gradients by the coordinates, ∂L/∂c, as [n, k]."""
        pairs = []
        for each in coordinates.split(self._together):
            values, gradients = self.landscape.values_and_gradients(self.subspace.points(each))
            pairs.append((values, gradients @ self.subspace.directions.T))
        return torch.cat([values for values, _ in pairs]), torch.cat([g for _, g in pairs])

    def values_and_subspace_gradients(
        self, coordinates: Tensor, weights: Weights | None = None
    ) -> SubspaceGradients:
        """Return values and the gradient of S = Σ_i w_i L(x(c_i)) by the subspace itself.

        Row 0 is ∂S/∂origin = Σ_i w_i ∇L(x_i), row 1 + j is ∂S/∂direction_j = Σ_i w_i c_ij ∇L(x_i):
        the gradients that move a path.

        Args:
            coordinates: [n, k].
            weights: w [n], or a function that computes them from the values [n] (the weights are
                then not differentiated); ones when not given.
        """
        if callable(weights) and self.values_first:
            weights = weights(self.values(coordinates))
        size = max(1, len(coordinates)) if callable(weights) else self._together
        values, total = [], None
        for first in range(0, max(1, len(coordinates)), size):
            group = slice(first, first + size)
            at, gradients = self.landscape.values_and_gradients(
                self.subspace.points(coordinates[group])
            )
            own = weights(at) if callable(weights) else None if weights is None else weights[group]
            rows = weighted_rows(coordinates[group].to(gradients), own)
            total = rows.T @ gradients if total is None else total.addmm_(rows.T, gradients)
            values.append(at)
            del gradients  # before the next ones: each is as large as a point
        assert total is not None
        return SubspaceGradients(torch.cat(values), total)

    def value_and_gradient(self, coordinates: Tensor) -> tuple[float, Tensor]:
        """Return the value and the full gradient ∇L [d] at the point at `coordinates` [k]."""
        return self.landscape.value_and_gradient(self.subspace.points(coordinates[None])[0])

    def value_and_slope(self, coordinates: Tensor) -> tuple[float, Tensor, Callable[[], Tensor]]:
        """Return the value, its gradient by the coordinates [k], and a function for ∇L [d].

        At the point at `coordinates` [k], for line searches, whose trials need only slopes: the
        full gradient is computed when the returned function is called.
        """
        value, gradient = self.value_and_gradient(coordinates)
        return value, self.subspace.directions @ gradient, lambda: gradient

    def rebased(self, coordinates: Tensor, directions: Tensor) -> RestrictedLandscape:
        """Return the restriction with its origin at `coordinates` [k] and new directions [m, d]."""
        origin = self.subspace.points(coordinates[None])[0]
        return self.landscape.restrict(AffineSubspace(origin, directions))


def weighted_rows(coordinates: Tensor, weights: Tensor | None) -> Tensor:
    """Return w_i · (1, c_i) as [n, 1 + k]: each point's weights in a gradient by the subspace."""
    rows = torch.cat([coordinates.new_ones(len(coordinates), 1), coordinates], dim=1)
    return rows if weights is None else rows * weights.to(rows)[:, None]
