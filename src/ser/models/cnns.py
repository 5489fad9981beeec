"""CNNs: the convolutional branch of Fusion-ConvBERT alone (P1: Lee, Han, Ko, Sensors 20(22), 2020; papers.md 4.2).

P1 section 3.2 and Table 1: four blocks of 3x3 convolution, layer normalisation, Swish, max-pooling with 64, 128, 256,
512 channels and pools 4x4, 4x4, 4x4, 2x2, then Dense 512 and K outputs. Deviations, all parameters (papers.md 4.2):
the table ends in 1 x 1 x 512, which holds for 128 to 255 frames only, so the time axis is kept and averaged; layer
norm is one group over (C, T, F) of a sample, as T varies; pools are maxima.

Letters: B utterances, T frames, F bands, C channels, S tokens of the branch, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from ser.core.tasks import Batch, Task
from ser.models.layers.classifier import Output, cross_entropy, frame_feature
from ser.models.layers.convolution import ConvBranch, check_branch

TINY = {"channels": [4, 8], "pools": [2, 2], "dense": 8}  # a Config of test size: the contract tests train it
FIXED_LENGTH = True  # padding takes part in the group norm: without training.frames a result would depend on the batch


@dataclass(frozen=True)
class Config:
    """Sizes of the branch and of the dense layer."""

    channels: tuple[int, ...] = (64, 128, 256, 512)  # P1 Table 1
    pools: tuple[int, ...] = (4, 4, 4, 2)  # P1 Table 1, time and frequency alike
    dense: int = 512  # P1 Table 1
    dropout: float = 0.0  # P1 names none

    def __post_init__(self) -> None:
        check_branch(self.channels, self.pools)
        if self.dense < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"dense must be at least 1 and dropout in [0, 1), not {self.dense} and {self.dropout}")


class Model(nn.Module):
    """(B, T, F) -> (B, K). Raises `SerError` when the task has not exactly one frame-level input."""

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.feature = frame_feature(task, "cnns")
        self.branch = ConvBranch(config.channels, config.pools)
        self.dense = nn.Linear(config.channels[-1], config.dense)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.dense, len(task.outputs))

    def forward(self, batch: Batch) -> Output:
        h = self.branch(batch.inputs[self.feature]).mean(2)  # (B, C, S) -> (B, C)
        return Output(self.head(self.dropout(functional.silu(self.dense(h)))))

    def loss(self, output: Output, batch: Batch) -> Tensor:
        return cross_entropy(output.logits, batch)
