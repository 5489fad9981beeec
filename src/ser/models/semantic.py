"""Semantic speech emotion recognition (P4: Tzirakis, Nguyen, Zafeiriou, Schuller, ICASSP 2021; papers.md section 7).

A CNN on the waveform and a vector of the word being said, both on the grid of the labels (10 rows a second), are fused
row by row and read by one LSTM; tanh gives arousal, valence and liking. Trained with 1 - CCC over the batch.

The rows of Table 2 are ``fusion: none``: {stream: word2vec, mode: type_lookup_oracle}, {stream: speech2vec},
{stream: aligned}, {stream: paralinguistic}; those of Table 3 ``fusion: concat`` and the defaults. ``stream:
random_vectors`` is their control: one random vector a word type (type_lookup_oracle) or, in the other modes, a new one
for every spoken word. Word vectors are fixed inputs, made by the stage `semantics`.

Input is the feature `waveform` with ``rate: 22050, segment: 2205, normalise: none`` and ``window: blocks,
frames: 100``, blocks of 10 s, in training as in prediction; the LSTM starts anew in each (papers.md 7.4). Deviations:
the defaults read the paper, ``profile: code`` the authors' code, where the two differ (papers.md 7, table); their rates
and batches are fields of `training`. Padded rows are left out of the loss, the code keeps them. The option
`stateful_eval` of papers.md 7.4 is not built.

Letters: B blocks, T label rows of a block, F samples of a row, E width, D dimensions of affect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ser.errors import SerError
from ser.models.parts.disentangled import WHERE, Disentangled, PeepholeLSTM, Waveform, ccc
from ser.tasks import Batch, Task

TASK = "continuous"  # it predicts no classes
FIXED_LENGTH = True  # a block is `training.frames` label rows
WORDS, TURNS = "words", "turns"  # inputs that the stage `semantics` makes: vectors (T, d), the subject's turns (T, 1)
ROWS = 10.0  # label rows a second (papers.md 1.5)
PROFILES: dict[str, dict[str, Any]] = {  # papers.md 7, table: paper and public code
    "paper": {
        "frame_pooling": "adaptive",  # the printed network fits no grid (papers.md 7.1)
        "turn_channels": False,
        "channels": (50, 125, 125),
        "attention": 512,
        "dense": 512,
        "activation": "linear",
        "peephole": False,
        "fusion_dropout": 0.5,
        "output_dropout": 0.5,
        "weights": (),
    },
    "code": {
        "frame_pooling": "reshape",
        "turn_channels": True,
        "channels": (50, 125, 250),
        "attention": 1024,
        "dense": 512,
        "activation": "relu",
        "peephole": True,
        "fusion_dropout": 0.0,
        "output_dropout": 0.0,
        "weights": (1.0, 1 / 2, 1 / 3),
    },
}


@dataclass(frozen=True)
class Config:
    """A field that is None takes the value of the profile."""

    stream: Literal["word2vec", "speech2vec", "aligned", "random_vectors", "paralinguistic"] = "aligned"
    mode: Literal["type_lookup_oracle", "token_aligned", "token_unsupervised"] = "token_aligned"  # papers.md 7.3
    fusion: Literal["disentangled", "concat", "none"] = "disentangled"  # none: the stream alone
    profile: Literal["paper", "code"] = "paper"

    frame_pooling: Literal["adaptive", "framewise", "reshape"] | None = None  # papers.md 7.1
    turn_channels: bool | None = None  # a row twice as long: the subject's half and the partner's, one of them zero
    channels: tuple[int, ...] | None = None
    kernels: tuple[int, ...] = (8, 6, 6)  # papers.md 7.1
    pools: tuple[int, ...] = (10, 5, 5)  # papers.md 7.1, size and stride
    attention: int | None = None  # width of the projections, d_u; of a single stream's, too
    dense: int | None = None  # width of the layers of the three dimensions
    activation: Literal["linear", "relu"] | None = None  # of these
    hidden: int = 256  # of the LSTM
    peephole: bool | None = None
    cell_clip: float = 100.0  # with peepholes; public code

    cnn_dropout: float = 0.5  # after each block of the CNN
    fusion_dropout: float | None = None  # after the projections
    output_dropout: float | None = None  # on the LSTM's output

    weights: tuple[float, ...] | None = None  # of the dimensions in the loss, in the labels' order; (): equal, sum 1
    ccc_over: Literal["batch", "sequence"] = "batch"  # papers.md 7.4: the frames of the batch, or of each block
    epsilon: float = 1e-8  # below the CCC's line (ours: small beside the variance of any gold standard)
    delay_s: float = 0.0  # seconds by which raters lag: a row's prediction is the output so much earlier (7.4)

    def __post_init__(self) -> None:
        kernels, pools, channels = len(self.kernels), len(self.pools), len(self.of("channels"))
        if not channels == kernels == pools or not channels:
            raise ValueError(f"{channels} channels, {kernels} kernels and {pools} pools must be as many")
        sizes = (self.of("attention"), self.of("dense"), self.hidden, *self.of("channels"), *self.kernels, *self.pools)
        if min(sizes) < 1 or self.cell_clip <= 0:
            raise ValueError("sizes are at least 1, and cell_clip above 0")
        for name in ("cnn_dropout", "fusion_dropout", "output_dropout"):
            if not 0 <= self.of(name) < 1:
                raise ValueError(f"{name} is in [0, 1), not {self.of(name)}")
        if self.epsilon <= 0 or self.delay_s < 0 or any(w < 0 for w in self.of("weights")):
            raise ValueError("epsilon is above 0, delay_s and weights are not below")
        if self.stream == "paralinguistic" and self.fusion != "none":
            raise ValueError("stream paralinguistic has nothing to be fused with: set fusion: none")
        if self.stream == "word2vec" and self.mode != "type_lookup_oracle":
            raise ValueError("stream word2vec needs to know the word: set mode: type_lookup_oracle")

    def of(self, name: str) -> Any:
        """A field's value, or the profile's where it has none."""
        value = getattr(self, name)
        return PROFILES[self.profile][name] if value is None else value


TINY = {  # a Config of test size
    "channels": [3, 4],
    "kernels": [4, 3],
    "pools": [4, 2],
    "attention": 6,
    "dense": 5,
    "hidden": 4,
}


class Output(NamedTuple):
    values: Tensor  # (B, T, D) in [-1, 1]


class Model(nn.Module):
    """(B, T, F) of samples and (B, T, d) of word vectors -> (B, T, D). Raises `SerError` when the task lacks an input
    or has classes."""

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.config, self.outputs = config, task.outputs
        if task.kind != "continuous":
            raise SerError("semantic predicts continuous labels; this corpus has classes", WHERE, "Take another model")
        self.sound = _sound(config, task)
        self.words = None if config.stream == "paralinguistic" else _given(WORDS, task)
        self.turns = _given(TURNS, task) if self.sound and config.of("turn_channels") else None
        self.waveform = _waveform(config, task, self.sound) if self.sound else None
        heard = self.waveform.outputs if self.waveform else 0
        said = task.inputs[self.words] if self.words else 0
        self.fusion, width = _fusion(config, said, heard, len(task.outputs))
        if config.of("peephole"):
            self.lstm: nn.Module = PeepholeLSTM(width, config.hidden, config.cell_clip)
        else:
            self.lstm = nn.LSTM(width, config.hidden, batch_first=True)
        self.dropout = nn.Dropout(config.of("output_dropout"))
        self.head = nn.Linear(config.hidden, len(task.outputs))
        weights = config.of("weights") or [1 / len(task.outputs)] * len(task.outputs)
        if len(weights) != len(task.outputs):
            raise SerError(f"{len(weights)} weights for {len(task.outputs)} dimensions", f"{WHERE}.weights")
        self.weights = tuple(weights)
        alone = config.stream == "paralinguistic"
        self.notes: dict[str, str] = {"stream": config.stream, "mode": "none" if alone else config.mode}
        self.notes["fusion"] = config.fusion

    def forward(self, batch: Batch) -> Output:
        streams = [batch.inputs[self.words]] if self.words else []
        if self.waveform is not None:
            streams.append(self.waveform(self._samples(batch)))
        x = self.fusion(*streams)
        x = self.lstm(x)
        x = x if isinstance(x, Tensor) else x[0]
        return Output(self._delayed(torch.tanh(self.head(self.dropout(x)))))

    def loss(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Weighted 1 - CCC of each dimension over the frames that have a label."""
        gold = batch.targets
        x, y = (t.to(gold.dtype).movedim(-1, 0) for t in (output.values, gold))  # (D, B, T)
        if self.config.ccc_over == "batch":
            x, y = x.flatten(1), y.flatten(1)
        valid = ~torch.isnan(y)
        found = 1 - ccc(x, y, valid, self.config.epsilon)
        if self.config.ccc_over == "sequence":
            there = valid.any(-1)  # a block without a label says nothing
            found = torch.where(there, found, 0.0).sum(-1) / there.sum(-1).clamp(min=1)
        return {name: w * term for name, w, term in zip(self.outputs, self.weights, found, strict=True)}

    def _samples(self, batch: Batch) -> Tensor:
        """(B, T, F), or (B, T, 2 F) with the speaker's turns: the subject's samples, then the partner's."""
        assert self.sound is not None
        x = batch.inputs[self.sound]
        if self.turns is None:
            return x
        own = batch.inputs[self.turns]
        return torch.cat([x * own, x * (1 - own)], -1)

    def _delayed(self, values: Tensor) -> Tensor:
        k = min(round(self.config.delay_s * ROWS), values.shape[1] - 1)
        return torch.cat([values[:, :1].expand(-1, k, -1), values[:, : values.shape[1] - k]], 1) if k else values


class _Projected(nn.Module):
    """A single stream: projected, no attention (papers.md 7.3)."""

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(inputs, width), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.linear(x))


class _Concatenated(nn.Module):
    """x = [x_s, x_p], no projection (papers.md 7.2)."""

    def forward(self, *streams: Tensor) -> Tensor:
        return torch.cat(streams, -1)


def _fusion(config: Config, said: int, heard: int, dimensions: int) -> tuple[nn.Module, int]:
    """The fusion of the streams of these widths, and the width it gives."""
    width, dropout = config.of("attention"), config.of("fusion_dropout")
    if config.fusion == "none":
        return _Projected(said + heard, width, dropout), width
    if config.fusion == "concat":
        return _Concatenated(), said + heard
    rectified, dense = config.of("activation") == "relu", config.of("dense")
    return Disentangled(said, heard, width, dense, dimensions, rectified, dropout), dense


def _waveform(config: Config, task: Task, feature: str) -> Waveform:
    samples = task.inputs[feature] * (2 if config.of("turn_channels") else 1)
    pooling = config.of("frame_pooling")
    return Waveform(samples, config.of("channels"), config.kernels, config.pools, pooling, config.cnn_dropout)


def _sound(config: Config, task: Task) -> str | None:
    """The frame-level feature that is neither words nor turns; None for a stream of words alone."""
    if config.fusion == "none" and config.stream != "paralinguistic":
        return None
    found = [f for f, level in task.levels.items() if level == "frame" and f not in (WORDS, TURNS)]
    if len(found) != 1:
        raise SerError(f"semantic needs one waveform, got {found or 'none'}", WHERE, "Set feature: waveform")
    return found[0]


def _given(feature: str, task: Task) -> str:
    if task.levels.get(feature) != "frame":
        raise SerError(f"semantic needs the input {feature!r}", WHERE, "Set extra: semantics/<name> in the experiment")
    return feature
