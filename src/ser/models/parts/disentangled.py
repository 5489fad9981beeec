"""Parts of the semantic system: CNN on the waveform, disentangled attention, the LSTM of its public code, the CCC
(P4; papers.md 7.1, 7.2, 7.4).

Letters: B blocks, T label rows of a block, F samples of a row, C channels, L steps after the CNN, E width, H units,
D dimensions of affect, N frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.errors import SerError

WHERE = "models.semantic"
Pooling = Literal["adaptive", "framewise", "reshape"]


class Waveform(nn.Module):
    """Blocks of convolution ("same", even kernels padded one more on the right), ReLU, max-pooling, dropout (papers.md
    7.1), brought to the label rows: (B, T, F) -> (B, T, `outputs`).

    ``adaptive`` averages the steps of the whole block under each row; ``framewise`` runs the blocks on every row
    alone; ``reshape`` cuts the steps as the public code does, which mixes time and channel. Raises `SerError` where a
    row is too short or the steps cannot be cut.
    """

    def __init__(
        self,
        samples: int,
        channels: Sequence[int],
        kernels: Sequence[int],
        pools: Sequence[int],
        pooling: Pooling,
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = (1, *channels)
        self.convolutions = nn.ModuleList(nn.Conv1d(*s) for s in zip(sizes, channels, kernels, strict=False))
        self.kernels, self.pools, self.pooling = tuple(kernels), tuple(pools), pooling
        self.dropout = nn.Dropout(dropout)
        steps = samples
        for pool in pools:
            steps //= pool
        width = {"adaptive": 1, "framewise": steps, "reshape": samples / math.prod(pools)}[pooling]
        self.outputs = int(channels[-1] * width)
        if not self.outputs:
            raise SerError(f"rows of {samples} samples are too short for pools {self.pools}", WHERE, "Lower the pools")

    def steps(self, x: Tensor) -> Tensor:
        """(B, N) samples -> (B, C, L)."""
        h = x[:, None]
        for convolution, k, pool in zip(self.convolutions, self.kernels, self.pools, strict=True):
            h = convolution(functional.pad(h, ((k - 1) // 2, k // 2)))
            h = self.dropout(functional.relu(functional.max_pool1d(h, pool)))  # as ReLU before it, on fewer values
        return h

    def forward(self, x: Tensor) -> Tensor:
        B, T, _ = x.shape
        if self.pooling == "framewise":
            return self.steps(x.flatten(0, 1)).reshape(B, T, -1)
        h = self.steps(x.flatten(1))
        if self.pooling == "adaptive":
            return functional.adaptive_avg_pool1d(h, T).transpose(1, 2)
        if h.shape[1] * h.shape[2] != T * self.outputs:
            what = f"{h.shape[2]} steps of {h.shape[1]} channels cannot be cut into {T} rows of {self.outputs}"
            raise SerError(what, f"{WHERE}.frame_pooling", "Set frame_pooling: adaptive; papers.md 7.1 says why")
        return h.transpose(1, 2).reshape(B, T, -1)


class Attention(nn.Module):
    """a_u u + a_v v with (a_u, a_v) = softmax(u.q / sqrt(E), v.q / sqrt(E)), one learnt q (papers.md 7.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(width) / math.sqrt(width))  # the papers are silent on its start; ours

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """u, v (..., E) -> (..., E)."""
        both = torch.stack([u, v], -2)
        weights = (both @ self.query / math.sqrt(both.shape[-1])).softmax(-1)
        return (weights[..., None] * both).sum(-2)


class Disentangled(nn.Module):
    """The two streams attended, then one linear layer for each dimension of affect, joined by attention one after the
    other (papers.md 7.2, 1 to 4): words (B, T, S), sound (B, T, P) -> (B, T, `dense`).

    The paper calls the layers arousal, liking, valence, in this order of joining; no loss tells them apart."""

    def __init__(
        self, words: int, sound: int, width: int, dense: int, branches: int, rectified: bool, dropout: float
    ) -> None:
        super().__init__()
        self.words, self.sound = nn.Linear(words, width), nn.Linear(sound, width)
        self.streams = Attention(width)
        self.branches = nn.ModuleList(nn.Linear(width, dense) for _ in range(branches))
        self.joins = nn.ModuleList(Attention(dense) for _ in range(branches - 1))
        self.rectified, self.dropout = rectified, nn.Dropout(dropout)

    def forward(self, words: Tensor, sound: Tensor) -> Tensor:
        x = self.streams(self.dropout(self.words(words)), self.dropout(self.sound(sound)))
        first, *others = (functional.relu(b(x)) if self.rectified else b(x) for b in self.branches)
        for join, other in zip(self.joins, others, strict=True):
            first = join(first, other)
        return first


class PeepholeLSTM(nn.Module):
    """The LSTM of the public code: input and forget gates see the last cell, the output gate the present one, cells are
    clipped (papers.md 7, table). (B, T, E) -> (B, T, H), gates in PyTorch's order i, f, g, o."""

    def __init__(self, inputs: int, units: int, clip: float) -> None:
        super().__init__()
        self.inputs, self.states = nn.Linear(inputs, 4 * units), nn.Linear(units, 4 * units, bias=False)
        self.peepholes = nn.Parameter(torch.zeros(3, units))  # of i, f, o; zero at first, a plain LSTM (ours)
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        driven = self.inputs(x)
        h = c = driven.new_zeros(len(x), self.peepholes.shape[1])
        see_i, see_f, see_o = self.peepholes
        found = []
        for row in driven.unbind(1):
            i, f, g, o = (row + self.states(h)).chunk(4, -1)
            c = torch.sigmoid(f + see_f * c) * c + torch.sigmoid(i + see_i * c) * torch.tanh(g)
            c = c.clamp(-self.clip, self.clip)
            h = torch.sigmoid(o + see_o * c) * torch.tanh(c)
            found.append(h)
        return torch.stack(found, 1)


def ccc(x: Tensor, y: Tensor, valid: Tensor, epsilon: float) -> Tensor:
    """2 cov / (var x + var y + (mean x - mean y)^2 + `epsilon`) with population moments over the last axis, (..., N)
    -> (...); frames that are not `valid` (bool) count for nothing, whatever they hold. 0 for a constant series and
    where no frame is valid (papers.md 7.4).
    """
    n = valid.sum(-1, keepdim=True).clamp(min=1)
    x, y = (torch.where(valid, s, 0.0) for s in (x, y))
    mx, my = (s.sum(-1, keepdim=True) / n for s in (x, y))
    dx, dy = (torch.where(valid, s - m, 0.0) for s, m in ((x, mx), (y, my)))
    vx, vy, cov = ((p.sum(-1) / n[..., 0]) for p in (dx * dx, dy * dy, dx * dy))
    return 2 * cov / (vx + vy + (mx - my)[..., 0].square() + epsilon)
