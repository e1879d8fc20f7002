"""A variational autoencoder: its evidence bound with the same random numbers at every point."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import lowroad


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 4))
        self.decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 64))

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean negative evidence bound of a batch [n, 64]."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        error = (self.decoder(code) - x).square().sum(1)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return (error + divergence).mean()


images = torch.tensor(load_digits(return_X_y=True)[0][:200] / 16, dtype=torch.float32)

# begin glue
problem = lowroad.network_problem(VAE, images, objective=lambda model, x: model(x), seed=0)
# end glue
a, b = lowroad.train(problem, "torch.optim.Adam", seeds=2, epochs=20, options={"lr": 0.01})
path = lowroad.FourierPathFinder(steps=20, points=9).find(
    problem.train, a.point, b.point, torch.Generator().manual_seed(0)
)
print(f"losses {a.value:.3g} and {b.value:.3g}, path height {path.height:.3g}")
