"""CLSTM: hierarchical ConvLSTM, BiGRU, center loss (P3: Mustaqeem, Kwon, Mathematics 8(12), 2020; papers.md section 6).

Waveform segments -> four local feature learning blocks (ConvLSTM, batch norm, max-pool, skip connection) -> stacked
BiGRU -> FC -> softmax, trained with cross-entropy plus center loss. The seven rows of the paper's Table 1 are values
of `skip`, `recurrent` and `center_weight` (papers.md 6.6).

Deviations and completions:

* The paper prints no size at all, so every number of `Config` is a completion (papers.md 6.1 to 6.4) and a parameter.
* Segments that consist of padding are never computed: utterances are packed, so that the statistics of a batch norm run
  over the valid segments of the batch and their positions.
* The reading "every segment is a sample of its own" (papers.md 6.1, `unit: segment`) is a matter of the training:
  ``window: crops, frames: 1, crop_hop: 1``; the probabilities are then averaged over the utterance.
* Every 8 utterances of a batch take about 6 GiB on a CPU. ``training.micro_batch: 8`` computes a batch of 64 (papers.md
  6.5) in parts and adds their gradients. Two numbers differ from those of the whole batch: a batch norm then uses the
  statistics of each part, and the centers move once per part.

Letters: B utterances, T segments, N valid segments of a batch, n sequences that have a segment t, L samples or
positions, C channels, H units per direction, E units of the FC layer, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from ser.core.errors import SerError
from ser.core.tasks import Batch, Task
from ser.models.layers.classifier import cross_entropy, frame_feature, masked_mean, masked_statistics, statistics

# lineage: Zhao, Mao, Chen 2019, whose blocks P3 takes over; compact: fits the paper's 8 GB card (papers.md 6.3)
PROFILES = {"lineage": (64, 64, 128, 128), "compact": (16, 32, 64, 128)}
TINY = {"channels": [2, 3], "hidden": 4, "dense": 6}  # a Config of test size: the contract tests train it
FIXED_LENGTH = True  # the paper's T: 8 segments for RAVDESS, 16 for IEMOCAP (papers.md 6.1)
NO_GRAPH = "its ConvLSTM is a loop over the segments, which would fix the graph to one length"


@dataclass(frozen=True)
class Config:
    """Sizes, skip connections and losses as papers.md section 6 completes the paper."""

    channels: tuple[int, ...] | Literal["lineage", "compact"] = "lineage"  # of the blocks (papers.md 6.3)
    kernel: int = 3  # papers.md 6.3: that of the lineage
    pool: int = 4  # papers.md 6.3: that of the lineage, size and stride along the samples
    peephole: Literal["none", "channel", "full"] = "channel"  # papers.md 6.2; full: Shi et al. 2015
    forget_bias: float = 1.0  # papers.md 6.2
    front: int = 0  # ours: channels of a strided convolution before the first block; 0: none, as in the paper
    front_kernel: int = 64  # samples
    front_stride: int = 8  # samples
    front_pool: int = 1  # ours: outputs of the front layer that are averaged to one position; 1: none
    # ours: statistics pools to mean and standard deviation, over the positions of a segment and over the segments, and
    # drops out both; last: the mean over positions (papers.md 6.3), and the last states of the recurrent layers
    pooling: Literal["last", "statistics"] = "last"
    skip: Literal["none", "add", "concat"] = "add"  # papers.md 6.3: the paper's words fit both
    recurrent: Literal["bigru", "bilstm", "none"] = "bigru"  # P3 Table 1; none: mean over the segments
    hidden: int = 128  # papers.md 6.3, units per direction
    layers: int = 2  # papers.md 6.3
    recurrent_dropout: float = 0.3  # papers.md 6.3, between the layers
    dense: int = 128  # papers.md 6.3, the feature of the center loss
    dropout: float = 0.5  # papers.md 6.3
    center_weight: float = 0.003  # papers.md 6.4, lambda; 0: cross-entropy alone
    center_alpha: float = 0.5  # papers.md 6.4, step of the centers
    compile: bool = False  # ours: torch.compile of the blocks, for CUDA; it changes last digits

    def __post_init__(self) -> None:
        sizes = (*self.sizes, self.kernel, self.pool, self.hidden, self.layers, self.dense)
        if not self.sizes or min(*sizes, self.front_kernel, self.front_stride, self.front_pool) < 1 or self.front < 0:
            raise ValueError("channels, kernels, pools, stride, hidden, layers and dense must be at least 1")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that a convolution keeps the positions, not {self.kernel}")
        for name in ("recurrent_dropout", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        if self.center_weight < 0 or not 0 <= self.center_alpha <= 1:
            raise ValueError("center_weight must not be negative, and center_alpha must be in [0, 1]")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Channels of each block."""
        return PROFILES[self.channels] if isinstance(self.channels, str) else self.channels


class ConvLSTM(nn.Module):
    """One-dimensional ConvLSTM with peepholes (papers.md 6.2): packed segments (N, I, L) -> all h_t (N, C, L).

    * is a "same" zero-padded convolution along the samples of a segment, . an element-wise product, h_0 = c_0 = 0::

        i_t = sigma(W_ix * x_t + W_ih * h_{t-1} + w_ic . c_{t-1} + b_i)                 P3 (2)
        f_t = sigma(W_fx * x_t + W_fh * h_{t-1} + w_fc . c_{t-1} + b_f)                 P3 (3)
        c_t = f_t . c_{t-1} + i_t . tanh(W_gx * x_t + W_gh * h_{t-1} + b_g)             P3 (4)
        o_t = sigma(W_ox * x_t + W_oh * h_{t-1} + w_oc . c_t + b_o)                     P3 (5)
        h_t = o_t . tanh(c_t)                                                           P3 (6)

    Gates are ordered i, f, g, o and peepholes i, f, o. The weights of a peephole are one per channel, or one per
    channel and position (``full``).
    """

    def __init__(self, inputs: int, channels: int, positions: int, config: Config) -> None:
        super().__init__()
        k = config.kernel
        self.input = nn.Conv1d(inputs, 4 * channels, k, padding=k // 2, bias=False)  # W_x of all four gates
        self.state = nn.Conv1d(channels, 4 * channels, k, padding=k // 2, bias=False)  # W_h
        self.bias = nn.Parameter(torch.zeros(4, channels))
        nn.init.constant_(self.bias[1], config.forget_bias)
        width = {"none": 0, "channel": 1, "full": positions}[config.peephole]
        self.peephole = nn.Parameter(torch.zeros(3, channels, width)) if width else None

    def forward(self, x: Tensor, sizes: Sequence[int]) -> Tensor:
        """`sizes`: how many sequences have a segment t, from most to fewest (the `batch_sizes` of a packing)."""
        w_ic, w_fc, w_oc = (0.0, 0.0, 0.0) if self.peephole is None else self.peephole
        h = c = x.new_zeros(sizes[0], self.bias.shape[1], x.shape[2])
        states: list[Tensor] = []
        for x_t in x.split(list(sizes)):
            h, c = h[: len(x_t)], c[: len(x_t)]  # the other sequences have ended
            gates = self.input(x_t) + self.bias.view(-1, 1)
            if states:  # h_0 = 0 adds nothing
                gates = gates + self.state(h)
            i, f, g, o = gates.chunk(4, 1)
            c = torch.sigmoid(f + w_fc * c) * c + torch.sigmoid(i + w_ic * c) * torch.tanh(g)
            h = torch.sigmoid(o + w_oc * c) * torch.tanh(c)
            states.append(h)
        return torch.cat(states)


class Block(nn.Module):
    """Local feature learning block (papers.md 6.3): packed segments (N, I, L) -> (N, `outputs`, L // pool).

    ConvLSTM, batch norm, max-pool. With skip ``add`` Conv1x1(AvgPool(x)) is added; with ``concat`` the average-pooled
    input is appended as further channels. Fewer positions than `pool` are pooled to one.
    """

    def __init__(self, inputs: int, channels: int, positions: int, config: Config) -> None:
        super().__init__()
        self.convlstm = ConvLSTM(inputs, channels, positions, config)
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


class Output(NamedTuple):
    """What the forward pass returns."""

    logits: Tensor  # (B, K)
    embedding: Tensor  # (B, E), the feature of the center loss


class Model(nn.Module):
    """(B, T, L) -> (B, K). Raises `SerError` when the task has not exactly one frame-level input, and when the front
    layer leaves nothing of a segment.
    """

    centers: Tensor  # (K, E)

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.feature = frame_feature(task, "clstm", "waveform")
        self.config, width, positions = config, 1, task.inputs[self.feature]
        self.front: nn.Module | None = None
        if config.front:
            k, width = config.front_kernel, config.front
            convolution = nn.Conv1d(1, width, k, config.front_stride, k // 2)
            pool = nn.AvgPool1d(config.front_pool)  # of rectified outputs: the energy in the band of each filter
            self.front = nn.Sequential(convolution, nn.BatchNorm1d(width), nn.ReLU(), pool)
            samples, positions = positions, (positions + 2 * (k // 2) - k) // config.front_stride + 1
            positions //= config.front_pool
            if positions < 1:
                what = f"the front layer leaves no position of a segment of {samples} samples"
                raise SerError(what, "models.clstm.front_pool", "Lower it")
        self.blocks = nn.ModuleList()
        for channels in config.sizes:
            self.blocks.append(block := Block(width, channels, positions, config))
            width, positions = block.outputs, block.positions
            if config.compile:
                block.compile()
        each = 2 if config.pooling == "statistics" else 1
        self.recurrent = _recurrent(config, width * each)
        width = (width * each if self.recurrent is None else 2 * config.hidden) * each
        self.dense = nn.Linear(width, config.dense)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.dense, len(task.outputs))
        self.register_buffer("centers", torch.zeros(len(task.outputs), config.dense))

    def forward(self, batch: Batch) -> Output:
        lengths = batch.on_host(self.feature)
        x = pack_padded_sequence(batch.inputs[self.feature], lengths, batch_first=True, enforce_sorted=False)
        h, sizes = x.data[:, None], x.batch_sizes.tolist()  # (N, 1, L)
        h = h if self.front is None else self.front(h)
        for block in self.blocks:
            h = block(h, sizes)  # (N, C, L / pool)
        h = self.dropout(statistics(h, 2)) if self.config.pooling == "statistics" else h.mean(2)
        packed = PackedSequence(h, x.batch_sizes, x.sorted_indices, x.unsorted_indices)  # (N, C)
        f = functional.relu(self.dense(self._over_segments(packed, batch.mask(self.feature))))  # (B, E)
        return Output(self.head(self.dropout(f)), f)

    def _over_segments(self, packed: PackedSequence, mask: Tensor) -> Tensor:
        """Packed segments (N, C) -> (B, C), or (B, 2 H) of the recurrent layers; twice that with both statistics."""
        last: Any = None
        if self.recurrent is not None:
            packed, last = self.recurrent(packed)
        if last is not None and self.config.pooling == "last":
            last = last[0] if isinstance(last, tuple) else last  # an LSTM returns its cells, too
            return torch.cat([last[-2], last[-1]], 1)  # forwards at the last segment, backwards at the first
        padded, _ = pad_packed_sequence(packed, batch_first=True, total_length=mask.shape[1])
        if self.config.pooling == "last":
            return masked_mean(padded, mask)
        return self.dropout(masked_statistics(padded, mask))

    def loss(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy and, unless its weight is 0, the center loss, both means over the batch (papers.md 6.4).

        In training mode the centers then move; the optimiser does not train them.
        """
        terms = {"cross_entropy": cross_entropy(output.logits, batch)}
        if self.config.center_weight:
            f = output.embedding.to(self.centers.dtype)
            terms["center"] = self.config.center_weight * center_loss(f, batch.targets, self.centers)
            if self.training:
                move_centers(self.centers, f.detach(), batch.targets, self.config.center_alpha)
        return terms


def _recurrent(config: Config, width: int) -> nn.Module | None:
    if config.recurrent == "none":
        return None
    kind = {"bigru": nn.GRU, "bilstm": nn.LSTM}[config.recurrent]
    dropout = config.recurrent_dropout if config.layers > 1 else 0.0  # it is applied between layers
    return kind(width, config.hidden, config.layers, batch_first=True, dropout=dropout, bidirectional=True)


def center_loss(f: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """1/2 ||f_i - c_{y_i}||^2, the mean over the batch (Wen et al. 2016, papers.md 6.4). f: (B, E), centers: (K, E)."""
    return (f - centers[labels]).square().sum(1).mean() / 2


def move_centers(centers: Tensor, f: Tensor, labels: Tensor, alpha: float) -> None:
    """c_j <- c_j - alpha sum_{i: y_i = j} (c_j - f_i) / (1 + |{i: y_i = j}|), in place (Wen et al. 2016)."""
    total = torch.zeros_like(centers).index_add_(0, labels, f)
    # bincount would ask the GPU for the largest label
    count = centers.new_zeros(len(centers), 1).index_add_(0, labels, f.new_ones(len(f), 1))
    centers.sub_(alpha * (count * centers - total) / (1 + count))
