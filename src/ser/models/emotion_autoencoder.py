"""Autoencoder with emotion embedding, AE+EE,IN, and its variants (P2: Zhang, Xue, IEEE Access 2021; papers.md 5).

A convolutional-recurrent encoder turns a crop of 128 log-magnitude frames into 16 latent frames. A decoder gives the
crop back from them and from embeddings of the emotion label, so that the latents need not hold what the label says.
Self-attention over the latents and openSMILE functionals of the whole utterance feed a classifier; reconstruction and
classification are learnt together. At prediction the decoder does not run, so no label is needed.

Variants (papers.md 5.6): ``ae`` {emotion_embedding: false, norm: batch}, ``ae_ee`` {norm: batch}, ``ae_in``
{emotion_embedding: false}, ``ae_ee_in`` the defaults, ``ae_no_os`` and ``ae_no_os_ee_in`` the first and the last with
{functionals: false}; ``is10_svm`` is the model `svm`.

What the paper leaves open (papers.md 5.8), each a parameter: the 2478 inputs of the classifier are read as latent +
IS09 + IS10 (`profile`); the attended latents are averaged (`pooling`); the gradient of the classification reaches the
encoder (`detach_latent`, `schedule`); lambda and the reduction of the reconstruction loss. Utterances shorter than a
crop are padded at their end, and the padding counts as data in the encoder and in the reconstruction loss: it holds
0, which is the spectrogram's floor, 1e-8, to within 1e-8.

Letters: B crops, T frames, F bins, H hidden width, S latent frames (T / 8), K classes, V functionals, N utterances.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.errors import SerError
from ser.models.parts.autoencoder import HALVINGS, Classifier, Decoder, Encoder, Functionals
from ser.models.layers.classifier import frame_feature
from ser.tasks import Batch, Inputs, Task

WHERE = "models.emotion_autoencoder"
COLUMNS = {"is09": 384, "is10": 1582}  # an openSMILE set is known by its size
PROFILES = {"table": ("is09", "is10"), "text": ("is10",)}  # papers.md 5.4: 2478 and 2094 inputs of FC1


@dataclass(frozen=True)
class Config:
    profile: Literal["table", "text"] = "table"  # P2's layer table against its text (papers.md 5.4)
    emotion_embedding: bool = True  # P2: EE
    norm: Literal["instance", "batch", "none"] = "instance"  # P2: IN; without it batch norm (papers.md 5.6)
    functionals: bool = True  # P2: openSMILE
    pooling: Literal["mean", "mean_std", "max"] = "mean"  # ours: P2 does not say (papers.md 5.4)

    # sizes; every one printed in P2's tables (papers.md 5.2 to 5.4)
    bank_kernels: int = 8
    bank_channels: int = 128
    hidden: int = 512  # H, latents included: the decoder adds them to its own layers
    encoder_gru: int = 128  # a direction
    decoder_gru: int = 256  # a direction
    heads: int = 1  # the best in P2
    dense: tuple[int, ...] = (1024, 512, 128)
    dropout: float = 0.5  # of the encoder, P2
    classifier_dropout: float = 0.5  # after FC1 and FC2, P2
    slope: float = 0.01  # of leaky ReLU; Chou et al.'s configuration, P2 is silent (papers.md 5.2)
    norm_eps: float = 1e-5  # papers.md 5.2; also below the root of mean_std

    # loss (papers.md 5.5)
    classification_weight: float = 1.0  # lambda; ours: P2 gives none
    reduction: Literal["mean", "sum"] = "mean"  # of a crop's absolute errors; ours, as Chou et al. (P2: a sum)
    detach_latent: bool = False  # true: P2's equation (3), the classification does not train the encoder
    schedule: Literal["joint", "two_stage"] = "joint"  # two_stage: another reading of P2 (papers.md 5.5)
    autoencoder_share: float = 0.5  # ours: two_stage trains the autoencoder alone for half of the steps

    def __post_init__(self) -> None:
        sizes = (self.bank_kernels, self.bank_channels, self.hidden, self.encoder_gru, self.decoder_gru, self.heads)
        if not self.dense or min(*sizes, *self.dense) < 1:
            raise ValueError("sizes are at least 1, and dense names one")
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is no multiple of heads {self.heads}")
        if not (0 <= self.dropout < 1 and 0 <= self.classifier_dropout < 1):
            raise ValueError(f"dropouts are from 0 to below 1, not {self.dropout} and {self.classifier_dropout}")
        if self.classification_weight < 0 or self.norm_eps <= 0:
            raise ValueError("classification_weight must not be negative, and norm_eps be above 0")
        if not 0 < self.autoencoder_share < 1:
            raise ValueError(f"autoencoder_share lies between 0 and 1, not {self.autoencoder_share}")


TINY = {  # a Config of test size: the contract tests train it
    "functionals": False,
    "bank_kernels": 3,
    "bank_channels": 4,
    "hidden": 8,
    "encoder_gru": 4,
    "decoder_gru": 4,
    "dense": [16, 8],
}


FIXED_LENGTH = True  # frames must be a multiple of 8, and padding counts as data


class Output(NamedTuple):
    logits: Tensor  # (B, K)
    reconstruction: Tensor | None  # (B, T, F); None where the decoder did not run


class Model(nn.Module):
    """(B, T, F) and the functionals of the profile -> (B, K). Raises `SerError` when the task lacks one of them, and
    in forward for a number of frames that is no multiple of 8, too few for the layers included.

    ``stage``: what is being trained, both parts jointly or one of them (`schedule`)."""

    axes: Tensor  # (2,) frames a second and samples a second of the spectrogram, for the figures

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.config, self.classes = config, len(task.outputs)
        self.feature = frame_feature(task, "emotion_autoencoder", "logmag")
        names = functional_names(config, task)
        bins = task.inputs[self.feature]
        self.encoder = Encoder(config, bins)
        self.decoder = Decoder(config, bins, self.classes)
        self.functionals = Functionals(names, sum(task.inputs[n] for n in names))
        self.classifier = Classifier(config, self.functionals.size, self.classes)
        self.register_buffer("axes", torch.ones(2))
        self.stage = "joint" if config.schedule == "joint" else "autoencoder"
        self.notes: dict[str, Any] = {"functionals": list(names)}

    def prepare(self, train: Inputs) -> None:
        """Fits the scaling of the functionals to the training part."""
        self.functionals.fit(train)
        card = train.stores[self.feature].card
        self.axes.copy_(torch.tensor([card.get("frame_rate") or 1.0, card.get("rate") or 1.0]))

    def at_step(self, step: int, total: int) -> None:
        """Two stages: the autoencoder alone, then the classifier on the fixed encoder."""
        if self.config.schedule == "joint":
            return
        self.stage = "autoencoder" if step < round(self.config.autoencoder_share * total) else "classifier"
        self.encoder.requires_grad_(self.stage == "autoencoder")
        self.train(self.training)

    def train(self, mode: bool = True) -> Model:
        """A fixed encoder is in evaluation mode: no dropout, no new statistics of a batch norm."""
        super().train(mode)
        if self.stage == "classifier":
            self.encoder.eval()
        return self

    def forward(self, batch: Batch) -> Output:
        """Runs the decoder in training only, and only there uses the labels."""
        x = batch.inputs[self.feature]
        self._check(x.shape[1])
        z = self.encoder(x)
        reconstruction = None
        if self.training and self.stage != "classifier":
            reconstruction = self.decoder(z, batch.targets)
        if self.config.detach_latent or self.stage != "joint":
            z = z.detach()
        return Output(self.classifier(z, self.functionals(batch, z)), reconstruction)

    def loss(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """``reconstruction``: absolute error, averaged over the bins and frames of a crop or summed (`reduction`), and
        averaged over crops; ``classification``: lambda times cross-entropy. 0 for what a stage does not train."""
        nothing = output.logits.new_zeros(())
        losses = {"reconstruction": nothing, "classification": nothing}
        if self.stage != "classifier":
            assert output.reconstruction is not None, "the loss of an output of evaluation mode"
            error = functional.l1_loss(output.reconstruction, batch.inputs[self.feature])
            summed = self.config.reduction == "sum"
            losses["reconstruction"] = error * output.reconstruction[0].numel() if summed else error
        if self.stage != "autoencoder":
            entropy = functional.cross_entropy(output.logits, batch.targets)
            losses["classification"] = self.config.classification_weight * entropy
        return losses

    def _check(self, frames: int) -> None:
        multiple = 2**HALVINGS
        # two latent frames at least, for their deviation, and enough frames to reflect
        if frames % multiple or frames < 2 * multiple or frames <= self.config.bank_kernels // 2:
            raise SerError(
                f"crops of {frames} frames: a multiple of {multiple} and at least {2 * multiple} is needed",
                f"{WHERE}.training.frames",
                "Set frames: 128, as the paper has",
            )

    def artefacts(self, batches: Iterable[tuple[Sequence[int], Batch]]) -> dict[str, np.ndarray]:
        """Arrays for the figures of `ser.report.reconstructions`. latents (N, H): means over the frames and crops of each utterance; examples (2,): positions of
        the first and last utterance that fill a crop, where there are any; inputs (2, T, F): their first crops;
        reconstructions (2, K, T, F): under every emotion's embedding; axes: see `Model`."""
        sums: dict[int, Tensor] = {}
        counts: dict[int, int] = {}
        first: dict[bool, tuple[tuple[bool, int], Tensor]] = {}  # is it the last? -> rank, crop
        for positions, batch in batches:
            x = batch.inputs[self.feature]
            means = self.encoder(x).mean(1)
            valid = batch.lengths[self.feature].tolist()
            for i, position in enumerate(positions):
                counts[position] = counts.get(position, 0) + 1
                sums[position] = sums.get(position, 0) + means[i]
                for last in (False, True):
                    rank = (valid[i] < x.shape[1], -position if last else position)
                    if last not in first or rank < first[last][0]:
                        first[last] = rank, x[i]
        latents = torch.stack([sums[p] / counts[p] for p in sorted(sums)])
        inputs = torch.stack([crop for _, crop in first.values()])
        found = {
            "latents": latents,
            "examples": torch.tensor([abs(rank[1]) for rank, _ in first.values()]),
            "inputs": inputs,
            "reconstructions": self._reconstructions(inputs),
            "axes": self.axes,
        }
        return {name: tensor.cpu().numpy() for name, tensor in found.items()}

    def _reconstructions(self, x: Tensor) -> Tensor:
        """(B, T, F) -> (B, K, T, F)."""
        z = self.encoder(x)
        labels = torch.arange(self.classes, device=x.device)
        return torch.stack([self.decoder(z, k.expand(len(x))) for k in labels], 1)


def functional_names(config: Config, task: Task) -> tuple[str, ...]:
    """The features that hold the profile's functionals, IS09 before IS10; raises `SerError` unless each is there
    once."""
    names = []
    for kind in PROFILES[config.profile] if config.functionals else ():
        size = COLUMNS[kind]
        found = [n for n, level in task.levels.items() if level == "utterance" and task.inputs[n] == size]
        if len(found) != 1:
            raise SerError(
                f"profile {config.profile} needs one {kind} feature ({size} functionals), got {found or 'none'}",
                WHERE,
                f"Give the experiment one made with set: {kind}, or set profile: text (is10), or functionals: false",
            )
        names += found
    return tuple(names)
