"""A training loop of one's own, which leaves checkpoints for the study:

python examples/own_study/train_my_way.py
lowroad run examples/own_study/study.toml
"""

from __future__ import annotations

from pathlib import Path

import torch
from mywork import data, network
from torch.nn.functional import cross_entropy

FOLDER = Path(__file__).parent / "checkpoints"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    (images, labels), _ = data()
    for seed in range(8):
        torch.manual_seed(seed)
        model = network()
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
        for _ in range(15):
            for batch in torch.randperm(len(labels)).split(50):
                optimizer.zero_grad()
                cross_entropy(model(images[batch]), labels[batch]).backward()
                optimizer.step()
        torch.save({"model": model.state_dict()}, FOLDER / f"seed-{seed}.pt")


if __name__ == "__main__":
    main()
