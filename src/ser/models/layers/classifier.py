"""What the models of classes share: the output, the mean over valid positions, the choice of the input."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ser.core.errors import SerError
from ser.core.tasks import Batch, Task

VARIANCE_FLOOR = 1e-5  # the gradient of a root is infinite at 0


class Output(NamedTuple):
    """What the forward pass of a classifier returns."""

    logits: Tensor  # (B, K): B utterances, K classes


def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy of logits (B, K) with the labels of a training batch, which may be soft."""
    return functional.cross_entropy(logits, batch.targets if batch.soft is None else batch.soft)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """(B, S, C) and (B, S) bool -> (B, C): the mean over the positions where `mask` is True."""
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1)


def statistics(x: Tensor, dim: int) -> Tensor:
    """Mean and standard deviation over one dimension, side by side in the last of those that are left."""
    deviation = (x.var(dim, unbiased=False) + VARIANCE_FLOOR).sqrt()
    return torch.cat([x.mean(dim), deviation], -1)


def masked_statistics(x: Tensor, mask: Tensor) -> Tensor:
    """(B, S, C) and (B, S) bool -> (B, 2 C): mean and standard deviation over the positions where `mask` is True."""
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean[:, None]).square(), mask)
    return torch.cat([mean, (variance + VARIANCE_FLOOR).sqrt()], 1)


def frame_feature(task: Task, model: str, feature: str = "logmel") -> str:
    """The name of the one frame-level input of a classification task.

    Raises `SerError` when there is none, when there are several, and when the labels are continuous. `feature` is
    what the hint proposes.
    """
    if task.kind != "classification":
        raise SerError(f"{model} predicts classes; this corpus has continuous labels", f"model {model}")
    frames = [name for name, level in task.levels.items() if level == "frame"]
    if len(frames) != 1:
        raise SerError(
            f"{model} needs one frame-level feature, not {', '.join(frames) or 'none'}",
            f"model {model}",
            f"Set feature: {feature}",
        )
    return frames[0]
