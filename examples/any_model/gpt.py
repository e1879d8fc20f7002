"""A small GPT with Hugging Face's calling convention: token-weighted loss, no objective."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn

import lowroad


class GPT(nn.Module):
    """Returns `loss` and `logits` when it is given `labels`; the head is tied to the embedding."""

    def __init__(self, vocabulary: int = 12, width: int = 16, length: int = 12) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.block = nn.TransformerEncoderLayer(width, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> SimpleNamespace:
        length = input_ids.shape[1]
        x = self.tokens(input_ids) + self.places(torch.arange(length))
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        logits = self.head(self.block(x, src_mask=mask))
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
            )
        return SimpleNamespace(loss=loss, logits=logits)


starts = torch.arange(40) % 12
ids = (starts[:, None] + torch.arange(12)) % 12  # counting
labels = ids.masked_fill(torch.arange(12) >= 4 + (starts[:, None] % 8), -100)  # unequal lengths
batches = [
    {"input_ids": a, "labels": b} for a, b in zip(ids.split(10), labels.split(10), strict=True)
]

# begin glue
problem = lowroad.network_problem(
    GPT, batches, weight=lambda batch: (batch["labels"][:, 1:] != -100).sum()
)
# end glue
a, b = lowroad.train(problem, "torch.optim.Adam", seeds=2, epochs=30, options={"lr": 0.01})
path = lowroad.FourierPathFinder(steps=20, points=9).find(
    problem.train, a.point, b.point, torch.Generator().manual_seed(0)
)
print(f"losses {a.value:.3g} and {b.value:.3g}, path height {path.height:.3g}")
