"""What work with deep networks costs.

    python benchmarks/deep_networks.py plane      a plane through ResNet-20, and plain passes
    python benchmarks/deep_networks.py permuted   permuted copies of ResNet-20 recognised
    python benchmarks/deep_networks.py gpt        three steps of a curve between networks of
                                                  GPT-2's shape: the memory at most

The plane's time is given for as many points as plain forward passes of the module over the same
2,000 images (CIFAR's shape, ResNet-20 of width 16).
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from functools import partial
from types import SimpleNamespace

import torch
from alignment import resnet20
from torch import Tensor, nn
from torch.nn import functional as F

import lowroad
from lowroad.analysis import random_plane
from lowroad.landscapes import PermutationSpec
from lowroad.landscapes.permutations import as_point


class GPT2(nn.Module):
    """124,439,808 parameters; the head is tied to the embedding."""

    def __init__(self, words: int = 50257, width: int = 768, heads: int = 12, depth: int = 12):
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(1024, width)
        layer = partial(
            nn.TransformerEncoderLayer, width, heads, 4 * width, dropout=0.0, activation="gelu",
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.blocks, self.norm = nn.ModuleList(layer() for _ in range(depth)), nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.words.weight
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, input_ids: Tensor, labels: Tensor) -> SimpleNamespace:
        length = input_ids.shape[1]
        x = self.words(input_ids) + self.places(torch.arange(length))
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        for block in self.blocks:
            x = block(x, src_mask=mask)
        logits = self.head(self.norm(x))
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return SimpleNamespace(loss=loss, logits=logits)


def on_images(count: int) -> lowroad.NetworkLandscape:
    """ResNet-20's loss on random images of CIFAR's shape."""
    torch.manual_seed(0)
    net = resnet20(16)
    net[0] = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
    images, labels = torch.randn(count, 3, 32, 32), torch.randint(0, 10, (count,))
    return lowroad.NetworkLandscape(net.eval(), images, labels, "cross_entropy")


def plane(resolution: int, count: int) -> None:
    """Print how long a plane takes, against as many plain forward passes."""
    landscape = on_images(count)
    point, module = landscape.initial_point(), landscape.module
    chunk = landscape.chunk
    passes, rows = [], [time.perf_counter()]

    @torch.no_grad()
    def plain() -> None:
        begin = time.perf_counter()
        for images, labels in zip(
            landscape.inputs.split(chunk), landscape.targets.split(chunk), strict=True
        ):
            F.cross_entropy(module(images), labels, reduction="sum").item()
        passes.append(time.perf_counter() - begin)

    def between(
        values: object,
    ) -> None:  # plain passes beside each row: the machine's load is alike
        taken.append(time.perf_counter() - rows[-1])
        plain()
        plain()
        rows.append(time.perf_counter())

    taken: list[float] = []
    plain()
    passes.clear()
    rows[0] = time.perf_counter()
    random_plane(
        landscape, point, generator=torch.Generator().manual_seed(0),
        resolution=resolution, callback=between,
    )  # fmt: skip
    ratio = sum(taken) / resolution**2 / statistics.mean(passes)
    print(
        f"{resolution}² points in {sum(taken):.1f} s, a plain pass {statistics.mean(passes):.2f} s "
        f"({torch.get_num_threads()} threads): {ratio:.3f} of as many plain passes"
    )


def permuted(seeds: int) -> None:
    """Print in how many seeds a permuted copy is recognised exactly, and the longest time."""
    landscape = on_images(64)
    point, spec = landscape.initial_point(), PermutationSpec.of(landscape)
    exact, times = 0, []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        mixed = {g: torch.randperm(n, generator=generator) for g, n in spec.sizes.items()}
        copy = as_point(spec.permute(landscape.parameters_at(point), mixed))
        begin = time.perf_counter()
        aligned = lowroad.weight_matching(landscape, point, copy)
        times.append(time.perf_counter() - begin)
        exact += aligned.distance == 0
    print(f"{exact} of {seeds} recognised exactly, each within {max(times):.1f} s")


def gpt() -> None:
    """Print the memory that three steps of a Bézier curve with one control point take at most."""
    words = torch.randint(0, 50257, (2, 32), generator=torch.Generator().manual_seed(0))
    landscape = lowroad.NetworkLandscape(GPT2(), [{"input_ids": words, "labels": words}])
    first = landscape.initial_point()
    second = first + 0.01 * torch.randn(len(first), generator=torch.Generator().manual_seed(1))
    begin = time.perf_counter()
    found = lowroad.BezierPathFinder(terms=1, steps=3).find(
        landscape, first, second, torch.Generator().manual_seed(0)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    peak = peak / 1e3 if sys.platform == "darwin" else peak  # bytes there, KiB elsewhere
    print(
        f"{len(first):,} parameters, height {found.height:.3f}, "
        f"{time.perf_counter() - begin:.0f} s, at most {peak:.1f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["plane", "permuted", "gpt"])
    parser.add_argument("--resolution", type=int, default=25)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=20)
    asked = parser.parse_args()
    if asked.what == "plane":
        plane(asked.resolution, asked.images)
    elif asked.what == "permuted":
        permuted(asked.seeds)
    else:
        gpt()


if __name__ == "__main__":
    main()
