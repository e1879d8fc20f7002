"""Time one L-BFGS-GSS iteration against the naive form of the published program.

    python benchmarks/lbfgs_iteration.py [--networks FCP LeNet LSTM Autoencoder] [--images 60000]

The naive form is made of PyTorch's own layers, evaluates all images in one chunk and calls backward
at every trial of the line search. Both forms do the same iterations from the same start and
alternate, so that their ratio holds on a noisy machine; medians are printed. Memory that the naive
form frees is kept for it (`MALLOC_MMAP_MAX_=0`), or it would spend half its time on page faults.

The bound is the time of the fewest products that an iteration needs, at the rate of a product of
matrices of 2048 in the same run: the direction through the first layer, six trials of the layers
after it, and one backward pass.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from gpu import least_operations, matrix_rate
from torch import Tensor, nn

import lowroad
from lowroad.optimizers.curvature import CurvatureMemory
from lowroad.optimizers.golden_section import GoldenSection
from lowroad.optimizers.line_search import LineFunction
from lowroad.paper import networks

KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def naive_iterations(module: nn.Module, inputs: Tensor, targets: Tensor) -> Iterator[float]:
    """Yield the loss after each iteration of the naive form."""
    loss_function = F.mse_loss if targets.is_floating_point() else F.cross_entropy
    parameters = list(module.parameters())
    point = nn.utils.parameters_to_vector(parameters).detach()

    def closure(x: Tensor) -> tuple[float, Tensor]:
        nn.utils.vector_to_parameters(x, parameters)
        module.zero_grad()
        loss = loss_function(module(inputs), targets)
        loss.backward()
        return float(loss.detach()), torch.cat([p.grad.reshape(-1) for p in parameters])

    memory = CurvatureMemory(10)
    value, gradient = closure(point)
    while True:
        direction = memory.direction(gradient)

        def trial(
            alpha: float, x: Tensor = point, p: Tensor = direction
        ) -> tuple[float, float, Callable[[], Tensor]]:
            value, gradient = closure(x + alpha * p)
            return value, float(gradient @ p), lambda: gradient

        function = LineFunction(direction, lambda alpha, trial=trial: trial(alpha)[0], trial, value)
        step = GoldenSection().search(function, value, float(direction @ gradient), 1.0)
        value, new_gradient = function.value_and_gradient(step.alpha)
        memory.add(step.alpha * direction, new_gradient - gradient)
        point, gradient = point + step.alpha * direction, new_gradient
        yield value


def of_plain_layers(module: nn.Module) -> nn.Module:
    """Return the module with PyTorch's own layers in place of this package's."""
    plain = copy.deepcopy(module)
    for name, layer in module.named_children():
        if isinstance(layer, networks.AveragePool):
            setattr(plain, name, nn.AvgPool2d(2))
        elif isinstance(layer, networks.ImageConvolution):
            convolution = nn.Conv2d(
                layer.in_channels, layer.out_channels, layer.kernel_size, padding=layer.padding
            )
            convolution.load_state_dict(layer.state_dict())
            setattr(plain, name, convolution)
    return plain


def alternating(
    landscape: lowroad.NetworkLandscape, naive: Iterator[float], count: int
) -> tuple[list[float], list[float], str]:
    """Do `count` iterations of the naive form and of `lowroad.lbfgs` in turn.

    The naive iteration is made, and timed, in the callback between two of ours.

    Returns:
        The seconds of the naive iterations, those of ours, and the losses that both reached.
    """
    naive_times: list[float] = []
    times: list[float] = []
    values = ""
    began = time.perf_counter()

    def callback(progress: lowroad.Progress) -> None:
        nonlocal began, values
        ended = time.perf_counter()
        times.append(ended - began)
        naive_value = next(naive)
        began = time.perf_counter()
        naive_times.append(began - ended)
        values = f"{naive_value:.5g} and {progress.value:.5g}"

    lowroad.lbfgs(landscape, landscape.initial_point(), iterations=count, callback=callback)
    return naive_times, times, values


def compare(name: str, images: int, iterations: int) -> None:
    """Print the two medians, their ratio, and the share of the bound for one network."""
    train = lowroad.paper.load_mnist().train
    inputs, labels = train.images[:images], train.labels[:images]
    model = networks.MODELS[name]
    module = model(generator=torch.Generator().manual_seed(0))
    targets = inputs if name == "Autoencoder" else labels
    landscape = lowroad.NetworkLandscape(module, inputs, targets, model.loss)
    naive = naive_iterations(of_plain_layers(module), inputs, targets)
    # the first iteration of each touches its memory for the first time
    theirs, ours, losses = alternating(landscape, naive, iterations + 1)
    a, b = statistics.median(theirs[1:]), statistics.median(ours[1:])
    bound = images * least_operations(landscape, name) / matrix_rate("cpu", 2048)
    print(
        f"{name:12s} {images} images: naive {a:7.3f} s, lowroad {b:7.3f} s, "
        f"{a / b:4.1f} times faster (losses {losses}), "
        f"{bound / b:.0%} of the bound"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(networks.MODELS))
    parser.add_argument("--images", type=int, default=60000)
    parser.add_argument("--iterations", type=int, default=5)
    arguments = parser.parse_args()
    if KEEP_MEMORY.items() - os.environ.items():  # it counts when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEP_MEMORY)
    for name in arguments.networks:
        compare(name, arguments.images, arguments.iterations)


if __name__ == "__main__":
    main()
