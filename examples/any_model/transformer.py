"""A transformer encoder on dictionaries with padding: the barrier between two solutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import lowroad


class Classifier(nn.Module):
    """Which of the tokens 1 and 2 occurs more often?"""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(6, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, tokens: Tensor, padding: Tensor) -> Tensor:
        encoded = self.encoder(self.embed(tokens), src_key_padding_mask=padding)
        return self.head(encoded.masked_fill(padding[..., None], 0.0).sum(1))


generator = torch.Generator().manual_seed(0)
tokens = torch.randint(1, 6, (200, 10), generator=generator)
tokens[torch.rand(200, 10, generator=generator) < 0.2] = 0
batches = [
    {"tokens": part, "padding": part == 0, "more": ((part == 1).sum(1) > (part == 2).sum(1)).long()}
    for part in tokens.split(50)
]


# begin glue
def objective(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch["tokens"], batch["padding"]), batch["more"])


problem = lowroad.network_problem(Classifier, batches, objective=objective)
# end glue
a, b = lowroad.train(problem, "torch.optim.Adam", seeds=2, epochs=20, options={"lr": 0.01})
path = lowroad.FourierPathFinder(steps=20, points=9).find(
    problem.train, a.point, b.point, torch.Generator().manual_seed(0)
)
print(f"losses {a.value:.3g} and {b.value:.3g}, path height {path.height:.3g}")
