"""Tiny Fusion-ConvBERTs and batches for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ser.core.tasks import Batch, Task
from ser.models.fusion_convbert import Config, Model

VARIANTS = ("fusion_convbert", "fusion_b_frozen", "robust_cnns", "bert", "transformer")
F, K = 12, 3
ENCODER = {"hidden": 16, "layers": 1, "heads": 2, "ffn": 32}
TINY: dict[str, Any] = {
    **ENCODER,
    "channels": (4, 8),
    "pools": (2, 4),
    "d": 12,
    "fusion_heads": 2,
    "fusion_ffn": 24,
    "allow_random": True,
}
STILL = {"dropout": 0.0, "attention_dropout": 0.0, "fusion_attention_dropout": 0.0}


def task(classes: int = K, bands: int = F) -> Task:
    return Task("classification", tuple("abcdefg"[:classes]), {"x": bands}, {"x": "frame"})


def model(pretrained: Path | None = None, **values: Any) -> Model:
    torch.manual_seed(0)
    made = Model(Config(**{**TINY, **values}), task())
    if pretrained:
        made.load_pretrained(pretrained)
    return made


def batch(lengths: list[int], frames: int | None = None, dtype: torch.dtype = torch.float32) -> Batch:
    """Random utterances, zero after their valid frames; the same ones for every `frames`."""
    x = torch.zeros(len(lengths), frames or max(lengths), F, dtype=dtype)
    for i, length in enumerate(lengths):
        x[i, :length] = torch.randn(length, F, generator=torch.Generator().manual_seed(i)).to(dtype)
    return Batch({"x": x}, {"x": torch.tensor(lengths)}, torch.arange(len(lengths)) % K)
