"""Train two networks with batch norm, for `lowroad connect` to find what lies between them.

    python examples/two_networks.py
    lowroad connect a.pt b.pt --landscape examples.two_networks:landscape \
        --align --reestimate-batch-norm --set batch_size=250

The networks read the first 1,500 handwritten digits that come with scikit-learn; they differ in
their seeds. They are written as state dicts to `a.pt` and `b.pt` in the present folder.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lowroad import NetworkLandscape


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(64, 128, bias=False),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, 128, bias=False),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images[:1500] / 16).float(), torch.from_numpy(labels[:1500])


def landscape() -> NetworkLandscape:
    """What `lowroad connect` asks for: the network in evaluation mode, the data, the loss."""
    return NetworkLandscape(network().eval(), *digits(), loss="cross_entropy")


def train(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    images, labels = digits()
    module = network()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(20):
        for rows in torch.randperm(len(images)).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(images[rows]), labels[rows]).backward()
            optimizer.step()
    return module


if __name__ == "__main__":
    for seed, name in enumerate(("a.pt", "b.pt")):
        torch.save(train(seed).state_dict(), name)
        print(name)
