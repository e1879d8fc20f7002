"""The numbers that Yu & Morozov 2026 print, as data."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LOSSES", "PAIRS", "REFERENCE", "WEIGHTS", "MeanAndDeviation", "Source"]


@dataclass(frozen=True)
class Source:
    """A publication.

    Attributes:
        authors: Its authors.
        title: Its title.
        year: Its year.
        url: Where it is.
    """

    authors: str
    title: str
    year: int
    url: str


@dataclass(frozen=True)
class MeanAndDeviation:
    """A mean with a standard deviation."""

    mean: float
    deviation: float


REFERENCE = Source(
    authors="Yu & Morozov",
    title="Neural network optimization strategies and the topography of the loss landscape",
    year=2026,
    url="https://arxiv.org/abs/2602.21276",
)

# Table 1: mean over 48 runs of the lowest loss.
LOSSES: dict[str, dict[str, float]] = {
    "FCP": {
        "lbfgs/train": 1.26e-08,
        "sgd/train": 6.21e-04,
        "lbfgs/test": 9.69e-02,
        "sgd/test": 8.25e-02,
    },
    "LeNet": {
        "lbfgs/train": 3.35e-08,
        "sgd/train": 1.76e-05,
        "lbfgs/test": 4.17e-02,
        "sgd/test": 3.89e-02,
    },
    "Autoencoder": {
        "lbfgs/train": 1.69e-02,
        "sgd/train": 4.57e-02,
        "lbfgs/test": 1.65e-02,
        "sgd/test": 4.52e-02,
    },
    "LSTM": {
        "lbfgs/train": 1.63e-06,
        "sgd/train": 1.35e-02,
        "lbfgs/test": 1.55e-01,
        "sgd/test": 1.28e-01,
    },
}

# Table S1: mean and standard deviation of all components, pooled over 48 vectors.
WEIGHTS: dict[str, dict[str, MeanAndDeviation]] = {
    "FCP": {
        "sgd/train": MeanAndDeviation(-1.44e-03, 1.39e-01),
        "lbfgs/train": MeanAndDeviation(-2.47e-03, 2.34e-01),
        "sgd/test": MeanAndDeviation(-3.17e-03, 1.03e-01),
        "lbfgs/test": MeanAndDeviation(-4.11e-03, 1.22e-01),
    },
    "LeNet": {
        "sgd/train": MeanAndDeviation(-3.57e-03, 8.77e-02),
        "lbfgs/train": MeanAndDeviation(1.04e-03, 1.08e-01),
        "sgd/test": MeanAndDeviation(-2.83e-03, 7.06e-02),
        "lbfgs/test": MeanAndDeviation(2.33e-04, 8.00e-02),
    },
    "Autoencoder": {
        "sgd/train": MeanAndDeviation(-7.06e-03, 8.54e-02),
        "lbfgs/train": MeanAndDeviation(-3.65e-02, 1.60e-01),
        "sgd/test": MeanAndDeviation(-7.07e-03, 8.54e-02),
        "lbfgs/test": MeanAndDeviation(-3.65e-02, 1.61e-01),
    },
    "LSTM": {
        "sgd/train": MeanAndDeviation(1.35e-02, 3.24e-01),
        "lbfgs/train": MeanAndDeviation(1.06e-02, 7.33e-01),
        "sgd/test": MeanAndDeviation(1.16e-02, 2.59e-01),
        "lbfgs/test": MeanAndDeviation(2.92e-03, 4.76e-01),
    },
}

# The two pairs of sets that Figs. 5 and 6, and Figs. S3 and S4, compare.
PAIRS = (("sgd/test", "lbfgs/train"), ("sgd/test", "lbfgs/test"))
