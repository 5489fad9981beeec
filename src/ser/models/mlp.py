"""MLP on utterance-level functionals: one hidden layer with strong dropout (ours; docs/recipes.md).

Set ``training.normalise: train`` (or ``speaker``), because the columns of the functionals have very different scales.

Letters: B utterances, F functionals, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ser.core.errors import SerError
from ser.core.tasks import Batch, Task
from ser.models.layers.classifier import Output, cross_entropy

TINY = {"hidden": 8}
LEVEL = "utterance"  # of the features that it reads


@dataclass(frozen=True)
class Config:
    hidden: int = 256
    dropout: float = 0.5  # of the functionals and of the hidden layer
    layers: int = 1  # of an encoder, side by side in each feature (ser.features.ssl): added with learnt weights

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"layers is at least 1, not {self.layers}")
        if self.hidden < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"hidden is at least 1 and dropout in [0, 1), not {self.hidden} and {self.dropout}")


class Model(nn.Module):
    """(B, F) -> (B, K). Raises `SerError` for continuous labels and for features of frame level."""

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        if task.kind != "classification":
            raise SerError("mlp predicts classes; this corpus has continuous labels", "model mlp")
        frames = [name for name, level in task.levels.items() if level == "frame"]
        if frames:
            raise SerError(f"mlp needs utterance-level features, {frames[0]!r} has one row per frame", "model mlp")
        self.features, self.count = list(task.inputs), config.layers
        for name, columns in task.inputs.items():
            if columns % config.layers:
                raise SerError(f"{columns} columns of {name!r} are not {config.layers} layers", "models.mlp.layers")
        if config.layers > 1:  # the weights of the layers, equal at first
            self.logits = nn.Parameter(torch.zeros(len(self.features), config.layers))
        self.layers = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(sum(task.inputs.values()) // config.layers, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, len(task.outputs)),
        )

    def forward(self, batch: Batch) -> Output:
        inputs = [batch.inputs[name] for name in self.features]
        if self.count > 1:
            shares = self.logits.softmax(1)
            split = [x.unflatten(1, (self.count, -1)) for x in inputs]  # (B, layers, columns of one)
            inputs = [torch.einsum("blc,l->bc", x, share) for x, share in zip(split, shares, strict=True)]
        return Output(self.layers(torch.cat(inputs, 1)))

    def loss(self, output: Output, batch: Batch) -> Tensor:
        return cross_entropy(output.logits, batch)
