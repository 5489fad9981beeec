"""Semantic speech emotion recognition (P4: Tzirakis, Nguyen, Zafeiriou, Schuller, ICASSP 2021; papers.md section 7).

A CNN on the waveform and the vector of the current word, both on the grid of the labels (10 rows per second), are fused
row by row and read by one LSTM; tanh gives arousal, valence and liking. The loss is 1 - CCC over the batch.

The rows of the paper's Table 2 are ``fusion: none`` with {stream: word2vec, mode: type_lookup_oracle}, {stream:
speech2vec}, {stream: aligned} and {stream: paralinguistic}; those of Table 3 are ``fusion: concat`` and the defaults.
``stream: random_vectors`` is their control: one random vector per word type (type_lookup_oracle) or, in the other
modes, a new one for every spoken word. Word vectors are fixed inputs, which the stage `words` makes.

The input is the feature `waveform` with ``rate: 22050, segment: 2205, normalise: none``, the training has ``window:
blocks, frames: 100``: blocks of 10 s, in training as in prediction. The LSTM starts anew in each (papers.md 7.4).

Deviations:

* The defaults follow the paper, ``profile: code`` the authors' public code, where the two differ (papers.md 7, table).
  Their learning rates and batch sizes are fields of `training`.
* Padded rows are left out of the loss; the public code keeps them.
* The option `stateful_eval` of papers.md 7.4 does not exist.

Letters: B blocks, T label rows of a block, F samples of a row, d columns of a word vector, C channels, L steps after
the CNN, E width, H units, D dimensions of affect, N frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.core.errors import SerError
from ser.core.tasks import MODES, STREAMS, Batch, Task
from ser.corpora.manifest import LABEL_RATE

TASK = "continuous"  # the model predicts no classes
READS = ("words",)
FIXED_LENGTH = True  # a block is `training.frames` label rows
WHERE = "models.semantic"
WORDS, TURNS = "words", "turns"  # inputs made by the stage `words`: vectors (T, d); turns of the subject (T, 1)

PROFILES: dict[str, dict[str, Any]] = {  # papers.md 7, table: paper and public code
    "paper": {
        "frame_pooling": "adaptive",  # the printed network fits no grid of labels (papers.md 7.1)
        "turn_channels": False,
        "channels": (50, 125, 125),
        "attention": 512,
        "dense": 512,
        "projection": "linear",
        "activation": "linear",
        "peephole": False,
        "forget_bias": 0.0,  # the paper gives none
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
        "projection": "relu",
        "activation": "relu",
        "peephole": True,
        "forget_bias": 1.0,
        "fusion_dropout": 0.0,
        "output_dropout": 0.0,
        "weights": (1.0, 1 / 2, 1 / 3),
    },
}
TINY = {  # a Config of test size
    "channels": [3, 4],
    "kernels": [4, 3],
    "pools": [4, 2],
    "attention": 6,
    "dense": 5,
    "hidden": 4,
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
    channels: tuple[int, ...] | None = None  # of the CNN
    kernels: tuple[int, ...] = (8, 6, 6)  # papers.md 7.1
    pools: tuple[int, ...] = (10, 5, 5)  # papers.md 7.1, size and stride
    attention: int | None = None  # d_u, width of the projections, also of that of a single stream
    dense: int | None = None  # width of the layers of the three dimensions
    projection: Literal["linear", "relu"] | None = None  # activation of both projections to d_u
    activation: Literal["linear", "relu"] | None = None  # of the layers of the three dimensions
    hidden: int = 256  # units of the LSTM
    peephole: bool | None = None  # of the LSTM
    cell_clip: float = 100.0  # with peepholes; public code
    forget_bias: float | None = None  # with peepholes: added to the initial bias of the forget gate

    cnn_dropout: float = 0.5  # after each block of the CNN
    fusion_dropout: float | None = None  # after the projections
    output_dropout: float | None = None  # on the output of the LSTM

    weights: tuple[float, ...] | None = None  # of the dimensions in the loss, in the order of the labels; (): 1 / D
    ccc_over: Literal["batch", "sequence"] = "batch"  # papers.md 7.4: all frames of the batch, or those of each block
    epsilon: float = 1e-8  # added to the denominator of the CCC (papers.md 2)
    delay_s: float = 0.0  # seconds by which raters lag: the prediction of a row is the output so much earlier (7.4)

    def __post_init__(self) -> None:
        kernels, pools, channels = len(self.kernels), len(self.pools), len(self.of("channels"))
        if not channels == kernels == pools or not channels:
            raise ValueError(f"{channels} channels, {kernels} kernels and {pools} pools: the numbers must be equal")
        sizes = (self.of("attention"), self.of("dense"), self.hidden, *self.of("channels"), *self.kernels, *self.pools)
        if min(sizes) < 1 or self.cell_clip <= 0:
            raise ValueError("sizes must be at least 1, and cell_clip must be above 0")
        for name in ("cnn_dropout", "fusion_dropout", "output_dropout"):
            if not 0 <= self.of(name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {self.of(name)}")
        if self.epsilon <= 0 or self.delay_s < 0 or any(w < 0 for w in self.of("weights")):
            raise ValueError("epsilon must be above 0, delay_s and weights must not be negative")
        if self.stream == "paralinguistic" and self.fusion != "none":
            raise ValueError("stream paralinguistic cannot be fused with itself: set fusion: none")
        if self.mode not in STREAMS.get(self.stream, MODES):
            raise ValueError(f"stream {self.stream} looks words up: set mode: type_lookup_oracle")

    def of(self, name: str) -> Any:
        """The value of a field, or that of the profile where it is None."""
        value = getattr(self, name)
        return PROFILES[self.profile][name] if value is None else value

    @property
    def reads_waveform(self) -> bool:
        """Whether the waveform is an input: it is unless a stream of words is used alone."""
        return self.stream == "paralinguistic" or self.fusion != "none"


def word_inputs(config: Config) -> dict[str, str]:
    """Inputs of the model -> the stores, below the folder of a block of `words`, that hold them."""
    found = {} if config.stream == "paralinguistic" else {WORDS: f"streams/{config.stream}-{config.mode}"}
    if config.reads_waveform and config.of("turn_channels"):
        found[TURNS] = "streams/turns"
    return found


def check(config: Config, features: Mapping[str, str], words: str | None, where: str) -> None:
    """Checks an experiment before anything runs.

    `features`: name -> module of each feature of the experiment; `words`: its block of word vectors, if it has one;
    `where`: its key in params.yaml. Raises `SerError` when the model reads something that the experiment lacks, and
    when the experiment names words that the model does not read.
    """
    needed = word_inputs(config)
    if needed and words is None:
        what = f"the model reads {' and '.join(needed)}, which the stage words makes"
        hint = (
            "Move the experiment to the group with_words and name a block of words; stream: paralinguistic needs none"
        )
        raise SerError(what, where, hint)
    if words is not None and not needed:
        what = "with stream: paralinguistic the model reads no words"
        raise SerError(what, f"{where}.words", "Move the experiment to the group experiments")
    if config.reads_waveform and "waveform" not in features.values():
        what = f"the model reads a waveform, and the experiment has only {', '.join(features) or 'no feature'}"
        raise SerError(what, f"{where}.feature", "Name a feature with feature: waveform")


class Waveform(nn.Module):
    """The paralinguistic CNN (papers.md 7.1), brought to the label rows: (B, T, F) -> (B, T, `outputs`).

    Blocks of convolution ("same"; an even kernel is padded by one more on the right), ReLU, max-pooling and dropout.
    ``adaptive`` averages the steps of the whole block under each row; ``framewise`` runs the CNN on every row alone;
    ``reshape`` cuts the steps as the public code does, which mixes time and channel. Raises `SerError` when a row is
    too short for the pools, and in forward when the steps cannot be cut.
    """

    def __init__(self, config: Config, samples: int) -> None:
        super().__init__()
        channels = config.of("channels")
        layers = zip((1, *channels), channels, config.kernels, strict=False)
        self.convolutions = nn.ModuleList(nn.Conv1d(*sizes) for sizes in layers)
        self.kernels, self.pools, self.pooling = config.kernels, config.pools, config.of("frame_pooling")
        self.dropout = nn.Dropout(config.cnn_dropout)
        steps = samples
        for pool in config.pools:
            steps //= pool
        width = {"adaptive": 1, "framewise": steps, "reshape": samples / math.prod(config.pools)}[self.pooling]
        self.outputs = int(channels[-1] * width)
        if not self.outputs:
            raise SerError(f"rows of {samples} samples are too short for pools {self.pools}", WHERE, "Lower the pools")

    def steps(self, x: Tensor) -> Tensor:
        """(B, N) samples -> (B, C, L)."""
        h = x[:, None]
        for convolution, k, pool in zip(self.convolutions, self.kernels, self.pools, strict=True):
            h = convolution(functional.pad(h, ((k - 1) // 2, k // 2)))
            h = self.dropout(functional.relu(functional.max_pool1d(h, pool)))  # equal to ReLU first, on fewer values
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
    """a_u u + a_v v with (a_u, a_v) = softmax(u.q / sqrt(E), v.q / sqrt(E)) and one learnt q (papers.md 7.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(width) / math.sqrt(width))  # ours: the paper gives no initial value

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """u, v (..., E) -> (..., E)."""
        both = torch.stack([u, v], -2)
        weights = (both @ self.query / math.sqrt(both.shape[-1])).softmax(-1)
        return (weights[..., None] * both).sum(-2)


class Disentangled(nn.Module):
    """Disentangled attention (papers.md 7.2, steps 1 to 4): words (B, T, d), sound (B, T, P) -> (B, T, `dense`).

    The two projected streams (in the public code after a ReLU) are joined by attention; one linear layer per dimension
    of affect reads the result; the outputs of these layers are joined by attention one after the other. The paper calls
    the layers arousal, liking and valence, in the order in which they are joined; no term of the loss makes them
    differ.
    """

    def __init__(self, config: Config, words: int, sound: int, dimensions: int) -> None:
        super().__init__()
        width, dense = config.of("attention"), config.of("dense")
        self.words, self.sound = nn.Linear(words, width), nn.Linear(sound, width)
        self.streams = Attention(width)
        self.branches = nn.ModuleList(nn.Linear(width, dense) for _ in range(dimensions))
        self.joins = nn.ModuleList(Attention(dense) for _ in range(dimensions - 1))
        kinds = {"linear": nn.Identity(), "relu": nn.ReLU()}
        self.projection, self.activation = kinds[config.of("projection")], kinds[config.of("activation")]
        self.dropout = nn.Dropout(config.of("fusion_dropout"))

    def forward(self, words: Tensor, sound: Tensor) -> Tensor:
        words, sound = (self.dropout(self.projection(x)) for x in (self.words(words), self.sound(sound)))
        x = self.streams(words, sound)  # (B, T, E)
        joined, *others = (self.activation(branch(x)) for branch in self.branches)
        for join, other in zip(self.joins, others, strict=True):
            joined = join(joined, other)
        return joined


class Concatenation(nn.Module):
    """x = [x_s, x_p], without a projection (papers.md 7.2): (B, T, d), (B, T, P) -> (B, T, d + P)."""

    def forward(self, *streams: Tensor) -> Tensor:
        return torch.cat(streams, -1)


class PeepholeLSTM(nn.Module):
    """The LSTM of the public code (papers.md 7, table): (B, T, E) -> (B, T, H), gates in PyTorch's order i, f, g, o.

    Input and forget gates see the last cell, the output gate sees the present one, and cells are clipped.
    """

    def __init__(self, inputs: int, units: int, clip: float, forget_bias: float = 0.0) -> None:
        super().__init__()
        self.inputs, self.states = nn.Linear(inputs, 4 * units), nn.Linear(units, 4 * units, bias=False)
        with torch.no_grad():
            self.inputs.bias[units : 2 * units] += forget_bias
        self.peepholes = nn.Parameter(torch.zeros(3, units))  # of i, f, o; zero at first: a plain LSTM (ours)
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        driven = self.inputs(x)
        h = c = driven.new_zeros(len(x), self.peepholes.shape[1])
        w_i, w_f, w_o = self.peepholes
        states = []
        for row in driven.unbind(1):
            i, f, g, o = (row + self.states(h)).chunk(4, -1)
            c = torch.sigmoid(f + w_f * c) * c + torch.sigmoid(i + w_i * c) * torch.tanh(g)
            c = c.clamp(-self.clip, self.clip)
            h = torch.sigmoid(o + w_o * c) * torch.tanh(c)
            states.append(h)
        return torch.stack(states, 1)


class Output(NamedTuple):
    """What the forward pass returns."""

    values: Tensor  # (B, T, D) in [-1, 1]


class Model(nn.Module):
    """(B, T, F) of samples and (B, T, d) of word vectors -> (B, T, D).

    Raises `SerError` when the task lacks an input or has classes. ``notes``: the stream, the mode and the fusion, for
    the card of the experiment.
    """

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.config, self.outputs = config, task.outputs
        if task.kind != "continuous":
            raise SerError("semantic predicts continuous labels; this corpus has classes", WHERE, "Use another model")
        self.sound, self.words, self.turns = inputs(config, task)
        self.waveform, widths = None, [task.inputs[self.words]] if self.words else []
        if self.sound:
            self.waveform = Waveform(config, task.inputs[self.sound] * (2 if self.turns else 1))
            widths.append(self.waveform.outputs)
        self.fusion, width = fusion(config, widths, len(task.outputs))
        if config.of("peephole"):
            self.lstm: nn.Module = PeepholeLSTM(width, config.hidden, config.cell_clip, config.of("forget_bias"))
        else:
            self.lstm = nn.LSTM(width, config.hidden, batch_first=True)
        self.dropout = nn.Dropout(config.of("output_dropout"))
        self.head = nn.Linear(config.hidden, len(task.outputs))
        self.weights = config.of("weights") or (1 / len(task.outputs),) * len(task.outputs)
        if len(self.weights) != len(task.outputs):
            raise SerError(f"{len(self.weights)} weights for {len(task.outputs)} dimensions", f"{WHERE}.weights")
        mode = "none" if config.stream == "paralinguistic" else config.mode
        self.notes = {"stream": config.stream, "mode": mode, "fusion": config.fusion}

    def forward(self, batch: Batch) -> Output:
        streams = [batch.inputs[self.words]] if self.words else []
        if self.waveform is not None:
            streams.append(self.waveform(self._samples(batch)))
        x = self.lstm(self.fusion(*streams))  # (B, T, H)
        x = x if isinstance(x, Tensor) else x[0]  # torch's LSTM returns its last states, too
        return Output(self._delayed(torch.tanh(self.head(self.dropout(x)))))

    def loss(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Weighted 1 - CCC of each dimension over the frames that have a label (papers.md 7.4)."""
        gold = batch.targets
        x, y = (t.to(gold.dtype).movedim(-1, 0) for t in (output.values, gold))  # (D, B, T)
        if self.config.ccc_over == "batch":
            x, y = x.flatten(1), y.flatten(1)
        valid = ~torch.isnan(y)
        terms = 1 - ccc(x, y, valid, self.config.epsilon)
        if self.config.ccc_over == "sequence":
            labelled = valid.any(-1)  # a block without any label has no CCC
            terms = torch.where(labelled, terms, 0.0).sum(-1) / labelled.sum(-1).clamp(min=1)
        return {name: w * term for name, w, term in zip(self.outputs, self.weights, terms, strict=True)}

    def _samples(self, batch: Batch) -> Tensor:
        """(B, T, F); with the turns of the speakers (B, T, 2 F), the subject's samples before the partner's."""
        assert self.sound is not None
        x = batch.inputs[self.sound]
        if self.turns is None:
            return x
        own = batch.inputs[self.turns]
        return torch.cat([x * own, x * (1 - own)], -1)

    def _delayed(self, values: Tensor) -> Tensor:
        k = min(round(self.config.delay_s * LABEL_RATE), values.shape[1] - 1)
        return torch.cat([values[:, :1].expand(-1, k, -1), values[:, : values.shape[1] - k]], 1) if k else values


def inputs(config: Config, task: Task) -> tuple[str | None, str | None, str | None]:
    """Names of the waveform, the word vectors and the turns among the inputs of the task; None for what is not read.

    Raises `SerError` when one of them is missing."""
    sound = None
    if config.reads_waveform:
        found = [name for name, level in task.levels.items() if level == "frame" and name not in (WORDS, TURNS)]
        if len(found) != 1:
            what = f"semantic needs one waveform, not {', '.join(found) or 'none'}"
            raise SerError(what, WHERE, "Set feature: waveform")
        sound = found[0]
    needed = word_inputs(config)
    for name in needed:
        if task.levels.get(name) != "frame":
            raise SerError(f"semantic needs the input {name!r}", WHERE, "Name a block of words in the experiment")
    return sound, WORDS if WORDS in needed else None, TURNS if TURNS in needed else None


def fusion(config: Config, widths: list[int], dimensions: int) -> tuple[nn.Module, int]:
    """The fusion of streams of these widths, and the width of its output."""
    width = config.of("attention")
    if config.fusion == "none":  # a single stream is projected, without attention (papers.md 7.3)
        return nn.Sequential(nn.Linear(widths[0], width), nn.Dropout(config.of("fusion_dropout"))), width
    if config.fusion == "concat":
        return Concatenation(), sum(widths)
    words, sound = widths
    return Disentangled(config, words, sound, dimensions), config.of("dense")


def ccc(x: Tensor, y: Tensor, valid: Tensor, epsilon: float) -> Tensor:
    """2 cov / (var x + var y + (mean x - mean y)^2 + `epsilon`), (..., N) -> (...) (papers.md 2 and 7.4).

    Moments are population moments over the last axis. Frames where `valid` (bool) is False are left out, whatever they
    hold. The result is 0 for a constant series and where no frame is valid.
    """
    n = valid.sum(-1, keepdim=True).clamp(min=1)
    x, y = (torch.where(valid, s, 0.0) for s in (x, y))
    mx, my = (s.sum(-1, keepdim=True) / n for s in (x, y))
    dx, dy = (torch.where(valid, s - m, 0.0) for s, m in ((x, mx), (y, my)))
    vx, vy, cov = ((p.sum(-1) / n[..., 0]) for p in (dx * dx, dy * dy, dx * dy))
    return 2 * cov / (vx + vy + (mx - my)[..., 0].square() + epsilon)
