"""The convolutional branch of Fusion-ConvBERT (P1 section 3.2, Table 1; papers.md 4.2), which `cnns` uses alone.

Letters: B utterances, T frames, F bands, C channels, S tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Literal["swish", "gelu", "relu"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "swish": functional.silu,  # x sigmoid(x): P1 section 3.2 with theta = 1
    "gelu": functional.gelu,  # erf form
    "relu": functional.relu,
}


class ConvBlock(nn.Module):
    """3x3 convolution, layer normalisation, activation, max-pooling: (B, C, T, F) -> (B, C', T / pool, F / pool).

    The frequency axis is never pooled below 1: with fewer than 160 bands the printed pools would leave nothing. The
    statistics of the normalisation run over the channels, frames and bands of one utterance (papers.md 4.2).
    """

    def __init__(self, inputs: int, outputs: int, pool: int, activation: Activation = "swish") -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(1, outputs)
        self.activation = ACTIVATIONS[activation]
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.norm(self.convolution(x)))
        return functional.max_pool2d(x, (self.pool, min(self.pool, x.shape[3])))


class ConvBranch(nn.Module):
    """Convolution blocks, then the mean over frequency: (B, T, F) -> (B, C, S), S = floor(T / span), at least 1.

    ``span`` is the number of frames under one token, the product of the pools (128 as printed). Padded frames take
    part in the statistics of the normalisation, so the tokens of an utterance depend on the length it is padded to.
    """

    def __init__(self, channels: Sequence[int], pools: Sequence[int], activation: Activation = "swish") -> None:
        super().__init__()
        sizes = zip((1, *channels), channels, pools, strict=False)
        self.blocks = nn.ModuleList(ConvBlock(inputs, outputs, pool, activation) for inputs, outputs, pool in sizes)
        self.span = math.prod(pools)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] < self.span:  # shorter utterances are padded with zeros to one token
            x = functional.pad(x, (0, 0, 0, self.span - x.shape[1]))
        h = x[:, None]  # (B, 1, T, F)
        for block in self.blocks:
            h = block(h)
        return h.mean(3)

    def mask(self, lengths: Tensor, tokens: int) -> Tensor:
        """(B,) valid frames -> (B, tokens) bool: True on the first ceil(valid / span) tokens (papers.md 4.4)."""
        position = torch.arange(tokens, device=lengths.device)
        return position[None, :] * self.span < lengths[:, None]


def check_branch(channels: Sequence[int], pools: Sequence[int]) -> None:
    """Raises ValueError unless every block has its channels and its pool, all at least 1."""
    if len(channels) != len(pools):
        raise ValueError(f"{len(channels)} channels but {len(pools)} pools")
    if not channels or min(*channels, *pools) < 1:
        raise ValueError(f"channels and pools are at least 1, not {tuple(channels)} and {tuple(pools)}")
