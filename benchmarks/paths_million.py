"""A path in 10^6 dimensions: height above the known pass, time and peak memory.

python benchmarks/paths_million.py [--dimension 1000000] [--objective max_flux]
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from lowroad.landscapes import SeparableValley
from lowroad.paths import FourierPathFinder, StraightLine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, default=10**6)
    parser.add_argument("--objective", choices=("max_flux", "total"), default="max_flux")
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    valley = SeparableValley(arguments.dimension, dtype=torch.float32)
    line = StraightLine().find(valley, *valley.ends)
    began = time.perf_counter()
    found = FourierPathFinder(objective=arguments.objective, steps=arguments.steps).find(
        valley, *valley.ends
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"straight line {line.height:.4f}, lowest pass {valley.lowest_height:.4f}")
    print(f"found {found.refined_height:.6f} ({found.outcome.value})")
    print(f"{found.evaluations.gradients:.0f} gradients, {found.evaluations.values:.0f} values")
    print(f"{time.perf_counter() - began:.0f} s, {memory:.2f} GiB at most")


if __name__ == "__main__":
    main()
