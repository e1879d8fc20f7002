"""Time to a training loss of 1e-3: L-BFGS here against `torch.optim.LBFGS` with strong Wolfe.

    python benchmarks/time_to_loss.py [--networks FCP LeNet] [--images 10000] [--seeds 3]

Every optimizer starts from the same weights; the seconds are those from the start of the run to the
end of the iteration that reaches the loss (with PyTorch: of the evaluation). Prints the medians of
golden section (the paper's line search), of strong Wolfe and of PyTorch's strong Wolfe; `inf` where
a run was given up after --limit seconds.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import defaultdict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lowroad
from lowroad.optimizers import LineSearch
from lowroad.paper import networks


def seconds_here(
    landscape: lowroad.NetworkLandscape, line_search: LineSearch, loss: float, limit: float
) -> float:
    """Return the seconds that `lowroad.lbfgs` takes to the loss, infinity if it gives up."""
    began, reached = time.perf_counter(), math.inf

    def watch(progress: lowroad.Progress) -> bool:
        nonlocal reached
        spent = time.perf_counter() - began
        if progress.value <= loss:
            reached = spent
        return progress.value <= loss or spent > limit

    start = landscape.initial_point()
    lowroad.lbfgs(landscape, start, line_search=line_search, iterations=100_000, callback=watch)
    return reached


class _Ended(Exception):
    """Leaves `torch.optim.LBFGS` from inside its closure."""


def seconds_torch(
    module: nn.Module, images: Tensor, labels: Tensor, loss: float, limit: float
) -> float:
    """Return the seconds until PyTorch's L-BFGS first evaluates the loss, infinity if it gives up.

    It has its usual 20 iterations per step: with one per step, its line search stops moving early.
    """
    optimizer = torch.optim.LBFGS(
        module.parameters(), history_size=10, line_search_fn="strong_wolfe"
    )
    began, lowest = time.perf_counter(), math.inf

    def closure() -> Tensor:
        nonlocal lowest
        optimizer.zero_grad()
        value = F.cross_entropy(module(images), labels)
        value.backward()
        lowest = min(lowest, float(value.detach()))
        if lowest <= loss or time.perf_counter() - began > limit:
            raise _Ended
        return value

    before = None
    try:
        while lowest != before:  # a whole step without a lower loss is its end
            before = lowest
            optimizer.step(closure)
    except _Ended:
        pass
    return time.perf_counter() - began if lowest <= loss else math.inf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=["FCP", "LeNet", "LSTM"])
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--loss", type=float, default=1e-3)
    parser.add_argument("--limit", type=float, default=600.0)
    arguments = parser.parse_args()
    until = arguments.loss, arguments.limit
    part = lowroad.paper.load_mnist().subset(arguments.images, 10, seed=0).train
    for name in arguments.networks or ["FCP", "LeNet"]:
        rows: dict[str, list[float]] = defaultdict(list)
        for seed in range(arguments.seeds):
            module = networks.MODELS[name](generator=torch.Generator().manual_seed(seed))
            landscape = lowroad.NetworkLandscape(module, part.images, part.labels, "cross_entropy")
            for title, search in (
                ("golden section", lowroad.GoldenSection()),
                ("strong Wolfe", lowroad.StrongWolfe()),
            ):
                rows[title].append(seconds_here(landscape, search, *until))
            rows["torch"].append(seconds_torch(module, part.images, part.labels, *until))
            own = ", ".join(f"{title} {seconds[-1]:.1f} s" for title, seconds in rows.items())
            print(f"{name}, seed {seed}: {own}", flush=True)
        medians = {title: statistics.median(values) for title, values in rows.items()}
        print(
            f"{name}, {arguments.images} images, loss {arguments.loss:g}, medians: "
            + ", ".join(f"{title} {seconds:.1f} s" for title, seconds in medians.items()),
            flush=True,
        )


if __name__ == "__main__":
    main()
