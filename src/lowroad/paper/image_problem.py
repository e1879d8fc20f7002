"""The paper's four networks on MNIST as problems of a study."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from lowroad.landscapes import NetworkLandscape
from lowroad.paper.mnist import Images, Mnist, load_mnist
from lowroad.paper.networks import MODELS
from lowroad.problems import Problem, error_rate

CLASS_BALANCED = {"train": (54_210, 60_000), "test": (8_920, 10_000)}
"""The most images of a part with equally many of every class, and all images."""


def problem(
    network: str = "FCP",
    activation: str = "softplus",
    train_images: int = 60_000,
    test_images: int = 10_000,
    data_seed: int = 2026,
    device: str = "cpu",
) -> Problem:
    """One of the networks of Yu & Morozov 2026 (Section II.1) on MNIST.

    Args:
        network: "FCP", "LeNet", "Autoencoder" or "LSTM".
        activation: "softplus" as in the published programs, or "relu" as in the paper's text.
        train_images: how many training images; fewer than all are a class-balanced part.
        test_images: how many test images.
        data_seed: draws the parts.
        device: where everything is.

    Raises:
        ValueError: for another network or activation, or numbers of images that no balanced part
            has.
        MnistError: when the data cannot be had.
    """
    if network not in tuple(MODELS):
        raise ValueError(f"network: expected one of {', '.join(MODELS)}, got {network!r}")
    for name, number in (("train", train_images), ("test", test_images)):
        most, everything = CLASS_BALANCED[name]
        if not (10 <= number <= most or number == everything):
            raise ValueError(
                f"{name}_images: expected 10 to {most}, or all {everything} (between them no part "
                f"has equally many images of every class), got {number}"
            )
    model = MODELS[network]
    data = _data(train_images, test_images, data_seed)

    def landscape(images: Images) -> NetworkLandscape:
        module = model(activation=activation, generator=torch.Generator())  # type: ignore[arg-type]
        inputs, labels = images.images.to(device), images.labels.to(device)
        targets = labels if model.loss == "cross_entropy" else inputs
        return NetworkLandscape(module.to(device), inputs, targets, model.loss)

    def start(generator: torch.Generator) -> Tensor:
        module = model(activation=activation, generator=generator)  # type: ignore[arg-type]
        return torch.cat([p.detach().reshape(-1) for p in module.parameters()]).to(device)

    classifies = model.loss == "cross_entropy"
    return Problem(
        train=landscape(data.train),
        test=landscape(data.test),
        start=start,
        metrics={"error": error_rate} if classifies else {},
        lower_bound=0.0,
    )


@lru_cache(maxsize=1)
def _data(train: int, test: int, seed: int) -> Mnist:
    """A part of MNIST, loaded once in a process."""
    return load_mnist().subset(train, test, seed)
