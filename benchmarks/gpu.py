"""The speed table of the paper's networks on a CUDA device, and one run of each at full size.

    python benchmarks/gpu.py                          # about ten minutes on a large device
    python benchmarks/gpu.py --device cpu --small     # a trial of the program, in a minute

For each network: the agreement of values and gradients with the processor in float64; the time of
an L-BFGS iteration with golden section, of a step of SGD (one run, and many side by side, against
as many one after another), and of a whole path of 100 steps with its heights, each with its share
of the rate at which the device multiplies matrices, counted by the fewest products that it needs;
and what one run of each optimizer reaches in the time it is given.

Paths have 51 points and full batches on FCP and the autoencoder, 31 points and batches of 500
images on LSTM and LeNet. The rate is that of a float32 product without TF32, as the networks
compute, and convolutions' sums have one order. Times are medians between synchronizations, that of
a path is one. Exits with 1 where a value disagrees.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch
from torch.utils.flop_counter import FlopCounterMode

import lowroad
from lowroad.landscapes.math_kernels import math_kernels
from lowroad.optimizers import Progress
from lowroad.paper import problem
from lowroad.problems import Problem

NETWORKS = ("FCP", "Autoencoder", "LSTM", "LeNet")
FIRST_APPLIED = {"FCP": 1, "Autoencoder": 1, "LSTM": 28, "LeNet": 784}  # places of the first layer
TERMS, STEPS = 10, 100
PATHS = {"FCP": (51, None), "Autoencoder": (51, None), "LSTM": (31, 500), "LeNet": (31, 500)}
SEARCH = {"line_search": lowroad.GoldenSection(budget=6, first_step=0.2), "history": 10}
AGREEMENT = 1e-4  # relative, of float32 values and gradients with those of float64


def synchronized(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(call: Callable[[], object], device: str, times: int) -> float:
    """The median time of a call, after one that is not counted."""
    call()
    taken = []
    for _ in range(times):
        began = synchronized(device)
        call()
        taken.append(synchronized(device) - began)
    return statistics.median(taken)


def matrix_rate(device: str, size: int) -> float:
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    return 2 * size**3 / seconds(lambda: a @ b, device, 10)


def made(network: str, device: str, images: int) -> Problem:
    test = 10_000 if images == 60_000 else max(10, images // 6)
    return problem(network=network, train_images=images, test_images=test, device=device)


def start_of(own: Problem, seed: int) -> torch.Tensor:
    return own.start(torch.Generator().manual_seed(seed)).to(own.train.device)


def disagreement(network: str, device: str) -> float:
    """The largest relative difference of values and gradients from the processor's in float64."""
    theirs, worst = made(network, device, 500), 0.0
    ours = made(network, "cpu", 500).train
    assert isinstance(ours, lowroad.NetworkLandscape)
    module = ours.module.double()
    inputs = ours.inputs.double()
    targets = ours.targets.double() if ours.targets.is_floating_point() else ours.targets
    loss = "mean_squared_error" if targets.is_floating_point() else "cross_entropy"
    exact = lowroad.NetworkLandscape(module, inputs, targets, loss)
    for seed in range(3):
        point = start_of(theirs, seed)
        value, gradient = theirs.train.value_and_gradient(point)
        true_value, true_gradient = exact.value_and_gradient(point.cpu().double())
        difference = (gradient.cpu().double() - true_gradient).norm() / true_gradient.norm()
        worst = max(worst, abs(value - true_value) / abs(true_value), float(difference))
    return worst


def operations(landscape: lowroad.Landscape, network: str) -> tuple[float, float]:
    """Floating-point operations of the first layer for one image, and of all that follows."""
    assert isinstance(landscape, lowroad.NetworkLandscape)
    module, image = landscape.module, landscape.inputs[:1]
    with math_kernels(), FlopCounterMode(display=False) as counted, torch.no_grad():
        module(image)
    first = 2.0 * next(module.parameters()).numel() * FIRST_APPLIED[network]
    return first, counted.get_total_flops() - first


def least_operations(landscape: lowroad.Landscape, network: str) -> float:
    """Those of an L-BFGS iteration for one image: the fewest products that it needs.

    The direction goes through the first layer, six trials through what follows, and one backward
    pass through both.
    """
    first, behind = operations(landscape, network)
    return 2 * first + 8 * behind


def iteration(own: Problem, device: str, count: int) -> float:
    """Seconds of an L-BFGS iteration."""
    marks: list[float] = []

    def after(progress: Progress) -> None:
        marks.append(synchronized(device))

    lowroad.lbfgs(own.train, start_of(own, 0), iterations=count + 2, callback=after, **SEARCH)
    return statistics.median(b - a for a, b in pairwise(marks[1:]))


def sgd_step(own: Problem, device: str, runs: int, batch: int) -> float:
    """Seconds of a step of SGD for `runs` runs side by side."""
    starts = torch.stack([start_of(own, seed) for seed in range(runs)])
    generators = [torch.Generator().manual_seed(seed) for seed in range(runs)]
    batches = own.train.ensemble_minibatches(batch, generators)
    marks = [synchronized(device)]
    for landscape, _ in zip(batches, range(40), strict=False):
        _, gradients = landscape.values_and_gradients(starts)
        starts = starts - 0.1 * gradients
        marks.append(synchronized(device))
    return statistics.median(b - a for a, b in pairwise(marks[3:]))


def whole_path(own: Problem, network: str, device: str, steps: int) -> float:
    """Seconds of a path of so many steps, with its heights."""
    points, batch = PATHS[network]
    finder = lowroad.FourierPathFinder(
        objective="total", points=points, terms=TERMS, smoothness=0.01, steps=steps,
        learning_rate=1e-3, refinements=0, batch_size=batch,
    )  # fmt: skip
    ends = [start_of(own, seed) for seed in (0, 1)]

    def search(count: int) -> float:
        began = synchronized(device)
        generator = torch.Generator().manual_seed(0)
        replace(finder, steps=count).find(own.train, *ends, generator=generator)
        return synchronized(device) - began

    search(1)
    return search(steps)


def operations_of_path(first: float, behind: float, network: str, images: int, steps: int) -> float:
    """The fewest of a path: its steps, and the heights at the start, twice on the way and last."""
    points, batch = PATHS[network]
    heights = 4 * images * ((TERMS + 2) * first + points * behind)
    return steps * (batch or images) * (2 * (TERMS + 2) * first + 3 * points * behind) + heights


def run_for(limit: float, device: str, call: Callable[..., object]) -> None:
    """Run an optimizer for some seconds and tell what it reached."""
    began, last = synchronized(device), [0, float("nan")]

    def after(progress: Progress) -> bool:
        last[:] = progress.step, progress.value
        return synchronized(device) - began > limit

    call(callback=after)
    print(f"    {last[0]} steps in {synchronized(device) - began:.0f} s: loss {last[1]:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--runs", type=int, default=75, help="of SGD side by side")
    parser.add_argument("--limit", type=float, default=40.0, help="seconds for each whole run")
    parser.add_argument("--small", action="store_true", help="few images, to try the program")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device here: --device cpu --small tries the program")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    images, steps, runs = (600, 4, 3) if given.small else (60_000, STEPS, given.runs)
    limit = 1.0 if given.small else given.limit
    name = torch.cuda.get_device_name() if given.device == "cuda" else platform.processor()
    rate = matrix_rate(given.device, 512 if given.small else 8192)
    print(f"{name}, torch {torch.__version__}: {rate / 1e12:.3g} TFLOP/s in products")
    agrees = True
    for network in given.networks:
        own = made(network, given.device, images)
        different = disagreement(network, given.device)
        agrees = agrees and different < AGREEMENT
        print(f"{network}, {images} images; disagreement {different:.1e}")
        first, behind = operations(own.train, network)
        least = images * least_operations(own.train, network)
        taken = iteration(own, given.device, 3 if given.small else 10)
        print(f"  L-BFGS iteration   {1e3 * taken:9.1f} ms   {least / taken / rate:6.1%}")
        single = sgd_step(own, given.device, 1, 64)
        for count in (1, runs):
            taken = single if count == 1 else sgd_step(own, given.device, count, 64)
            share = count * 64 * (2 * first + 3 * behind) / taken / rate
            ratio = "" if count == 1 else f"   {count * single / taken:5.1f} times a plain loop"
            print(f"  SGD step, {count:2} runs  {1e3 * taken:9.2f} ms   {share:6.1%}{ratio}")
        taken = whole_path(own, network, given.device, steps)
        share = operations_of_path(first, behind, network, images, steps) / taken / rate
        print(f"  path, {steps:3} steps    {taken:9.2f} s    {share:6.1%}")
        start = start_of(own, 0)
        print("  one run of L-BFGS:")
        run_for(limit, given.device, lambda callback, own=own, start=start: lowroad.lbfgs(
            own.train, start, iterations=1000, callback=callback, **SEARCH))  # fmt: skip
        print("  one run of SGD:")
        run_for(limit, given.device, lambda callback, own=own, start=start: lowroad.sgd(
            own.train, start[None], generators=[torch.Generator().manual_seed(0)], epochs=80,
            callback=callback))  # fmt: skip
    if not agrees:
        sys.exit(f"values disagree by more than {AGREEMENT:g}")


if __name__ == "__main__":
    main()
