"""Samples in an order in which products skip zeros, against the original data."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowroad.landscapes import sparse_samples
from lowroad.landscapes.sparse_samples import SparseSamples


def restored(samples: SparseSamples, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features and targets of the chunks in their original order."""
    features, targets = torch.zeros_like(samples.features), []
    first = 0
    for blocks, own in samples.chunks(size):
        assert sum(len(block) for block in blocks) == len(own) <= size
        targets.append(own)
        for block in blocks:
            features[first : first + len(block), : block.shape[1]] = block
            first += len(block)
    return samples.rearranged(features)[samples.places], torch.cat(targets)[samples.places]


@given(
    seed=st.integers(0, 2**31),
    count=st.integers(1, 40),
    width=st.integers(1, 12),
    density=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    size=st.integers(1, 50),
    block=st.integers(1, 20),
)
def test_chunks_hold_all_that_was_given(seed, count, width, density, size, block):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, width, 1, generator=generator)
    inputs *= torch.rand(inputs.shape, generator=generator) < density
    targets = torch.arange(count)
    samples = SparseSamples.of(inputs, targets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_samples, "BLOCK", block)
        features, own = restored(samples, size)
        assert torch.equal(features, inputs[:, :, 0])
        assert torch.equal(own, targets)
        rows = torch.randperm(count, generator=generator)[: 1 + count // 2]
        features, own = restored(samples.at(rows), size)
        assert torch.equal(features, inputs[rows, :, 0])
        assert torch.equal(own, rows)
    weights = torch.randn(2, width, generator=generator)
    assert torch.equal(samples.rearranged(samples.arranged(weights)), weights)


def test_chunks_are_as_narrow_as_their_samples():
    """All samples have feature 3, two have feature 0 as well, one of these feature 4."""
    inputs = torch.zeros(6, 5)
    inputs[:, 3] = 1.0
    inputs[::3, 0] = -2.0
    inputs[0, 4] = 3.0
    samples = SparseSamples.of(inputs, torch.arange(6))
    assert samples.columns is not None
    assert samples.columns[:3].tolist() == [3, 0, 4]
    widths = [blocks[0].shape[1] for blocks, _ in samples.chunks(2)]
    assert widths == [1, 1, 3]
    assert samples.targets.tolist() == [1, 2, 4, 5, 3, 0]


def test_what_has_no_zeros_is_not_copied():
    inputs = torch.ones(4, 3)
    samples = SparseSamples.of(inputs, torch.arange(4))
    assert samples.features.data_ptr() == inputs.data_ptr()
    assert samples.columns is None


def test_what_is_no_number_is_no_zero():
    inputs = torch.zeros(3, 4)
    inputs[1, 2], inputs[2, 0] = math.nan, -math.inf
    features, _ = restored(SparseSamples.of(inputs, torch.arange(3)), 2)
    torch.testing.assert_close(features, inputs, rtol=0.0, atol=0.0, equal_nan=True)
