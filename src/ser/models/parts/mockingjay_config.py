"""Sizes of the Mockingjay encoder and its masking (P1 section 3.3; papers.md 4.3). Light to import, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
                raise ValueError(f"{name} lies from 0 to below 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Masking:
    """What is hidden from the encoder in pretraining (papers.md 4.3, dynamic masking)."""

    share: float = 0.15  # of the valid frames L: floor(share * L / segment) segments an utterance
    segment: int = 7  # frames, C
    zero: float = 0.8  # probability that the masked frames are set to zero
    replace: float = 0.1  # that they are replaced by segments of the same utterance; the rest is left unchanged
    per_segment: bool = False  # draw zero, replace or unchanged for each segment, not once an utterance
    loss_on: Literal["all", "segment_start"] = "all"  # segment_start: as in Mockingjay's code of 2020

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or self.segment < 1:
            raise ValueError(f"share {self.share} lies between 0 and 1, segment {self.segment} is at least 1 frame")
        if min(self.zero, self.replace) < 0 or self.zero + self.replace > 1:
            raise ValueError(f"zero {self.zero} and replace {self.replace} are probabilities, together at most 1")
