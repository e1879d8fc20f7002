"""What ends L-BFGS at the lowest losses: the precision of cross-entropies, and the tolerance.

    python benchmarks/lowest_losses.py --seeds 1

Trains FCP on all of MNIST by L-BFGS with golden section, as the study does, from the study's
starts: as everywhere here, with cross-entropies in float64 until no component of the gradient is
above 1e-9; with the tolerance 1e-7, the default of `torch.optim.LBFGS`; and with cross-entropies in
float32, the type of the outputs. Prints the losses at the end, taken in float64, the standard
deviation of the weights, and the last iteration that lowered the loss.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from torch import Tensor
from torch.nn import functional

import lowroad
from lowroad.paper import problem
from lowroad.paper.numbers import LOSSES, WEIGHTS
from lowroad.seeds import derived_seed

STUDY_SEED = 2026


def in_the_outputs_type(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets, reduction="none")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--images", type=int, default=60_000)
    given = parser.parse_args()
    images = given.images
    own = problem(network="FCP", train_images=images, test_images=max(10, images // 6))
    exact = own.train
    assert isinstance(exact, lowroad.NetworkLandscape)
    single = lowroad.NetworkLandscape(
        exact.module, exact.inputs, exact.targets, in_the_outputs_type, chunk=1000
    )
    print("| cross-entropies in | tolerance | loss | σ of the weights | last iteration |")
    print("|---|---|---|---|---|")
    for name, landscape, tolerance in (
        ("float64", exact, 1e-7),
        ("float32", single, 1e-7),
        ("float32", single, 1e-9),
        ("float64", exact, 1e-9),
    ):
        losses, deviations, last = [], [], []
        for seed in range(given.seeds):
            generator = torch.Generator().manual_seed(
                derived_seed(STUDY_SEED, "FCP", "initial weights", seed)
            )
            found = lowroad.lbfgs(
                landscape,
                own.start(generator),
                iterations=given.iterations,
                line_search=lowroad.GoldenSection(budget=6, first_step=0.2),
                history=10,
                tolerance=lowroad.Tolerance(gradient=tolerance),
            )
            losses.append(exact.value(found.point))
            deviations.append(float(found.point.double().std(correction=0)))
            last.append(found.step)
        shown = ", ".join(f"{loss:.2e}" for loss in losses)
        steps = ", ".join(map(str, last))
        print(
            f"| {name} | {tolerance:g} | {shown} | {statistics.mean(deviations):.3f} | {steps} |",
            flush=True,
        )
    loss, weights = LOSSES["FCP"]["lbfgs/train"], WEIGHTS["FCP"]["lbfgs/train"]
    print(f"| the paper, 48 of 75 runs | | {loss:.2e} | {weights.deviation:.3f} | |")


if __name__ == "__main__":
    main()
