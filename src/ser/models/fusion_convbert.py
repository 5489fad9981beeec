"""Fusion-ConvBERT and its ablations (P1: Lee, Han, Ko, Sensors 20(22), 2020; papers.md 4.2 to 4.6).

A pre-trained Mockingjay encoder and a convolutional branch (P1 section 3.2, Table 1) read the same log-mel frames; a
small cross-attention transformer (P1 section 3.4) joins them. Variants (papers.md 4.6):

``fusion_convbert``  both branches, the encoder is fine-tuned (Fusion-A of the paper)
``fusion_b_frozen``  the same with the encoder frozen and without dropout (Fusion-B)
``robust_cnns``      the same with the roles exchanged: queries from the encoder, keys and values from the CNN
``bert``             no CNN: three self-attention layers on the output of the encoder
``transformer``      as ``bert``, with an encoder that was not pre-trained
``fusion_ssl``       ours: as ``fusion_convbert``, with the frames of a published self-supervised encoder, its second
                     feature (`ssl`), in place of Mockingjay. That encoder is not fine-tuned

The CNN alone is the model `cnns`. Deviations, each a parameter or forced by contradictions in the paper (papers.md 4.4
and 4.8):

* The CNN keeps its time axis, so that there is a sequence to attend to (`cnn_tokens`).
* Queries come from the CNN, keys and values from the encoder, as in Fig. 4; equation (10) and the prose say otherwise,
  and their shapes do not fit (`fusion`).
* The fused sequence is averaged over its valid positions, where the paper says "final hidden state".
* The projections have kernel 1, that is, they are linear layers per frame.

Padding never changes a result of the encoder or of the attention. In the CNN it takes part in the layer norm, so
`training.frames` must be set (papers.md 4.2).

Letters: B utterances, T frames, F bands, H encoder width, C channels, S CNN tokens, d fusion width, A heads,
Q and N positions of queries and of keys, K classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ser.core.errors import SerError
from ser.core.files import read_json
from ser.core.recipe import Training
from ser.core.tasks import Batch, Inputs, Task
from ser.models.layers import mockingjay
from ser.models.layers.attention import attention
from ser.models.layers.classifier import Output, cross_entropy, frame_feature, masked_mean
from ser.models.layers.convolution import ACTIVATIONS, Activation, ConvBranch, check_branch

READS = ("pretrained", "functionals")
FIXED_LENGTH = True  # padding takes part in the group norm of the CNN branch, as in `cnns`
WHERE = "models.fusion_convbert"
FUSED = ("fusion_convbert", "fusion_b_frozen", "robust_cnns", "fusion_ssl")  # variants with both branches
PROFILES: dict[str, tuple[float, float]] = {  # learning rates of the encoder and of the rest (papers.md 4.5)
    "paper": (2e-3, 2e-3),  # P1: one rate for all models
    "safe": (1e-4, 1e-3),  # ours: for when the rate of the paper stays at chance on dev
}
TINY = {  # a Config of test size: the contract tests train it
    "allow_random": True,
    "hidden": 16,
    "layers": 1,
    "heads": 2,
    "ffn": 32,
    "channels": [4, 8],
    "pools": [2, 4],
    "d": 12,
    "fusion_heads": 2,
    "fusion_ffn": 24,
}


@dataclass(frozen=True)
class Config:
    """Variant, sizes and learning rates; the sizes of the encoder must be those it was pre-trained with."""

    variant: Literal["fusion_convbert", "fusion_b_frozen", "robust_cnns", "bert", "transformer", "fusion_ssl"] = (
        "fusion_convbert"
    )
    allow_random: bool = False  # variants that fine-tune an encoder may start from random weights (smoke tests)

    hidden: int = 768  # H, P1 (papers.md 4.3)
    layers: int = 3  # P1 (papers.md 4.3)
    heads: int = 12  # P1 (papers.md 4.3)
    ffn: int = 3072  # Mockingjay, which P1 follows
    dropout: float = 0.1  # Mockingjay
    attention_dropout: float = 0.1  # Mockingjay
    activation: Literal["gelu", "swish"] = "gelu"  # Mockingjay; P1 says Swish for everything (papers.md 4.3)

    channels: tuple[int, ...] = (64, 128, 256, 512)  # P1 Table 1, of the convolutional branch
    pools: tuple[int, ...] = (4, 4, 4, 2)  # P1 Table 1, time and frequency alike
    cnn_activation: Activation = "swish"  # P1: Swish for everything
    cnn_tokens: Literal["sequence", "one"] = "sequence"  # one: Table 1 to the letter, averaged to 1 x 1 x 512

    d: int = 120  # P1 (papers.md 4.4), width of the fusion or of the downstream transformer
    # P1 Fig. 4 and section 4.2.4. concatenation: the baseline that P1 names without a result, here the means of both
    # branches side by side (ours), without attention
    fusion: Literal["robust_bert", "robust_cnns", "equation_10", "concatenation"] = "robust_bert"
    fusion_layers: int = 3  # P1 (papers.md 4.4)
    fusion_heads: int = 6  # P1 (papers.md 4.4)
    fusion_ffn: int = 480  # ours: 4 d, the usual ratio
    fusion_attention_dropout: float = 0.3  # P1 (papers.md 4.4)
    fusion_activation: Activation = "swish"  # P1: Swish for everything

    profile: Literal["training", "paper", "safe"] = "training"  # of the learning rates; training: training.lr
    # The profile of a second training where the first one fails: its loss is not finite, or dev is at chance after
    # `training.chance_after` steps (papers.md 4.5).
    fallback: Literal["none", "safe"] = "none"
    lr_encoder: float | None = None  # instead of that of the profile
    lr_rest: float | None = None  # likewise

    def __post_init__(self) -> None:
        check_branch(self.channels, self.pools)
        for name in ("hidden", "layers", "heads", "ffn", "d", "fusion_layers", "fusion_heads", "fusion_ffn"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.d % self.fusion_heads:
            raise ValueError(f"d {self.d} is not a multiple of fusion_heads {self.fusion_heads}")
        if self.variant == "robust_cnns" and self.fusion in ("equation_10", "concatenation"):
            raise ValueError("variant robust_cnns sets the direction itself; keep fusion: robust_bert")
        if self.fusion == "concatenation" and self.variant not in FUSED:
            raise ValueError(f"variant {self.variant} has one branch, and fusion: concatenation joins two")
        if self.fusion == "equation_10" and self.cnn_tokens == "one":
            raise ValueError("equation_10 takes its keys from the CNN: one token would give every frame the same key")
        if min(self.rates(1.0)) <= 0:
            raise ValueError(f"lr_encoder {self.lr_encoder} and lr_rest {self.lr_rest} must be positive")

    @property
    def direction(self) -> str:
        """Which branch gives the queries."""
        return "robust_cnns" if self.variant == "robust_cnns" else self.fusion

    def rates(self, lr: float) -> tuple[float, float]:
        """Peak learning rates of the encoder and of the rest; `lr` is training.lr."""
        encoder, rest = PROFILES.get(self.profile, (lr, lr))
        return (
            encoder if self.lr_encoder is None else self.lr_encoder,
            rest if self.lr_rest is None else self.lr_rest,
        )


def fallback(config: Config) -> Config | None:
    """The configuration of a second training where the first one fails; None: there is none."""
    if config.fallback == "none" or config.profile == config.fallback:
        return None
    return dataclasses.replace(config, profile=config.fallback)


def check(config: Config, features: Mapping[str, str], words: str | None, where: str) -> None:
    """Raises `SerError` unless a variant has the features that it reads; `features`: name -> module of ser.features."""
    kinds = list(features.values())
    if config.variant == "fusion_ssl" and (len(kinds) != 2 or kinds[1] != "ssl"):
        hint = "Move it to with_functionals, where functionals names a feature with feature: ssl and pool: none"
        raise SerError("variant fusion_ssl also reads the frames of an encoder", where, hint)
    if config.variant != "fusion_ssl" and len(kinds) != 1:
        raise SerError(f"variant {config.variant} reads one feature", where, "Set variant: fusion_ssl")


class Attention(nn.Module):
    """Multi-head attention, (B, Q, d), (B, N, d), (B, N, d) -> (B, Q, d), scaled by the root of the head's width."""

    def __init__(self, d: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.output = (nn.Linear(d, d) for _ in range(4))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, queries: Tensor) -> Tensor:
        """`keys`, `queries`: (B,) numbers of positions that are not padding; other queries give undefined results."""
        mixed = attention(
            self._split(self.query(q)),
            self._split(self.key(k)),
            self._split(self.value(v)),
            keys,
            self.dropout if self.training else 0.0,
            queries,
        )
        return self.output(mixed.transpose(1, 2).flatten(2))  # (B, A, Q, d/A) -> (B, Q, d)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, Q, d) -> (B, A, Q, d/A)


class FusionLayer(nn.Module):
    """Post-norm layer (P1 section 3.4): q <- LN(q + MHA(q, k, v)), then q <- LN(q + FFN(q))."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        d = config.d
        self.attention = Attention(d, config.fusion_heads, config.fusion_attention_dropout)
        self.attention_norm = nn.LayerNorm(d)
        self.widen, self.narrow = nn.Linear(d, config.fusion_ffn), nn.Linear(config.fusion_ffn, d)
        self.ffn_norm = nn.LayerNorm(d)
        self.activation = ACTIVATIONS[config.fusion_activation]

    def forward(self, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, queries: Tensor) -> Tensor:
        """(B, Q, d), (B, N, d), (B, N, d), (B,), (B,) -> (B, Q, d)."""
        q = self.attention_norm(q + self.attention(q, k, v, keys, queries))
        return self.ffn_norm(q + self.narrow(self.activation(self.widen(q))))


class Model(nn.Module):
    """(B, T, F) -> (B, K). Raises `SerError` for a task without exactly one frame-level input, or two of `fusion_ssl`.

    ``notes``: what the card of the pre-training says (corpus, steps, hours), for the card of the experiment.
    """

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.config = config
        self.feature, self.encoded = inputs_of(config, task)
        self.notes: dict[str, Any] = {"pretrained": "no"}
        self.frozen = config.variant == "fusion_b_frozen"
        self.encoder: mockingjay.Encoder | None = None
        width = task.inputs[self.encoded]
        if config.variant != "fusion_ssl":
            self.encoder = _mockingjay(config, width).requires_grad_(not self.frozen)
            width = config.hidden
        self.project_frames = nn.Linear(width, config.d)  # a convolution of kernel 1
        self.cnn: ConvBranch | None = None
        if config.variant in FUSED:
            self.cnn = ConvBranch(config.channels, config.pools, config.cnn_activation)
            self.project_tokens = nn.Linear(config.channels[-1], config.d)
        layers = 0 if config.fusion == "concatenation" else config.fusion_layers
        self.fusion = nn.ModuleList(FusionLayer(config) for _ in range(layers))
        self.head = nn.Linear(config.d if layers else 2 * config.d, len(task.outputs))

    def load_pretrained(self, folder: Path) -> None:
        """Replaces the encoder by the pre-trained one of `folder`; its dropout stays that of `Config`.

        Raises `SerError` when the variant is not pre-trained, and when the sizes differ.
        """
        if self.encoder is None or self.config.variant == "transformer":
            what = f"variant {self.config.variant} is not pre-trained"
            raise SerError(what, f"{WHERE}.variant", "Give it no pretrained encoder, or set variant: bert")
        theirs, weights = mockingjay.load_encoder(folder)
        own = self.encoder.config
        for name in ("input", "hidden", "layers", "heads", "ffn", "activation"):
            if getattr(own, name) != getattr(theirs, name):
                raise SerError(
                    f"the encoder in {folder} has {name} {getattr(theirs, name)}, not {getattr(own, name)}",
                    WHERE,
                    "Give the model the sizes of the encoder, and the feature it was pre-trained on (input: bands)",
                )
        config = dataclasses.replace(theirs, dropout=own.dropout, attention_dropout=own.attention_dropout)
        with torch.device("meta"):  # no random number is drawn for weights that are replaced
            encoder = mockingjay.Encoder(config)
        encoder.load_state_dict(weights, assign=True)
        self.encoder = encoder.requires_grad_(not self.frozen).train(self.encoder.training)
        self.notes["pretrained"] = {k: v for k, v in read_json(folder / "card.json").items() if k != "config"}

    def prepare(self, train: Inputs) -> None:
        """Raises `SerError` when the encoder should be pre-trained and is not."""
        fine = self.encoder is None or self.config.variant == "transformer" or self.config.allow_random
        if self.notes["pretrained"] == "no" and not fine:
            raise SerError(
                f"variant {self.config.variant} needs a pre-trained encoder",
                f"{WHERE}.variant",
                "Move the experiment to the group finetuning, or set variant: transformer, or allow_random: true",
            )

    def train(self, mode: bool = True) -> Model:
        """A frozen encoder stays in evaluation mode: no dropout."""
        super().train(mode)
        if self.frozen and self.encoder is not None:
            self.encoder.eval()
        return self

    def forward(self, batch: Batch) -> Output:
        lengths = batch.lengths[self.encoded]
        longest = int(batch.on_host(self.encoded).max())  # later frames are padding, which the encoder need not compute
        frames, valid = batch.inputs[self.encoded][:, :longest], batch.mask(self.encoded)[:, :longest]
        if self.encoder is not None:
            frames = self.encoder(frames, lengths)  # (B, T, H)
        frames = self.project_frames(frames)  # (B, T, d)
        if self.cnn is None:
            for layer in self.fusion:
                frames = layer(frames, frames, frames, lengths, lengths)
            return Output(self.head(masked_mean(frames, valid)))
        tokens, present = self.tokens(batch.inputs[self.feature], batch.lengths[self.feature])
        if self.config.fusion == "concatenation":
            return Output(self.head(torch.cat([masked_mean(tokens, present), masked_mean(frames, valid)], 1)))
        q, k, v, at_q, at_k = self._roles(frames, valid, tokens, present)
        for layer in self.fusion:
            q = layer(q, k, v, at_k.sum(1), at_q.sum(1))
        return Output(self.head(masked_mean(q, at_q)))

    def tokens(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F), (B,) -> projected CNN tokens (B, S, d), and (B, S) which of them are not padding."""
        assert self.cnn is not None
        h = self.cnn(x).transpose(1, 2)  # (B, S, C)
        present = self.cnn.mask(lengths, h.shape[1])
        if self.config.cnn_tokens == "one":
            h, present = masked_mean(h, present)[:, None], present[:, :1]
        return self.project_tokens(h), present

    def _roles(
        self, frames: Tensor, valid: Tensor, tokens: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Queries, keys, values, mask of the queries, mask of the keys (papers.md 4.4)."""
        if self.config.direction == "robust_bert":
            return tokens, frames, frames, present, valid
        if self.config.direction == "robust_cnns":
            return frames, tokens, tokens, valid, present
        # equation (10): keys from the CNN, values from the encoder. In the paper their lengths differ; ours: the key of
        # each frame is the token that covers it
        assert self.cnn is not None
        position = torch.arange(frames.shape[1], device=frames.device) // self.cnn.span
        return frames, tokens[:, position.clamp(max=tokens.shape[1] - 1)], frames, valid, valid

    def loss(self, output: Output, batch: Batch) -> Tensor:
        return cross_entropy(output.logits, batch)

    def parameter_groups(self, training: Training) -> list[dict[str, Any]]:
        """Groups of the optimiser: the encoder, unless it is frozen, and the rest, each with its peak learning rate."""
        encoder, rest = self.config.rates(training.lr)
        tuned = list(self.encoder.parameters()) if self.encoder is not None else []
        own = {id(p) for p in tuned}
        groups = [{"params": [p for p in self.parameters() if id(p) not in own], "lr": rest}]
        if tuned and not self.frozen:
            groups.append({"params": tuned, "lr": encoder})
        return groups


def inputs_of(config: Config, task: Task) -> tuple[str, str]:
    """The inputs of the CNN and of the encoder branch: the same one, or of `fusion_ssl` the first and the second."""
    if config.variant != "fusion_ssl":
        return (frame_feature(task, "fusion_convbert"),) * 2
    frames = [name for name, level in task.levels.items() if level == "frame"]
    if task.kind != "classification" or len(frames) != 2:
        what = f"variant fusion_ssl classifies by two frame-level features, not {', '.join(frames) or 'none'}"
        raise SerError(what, f"{WHERE}.variant", "Set pool: none in the feature of feature: ssl")
    return frames[0], frames[1]


def _mockingjay(config: Config, bands: int) -> mockingjay.Encoder:
    return mockingjay.Encoder(
        mockingjay.Config(
            input=bands,
            hidden=config.hidden,
            layers=config.layers,
            heads=config.heads,
            ffn=config.ffn,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            activation=config.activation,
        )
    )
