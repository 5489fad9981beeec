"""Parts more than one system is built from.

Letters: B utterances, T frames, F bands, C channels, S tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.errors import SerError
from ser.tasks import Task

Activation = Literal["swish", "gelu", "relu"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "swish": functional.silu,  # x sigmoid(x): P1 section 3.2 with theta = 1
    "gelu": functional.gelu,  # erf form
    "relu": functional.relu,
}


class Output(NamedTuple):
    """What a classifier's forward pass returns."""

    logits: Tensor  # (B, K)


class ConvBlock(nn.Module):
    """3x3 convolution, layer normalisation, Swish, max-pooling (P1 section 3.2), (B, C, T, F) -> (B, C', T/p, F/p).

    The frequency axis is never pooled below 1: with 160 bands the printed pools leave 2 columns for the last 2x2
    pool, with fewer bands they would leave none. Normalisation statistics run over channels, time and frequency of a
    sample."""

    def __init__(self, inputs: int, outputs: int, pool: int, activation: Activation = "swish") -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.GroupNorm(1, outputs)
        self.activation = ACTIVATIONS[activation]
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.norm(self.convolution(x)))
        return functional.max_pool2d(x, (self.pool, min(self.pool, x.shape[3])))


class ConvBranch(nn.Module):
    """The convolutional branch of P1 (section 3.2, Table 1; papers.md 4.2): blocks, then the mean over frequency.

    ``span``: frames under one token, the product of the pools (128 as printed). Padding frames take part in the
    normalisation statistics, so tokens of one utterance differ with the length it is padded to."""

    def __init__(self, channels: Sequence[int], pools: Sequence[int], activation: Activation = "swish") -> None:
        super().__init__()
        sizes = (1, *channels)
        self.blocks = nn.ModuleList(
            ConvBlock(a, b, p, activation) for a, b, p in zip(sizes, channels, pools, strict=False)
        )
        self.span = 1
        for pool in pools:
            self.span *= pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F) -> (B, C, S), S = floor(T / span), at least 1: shorter inputs are padded with zeros to `span`."""
        if x.shape[1] < self.span:
            x = functional.pad(x, (0, 0, 0, self.span - x.shape[1]))
        h = x[:, None]  # (B, 1, T, F)
        for block in self.blocks:
            h = block(h)
        return h.mean(3)

    def mask(self, lengths: Tensor, tokens: int) -> Tensor:
        """(B,) valid frames -> (B, tokens) bool: True on the first ceil(valid / span) tokens (papers.md 4.4)."""
        position = torch.arange(tokens, device=lengths.device)
        return position[None, :] * self.span < lengths[:, None]


def check_branch(channels: Sequence[int], pools: Sequence[int]) -> None:
    """Raises ValueError unless every block has its channels and its pool, all at least 1."""
    if len(channels) != len(pools):
        raise ValueError(f"{len(channels)} channels but {len(pools)} pools")
    if not channels or min(*channels, *pools) < 1:
        raise ValueError(f"channels and pools are at least 1, not {tuple(channels)} and {tuple(pools)}")


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """(B, S, C) and (B, S) bool -> (B, C): the mean over the positions where `mask` is True."""
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1)


def frame_feature(task: Task, model: str, feature: str = "logmel") -> str:
    """The one frame-level input of a classification task; raises `SerError` when there is none, several, or when the
    labels are continuous. `feature`: what the error proposes.
    """
    if task.kind != "classification":
        raise SerError(f"{model} predicts classes; this corpus has continuous labels", f"model {model}")
    frames = [f for f, level in task.levels.items() if level == "frame"]
    if len(frames) != 1:
        raise SerError(
            f"{model} needs one frame-level feature, got {frames or 'none'}",
            f"model {model}",
            f"Set feature: {feature}",
        )
    return frames[0]
