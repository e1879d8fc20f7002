"""Small networks of the kinds that people train, for tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class BasicBlock(nn.Module):
    """Two convolutions with batch norm and a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """The residual network of He et al. 2016 for small images; 3 blocks a stage is ResNet-20."""

    def __init__(self, blocks: int = 3, width: int = 16, channels: int = 3) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        sizes = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2)]
        self.blocks = nn.Sequential(
            *(
                BasicBlock(a if k == 0 else b, b, stride if k == 0 else 1)
                for a, b, stride in sizes
                for k in range(blocks)
            )
        )
        self.head = nn.Linear(4 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.bn(self.conv(x))))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Transformer(nn.Module):
    """Embeddings, pre-norm encoder layers, a readout tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(11, 8), nn.Parameter(torch.randn(5, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=self.positions.dtype)
        return self.head(self.layers(self.tokens(x) + self.positions, mask, is_causal=True))[:, -1]


class SelfAttention(nn.Module):
    """Causal attention as GPT-2 writes it: one product for queries, keys and values."""

    def __init__(self, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in self.qkv(x).chunk(3, -1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class Attentive(nn.Module):
    """A residual stream between an input and an output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.norm, self.attention = nn.Linear(3, 8), nn.LayerNorm(8), SelfAttention()
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return self.head((x + self.attention(self.norm(x))).mean(1))


class Recurrent(nn.Module):
    """A GRU of two layers."""

    def __init__(self, kind: type[nn.RNNBase] = nn.GRU, **options: bool) -> None:
        super().__init__()
        self.cells = kind(3, 6, 2, batch_first=True, **options)
        self.head = nn.Linear(12 if options.get("bidirectional") else 6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


class Packed(nn.Module):
    """A classifier of sequences of different lengths, 0 after their end."""

    def __init__(self, kind: type[nn.RNNBase] = nn.GRU) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 5, padding_idx=0)
        self.cells = kind(5, 6, bidirectional=True, batch_first=True)
        self.head, self.mean = nn.Linear(12, 4), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x != 0).sum(1).clamp_min(1)
        packed = pack_padded_sequence(
            self.words(x), lengths, batch_first=True, enforce_sorted=False
        )
        steps, last = self.cells(packed)
        last = last[0] if isinstance(last, tuple) else last
        steps, _ = pad_packed_sequence(steps, batch_first=True)
        return self.head(torch.cat([last[-2], last[-1]], 1)) + self.mean(steps.sum(1))


class Written(nn.Module):
    """What two layers make is written into one tensor, of which one entry stays 0."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(3, 4)
        self.head, self.last = nn.Linear(12, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        both = x.new_zeros(len(x), 3, 4)
        both[:, 0] = torch.tanh(self.first(x))
        both[:, 2].copy_(torch.tanh(self.second(x)))
        scaled = torch.ones_like(both)
        scaled[:, 1:] *= torch.tanh(self.last(both[:, 2]))[:, None]
        return self.head((both * scaled).flatten(1))


class Separable(nn.Module):
    """Batch norm on the input, one channel, group norm, depthwise and grouped convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 4, 3, padding=1))
        self.norm, self.prelu = nn.GroupNorm(2, 4), nn.PReLU(4)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.grouped = nn.Conv2d(4, 8, 1, groups=2)
        self.head = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.norm(self.first(x)))
        return self.head(torch.relu(self.grouped(x + self.depthwise(x))))


class UShaped(nn.Module):
    """Down, up by a transposed convolution, concatenated with what was there before."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep = nn.Conv1d(2, 4, 3, padding=1), nn.Conv1d(4, 6, 3, 2, 1)
        self.up, self.out = nn.ConvTranspose1d(6, 4, 2, 2), nn.Conv1d(8, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.down(x))
        return self.out(torch.cat([F.gelu(self.up(F.gelu(self.deep(x)))), x], 1)).mean(2)


class Gated(nn.Module):
    """A gated linear unit, weight norm, and an embedding bag of words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 6)
        self.gate = nn.utils.parametrizations.weight_norm(nn.Linear(6, 10))
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.glu(self.gate(self.words(x).sum(1))))
