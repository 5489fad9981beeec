"""CLSTM: hierarchical ConvLSTM, BiGRU, center loss (Mustaqeem and Kwon, Mathematics 8(12), 2020; papers.md section 6).

Waveform segments -> four local feature learning blocks (ConvLSTM, batch norm, max-pool, skip connection) -> stacked
BiGRU -> FC -> softmax, trained with cross-entropy plus center loss. The paper prints no size at all, so every number
here is a completion (papers.md 6.1 to 6.4) and a parameter. The seven rows of its Table 1 are values of `skip`,
`recurrent` and `center_weight`.

Padded segments do not exist here: utterances are packed, so a batch norm's statistics run over the valid segments of
the batch and their positions, and no state, mean or gradient ever sees padding. `unit: segment` (papers.md 6.1: every
segment a sample of its own, its probabilities averaged over the utterance) is no field of this model but of the
training: ``window: crops, frames: 1, crop_hop: 1``.

Letters: B utterances, T segments, N valid segments of a batch, L samples or positions, C channels, H units a
direction, E units of the FC layer, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from ser.models.parts.blocks import frame_feature, masked_mean
from ser.models.parts.convlstm import ConvLSTM
from ser.tasks import Batch, Task

# lineage: Zhao, Mao, Chen 2019, whose blocks P3 takes over; compact: fits the paper's 8 GB card (papers.md 6.3)
PROFILES = {"lineage": (64, 64, 128, 128), "compact": (16, 32, 64, 128)}


@dataclass(frozen=True)
class Config:
    """Channels of the blocks by profile or one by one; the rest as papers.md section 6 completes the paper."""

    channels: tuple[int, ...] | Literal["lineage", "compact"] = "lineage"  # papers.md 6.3
    kernel: int = 3  # papers.md 6.3: the lineage's
    pool: int = 4  # papers.md 6.3: the lineage's, along the samples, size and stride
    peephole: Literal["none", "channel", "full"] = "channel"  # papers.md 6.2; full: Shi et al. 2015
    forget_bias: float = 1.0  # papers.md 6.2
    skip: Literal["none", "add", "concat"] = "add"  # papers.md 6.3: the paper's words fit both; its row "skip"
    recurrent: Literal["bigru", "bilstm", "none"] = "bigru"  # P3 Table 1; none: mean over the segments
    hidden: int = 128  # papers.md 6.3, units a direction
    layers: int = 2  # papers.md 6.3
    recurrent_dropout: float = 0.3  # papers.md 6.3, between the layers
    dense: int = 128  # papers.md 6.3, the feature of the center loss
    dropout: float = 0.5  # papers.md 6.3
    center_weight: float = 0.003  # papers.md 6.4, lambda; 0: cross-entropy alone
    center_alpha: float = 0.5  # papers.md 6.4, step of the centers
    keep: float = 1.0  # GiB of gates and states a block stores for its backward pass, the rest is recomputed; ours:
    # `lineage` with P3's batch of 64 stays under 9 GiB
    chunk: int = 2**17  # elements of a state worked on at a time on a CPU; ours: a step's four gates fill a 2 MB cache

    def __post_init__(self) -> None:
        sizes = (*self.sizes, self.kernel, self.pool, self.hidden, self.layers, self.dense, self.chunk)
        if not self.sizes or min(sizes) < 1:
            raise ValueError("channels, kernel, pool, hidden, layers, dense and chunk are at least 1")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is odd, so that a convolution keeps the positions, not {self.kernel}")
        for name in ("recurrent_dropout", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is in [0, 1), not {getattr(self, name)}")
        if self.center_weight < 0 or not 0 <= self.center_alpha <= 1 or self.keep < 0:
            raise ValueError("center_weight and keep are not negative, center_alpha is in [0, 1]")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Channels of each block."""
        return PROFILES[self.channels] if isinstance(self.channels, str) else self.channels


TINY = {"channels": [2, 3], "hidden": 4, "dense": 6}  # a Config of test size: the contract tests train it


FIXED_LENGTH = True  # the paper's T: 8 segments for RAVDESS, 16 for IEMOCAP (papers.md 6.1)


class Output(NamedTuple):
    """What the forward pass returns."""

    logits: Tensor  # (B, K)
    embedding: Tensor  # (B, E), the feature of the center loss


class Block(nn.Module):
    """LFLB (papers.md 6.3): (N, C, L) packed segments -> (N, `outputs`, L // pool), for fewer than `pool` positions 1.

    skip ``add``: + Conv1x1(AvgPool(x)); ``concat``: the average-pooled input as further channels."""

    def __init__(self, inputs: int, channels: int, positions: int, config: Config) -> None:
        super().__init__()
        self.convlstm = ConvLSTM(
            inputs,
            channels,
            config.kernel,
            positions,
            peephole=config.peephole,
            forget_bias=config.forget_bias,
            keep=int(config.keep * 2**30),
            chunk=config.chunk,
        )
        self.norm = nn.BatchNorm1d(channels)
        self.concat = config.skip == "concat"
        self.skip = nn.Conv1d(inputs, channels, 1) if config.skip == "add" else None
        self.pool = min(config.pool, positions)
        self.outputs, self.positions = channels + inputs * self.concat, positions // self.pool

    def forward(self, x: Tensor, sizes: Sequence[int]) -> Tensor:
        y = functional.max_pool1d(self.norm(self.convlstm(x, sizes)), self.pool)
        if self.concat:
            return torch.cat([y, functional.avg_pool1d(x, self.pool)], 1)
        return y if self.skip is None else y + self.skip(functional.avg_pool1d(x, self.pool))


class Model(nn.Module):
    """(B, T, L) -> (B, K). Raises `SerError` when the task has not exactly one frame-level input."""

    centers: Tensor  # (K, E)

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.feature = frame_feature(task, "clstm", "waveform")
        self.config, width, positions = config, 1, task.inputs[self.feature]
        self.blocks = nn.ModuleList()
        for channels in config.sizes:
            self.blocks.append(block := Block(width, channels, positions, config))
            width, positions = block.outputs, block.positions
        self.recurrent = _recurrent(config, width)
        width = width if self.recurrent is None else 2 * config.hidden
        self.dense = nn.Linear(width, config.dense)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.dense, len(task.outputs))
        self.register_buffer("centers", torch.zeros(len(task.outputs), config.dense))

    def forward(self, batch: Batch) -> Output:
        lengths = batch.lengths[self.feature].cpu()
        x = pack_padded_sequence(batch.inputs[self.feature], lengths, batch_first=True, enforce_sorted=False)
        h, sizes = x.data[:, None], x.batch_sizes.tolist()  # (N, 1, L)
        for block in self.blocks:
            h = block(h, sizes)
        packed = PackedSequence(h.mean(2), x.batch_sizes, x.sorted_indices, x.unsorted_indices)
        if self.recurrent is None:
            padded, _ = pad_packed_sequence(packed, batch_first=True, total_length=batch.inputs[self.feature].shape[1])
            f = masked_mean(padded, batch.mask(self.feature))
        else:
            last = self.recurrent(packed)[1]
            last = last[0] if isinstance(last, tuple) else last  # an LSTM has its cells beside
            f = torch.cat(
                [last[-2], last[-1]], 1
            )  # each direction where it ends: last segment forwards, first backwards
        f = functional.relu(self.dense(f))
        return Output(self.head(self.dropout(f)), f)

    def loss(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy and, unless its weight is 0, the center loss, means over the batch (papers.md 6.4).

        In training mode the centers then move, outside the optimiser."""
        terms = {"cross_entropy": functional.cross_entropy(output.logits, batch.targets)}
        if self.config.center_weight:
            f = output.embedding.to(self.centers.dtype)
            terms["center"] = self.config.center_weight * center_loss(f, batch.targets, self.centers)
            if self.training:
                move_centers(self.centers, f.detach(), batch.targets, self.config.center_alpha)
        return terms


def center_loss(f: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """1/2 ||f_i - c_{y_i}||^2, the mean over the batch (Wen et al. 2016, papers.md 6.4). f: (B, E), centers: (K, E)."""
    return (f - centers[labels]).square().sum(1).mean() / 2


def move_centers(centers: Tensor, f: Tensor, labels: Tensor, alpha: float) -> None:
    """c_j <- c_j - alpha sum_{i: y_i = j} (c_j - f_i) / (1 + |{i: y_i = j}|), in place (Wen et al. 2016)."""
    count = torch.bincount(labels, minlength=len(centers)).to(centers.dtype)[:, None]
    total = torch.zeros_like(centers).index_add_(0, labels, f)
    centers.sub_(alpha * (count * centers - total) / (1 + count))


def _recurrent(config: Config, width: int) -> nn.Module | None:
    if config.recurrent == "none":
        return None
    kind = {"bigru": nn.GRU, "bilstm": nn.LSTM}[config.recurrent]
    dropout = config.recurrent_dropout if config.layers > 1 else 0.0  # it lies between layers
    return kind(width, config.hidden, config.layers, batch_first=True, dropout=dropout, bidirectional=True)
