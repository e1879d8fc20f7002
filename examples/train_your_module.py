"""Train your own module with `lowroad.LBFGS`: a drop-in in a plain PyTorch loop.

    python examples/train_your_module.py [--steps 60] [--line-search golden] [--checkpoint FILE]

The module classifies the 1,797 handwritten digits that come with scikit-learn. The closure returns
only the loss, so that the optimizer calls backward once per step and makes the trials of
its line search without a graph. With --checkpoint the run saves itself every ten steps and goes on
from the file when it is started again; it ends in the same bits as an uninterrupted one.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lowroad import LBFGS


class DigitReader(nn.Module):
    """Any module will do; L-BFGS wants one without dropout or other randomness."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, kernel_size=3, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(8 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.pool(nn.functional.softplus(self.convolution(images[:, None])))
        return self.head(features.flatten(1))


def save(path: Path, step: int, module: nn.Module, optimizer: LBFGS) -> None:
    """Write the checkpoint beside its place first, so that it is never half-written."""
    state = {"step": step, "module": module.state_dict(), "optimizer": optimizer.state_dict()}
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--line-search", default="golden_section")
    parser.add_argument("--checkpoint", type=Path)
    arguments = parser.parse_args()

    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    training, testing = slice(0, 1400), slice(1400, None)

    torch.manual_seed(0)
    module = DigitReader()
    optimizer = LBFGS(module.parameters(), line_search=arguments.line_search)

    first = 1
    if arguments.checkpoint is not None and arguments.checkpoint.exists():
        state = torch.load(arguments.checkpoint, weights_only=True)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"] + 1

    def closure() -> Tensor:
        return nn.functional.cross_entropy(module(images[training]), labels[training])

    for step in range(first, arguments.steps + 1):
        loss = optimizer.step(closure)  # the loss after the step
        if step % 10 == 0:
            with torch.no_grad():
                guesses = module(images[testing]).argmax(1)
            right = (guesses == labels[testing]).float().mean()
            print(f"step {step:4d}  loss {loss:.3e}  test accuracy {right:.3f}")
            if arguments.checkpoint is not None:
                save(arguments.checkpoint, step, module, optimizer)
        if optimizer.outcome is not None:
            print(f"step {step:4d}  {optimizer.outcome.value}")
            break

    counted = optimizer.evaluations
    print(f"{counted.gradients:.0f} gradients and {counted.values:.0f} losses evaluated")


if __name__ == "__main__":
    main()
