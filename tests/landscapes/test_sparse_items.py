"""Items in the order that lets products pass over zeros: nothing is lost, little is multiplied."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowroad.landscapes import sparse_items
from lowroad.landscapes.sparse_items import SparseItems


def restored(items: SparseItems, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features and targets that the pieces hold, as they were before."""
    features, targets = torch.zeros_like(items.features), []
    first = 0
    for strips, own in items.pieces(size):
        assert sum(len(strip) for strip in strips) == len(own) <= size
        targets.append(own)
        for strip in strips:
            features[first : first + len(strip), : strip.shape[1]] = strip
            first += len(strip)
    return items.rearranged(features)[items.places], torch.cat(targets)[items.places]


@given(
    seed=st.integers(0, 2**31),
    count=st.integers(1, 40),
    width=st.integers(1, 12),
    density=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    size=st.integers(1, 50),
    strip=st.integers(1, 20),
)
def test_pieces_hold_all_that_was_given(seed, count, width, density, size, strip):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, width, 1, generator=generator)
    inputs *= torch.rand(inputs.shape, generator=generator) < density
    targets = torch.arange(count)
    items = SparseItems.of(inputs, targets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_items, "STRIP", strip)
        features, own = restored(items, size)
        assert torch.equal(features, inputs[:, :, 0])
        assert torch.equal(own, targets)
        rows = torch.randperm(count, generator=generator)[: 1 + count // 2]
        features, own = restored(items.at(rows), size)
        assert torch.equal(features, inputs[rows, :, 0])
        assert torch.equal(own, rows)
    weights = torch.randn(2, width, generator=generator)
    assert torch.equal(items.rearranged(items.arranged(weights)), weights)


def test_pieces_are_as_narrow_as_their_items():
    """All items have feature 3, two have feature 0 as well, one of these feature 4."""
    inputs = torch.zeros(6, 5)
    inputs[:, 3] = 1.0
    inputs[::3, 0] = -2.0
    inputs[0, 4] = 3.0
    items = SparseItems.of(inputs, torch.arange(6))
    assert items.columns is not None
    assert items.columns[:3].tolist() == [3, 0, 4]
    widths = [strips[0].shape[1] for strips, _ in items.pieces(2)]
    assert widths == [1, 1, 3]
    assert items.targets.tolist() == [1, 2, 4, 5, 3, 0]


def test_what_has_no_zeros_is_not_copied():
    inputs = torch.ones(4, 3)
    items = SparseItems.of(inputs, torch.arange(4))
    assert items.features.data_ptr() == inputs.data_ptr()
    assert items.columns is None


def test_what_is_no_number_is_no_zero():
    inputs = torch.zeros(3, 4)
    inputs[1, 2], inputs[2, 0] = math.nan, -math.inf
    features, _ = restored(SparseItems.of(inputs, torch.arange(3)), 2)
    torch.testing.assert_close(features, inputs, rtol=0.0, atol=0.0, equal_nan=True)
