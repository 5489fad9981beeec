"""Small networks for small corpora, trained from scratch: our variants of the systems of P1 (docs/recipes.md).

``cnn``          of `cnns`: four convolution blocks, the bands that remain are kept, mean and deviation over time
``transformer``  of `fusion_convbert` with ``variant: transformer``: two strided convolutions over time, then layers
                 of self-attention
``fusion``       of `fusion_convbert`: the tokens of the CNN attend to the output of the transformer

What differs from the paper, and why: pooling comes before normalisation and activation, and the first convolution is
5x5 with stride 2 (speed); batch norm in place of layer norm over (C, T, F); time is pooled to mean *and* standard
deviation, which changes accuracy on EMO-DB the most; attention is pre-norm, which trains without care for the learning
rate; the transformer sees every fourth frame, because neighbouring frames say nearly the same; `fusion` has a second
and a third loss, one on each branch, so that neither is neglected. Nothing is pretrained.

The utterances of a training batch have one length (`training.frames`), so padding counts as silence.

Letters: B utterances, T frames, F bands, C channels, S tokens, N positions, H width of the transformer, d of the
fusion, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from ser.core.tasks import Batch, Task
from ser.models.layers.classifier import cross_entropy, frame_feature, statistics
from ser.models.layers.convolution import check_branch
from ser.models.layers.mockingjay import positions

FIXED_LENGTH = True  # statistics are over all frames of a batch, padding included
TINY = {
    "channels": [4, 8],
    "pools": [2, 2],
    "dense": 8,
    "hidden": 16,
    "heads": 2,
    "ffn": 32,
    "d": 12,
    "fusion_heads": 2,
}


@dataclass(frozen=True)
class Config:
    variant: Literal["cnn", "transformer", "fusion"] = "fusion"
    channels: tuple[int, ...] = (16, 32, 64, 128)  # of the CNN; a quarter of P1's
    pools: tuple[int, ...] = (4, 2, 2, 2)  # time and frequency alike; the first holds the stride of 2
    dense: int = 128  # variant cnn
    stem_kernel: int = 5  # of the two convolutions before the transformer
    stem_strides: tuple[int, ...] = (2, 2)  # one convolution each
    hidden: int = 96  # H
    layers: int = 1  # of the transformer
    heads: int = 4
    ffn: int = 384
    d: int = 60  # half of P1's
    fusion_layers: int = 1
    fusion_heads: int = 6
    dropout: float = 0.3  # before each linear layer of a classifier
    attention_dropout: float = 0.2  # of the outputs of attention and feed-forward layers
    auxiliary: float = 0.5  # variant fusion: weight of the loss on each branch

    def __post_init__(self) -> None:
        check_branch(self.channels, self.pools)
        if self.pools[0] % 2:
            raise ValueError(f"the first pool is even, as the first convolution has stride 2, not {self.pools[0]}")
        if self.hidden % self.heads or self.hidden % 2 or self.d % self.fusion_heads:
            raise ValueError("hidden is even and a multiple of heads, d a multiple of fusion_heads")
        if not self.stem_strides or min(self.stem_strides) < 1 or self.stem_kernel % 2 == 0:
            raise ValueError("stem_strides are at least 1, one per convolution, and stem_kernel is odd")
        if not (0 <= self.dropout < 1 and 0 <= self.attention_dropout < 1 and self.auxiliary >= 0):
            raise ValueError("dropout and attention_dropout are in [0, 1), auxiliary is not negative")


class Convolutions(nn.Module):
    """(B, T, F) -> tokens (B, S, C * F'), S = T / span with `span` the product of the pools, F' the bands that remain.

    Blocks of convolution, max-pooling, batch norm, Swish.
    """

    def __init__(self, config: Config, bands: int) -> None:
        super().__init__()
        self.span, self.blocks = math.prod(config.pools), nn.Sequential()
        inputs = 1
        for outputs, pool in zip(config.channels, config.pools, strict=True):
            first = inputs == 1
            kernel, stride = (5, 2) if first else (3, 1)
            self.blocks.append(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False))
            bands = -(-bands // stride)
            size = (pool // stride, min(pool // stride, bands))  # the frequency axis is never pooled below 1
            self.blocks.extend([nn.MaxPool2d(size), nn.BatchNorm2d(outputs), nn.SiLU()])
            inputs, bands = outputs, bands // size[1]
        self.columns = inputs * bands

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] < self.span:
            x = functional.pad(x, (0, 0, 0, self.span - x.shape[1]))
        return self.blocks(x[:, None]).permute(0, 2, 1, 3).flatten(2)  # (B, C, S, F') -> (B, S, C F')


class Layer(nn.Module):
    """Pre-norm layer: q <- q + MHA(LN(q), kv), q <- q + FFN(LN(q)); `kv` is LN(q) itself for self-attention."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.attention_norm, self.ffn_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, ffn), nn.GELU(), nn.Linear(ffn, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, q: Tensor, kv: Tensor | None = None) -> Tensor:
        """(B, N, d), (B, N', d) -> (B, N, d)."""
        h = self.attention_norm(q)
        kv = h if kv is None else kv
        q = q + self.dropout(self.attention(h, kv, kv, need_weights=False)[0])
        return q + self.dropout(self.ffn(self.ffn_norm(q)))


class Transformer(nn.Module):
    """(B, T, F) -> (B, N, H): strided convolutions over time, positions, layers of self-attention, layer norm."""

    def __init__(self, config: Config, bands: int) -> None:
        super().__init__()
        self.stem, width, H = nn.Sequential(), bands, config.hidden
        for stride in config.stem_strides:
            kernel = config.stem_kernel
            self.stem.append(nn.Conv1d(width, H, kernel, stride, kernel // 2, bias=False))
            self.stem.extend([nn.BatchNorm1d(H), nn.SiLU()])
            width = H
        self.input_norm, self.output_norm = nn.LayerNorm(H), nn.LayerNorm(H)
        self.dropout = nn.Dropout(config.attention_dropout)
        self.layers = nn.Sequential(
            *(Layer(H, config.heads, config.ffn, config.attention_dropout) for _ in range(config.layers))
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x.transpose(1, 2)).transpose(1, 2)
        h = self.input_norm(h + positions(h.shape[1], h.shape[2], h.device, h.dtype))
        return self.output_norm(self.layers(self.dropout(h)))


class Output(NamedTuple):
    """What the forward pass returns."""

    logits: Tensor  # (B, K)
    branches: tuple[Tensor, ...]  # (B, K) each: the CNN's and the transformer's, in training only


class Model(nn.Module):
    """(B, T, F) -> (B, K). Raises `SerError` when the task has not exactly one frame-level input."""

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.config, self.feature = config, frame_feature(task, "stem")
        bands, classes, d = task.inputs[self.feature], len(task.outputs), config.d
        self.dropout = nn.Dropout(config.dropout)
        if config.variant != "transformer":
            self.cnn = Convolutions(config, bands)
        if config.variant == "cnn":
            self.dense = nn.Linear(2 * self.cnn.columns, config.dense)
            self.head = nn.Linear(config.dense, classes)
            return
        self.transformer = Transformer(config, bands)
        self.project_frames = nn.Linear(config.hidden, d)
        self.fusion = nn.ModuleList(
            Layer(d, config.fusion_heads, 4 * d, config.attention_dropout) for _ in range(config.fusion_layers)
        )
        self.head = nn.Linear(2 * d, classes)
        if config.variant == "fusion":
            self.project_tokens = nn.Linear(self.cnn.columns, d)
            self.cnn_head = nn.Linear(2 * self.cnn.columns, classes)
            self.transformer_head = nn.Linear(config.hidden, classes)

    def forward(self, batch: Batch) -> Output:
        x = batch.inputs[self.feature]
        if self.config.variant == "cnn":
            h = functional.silu(self.dense(self.dropout(statistics(self.cnn(x), 1))))
            return Output(self.head(self.dropout(h)), ())
        frames = self.transformer(x)  # (B, N, H)
        q, kv = self.project_frames(frames), None
        branches: tuple[Tensor, ...] = ()
        if self.config.variant == "fusion":
            tokens = self.cnn(x)  # (B, S, C F')
            q, kv = self.project_tokens(tokens), q
            if self.training:
                branches = (
                    self.cnn_head(self.dropout(statistics(tokens, 1))),
                    self.transformer_head(self.dropout(frames.mean(1))),
                )
        for layer in self.fusion:
            q = layer(q, kv)
        return Output(self.head(self.dropout(statistics(q, 1))), branches)

    def loss(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy, and with `fusion` that of each branch times `auxiliary`."""
        terms = {"cross_entropy": cross_entropy(output.logits, batch)}
        for name, logits in zip(("cnn", "transformer"), output.branches, strict=False):
            terms[name] = self.config.auxiliary * cross_entropy(logits, batch)
        return terms
