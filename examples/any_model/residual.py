"""A residual network on a data loader: the barrier between two of its solutions."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lowroad


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.body(x))
        return self.head(nn.functional.avg_pool2d(x, 2).flatten(1))


images, labels = load_digits(n_class=10, return_X_y=True)
pixels = torch.tensor(images[:300] / 16, dtype=torch.float32).view(-1, 1, 8, 8)
loader = DataLoader(TensorDataset(pixels, torch.tensor(labels[:300])), batch_size=100)

# begin glue
problem = lowroad.network_problem(Residual, loader, loss="cross_entropy", metrics=["error"])
# end glue
a, b = lowroad.train(problem, "torch.optim.Adam", seeds=2, epochs=20, options={"lr": 0.01})
path = lowroad.FourierPathFinder(steps=20, points=9).find(
    problem.train, a.point, b.point, torch.Generator().manual_seed(0)
)
print(f"losses {a.value:.3g} and {b.value:.3g}, path height {path.height:.3g}")
