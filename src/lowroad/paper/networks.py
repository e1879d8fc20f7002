"""The four networks of Yu & Morozov 2026 (Section II.1), as plain torch modules.

All take images as rows, ``[n, 784]`` with pixels in [0, 1]. A network's flat parameter vector is
the concatenation of its flattened parameters in the order of ``module.parameters()``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lowroad.problems import seeded_from

__all__ = ["FCP", "LSTM", "MODELS", "Autoencoder", "LeNet"]

Activation = Literal["softplus", "relu"]

PATCHED = 25  # images whose patches are held at once: they stay in cache
PATCHED_ON_GPU = 4000
UNFUSED = 10_000  # images on a GPU from which on an LSTM is faster without cuDNN

_ACTIVATIONS: dict[str, type[nn.Module]] = {"softplus": nn.Softplus, "relu": nn.ReLU}


def _activation(name: str) -> type[nn.Module]:
    if name not in _ACTIVATIONS:
        raise ValueError(f'activation must be "softplus" or "relu", not {name!r}')
    return _ACTIVATIONS[name]


def _initial_weights_from(generator: torch.Generator | None) -> AbstractContextManager[None]:
    """Let the layers made inside draw from ``generator``, or from PyTorch's global one if None."""
    return nullcontext() if generator is None else seeded_from(generator)


class FCP(nn.Sequential):
    """The fully connected perceptron 784-50-50-10 without biases; D = 42,200.

    ``logits = W3 a(W2 a(W1 x))`` with the activation ``a`` after both hidden layers.

    Args:
        activation: ``"softplus"`` (the published programs) or ``"relu"`` (the paper's text).
        generator: source of the initial weights, which have PyTorch's default distribution. The
            same state of the generator gives the same weights, and PyTorch's global generator is
            left as it was. ``None`` draws from the global generator as every torch module does.

    Raises:
        ValueError: for another activation.

    Example:
        >>> network = FCP(generator=torch.Generator().manual_seed(0))
        >>> network(torch.zeros(3, 784)).shape
        torch.Size([3, 10])
        >>> sum(weight.numel() for weight in network.parameters())
        42200
    """

    loss: ClassVar[str] = "cross_entropy"

    def __init__(
        self, activation: Activation = "softplus", generator: torch.Generator | None = None
    ) -> None:
        act = _activation(activation)
        with _initial_weights_from(generator):
            super().__init__(
                nn.Linear(784, 50, bias=False),
                act(),
                nn.Linear(50, 50, bias=False),
                act(),
                nn.Linear(50, 10, bias=False),
            )


class LeNet(nn.Sequential):
    """The convolutional network LeNet-5 with average pooling; D = 61,706.

    Convolution 1→6 (5×5, padding 2), activation, 2×2 average pool, convolution 6→16 (5×5),
    activation, 2×2 average pool, then linear layers 400-120-84-10 with the activation between;
    all with biases.

    Args:
        activation: ``"softplus"`` (the published programs) or ``"relu"`` (the paper's text).
        generator: source of the initial weights, as in `FCP`.

    Raises:
        ValueError: for another activation.

    Example:
        >>> network = LeNet(generator=torch.Generator().manual_seed(0))
        >>> network(torch.zeros(3, 784)).shape
        torch.Size([3, 10])
        >>> sum(weight.numel() for weight in network.parameters())
        61706
    """

    loss: ClassVar[str] = "cross_entropy"

    def __init__(
        self, activation: Activation = "softplus", generator: torch.Generator | None = None
    ) -> None:
        act = _activation(activation)
        with _initial_weights_from(generator):
            super().__init__(
                nn.Unflatten(1, (1, 28, 28)),
                ImageConvolution(1, 6, 5, padding=2),
                act(),
                AveragePool(),
                ImageConvolution(6, 16, 5),
                act(),
                AveragePool(),
                nn.Flatten(),
                nn.Linear(400, 120),
                act(),
                nn.Linear(120, 84),
                act(),
                nn.Linear(84, 10),
            )


class ImageConvolution(nn.Conv2d):
    """`nn.Conv2d` of stride 1 with a bias, whose gradient by the weights is a product with patches.

    Measured: on a CPU that takes a third of `nn.Conv2d`'s time for images of one channel that need
    no gradient themselves, and is done for those alone. On a GPU cuDNN's weight gradient with sums
    in one order is very slow for some sizes, and its convolution of one channel slower than one of
    a quarter of the pixels in four channels, which is done for even sizes and 5 × 5 weights.

    >>> layer = ImageConvolution(1, 6, 5, padding=2)
    >>> layer(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 6, 28, 28])
    """

    linear_in_parameters: ClassVar[bool] = True

    def forward(self, images: Tensor) -> Tensor:
        """Return the convolved images [n, outputs, h', w'] of `images` [n, channels, h, w]."""
        gains = images.is_cuda or (self.in_channels == 1 and not images.requires_grad)
        if not gains or self.bias is None or not self._is_plain():
            return super().forward(images)
        padding = self.padding[0]
        convolved: Tensor = _ImageConvolution.apply(images, self.weight, self.bias, padding)
        return convolved

    def _is_plain(self) -> bool:
        ones = self.stride == self.dilation == (1, 1) and self.groups == 1
        border = self.padding[0]
        if not isinstance(border, int) or self.padding != (border, border):
            return False
        return ones and border < min(self.kernel_size) and self.padding_mode == "zeros"


def convolved_by_quarters(images: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
    """Return `conv2d` of images of one channel and even size, with weights of 5 × 5 pixels.

    Pixels of even and odd rows and columns become four channels, and outputs likewise: a quarter of
    the places, where each output is a sum over 3 × 3 pixels of four channels.

    >>> images, weight, bias = torch.randn(2, 1, 8, 6), torch.randn(3, 1, 5, 5), torch.randn(3)
    >>> by_quarters = convolved_by_quarters(images, weight, bias, 2)
    >>> expected = nn.functional.conv2d(images, weight, bias, padding=2)
    >>> torch.allclose(by_quarters, expected, atol=1e-5)
    True
    """
    quarters = nn.functional.pixel_unshuffle(nn.functional.pad(images, [padding] * 4), 2)
    moved = [
        nn.functional.pixel_unshuffle(nn.functional.pad(weight, (j, 1 - j, i, 1 - i)), 2)
        for i in (0, 1)
        for j in (0, 1)
    ]
    kernels = torch.stack(moved, 1).flatten(0, 1)  # [4 outputs, 4, 3, 3]
    outputs = nn.functional.conv2d(quarters, kernels, bias.repeat_interleave(4))
    return nn.functional.pixel_shuffle(outputs, 2)


def _convolved(images: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    even = all(size % 2 == 0 for size in images.shape[2:])
    if images.is_cuda and bias is not None and even and weight.shape[1:] == (1, 5, 5):
        return convolved_by_quarters(images, weight, bias, padding)
    return nn.functional.conv2d(images, weight, bias, padding=padding)


class _ImageConvolution(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(images: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        return _convolved(images, weight, bias, padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        images, weight, _, ctx.padding = inputs
        ctx.save_for_backward(images, weight)
        ctx.save_for_forward(images, weight)

    @staticmethod
    def jvp(ctx: Any, images: Tensor | None, weight: Tensor, bias: Tensor, padding: None) -> Tensor:
        """Forwards, for products with the Hessian: the layer is linear in weights and biases."""
        saved, own = ctx.saved_tensors
        moved = _convolved(saved, weight, bias, ctx.padding)
        if images is None:
            return moved
        return moved + nn.functional.conv2d(images, own, padding=ctx.padding)

    @staticmethod
    def backward(ctx: Any, output_gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        images, weight = ctx.saved_tensors
        height, width = weight.shape[2:]
        together = PATCHED_ON_GPU if images.is_cuda else PATCHED
        products = []
        own = output_gradients.flatten(2).split(together)
        for part, by_output in zip(images.split(together), own, strict=True):
            padded = nn.functional.pad(part, [ctx.padding] * 4)
            patches = padded.unfold(2, height, 1).unfold(3, width, 1)  # [n, c, h', w', kh, kw]
            rows = patches.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)
            products.append(by_output @ rows.transpose(1, 2).to(by_output.dtype))
        by_weight = torch.cat(products).sum(0).view(weight.shape)
        by_images = None
        if ctx.needs_input_grad[0]:
            turned = weight.flip(2, 3).transpose(0, 1).to(output_gradients.dtype)
            border = height - 1 - ctx.padding, width - 1 - ctx.padding
            by_images = nn.functional.conv2d(output_gradients, turned, padding=border)
        return by_images, by_weight, output_gradients.sum((0, 2, 3)), None


class AveragePool(nn.Module):
    """The means of 2 × 2 pixels, as `nn.AvgPool2d(2)`, by sums of slices.

    On a CPU that takes a fifth of `nn.AvgPool2d`'s time forwards and half of it backwards.

    >>> AveragePool()(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[[[3.]]]])
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return the means [..., h / 2, w / 2] of `images` [..., h, w] of even height and width."""
        means: Tensor = _AveragePool.apply(images)
        return means


class _AveragePool(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(images: Tensor) -> Tensor:
        rows = images[..., ::2, :] + images[..., 1::2, :]
        return 0.25 * (rows[..., ::2] + rows[..., 1::2])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def jvp(ctx: Any, images: Tensor) -> Tensor:
        """Forwards, for products with the Hessian: the means are linear."""
        return _AveragePool.forward(images)

    @staticmethod
    def backward(ctx: Any, gradients: Tensor) -> Tensor:
        *outer, height, width = gradients.shape
        by_images = gradients.new_empty(*outer, 2 * height, 2 * width)
        quarter = 0.25 * gradients
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            by_images[..., i::2, j::2] = quarter
        return by_images


class LSTM(nn.Module):
    """The recurrent network: 28 steps of 28 permuted pixels, 48 hidden units; D = 15,456.

    The 784 pixels are permuted by ``torch.randperm(784)`` of seed 1234, once and for all networks,
    and read as 28 time steps of 28 features; the last hidden state goes through a linear layer
    48→10 without bias. The permutation is a buffer that state dictionaries do not hold.

    Args:
        activation: checked as in the other networks but without effect: the gates of an LSTM are
            sigmoids and hyperbolic tangents. It is here so that all four networks are made alike.
        generator: source of the initial weights, as in `FCP`.

    Raises:
        ValueError: for another activation.

    Example:
        >>> network = LSTM(generator=torch.Generator().manual_seed(0))
        >>> network(torch.zeros(3, 784)).shape
        torch.Size([3, 10])
        >>> sum(weight.numel() for weight in network.parameters())
        15456
    """

    loss: ClassVar[str] = "cross_entropy"
    permutation: Tensor

    def __init__(
        self, activation: Activation = "softplus", generator: torch.Generator | None = None
    ) -> None:
        _activation(activation)
        super().__init__()
        with _initial_weights_from(generator):
            self.recurrent = nn.LSTM(28, 48, batch_first=True)
            self.readout = nn.Linear(48, 10, bias=False)
        order = torch.randperm(784, generator=torch.Generator().manual_seed(1234), device="cpu")
        self.register_buffer("permutation", order.to(self.readout.weight.device), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``[n, 10]`` of images ``[n, 784]``."""
        steps = images.index_select(1, self.permutation).unflatten(1, (28, 28))
        if images.is_cuda and len(images) >= UNFUSED:  # measured: half of cuDNN's time
            with _without_cudnn():
                states, _ = self.recurrent(steps)
        else:
            states, _ = self.recurrent(steps)
        return self.readout(states[:, -1])


@contextmanager
def _without_cudnn() -> Iterator[None]:
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before


class Autoencoder(nn.Sequential):
    """The autoencoder 784-32-32-32-784 without biases; D = 52,224.

    The activation follows the first three layers and a sigmoid the last; the loss is the mean
    squared error against the image itself, so the targets of a landscape are its images.

    Args:
        activation: ``"softplus"`` (the paper) or ``"relu"``.
        generator: source of the initial weights, as in `FCP`.

    Raises:
        ValueError: for another activation.

    Example:
        >>> network = Autoencoder(generator=torch.Generator().manual_seed(0))
        >>> network(torch.zeros(3, 784)).shape
        torch.Size([3, 784])
        >>> sum(weight.numel() for weight in network.parameters())
        52224
    """

    loss: ClassVar[str] = "mean_squared_error"

    def __init__(
        self, activation: Activation = "softplus", generator: torch.Generator | None = None
    ) -> None:
        act = _activation(activation)
        with _initial_weights_from(generator):
            super().__init__(
                nn.Linear(784, 32, bias=False),
                act(),
                nn.Linear(32, 32, bias=False),
                act(),
                nn.Linear(32, 32, bias=False),
                act(),
                nn.Linear(32, 784, bias=False),
                nn.Sigmoid(),
            )


MODELS: dict[str, type[FCP] | type[LeNet] | type[LSTM] | type[Autoencoder]] = {
    "FCP": FCP,
    "LeNet": LeNet,
    "LSTM": LSTM,
    "Autoencoder": Autoencoder,
}
"""The four networks by the names that the paper and the study files use."""
