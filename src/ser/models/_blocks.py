"""Layers more than one system is built from."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ConvBlock(nn.Module):
    """3x3 convolution, layer normalisation, Swish, max-pooling (P1 section 3.2), (B, C, T, F) -> (B, C', T/p, F/p).

    The frequency axis is never pooled below 1: with 160 bands the printed pools leave 2 columns for the last 2x2
    pool, with fewer bands they would leave none. Normalisation statistics run over channels, time and frequency of a
    sample."""

    def __init__(self, inputs: int, outputs: int, pool: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(1, outputs)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = functional.silu(self.norm(self.convolution(x)))
        return functional.max_pool2d(x, (self.pool, min(self.pool, x.shape[3])))
