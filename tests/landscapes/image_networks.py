"""The four networks on random images."""

from __future__ import annotations

import torch
from torch import nn

from lowroad.landscapes import NetworkLandscape
from lowroad.paper.networks import Autoencoder


def data(samples: int = 70) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random images, in parts zero as digits are, and labels."""
    generator = torch.Generator().manual_seed(0)
    position = torch.randperm(784, generator=generator)
    reach = torch.randint(1, 785, (samples, 1), generator=generator)
    return (
        torch.rand(samples, 784, generator=generator) * (position < reach),
        torch.randint(0, 10, (samples,), generator=generator),
    )


def landscape_of(model: type[nn.Module], dtype=torch.float64, samples=70, chunk=32):
    images, labels = data(samples)
    images = images.to(dtype)
    module = model(generator=torch.Generator().manual_seed(1)).to(dtype)
    targets = images if model is Autoencoder else labels
    return module, NetworkLandscape(module, images, targets, model.loss, chunk=chunk)
