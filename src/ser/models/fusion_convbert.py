"""Fusion-ConvBERT and its ablations (P1: Lee, Han, Ko, Sensors 2020; papers.md 4.2 to 4.6), one model, five variants.

A pre-trained Mockingjay encoder and a convolutional branch (P1 section 3.2, Table 1) read the same log-mel frames; a
small cross-attention transformer (P1 section 3.4) joins them. Variants (papers.md 4.6):

``fusion_convbert``  both branches, encoder fine-tuned (the paper's Fusion-A)
``fusion_b_frozen``  the same with the encoder frozen and without dropout (Fusion-B)
``robust_cnns``      the same with the roles exchanged: queries from the encoder, keys and values from the CNN
``bert``             no CNN: three self-attention layers on the encoder's output
``transformer``      as ``bert``, encoder not pre-trained

The CNN alone is the model `cnns`. Deviations, each a parameter or forced by the paper's contradictions (papers.md 4.4
and 4.8): the CNN keeps its time axis, so that there is a sequence to attend to; queries come from the CNN, keys and
values from the encoder (Fig. 4; equation 10 and the prose say otherwise and do not fit in shape); the fused sequence
is averaged over its valid positions, where the paper says "final hidden state"; projections have kernel 1. Padding
never changes a result of encoder or attention; in the CNN it takes part in the layer norm, so `training.frames` is
to be kept fixed (papers.md 4.2).

Letters: B utterances, T frames, F bands, H encoder width, C channels, S CNN tokens, d fusion width, A heads,
Q and N positions of queries and of keys, K classes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.errors import SerError
from ser.files import read_json
from ser.models.layers import mockingjay
from ser.models.layers.attention import attention
from ser.models.layers.classifier import Output, frame_feature, masked_mean
from ser.models.layers.convolution import ACTIVATIONS, Activation, ConvBranch, check_branch
from ser.recipe import Training
from ser.tasks import Batch, Task

FUSED = ("fusion_convbert", "fusion_b_frozen", "robust_cnns")
PROFILES: dict[str, tuple[float, float]] = {  # encoder, rest (papers.md 4.5)
    "paper": (2e-3, 2e-3),  # P1: one rate for all models
    "safe": (1e-4, 1e-3),  # ours: for when the paper's rate stays at chance on dev
}


@dataclass(frozen=True)
class Config:
    variant: Literal["fusion_convbert", "fusion_b_frozen", "robust_cnns", "bert", "transformer"] = "fusion_convbert"
    pretrained: str = ""  # folder of a pre-trained encoder; every variant but `transformer` needs one
    allow_random: bool = False  # those variants may start from random weights (smoke tests)

    # encoder; sizes must be those it was pre-trained with
    hidden: int = 768  # H, P1 (papers.md 4.3)
    layers: int = 3  # P1 (papers.md 4.3)
    heads: int = 12  # P1 (papers.md 4.3)
    ffn: int = 3072  # Mockingjay's, whom P1 follows
    dropout: float = 0.1  # Mockingjay
    attention_dropout: float = 0.1  # Mockingjay
    activation: Literal["gelu", "swish"] = "gelu"  # Mockingjay; P1 says Swish for everything (papers.md 4.3)

    # convolutional branch
    channels: tuple[int, ...] = (64, 128, 256, 512)  # P1 Table 1
    pools: tuple[int, ...] = (4, 4, 4, 2)  # P1 Table 1, time and frequency alike
    cnn_activation: Activation = "swish"  # P1: Swish for everything
    cnn_tokens: Literal["sequence", "one"] = "sequence"  # one: Table 1 to the letter, averaged to 1 x 1 x 512

    # fusion, or downstream transformer
    d: int = 120  # P1 (papers.md 4.4)
    fusion: Literal["robust_bert", "robust_cnns", "equation_10"] = "robust_bert"  # P1 Fig. 4 and section 4.2.4
    fusion_layers: int = 3  # P1 (papers.md 4.4)
    fusion_heads: int = 6  # P1 (papers.md 4.4)
    fusion_ffn: int = 480  # ours: 4 d, the usual ratio
    fusion_attention_dropout: float = 0.3  # P1 (papers.md 4.4)
    fusion_activation: Activation = "swish"  # P1: Swish for everything

    # learning rates: a value given here, else the profile's, else training.lr
    profile: Literal["training", "paper", "safe"] = "training"
    lr_encoder: float | None = None
    lr_rest: float | None = None

    def __post_init__(self) -> None:
        check_branch(self.channels, self.pools)
        if self.d % self.fusion_heads:
            raise ValueError(f"d {self.d} is no multiple of fusion_heads {self.fusion_heads}")
        if self.variant == "robust_cnns" and self.fusion == "equation_10":
            raise ValueError("variant robust_cnns is a direction of its own; keep fusion: robust_bert")
        if self.fusion == "equation_10" and self.cnn_tokens == "one":
            raise ValueError("equation_10 takes its keys from the CNN: one token would give every frame the same key")
        if min(self.rates(1.0)) <= 0:
            raise ValueError(f"lr_encoder {self.lr_encoder} and lr_rest {self.lr_rest} must be positive")

    @property
    def direction(self) -> str:
        return "robust_cnns" if self.variant == "robust_cnns" else self.fusion

    def rates(self, lr: float) -> tuple[float, float]:
        """Peak learning rates of the encoder and of the rest; `lr` is training.lr."""
        encoder, rest = PROFILES.get(self.profile, (lr, lr))
        return (
            encoder if self.lr_encoder is None else self.lr_encoder,
            rest if self.lr_rest is None else self.lr_rest,
        )


class Attention(nn.Module):
    """Multi-head attention, (B, Q, d), (B, N, d), (B, N, d) -> (B, Q, d), scaled by the root of the head's width."""

    def __init__(self, d: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.output = (nn.Linear(d, d) for _ in range(4))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, queries: Tensor) -> Tensor:
        """`keys`, `queries`: (B,) how many positions are no padding; results of the other queries are void."""
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

    def __init__(self, d: int, heads: int, ffn: int, attention_dropout: float, activation: Activation) -> None:
        super().__init__()
        self.attention = Attention(d, heads, attention_dropout)
        self.attention_norm = nn.LayerNorm(d)
        self.widen, self.narrow = nn.Linear(d, ffn), nn.Linear(ffn, d)
        self.ffn_norm = nn.LayerNorm(d)
        self.activation = ACTIVATIONS[activation]

    def forward(self, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, queries: Tensor) -> Tensor:
        """(B, Q, d), (B, N, d), (B, N, d), (B,), (B,) -> (B, Q, d)."""
        q = self.attention_norm(q + self.attention(q, k, v, keys, queries))
        return self.ffn_norm(q + self.narrow(self.activation(self.widen(q))))


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


FIXED_LENGTH = True  # as in `cnns`: padding takes part in the group norm of the CNN branch


class Model(nn.Module):
    """(B, T, F) -> (B, K). Raises `SerError` for a task without exactly one frame-level input and for a `pretrained`
    that the variant must not have, lacks, or that does not fit.

    ``notes``: what the pre-training's card says (corpus, steps, hours), for the experiment's card."""

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.config = config
        self.feature = frame_feature(task, "fusion_convbert")
        self.encoder = build_encoder(config, task.inputs[self.feature])
        self.notes: dict[str, Any] = {"pretrained": pretraining(config.pretrained) if config.pretrained else "no"}
        self.frozen = config.variant == "fusion_b_frozen"
        self.encoder.requires_grad_(not self.frozen)
        self.project_frames = nn.Linear(config.hidden, config.d)  # a convolution of kernel 1
        self.cnn: ConvBranch | None = None
        if config.variant in FUSED:
            self.cnn = ConvBranch(config.channels, config.pools, config.cnn_activation)
            self.project_tokens = nn.Linear(config.channels[-1], config.d)
        self.fusion = nn.ModuleList(
            FusionLayer(
                config.d,
                config.fusion_heads,
                config.fusion_ffn,
                config.fusion_attention_dropout,
                config.fusion_activation,
            )
            for _ in range(config.fusion_layers)
        )
        self.head = nn.Linear(config.d, len(task.outputs))

    def train(self, mode: bool = True) -> Model:
        """A frozen encoder stays in evaluation mode: no dropout."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, batch: Batch) -> Output:
        x, lengths = batch.inputs[self.feature], batch.lengths[self.feature]
        longest = int(lengths.max())  # beyond it all is padding, which the encoder need not compute
        frames = self.project_frames(self.encoder(x[:, :longest], lengths))  # (B, T, d)
        valid = batch.mask(self.feature)[:, :longest]
        if self.cnn is None:
            for layer in self.fusion:
                frames = layer(frames, frames, frames, lengths, lengths)
            return Output(self.head(masked_mean(frames, valid)))
        tokens, present = self.tokens(x, lengths)
        q, k, v, at_q, at_k = self._roles(frames, valid, tokens, present)
        for layer in self.fusion:
            q = layer(q, k, v, at_k.sum(1), at_q.sum(1))
        return Output(self.head(masked_mean(q, at_q)))

    def tokens(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F), (B,) -> projected CNN tokens (B, S, d) and which of them are no padding (B, S)."""
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
        # equation (10): keys from the CNN, values from the encoder. Both must be equally long, which the paper does
        # not achieve; ours: each frame's key is the token that lies over it
        assert self.cnn is not None
        position = torch.arange(frames.shape[1], device=frames.device) // self.cnn.span
        return frames, tokens[:, position.clamp(max=tokens.shape[1] - 1)], frames, valid, valid

    def loss(self, output: Output, batch: Batch) -> Tensor:
        return functional.cross_entropy(output.logits, batch.targets)

    def parameter_groups(self, training: Training) -> list[dict[str, Any]]:
        """Groups of the optimiser: the encoder, unless it is frozen, and the rest, each with its peak rate."""
        encoder, rest = self.config.rates(training.lr)
        own = {id(p) for p in self.encoder.parameters()}
        groups = [{"params": [p for p in self.parameters() if id(p) not in own], "lr": rest}]
        if not self.frozen:
            groups.append({"params": list(self.encoder.parameters()), "lr": encoder})
        return groups


def build_encoder(config: Config, inputs: int) -> mockingjay.Encoder:
    """The encoder for `inputs` bands, with pre-trained weights where the variant has them.

    Raises `SerError` when `pretrained` is given to `transformer` or missing elsewhere, and when its sizes differ.
    """
    where = "models.fusion_convbert.pretrained"
    random = config.variant == "transformer"
    if random and config.pretrained:
        raise SerError("variant transformer is not pre-trained", where, 'Set pretrained: "" for it, or variant: bert')
    if not (random or config.pretrained or config.allow_random):
        raise SerError(
            f"variant {config.variant} needs a pre-trained encoder",
            where,
            "Name its folder, or set allow_random: true, or variant: transformer",
        )
    own = mockingjay.Config(
        input=inputs,
        hidden=config.hidden,
        layers=config.layers,
        heads=config.heads,
        ffn=config.ffn,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        activation=config.activation,
    )
    if not config.pretrained:
        return mockingjay.Encoder(own)
    theirs, weights = mockingjay.load_encoder(Path(config.pretrained))
    for name in ("input", "hidden", "layers", "heads", "ffn", "activation"):
        if getattr(own, name) != getattr(theirs, name):
            raise SerError(
                f"the encoder in {config.pretrained} has {name} {getattr(theirs, name)}, not {getattr(own, name)}",
                where,
                "Give models.fusion_convbert its sizes, and the feature it was pre-trained on (input: bands)",
            )
    encoder = mockingjay.Encoder(
        dataclasses.replace(theirs, dropout=config.dropout, attention_dropout=config.attention_dropout)
    )
    encoder.load_state_dict(weights)
    return encoder


def pretraining(folder: str) -> dict[str, Any]:
    """The card of a pre-trained encoder without its sizes."""
    return {k: v for k, v in read_json(Path(folder) / "card.json").items() if k != "config"}
