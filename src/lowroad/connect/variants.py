"""Variants of two checkpoints: units aligned, or statistics as they were trained."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lowroad.landscapes import (
    Alignment,
    NetworkLandscape,
    PermutationSpec,
    activation_matching,
    weight_matching,
)
from lowroad.paths import FoundPath
from lowroad.problems.checkpoints import Checkpoint
from lowroad.study.files import write_atomically

MATCHINGS: dict[str, Callable[..., Alignment]] = {
    "weights": weight_matching,
    "activations": activation_matching,
}
"""How hidden units are paired."""


def aligned(
    landscape: NetworkLandscape, first: Checkpoint, second: Checkpoint, match: str = "weights"
) -> Checkpoint:
    """Return the second checkpoint with its hidden units permuted to those of the first.

    Raises:
        ValueError: see `weight_matching` and `activation_matching`; and when the two are the same
            network, its units numbered otherwise, or there is no such matching.
    """
    if match not in MATCHINGS:
        raise ValueError(f"--match: expected one of {', '.join(MATCHINGS)}, got {match!r}")
    alignment = MATCHINGS[match](landscape, first.point, second.point)
    if torch.equal(alignment.point, first.point):
        raise ValueError(
            "the two checkpoints are the same network, its hidden units numbered otherwise: "
            "aligned, they are one point and there is no path to find"
        )
    spec = PermutationSpec.of(landscape)
    return Checkpoint(alignment.point, spec.permute(second.frozen, alignment.permutations))


def save_checkpoint(path: Path, landscape: NetworkLandscape, checkpoint: Checkpoint) -> None:
    """Write a checkpoint as a state dict of the landscape's module, for `torch.load`."""
    own = landscape.parameters_at(checkpoint.point) | checkpoint.frozen
    module = landscape.module
    every = [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]
    values = {id(tensor): own[name] for name, tensor in every if name in own}
    tensors = {name: values[id(tensor)] for name, tensor in every if id(tensor) in values}
    state = {
        name: tensors.get(name, tensor).detach().cpu().clone()
        for name, tensor in module.state_dict().items()
    }
    content = io.BytesIO()
    torch.save(state, content)
    write_atomically(path, content.getvalue())


def with_interpolated_statistics(
    landscape: NetworkLandscape, found: FoundPath, first: Checkpoint, second: Checkpoint
) -> FoundPath:
    """Return a path measured with fixed statistics, (1 − t) those of one end + t the other's.

    That is the network of which the weights are taken from the path and the running statistics are
    averaged like weights; at the ends it is the checkpoint itself. Only the grid is measured.
    """
    profile = np.empty_like(found.profile)
    for i, t in enumerate(torch.from_numpy(found.t)):
        between = {
            name: torch.lerp(own, second.frozen[name], float(t))
            for name, own in first.frozen.items()
            if own.is_floating_point()
        }
        profile[i] = landscape.with_buffers(between).value(found.path(t[None])[0])
    top = int(profile.argmax())
    return dataclasses.replace(
        found, profile=profile, refined_height=float(profile[top]), refined_t=float(found.t[top])
    )
