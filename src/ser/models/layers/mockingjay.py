"""Mockingjay: the pretrained encoder of Fusion-ConvBERT, its pretraining head and its masking (papers.md 4.3).

Liu et al., ICASSP 2020, as used in P1 (Lee, Han, Ko, Sensors 2020) section 3.3: a linear input block with fixed
sinusoidal positions, then post-norm Transformer layers. Deviations: queries, keys and values are one projection (the
same numbers, one product); padded keys get weight 0 exactly, where the reference adds -10000; lengths are given, where
the reference infers them from frames that are not zero.

Letters: B utterances, T frames (padded), L valid frames, F columns of a frame, H hidden, A heads, M masked frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ser.core import plugins, weights
from ser.core.errors import SerError
from ser.core.files import read_json
from ser.models.layers.attention import attention
from ser.models.layers.convolution import ACTIVATIONS


@dataclass(frozen=True)
class Config:
    """The encoder. Defaults are the sizes of P1 section 3.3 and of Mockingjay's base model (papers.md 4.3)."""

    input: int = 160  # columns of a frame; pretraining sets it to the feature's own number
    hidden: int = 768
    layers: int = 3
    heads: int = 12
    ffn: int = 3072
    dropout: float = 0.1  # of the input block and of both outputs of a layer
    attention_dropout: float = 0.1  # of the attention weights
    activation: Literal["gelu", "swish"] = "gelu"  # gelu in its erf form; P1 says Swish for everything, Mockingjay GELU
    layer_norm_eps: float = 1e-12
    init_std: float = 0.02  # weights N(0, init_std), biases 0

    def __post_init__(self) -> None:
        for name in ("input", "hidden", "layers", "heads", "ffn"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.hidden % self.heads or self.hidden % 2:
            raise ValueError(f"hidden {self.hidden} must be even and a multiple of heads {self.heads}")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")


@dataclass(frozen=True)
class Masking:
    """The frames that are hidden from the encoder in pretraining (papers.md 4.3, dynamic masking)."""

    share: float = 0.15  # of the valid frames L: floor(share * L / segment) segments per utterance
    segment: int = 7  # frames, C
    zero: float = 0.8  # probability that the masked frames are set to zero
    replace: float = 0.1  # that they are replaced by segments of the same utterance; the rest is left unchanged
    per_segment: bool = False  # draw zero, replace or unchanged for each segment, not once per utterance
    loss_on: Literal["all", "segment_start"] = "all"  # segment_start: as in Mockingjay's code of 2020

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or self.segment < 1:
            raise ValueError(
                f"share must be between 0 and 1 and segment at least 1 frame, not {self.share} and {self.segment}"
            )
        if min(self.zero, self.replace) < 0 or self.zero + self.replace > 1:
            raise ValueError(
                f"zero and replace are probabilities, together at most 1, not {self.zero} and {self.replace}"
            )


class Encoder(nn.Module):
    """(B, T, F), (B,) -> (B, T, H). Valid frames do not depend on padding; results of padded frames are undefined."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.input = nn.Linear(config.input, config.hidden)
        self.norm = nn.LayerNorm(config.hidden, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.table: Tensor | None = None  # of positions, as long as the longest input so far; no part of the weights
        self.apply(lambda module: _initialise(module, config.init_std))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`lengths`: valid frames, at least 1 each; None: all frames of all utterances are valid."""
        h = self.dropout(self.norm(self.input(x) + self._positions(x)))
        for layer in self.layers:
            h = layer(h, lengths)
        return h

    def _positions(self, x: Tensor) -> Tensor:
        """(T, H). The table is kept: its sines in float64 are slow, above all on a GPU."""
        if torch.compiler.is_compiling() or torch.compiler.is_exporting():  # which cannot keep what they compute
            return positions(x.shape[1], self.config.hidden, x.device, x.dtype)
        kept = self.table
        if kept is None or len(kept) < x.shape[1] or (kept.device, kept.dtype) != (x.device, x.dtype):
            kept = self.table = positions(x.shape[1], self.config.hidden, x.device, x.dtype)
        return kept[: x.shape[1]]


class Layer(nn.Module):
    """Post-norm Transformer layer: z = LN(x + MHA(x)), h = LN(z + FFN(z))."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        H = config.hidden
        self.heads, self.attention_dropout = config.heads, config.attention_dropout
        self.qkv, self.out = nn.Linear(H, 3 * H), nn.Linear(H, H)
        self.up, self.down = nn.Linear(H, config.ffn), nn.Linear(config.ffn, H)
        self.attention_norm = nn.LayerNorm(H, eps=config.layer_norm_eps)
        self.ffn_norm = nn.LayerNorm(H, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, T, H), (B,) -> (B, T, H)."""
        B, T, H = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, H // self.heads).permute(2, 0, 3, 1, 4)  # (B, A, T, H / A)
        drop = self.attention_dropout if self.training else 0.0
        heads = attention(q, k, v, lengths, drop)
        z = self.attention_norm(x + self.dropout(self.out(heads.transpose(1, 2).reshape(B, T, H))))
        return self.ffn_norm(z + self.dropout(self.down(self.activation(self.up(z)))))


class Head(nn.Module):
    """(..., H) -> (..., F): the prediction of a frame; dropped after pretraining."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden, config.hidden)
        self.norm = nn.LayerNorm(config.hidden, eps=config.layer_norm_eps)
        self.output = nn.Linear(config.hidden, config.input)
        self.activation = ACTIVATIONS[config.activation]
        self.apply(lambda module: _initialise(module, config.init_std))

    def forward(self, h: Tensor) -> Tensor:
        return self.output(self.norm(self.activation(self.dense(h))))


def positions(T: int, H: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(T, H): sin(p / 10000^(2i/H)) at column 2i, its cosine at 2i + 1. Angles in float64: float32 is off by 1e-4."""
    rates = 10000 ** (-torch.arange(0, H, 2, device=device, dtype=torch.float64) / H)
    angles = torch.arange(T, device=device, dtype=torch.float64)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).view(T, H).to(dtype)


def _initialise(module: nn.Module, std: float) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=std)
        nn.init.zeros_(module.bias)


class Masks(NamedTuple):
    """The masks of a batch, all (B, T). The loss is on the frames of `loss`, whose originals are the targets."""

    loss: Tensor  # bool
    zero: Tensor  # bool: the frame is set to zero
    source: Tensor  # int64: the frame that is put in this place, which is the frame itself unless it was replaced


def mask(lengths: Sequence[int], generators: Sequence[np.random.Generator], masking: Masking) -> Masks:
    """Draws the masks of a batch, with one generator per utterance (papers.md 4.3).

    n = floor(share * L / C) segments of C frames, starts without replacement from 0..L-C-1, so that segments may
    overlap. An utterance too short for one segment (below 47 frames by default) is not masked.
    """
    B, T = len(lengths), max(lengths)
    loss, zero = np.zeros((B, T), dtype=bool), np.zeros((B, T), dtype=bool)
    source = np.tile(np.arange(T), (B, 1))
    C = masking.segment
    for b, (L, generator) in enumerate(zip(lengths, generators, strict=True)):
        n = min(int(masking.share * L / C), L - C)
        if n < 1:
            continue
        starts = generator.choice(L - C, n, replace=False)
        others = generator.integers(0, L - C, n)
        draws = generator.random(n) if masking.per_segment else np.full(n, generator.random())
        for start, other, draw in zip(starts, others, draws, strict=True):
            span = slice(start, start + C)
            loss[b, start if masking.loss_on == "segment_start" else span] = True
            zero[b, span] = draw < masking.zero
            replaced = masking.zero <= draw < masking.zero + masking.replace
            source[b, span] = np.arange(other, other + C) if replaced else np.arange(start, start + C)
    return Masks(torch.from_numpy(loss), torch.from_numpy(zero), torch.from_numpy(source))


def masked(x: Tensor, masks: Masks) -> Tensor:
    """The encoder's input: (B, T, F) with segments replaced and set to zero; `x` is left as it is."""
    x = x.gather(1, masks.source[..., None].expand_as(x))
    return x.masked_fill(masks.zero[..., None], 0.0)


def save_encoder(folder: Path, encoder: nn.Module, config: Config, card: Mapping[str, Any]) -> None:
    """Writes ``encoder.safetensors`` and ``card.json``: the sizes under `config`, then `card`."""
    about = {"kind": "mockingjay", "config": dataclasses.asdict(config), **card}
    weights.save(Path(folder) / "encoder.safetensors", encoder.state_dict(), about)


def load_encoder(folder: Path) -> tuple[Config, dict[str, Tensor]]:
    """Sizes and weights of a pretrained encoder, for ``Encoder(config).load_state_dict(weights)``.

    Raises `SerError` when the folder holds no encoder, and when sizes and weights do not fit.
    """
    folder = Path(folder)
    card = read_json(folder / "card.json")
    if card.get("kind") != "mockingjay":
        raise SerError("not a pretrained encoder", folder / "card.json", "Name a folder that pretraining wrote")
    config = plugins.build(Config, card["config"], str(folder / "card.json"))
    with torch.device("meta"):
        expected = Encoder(config).state_dict()
    return config, weights.load(folder / "encoder.safetensors", expected)
