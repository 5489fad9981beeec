"""Layers of the emotion-embedding autoencoder (P2: Zhang, Xue, IEEE Access 2021, tables of encoder and decoder;
papers.md 5.2 to 5.4, which also says what the paper leaves to the code of Chou et al. 2018).

Everything is (batch, time, channels): recurrent and per-frame layers want it so, and a convolution of such an array
as a channels-last image runs at the rate of a matrix product, where `Conv1d` loses a quarter on a CPU.

Letters: B crops, T frames, F bins, C channels, H hidden width, S latent frames (T / 8), K classes, V functionals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.tasks import Batch, Inputs

if TYPE_CHECKING:
    from ser.models.emotion_autoencoder import Config

HALVINGS = 3  # B2 to B4 of the encoder, U1 to U3 of the decoder (papers.md 5.2, 5.3)
LEVELS = 2**16  # of a draw of `Dropout`


def reflect(x: Tensor, left: int, right: int) -> Tensor:
    """(B, T, C) -> (B, left + T + right, C), mirrored at the first and last frame; needs T > left, right."""
    if not (left or right):
        return x
    return torch.cat([x[:, 1 : left + 1].flip(1), x, x[:, -right - 1 : -1].flip(1)], 1)


def pixel_shuffle(x: Tensor) -> Tensor:
    """(B, T, 2 C) -> (B, 2 T, C): channel 2 c + r at time t becomes channel c at time 2 t + r (papers.md 5.3)."""
    return x.unflatten(2, (-1, 2)).transpose(2, 3).flatten(1, 2)


def upsample(x: Tensor) -> Tensor:
    """(B, T, C) -> (B, 2 T, C), every frame twice."""
    return x.repeat_interleave(2, 1)


def halve(x: Tensor) -> Tensor:
    """(B, T, C) -> (B, ceil(T / 2), C): means of two frames; an odd T is padded by reflection."""
    return reflect(x, 0, x.shape[1] % 2).unflatten(1, (-1, 2)).mean(2)


class Convolution(nn.Module):
    """1-D convolution over time, (B, T, C) -> (B, ceil(T / stride), C'), padded by reflection: k // 2 frames on the
    left, (k - 1) // 2 on the right (papers.md 5.2)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        # channels last too: no weight is reordered in a step. The draws are those of torch's own convolutions
        self.weight = nn.Parameter(torch.empty(outputs, kernel, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        bound = 1 / math.sqrt(kernel * inputs)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return self.unpadded(reflect(x, self.kernel // 2, (self.kernel - 1) // 2))

    def unpadded(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, (T - k) // stride + 1, C')."""
        image, weight = (t[:, None].permute(0, 3, 1, 2) for t in (x, self.weight))  # (B, C, 1, T), (C', C, 1, k)
        return functional.conv2d(image, weight, self.bias, (1, self.stride)).permute(0, 2, 3, 1)[:, 0]


class Bank(nn.Module):
    """Parallel convolutions with kernels 1, 2, ..., their outputs and the input side by side, (B, T, F) -> (B, T, C).

    The input is padded once, for the widest kernel; what a narrower one sees too much of is cut from its output."""

    def __init__(self, inputs: int, channels: int, kernels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Convolution(inputs, channels, k) for k in range(1, kernels + 1))

    def forward(self, x: Tensor) -> Tensor:
        widest = len(self.branches)
        padded = reflect(x, widest // 2, (widest - 1) // 2)
        out = []
        for k, branch in enumerate(self.branches, start=1):
            start = widest // 2 - k // 2
            out.append(branch.unpadded(padded)[:, start : start + x.shape[1]])  # type: ignore[operator]
        return torch.cat([*out, x], 2)


class Norm(nn.Module):
    """(B, T, C) -> the same, without affine. instance: over the frames of a crop, at prediction too; batch: over
    crops and frames, by running statistics at prediction; none: the identity (papers.md 5.2, 5.6)."""

    def __init__(self, kind: str, channels: int, eps: float) -> None:
        super().__init__()
        self.kind, self.eps = kind, eps
        self.batch = nn.BatchNorm1d(channels, eps, affine=False) if kind == "batch" else None

    def forward(self, x: Tensor) -> Tensor:
        if self.batch is not None:
            return self.batch(x.flatten(0, 1)).view(x.shape)
        if self.kind == "none":
            return x
        if x.device.type == "cpu":  # crop by crop, in the layout and in the cache: the line below transposes twice
            return torch.stack([functional.batch_norm(c, None, None, training=True, eps=self.eps) for c in x])
        return functional.instance_norm(x.transpose(1, 2), eps=self.eps).transpose(1, 2)


class Dropout(nn.Dropout):
    """torch's dropout, from draws of 16 bits on a CPU, where its own draws take longer than a convolution; the
    probability is exact to 1 / 65536."""

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self.p) or x.device.type != "cpu":
            return super().forward(x)
        threshold = round(self.p * LEVELS)
        # all 64 bits, four draws in one; `random_()` alone leaves the sign bit 0
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = draws.view(torch.int16)[: x.numel()].view(x.shape)
        kept = torch.ge(bits, threshold - LEVELS // 2, out=x.new_empty(x.shape))
        return x * kept.mul_(LEVELS / (LEVELS - threshold))


class Block(nn.Module):
    """What all blocks share: activation, norm and dropout as the config says."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.slope = config.slope
        self.norm = Norm(config.norm, config.hidden, config.norm_eps)
        self.dropout = Dropout(config.dropout)

    def activate(self, x: Tensor) -> Tensor:  # in place: of fresh outputs only, which no gradient needs unactivated
        return functional.leaky_relu(x, self.slope, inplace=True)


class DownBlock(Block):
    """B2 to B4: (B, T, H) -> (B, ceil(T / 2), H)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.first = Convolution(config.hidden, config.hidden, 5)
        self.second = Convolution(config.hidden, config.hidden, 5, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.activate(self.second(self.activate(self.first(x))))
        return self.dropout(self.norm(h)) + halve(x)


class DenseBlock(Block):
    """D1 and D2 of the encoder: two linear layers a frame, (B, S, H) -> (B, S, H)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.first, self.second = (nn.Linear(config.hidden, config.hidden) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        h = self.activate(self.second(self.activate(self.first(x))))
        return self.dropout(self.norm(h)) + x


class Encoder(Block):
    """(B, T, F) -> latents (B, S, H), T a multiple of 8 (papers.md 5.2)."""

    def __init__(self, config: Config, inputs: int) -> None:
        super().__init__(config)
        H = config.hidden
        self.bank = Bank(inputs, config.bank_channels, config.bank_kernels)
        self.entry = nn.Linear(config.bank_kernels * config.bank_channels + inputs, H)  # B1, a convolution of kernel 1
        self.down = nn.Sequential(*(DownBlock(config) for _ in range(HALVINGS)))
        self.dense = nn.Sequential(DenseBlock(config), DenseBlock(config))
        self.gru = nn.GRU(H, config.encoder_gru, batch_first=True, bidirectional=True)
        self.exit = nn.Linear(H + 2 * config.encoder_gru, H)

    def forward(self, x: Tensor) -> Tensor:
        h = self.activate(self.entry(self.activate(self.bank(x))))
        h = self.dense(self.down(self.dropout(self.norm(h))))
        return self.activate(self.exit(torch.cat([h, self.gru(h)[0]], 2)))


class UpBlock(Block):
    """U1 to U3: (B, T, H) and the emotion's embedding (B, 1, H) -> (B, 2 T, H)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.first = Convolution(config.hidden, 2 * config.hidden, 3)
        self.second = Convolution(config.hidden, config.hidden, 3)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h = pixel_shuffle(self.activate(self.first(x + e)))
        return self.norm(self.activate(self.second(h + e))) + upsample(x)


class ConditionedDenseBlock(Block):
    """D1 and D2 of the decoder: two linear layers a frame, each after adding the embedding (B, 1, H)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.first, self.second = (nn.Linear(config.hidden, config.hidden) for _ in range(2))

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h = self.activate(self.first(x + e))
        return self.norm(self.activate(self.second(h + e))) + x


class Decoder(Block):
    """Latents (B, S, H) and labels (B,) -> spectrogram (B, 8 S, F), without dropout (papers.md 5.3).

    Without `emotion_embedding` the five embeddings are zero and stay so; every shape is kept (papers.md 5.6)."""

    def __init__(self, config: Config, outputs: int, classes: int) -> None:
        super().__init__(config)
        H = config.hidden
        self.up = nn.ModuleList(UpBlock(config) for _ in range(HALVINGS))
        self.dense = nn.ModuleList(ConditionedDenseBlock(config) for _ in range(2))
        self.gru = nn.GRU(H, config.decoder_gru, batch_first=True, bidirectional=True)
        self.mix = nn.Linear(2 * H + 2 * config.decoder_gru, H)
        self.exit = nn.Linear(H, outputs)
        self.embeddings = nn.ModuleList(nn.Embedding(classes, H) for _ in range(HALVINGS + 2))
        if not config.emotion_embedding:
            for table in self.embeddings.parameters():
                nn.init.zeros_(table).requires_grad_(False)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        *ups, e4, e5 = (table(labels)[:, None] for table in self.embeddings)  # each (B, 1, H)
        h = z
        for block, e in zip(self.up, ups, strict=True):
            h = block(h, e)
        for block in self.dense:
            h = block(h, e4)
        recurrent = self.gru(h + e5)[0]
        mixed = self.mix(torch.cat([h, recurrent, e5.expand(-1, h.shape[1], -1)], 2))
        return self.exit(self.activate(mixed))


class Classifier(nn.Module):
    """Latents (B, S, H) and functionals (B, V) -> logits (B, K): self-attention with output projection, without
    residual or norm, pooling over the latent frames, four dense layers (papers.md 5.4)."""

    def __init__(self, config: Config, functionals: int, classes: int) -> None:
        super().__init__()
        self.pooling, self.eps = config.pooling, config.norm_eps
        self.attention = nn.MultiheadAttention(config.hidden, config.heads, batch_first=True)
        pooled = config.hidden * (2 if config.pooling == "mean_std" else 1)
        sizes = [pooled + functionals, *config.dense]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(zip(sizes, config.dense, strict=False)):
            layers += [nn.Linear(a, b), nn.ReLU()]
            if i < 2:  # after FC1 and FC2
                layers.append(Dropout(config.classifier_dropout))
        self.dense = nn.Sequential(*layers, nn.Linear(sizes[-1], classes))

    def forward(self, z: Tensor, functionals: Tensor) -> Tensor:
        h = self.pool(self.attention(z, z, z, need_weights=False)[0])
        return self.dense(torch.cat([h, functionals], 1))

    def pool(self, h: Tensor) -> Tensor:
        """(B, S, H) -> (B, H), with mean_std (B, 2 H)."""
        if self.pooling == "max":
            return h.amax(1)
        if self.pooling == "mean":
            return h.mean(1)
        deviation = (h.var(1, unbiased=False) + self.eps).sqrt()  # the root alone has no gradient at 0
        return torch.cat([h.mean(1), deviation], 1)


class Functionals(nn.Module):
    """The utterance-level features side by side, z-scored by the training part of the fold: (B, V), V may be 0.

    Columns constant in the training part become 0 (papers.md 5.1). Before `fit` every value is NaN, so that unscaled
    features cannot go unnoticed."""

    mean: Tensor  # (V,)
    factor: Tensor  # (V,)

    def __init__(self, names: Sequence[str], size: int) -> None:
        super().__init__()
        self.names, self.size = tuple(names), size
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("factor", torch.full((size,), torch.nan))

    def fit(self, train: Inputs) -> None:
        if not self.names:
            return
        x = np.concatenate([train.vectors(n) for n in self.names], 1).astype(np.float64)
        mean, deviation = x.mean(0), x.std(0)
        varies = deviation > 1e-9 * np.maximum(1.0, np.abs(mean))  # below it lies rounding
        self.mean.copy_(torch.from_numpy(mean))
        self.factor.copy_(torch.from_numpy(np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0)))

    def forward(self, batch: Batch, like: Tensor) -> Tensor:
        """`like`: (B, ...), gives batch size and device where there are no functionals."""
        if not self.names:
            return like.new_empty(len(like), 0)
        return (torch.cat([batch.inputs[n] for n in self.names], 1) - self.mean) * self.factor
