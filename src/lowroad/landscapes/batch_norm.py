"""Networks with batch norm whose statistics are re-estimated at every point."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lowroad.landscapes.chunk_sizes import CACHED
from lowroad.landscapes.landscape import Landscape
from lowroad.landscapes.network import NetworkLandscape
from lowroad.landscapes.network_data import Data
from lowroad.landscapes.tensor_data import TensorData

_BatchNorm = nn.modules.batchnorm._BatchNorm
NO_VARIANCE = "more than 1 value per channel"  # what PyTorch says of one number a channel
Hook = Callable[[_BatchNorm, tuple[Tensor, ...], Tensor], None]


class BatchNormLandscape(NetworkLandscape):
    """L(w) = 1/n Σ_i loss(module(x_i; w, s(w)), y_i): statistics re-estimated at every point.

    Running statistics belong to the weights they were measured at: between two networks neither
    those of one nor their mean is right, activations lose their variance and losses are too large
    (Jordan et al. 2023, REPAIR, arXiv:2211.08403). Here s(w), each batch norm's mean and variance,
    is what `torch.optim.swa_utils.update_bn` computes from the landscape's own data: the averages
    over the chunks, each chunk passing in training mode (dropout stays off),

        s(w) = 1/P Σ_p (mean, unbiased variance) of the layer's inputs on chunk p.

    The gradient is exact: ∇L = ∂L/∂w + (∂s/∂w)ᵀ ∂L/∂s, the second term by one more pass over the
    chunks. A value costs two forward passes over the data instead of one, a gradient three forward
    and two backward passes instead of one each. Mini-batches pass in training mode, normalized by
    their own statistics, through which their gradients go (Garipov et al. 2018, arXiv:1802.10026).

    The running statistics of a state dict are ignored, since they are estimated anew.

    Args:
        landscape: the network's landscape with fixed statistics; it stays as it is.
        statistics: the landscape whose data the statistics are estimated from, such as the training
            data for a landscape over test data; its own when not given.

    Raises:
        ValueError: when the module has no batch norm, the landscape re-estimates already, or the
            last chunk has one sample without a variance (an image of several pixels has one).

    >>> net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)).eval()
    >>> inputs = torch.tensor([[1.0], [2.0], [6.0]])
    >>> fixed = NetworkLandscape(net, inputs, torch.zeros(3, 1), "mean_squared_error")
    >>> landscape = BatchNormLandscape(fixed)
    >>> x = torch.tensor([5.0, 7.0, 1.0, 0.0])  # weight, bias, batch norm's weight and bias
    >>> round(landscape.value(x), 4), round(fixed.value(x), 1)  # (n − 1) / n whatever the weight
    (0.6667, 600.7)
    """

    def __init__(
        self, landscape: NetworkLandscape, statistics: NetworkLandscape | None = None
    ) -> None:
        if isinstance(landscape, BatchNormLandscape):
            raise ValueError(
                "expected a NetworkLandscape with fixed statistics, got a BatchNormLandscape, "
                "which re-estimates them already"
            )
        self.__dict__.update(landscape.__dict__)
        self._statistics = statistics
        self._model = copy.deepcopy(landscape._model)
        self._threaded = False  # every move changes the module's statistics
        self._vectorized = False
        if not self._chosen_chunk:  # statistics are averages over chunks: the same on every device
            self.chunk = CACHED
        self._first_layer = None  # the layers after it do not run in chunks with fixed statistics
        if not _norms_of(self.module):
            raise ValueError(
                f"{type(self.module).__name__} has no batch norm, so there are no statistics to "
                "re-estimate: use the landscape as it is"
            )
        self.reestimated = frozenset(
            f"{name}.{kind}" if name else kind
            for name, norm in self.module.named_modules()
            if isinstance(norm, _BatchNorm)
            for kind, _ in norm.named_buffers()
        )
        source = self if statistics is None else statistics
        if isinstance(source._data, TensorData):
            self._refuse_single_sample(source, source.chunk, "chunk")

    def _move_to(self, point: Tensor) -> None:
        super()._move_to(point)
        for norm in _norms_of(self.module):
            norm.reset_running_stats()
        with torch.no_grad(), _training(self.module, momentum=None):
            for _ in self._estimating(gradients=False):
                pass

    def _estimating(self, gradients: bool) -> Iterator[None]:
        """Let the chunks that the statistics are averages over pass through the module."""
        source = self if self._statistics is None else self._statistics
        for batch in source._data.chunks(source.chunk):
            with torch.set_grad_enabled(gradients or source._differentiates):
                try:
                    source._data.response(self.module, batch)
                except ValueError as error:
                    if NO_VARIANCE not in str(error):
                        raise
                    raise ValueError(
                        "expected batches of at least two samples, since one has no variance to "
                        "normalize by, got one of a single sample: choose another batch size"
                    ) from error
            yield

    def _sums_and_gradients(self) -> tuple[Tensor, Tensor]:
        norms = _norms_of(self.module)
        statistics_gradients = [
            torch.zeros(2, n.num_features, device=self.device).double() for n in norms
        ]

        def add_gradients(k: int, norm: _BatchNorm, x: Tensor, y: Tensor) -> None:
            """Add to ∂L/∂s_k, from y = (x − mean) / √(variance + ε) · weight + bias."""
            mean = norm.get_buffer("running_mean")
            deviation = (norm.get_buffer("running_var") + norm.eps).sqrt()
            scale = deviation.reciprocal() * (1 if norm.weight is None else norm.weight.detach())
            centred = _by_channel(x.detach()) - mean

            def collect(by_output: Tensor) -> None:
                by_output = _by_channel(by_output)
                statistics_gradients[k][0] -= (by_output * scale).sum(0, dtype=torch.float64)
                by_deviation = (by_output * centred * scale).sum(0, dtype=torch.float64)
                statistics_gradients[k][1] -= by_deviation / (2 * deviation**2)

            if y.requires_grad:
                y.register_hook(collect)

        with _hooked(norms, add_gradients):
            value, total = super()._sums_and_gradients()

        fractions = [
            p / n.get_buffer("num_batches_tracked")
            for p, n in zip(statistics_gradients, norms, strict=True)
        ]
        terms: list[Tensor] = []

        def estimate(k: int, norm: _BatchNorm, x: Tensor, y: Tensor) -> None:
            """Add ⟨∂L/∂s_k, statistics of x⟩ / P, whose gradient is (∂s_k/∂w)ᵀ ∂L/∂s_k."""
            columns = _by_channel(x)
            terms.append(fractions[k][0].to(x) @ columns.mean(0))
            terms.append(fractions[k][1].to(x) @ columns.var(0))

        # momentum 0: the statistics have been estimated already
        with _hooked(norms, estimate), _training(self.module, momentum=0.0):
            for _ in self._estimating(gradients=True):
                self._model.zero_gradient()
                if any(term.requires_grad for term in terms):  # else nothing moves them
                    with torch.enable_grad():
                        torch.stack(terms).sum().backward()
                total += self._model.gradient
                terms.clear()
        return value, total

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Landscape]:
        """Yield one shuffled epoch of landscapes normalized by their own batches' statistics."""
        self._refuse_single_sample(self, size, "batch")
        return super().minibatches(size, generator)

    def ensemble_minibatches(
        self, size: int, generators: Sequence[torch.Generator]
    ) -> Iterator[Landscape]:
        """Yield landscapes whose i-th point sees the i-th generator's shuffle."""
        return Landscape.ensemble_minibatches(self, size, generators)

    def _at(self, rows: Tensor) -> NetworkLandscape:
        return _OwnStatistics(super()._at(rows))

    def _refuse_single_sample(self, source: NetworkLandscape, size: int, what: str) -> None:
        samples = source.samples
        single = 1 in (samples, size, samples % size if size > 0 else 0)
        if single and not self._takes_one_sample(source._data):
            raise ValueError(
                f"expected at least two samples in every {what}, since one has no variance "
                f"to normalize by, but {samples} samples in {what} sizes of {size} leave a single "
                "one: choose another size"
            )

    def _takes_one_sample(self, data: Data) -> bool:
        """Whether one sample has a variance in every batch norm, as an image of many pixels has."""
        if not isinstance(data, TensorData):
            return False
        module = copy.deepcopy(self.module)
        try:
            with torch.no_grad(), _training(module, momentum=0.0):
                data.response(module, next(iter(data.chunks(1))))
        except ValueError as error:
            if NO_VARIANCE not in str(error):
                raise
            return False
        return True


class _OwnStatistics(NetworkLandscape):
    """A batch that passes as one chunk, in training mode."""

    def __init__(
        self, landscape: NetworkLandscape, statistics: NetworkLandscape | None = None
    ) -> None:
        self.__dict__.update(landscape.__dict__)
        self.chunk, self._vectorized = self.samples, False

    def values(self, points: Tensor) -> Tensor:
        with _training(self.module, momentum=0.0):
            return super().values(points)

    def values_and_gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        with _training(self.module, momentum=0.0):
            return super().values_and_gradients(points)


def _norms_of(module: nn.Module) -> list[_BatchNorm]:
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


@contextmanager
def _training(module: nn.Module, momentum: float | None) -> Iterator[None]:
    """Let batch norm use its batch's statistics; momentum None averages them cumulatively."""
    norms = _norms_of(module)
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = momentum
    try:
        yield
    finally:
        for norm, own in zip(norms, before, strict=True):
            norm.eval()
            norm.momentum = own


@contextmanager
def _hooked(
    norms: Sequence[_BatchNorm], call: Callable[[int, _BatchNorm, Tensor, Tensor], None]
) -> Iterator[None]:
    """Call `call(k, norm, input, output)` on every pass through the k-th batch norm."""

    def hook_of(k: int) -> Hook:
        return lambda norm, inputs, output: call(k, norm, inputs[0], output)

    handles = [norm.register_forward_hook(hook_of(k)) for k, norm in enumerate(norms)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _by_channel(x: Tensor) -> Tensor:
    """Return x [n, channels, ...] as [n ·…, channels]."""
    return x.movedim(1, -1).flatten(0, -2)
