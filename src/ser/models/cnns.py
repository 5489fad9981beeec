"""CNNs: the convolutional branch of Fusion-ConvBERT (Lee, Han, Ko, Sensors 2020), used alone.

Section 3.2 and Table 1: four blocks of 3x3 convolution, layer normalisation, Swish, max-pooling with 64, 128, 256,
512 channels and pools 4x4, 4x4, 4x4, 2x2, then Dense 512 and K outputs. Deviations, all parameters (papers.md 4.2):
the table ends in 1 x 1 x 512, which holds for 128 to 255 frames only, so the time axis is kept and averaged; layer
norm is one group over (C, T, F) of a sample, as T varies; pools are maxima.

Letters: B utterances, T frames, F bands, C channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.core.errors import SerError
from ser.models._blocks import ConvBlock
from ser.training.data import Batch, Task


@dataclass(frozen=True)
class Config:
    channels: tuple[int, ...] = (64, 128, 256, 512)  # P1 Table 1
    pools: tuple[int, ...] = (4, 4, 4, 2)  # P1 Table 1, time and frequency alike
    dense: int = 512  # P1 Table 1
    dropout: float = 0.0  # P1 names none

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.pools):
            raise ValueError(f"{len(self.channels)} channels but {len(self.pools)} pools")


class Output(NamedTuple):
    logits: Tensor  # (B, K)


class Model(nn.Module):
    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.feature = single_frame_feature(task)
        sizes = (1, *config.channels)
        self.blocks = nn.ModuleList(
            ConvBlock(a, b, p) for a, b, p in zip(sizes, config.channels, config.pools, strict=False)
        )
        self.shortest = 1
        for pool in config.pools:
            self.shortest *= pool
        self.dense = nn.Linear(config.channels[-1], config.dense)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.dense, len(task.outputs))

    def tokens(self, x: Tensor) -> Tensor:
        """(B, T, F) -> (B, C, T'): T' = floor(T / product of the pools), frequency averaged."""
        if x.shape[1] < self.shortest:  # pooling would leave nothing of it
            x = functional.pad(x, (0, 0, 0, self.shortest - x.shape[1]))
        h = x[:, None]  # (B, 1, T, F)
        for block in self.blocks:
            h = block(h)
        return h.mean(3)

    def forward(self, batch: Batch) -> Output:
        h = self.tokens(batch.inputs[self.feature]).mean(2)  # (B, C)
        return Output(self.head(self.dropout(functional.silu(self.dense(h)))))

    def loss(self, output: Output, batch: Batch) -> Tensor:
        return functional.cross_entropy(output.logits, batch.targets)


def single_frame_feature(task: Task) -> str:
    """The one frame-level input of a task; raises `SerError` when there is none or several."""
    frames = [f for f, level in task.levels.items() if level == "frame"]
    if len(frames) != 1:
        raise SerError(
            f"cnns needs one frame-level feature, got {frames or 'none'}", "model cnns", "Set feature: logmel"
        )
    return frames[0]
