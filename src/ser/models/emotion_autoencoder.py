"""Autoencoder with emotion embedding, AE+EE,IN (P2: Zhang, Xue, IEEE Access 9, 2021; papers.md section 5).

A convolutional-recurrent encoder turns a crop of 128 log-magnitude frames into 16 latent frames. A decoder
reconstructs the crop from them and from embeddings of the emotion label, so that the latent frames need not hold what
the label says. A classifier reads the latent frames, through self-attention, and openSMILE functionals of the whole
utterance. Reconstruction and classification are learnt together. The decoder does not run in prediction, so no label
is needed there.

Variants (papers.md 5.6): ``ae`` {emotion_embedding: false, norm: batch}, ``ae_ee`` {norm: batch}, ``ae_in``
{emotion_embedding: false}, ``ae_ee_in`` the defaults, ``ae_no_os`` and ``ae_no_os_ee_in`` the first and the last with
{functionals: false}; ``is10_svm`` is the model `svm`.

Deviations and completions (papers.md 5.8), each a parameter where there is a choice:

* The 2478 inputs of the classifier are read as latent + IS09 + IS10 (`profile`); the feature has them side by side.
* The attended latent frames are averaged (`pooling`).
* The gradient of the classification reaches the encoder (`detach_latent`, `schedule`).
* lambda and the reduction of the reconstruction loss are not printed (`classification_weight`, `reduction`).
* Utterances shorter than a crop are padded at their end with 0, the floor of the spectrogram to within 1e-8. The
  padding counts as data, in the encoder and in the reconstruction loss.

Letters: B crops, T frames, F bins, C channels, H hidden width, S latent frames (T / 8), K classes, V functionals,
N utterances. Tensors inside the network are (B, C, T).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.core.errors import SerError
from ser.core.tasks import Batch, Inputs, Task
from ser.models.layers.classifier import cross_entropy, frame_feature

READS = ("functionals",)
FIXED_LENGTH = True  # frames must be a multiple of 8, and padding counts as data
WHERE = "models.emotion_autoencoder"
HALVINGS = 3  # B2 to B4 of the encoder, U1 to U3 of the decoder (papers.md 5.2, 5.3)
FUNCTIONALS = {"table": 1582 + 384, "text": 1582}  # IS10 with or without IS09: FC1 has 2478 or 2094 inputs (5.4)

TINY = {  # a Config of test size: the contract tests train it
    "functionals": False,
    "bank_kernels": 3,
    "bank_channels": 4,
    "hidden": 8,
    "encoder_gru": 4,
    "decoder_gru": 4,
    "dense": [16, 8],
}


@dataclass(frozen=True)
class Config:
    """Sizes and losses; every size is printed in the tables of P2 (papers.md 5.2 to 5.4)."""

    profile: Literal["table", "text"] = "table"  # P2's layer table against its text (papers.md 5.4)
    emotion_embedding: bool = True  # P2: EE
    norm: Literal["instance", "batch", "none"] = "instance"  # P2: IN; without it batch norm (papers.md 5.6)
    functionals: bool = True  # P2: openSMILE
    pooling: Literal["mean", "mean_std", "max"] = "mean"  # ours: P2 does not say (papers.md 5.4)

    bank_kernels: int = 8
    bank_channels: int = 128
    hidden: int = 512  # H, also of the latent frames: the decoder adds them to its own layers
    encoder_gru: int = 128  # units per direction
    decoder_gru: int = 256  # units per direction
    heads: int = 1  # the best in P2
    dense: tuple[int, ...] = (1024, 512, 128)
    dropout: float = 0.5  # of the encoder, P2
    classifier_dropout: float = 0.5  # after FC1 and FC2, P2
    slope: float = 0.01  # of leaky ReLU; configuration of Chou et al., P2 is silent (papers.md 5.2)
    norm_eps: float = 1e-5  # papers.md 5.2; also added below the root of mean_std

    classification_weight: float = 1.0  # lambda; ours: P2 gives none (papers.md 5.5)
    reduction: Literal["mean", "sum"] = "mean"  # of a crop's absolute errors; ours, as Chou et al. (P2: a sum)
    detach_latent: bool = False  # true: P2's equation (3), the classification does not train the encoder
    schedule: Literal["joint", "two_stage"] = "joint"  # two_stage: another reading of P2 (papers.md 5.5)
    autoencoder_share: float = 0.5  # ours: two_stage trains the autoencoder alone for half of the steps

    def __post_init__(self) -> None:
        sizes = (self.bank_kernels, self.bank_channels, self.hidden, self.encoder_gru, self.decoder_gru, self.heads)
        if not self.dense or min(*sizes, *self.dense) < 1:
            raise ValueError("sizes must be at least 1, and dense must not be empty")
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")
        if not (0 <= self.dropout < 1 and 0 <= self.classifier_dropout < 1):
            raise ValueError(f"dropouts must be in [0, 1), not {self.dropout} and {self.classifier_dropout}")
        if self.classification_weight < 0 or self.norm_eps <= 0:
            raise ValueError("classification_weight must not be negative, and norm_eps must be above 0")
        if not 0 < self.autoencoder_share < 1:
            raise ValueError(f"autoencoder_share must be between 0 and 1, not {self.autoencoder_share}")


def check(config: Config, features: Mapping[str, str], words: str | None, where: str) -> None:
    """Raises `SerError` when the functionals of the profile are not among the features of an experiment.

    `features`: name -> module of each feature; `words`: not read; `where`: the key of the experiment in params.yaml.
    """
    if config.functionals and "functionals" not in features.values():
        what = f"the model reads functionals, and the experiment has only {', '.join(features)}"
        hint = "Move the experiment to the group with_functionals, or set config.functionals: false"
        raise SerError(what, f"{where}.functionals", hint)


class Convolution(nn.Conv1d):
    """Convolution over time with reflection padding, (B, C, T) -> (B, C', T / stride): k // 2 frames on the left,
    (k - 1) // 2 on the right (papers.md 5.2). With kernel 1 it is a linear layer per frame."""

    def forward(self, x: Tensor) -> Tensor:
        k = self.kernel_size[0]
        if k > 1:
            x = functional.pad(x, (k // 2, (k - 1) // 2), mode="reflect")
        return super().forward(x)


class Block(nn.Module):
    """What all blocks share: activation, norm and dropout as the config says."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.slope = config.slope
        self.norm: nn.Module = {  # of (B, C, T) without affine: over the frames of a crop, or of the whole batch
            "instance": nn.InstanceNorm1d(config.hidden, config.norm_eps),
            "batch": nn.BatchNorm1d(config.hidden, config.norm_eps, affine=False),
            "none": nn.Identity(),
        }[config.norm]
        self.dropout = nn.Dropout(config.dropout)

    def activate(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, self.slope)


class Bank(nn.Module):
    """Convolutions with kernels 1, 2, ...; their outputs and the input side by side: (B, F, T) -> (B, C, T)."""

    def __init__(self, config: Config, bins: int) -> None:
        super().__init__()
        kernels = range(1, config.bank_kernels + 1)
        self.branches = nn.ModuleList(Convolution(bins, config.bank_channels, k) for k in kernels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*(branch(x) for branch in self.branches), x], 1)


class DownBlock(Block):
    """B2 to B4: (B, H, T) -> (B, H, T / 2)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.first = Convolution(config.hidden, config.hidden, 5)
        self.second = Convolution(config.hidden, config.hidden, 5, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.activate(self.second(self.activate(self.first(x))))
        return self.dropout(self.norm(h)) + functional.avg_pool1d(x, 2)


class DenseBlock(Block):
    """D1 and D2 of the encoder: two linear layers per frame, (B, H, S) -> (B, H, S)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.first, self.second = (Convolution(config.hidden, config.hidden, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        h = self.activate(self.second(self.activate(self.first(x))))
        return self.dropout(self.norm(h)) + x


class Recurrent(nn.Module):
    """Bidirectional GRU over the frames, (B, C, T) -> (B, 2 * units, T)."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, units, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x.transpose(1, 2))[0].transpose(1, 2)


class Encoder(Block):
    """(B, F, T) -> latent frames (B, H, S); T must be a multiple of 8 (papers.md 5.2)."""

    def __init__(self, config: Config, bins: int) -> None:
        super().__init__(config)
        H = config.hidden
        self.bank = Bank(config, bins)
        self.entry = Convolution(config.bank_kernels * config.bank_channels + bins, H, 1)  # B1
        self.down = nn.Sequential(*(DownBlock(config) for _ in range(HALVINGS)))  # B2 to B4
        self.dense = nn.Sequential(DenseBlock(config), DenseBlock(config))  # D1, D2
        self.recurrent = Recurrent(H, config.encoder_gru)
        self.exit = Convolution(H + 2 * config.encoder_gru, H, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.activate(self.entry(self.activate(self.bank(x))))  # (B, H, T)
        h = self.dense(self.down(self.dropout(self.norm(h))))  # (B, H, S)
        return self.activate(self.exit(torch.cat([h, self.recurrent(h)], 1)))


class UpBlock(Block):
    """U1 to U3: (B, H, T) and the embedding of the emotion (B, H, 1) -> (B, H, 2 T)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.first = Convolution(config.hidden, 2 * config.hidden, 3)
        self.second = Convolution(config.hidden, config.hidden, 3)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h = pixel_shuffle(self.activate(self.first(x + e)))
        return self.norm(self.activate(self.second(h + e))) + x.repeat_interleave(2, 2)


def pixel_shuffle(x: Tensor) -> Tensor:
    """(B, 2 C, T) -> (B, C, 2 T): channel 2 c + r at time t becomes channel c at time 2 t + r (papers.md 5.3)."""
    return x.unflatten(1, (-1, 2)).transpose(2, 3).flatten(2)


class ConditionedDenseBlock(Block):
    """D1 and D2 of the decoder: two linear layers per frame, each after adding the embedding (B, H, 1)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.first, self.second = (Convolution(config.hidden, config.hidden, 1) for _ in range(2))

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h = self.activate(self.first(x + e))
        return self.norm(self.activate(self.second(h + e))) + x


class Decoder(Block):
    """Latent frames (B, H, S) and labels (B,) -> spectrogram (B, F, 8 S), without dropout (papers.md 5.3).

    Without `emotion_embedding` the five embeddings are zero and stay zero; every shape is kept (papers.md 5.6).
    """

    def __init__(self, config: Config, bins: int, classes: int) -> None:
        super().__init__(config)
        H = config.hidden
        self.up = nn.ModuleList(UpBlock(config) for _ in range(HALVINGS))  # U1 to U3
        self.dense = nn.ModuleList(ConditionedDenseBlock(config) for _ in range(2))  # D1, D2
        self.recurrent = Recurrent(H, config.decoder_gru)
        self.mix = Convolution(2 * H + 2 * config.decoder_gru, H, 1)  # FC5
        self.exit = Convolution(H, bins, 1)  # FC6
        self.embeddings = nn.ModuleList(nn.Embedding(classes, H) for _ in range(HALVINGS + 2))  # e1 to e5
        if not config.emotion_embedding:
            for table in self.embeddings.parameters():
                nn.init.zeros_(table).requires_grad_(False)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        *ups, e4, e5 = (table(labels)[:, :, None] for table in self.embeddings)  # each (B, H, 1)
        h = z
        for block, e in zip(self.up, ups, strict=True):
            h = block(h, e)
        for block in self.dense:
            h = block(h, e4)
        mixed = self.mix(torch.cat([h, self.recurrent(h + e5), e5.expand_as(h)], 1))
        return self.exit(self.activate(mixed))


class Classifier(nn.Module):
    """Latent frames (B, H, S) and functionals (B, V) -> logits (B, K) (papers.md 5.4).

    Self-attention with an output projection, without residual or norm; pooling over the latent frames; dense layers.
    """

    def __init__(self, config: Config, functionals: int, classes: int) -> None:
        super().__init__()
        self.pooling, self.eps = config.pooling, config.norm_eps
        self.attention = nn.MultiheadAttention(config.hidden, config.heads, batch_first=True)
        pooled = config.hidden * (2 if config.pooling == "mean_std" else 1)
        sizes = [pooled + functionals, *config.dense]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(zip(sizes, config.dense, strict=False)):
            layers += [nn.Linear(a, b), nn.ReLU()]
            if i < 2:  # after FC1 and FC2
                layers.append(nn.Dropout(config.classifier_dropout))
        self.dense = nn.Sequential(*layers, nn.Linear(sizes[-1], classes))

    def forward(self, z: Tensor, functionals: Tensor) -> Tensor:
        z = z.transpose(1, 2)
        h = self.pool(self.attention(z, z, z, need_weights=False)[0])
        return self.dense(torch.cat([h, functionals], 1))

    def pool(self, h: Tensor) -> Tensor:
        """(B, S, H) -> (B, H), with mean_std (B, 2 H)."""
        if self.pooling == "max":
            return h.amax(1)
        if self.pooling == "mean":
            return h.mean(1)
        deviation = (h.var(1, unbiased=False) + self.eps).sqrt()  # the root alone has no gradient at 0
        return torch.cat([h.mean(1), deviation], 1)


class Functionals(nn.Module):
    """The utterance-level features side by side, z-scored by the training part of the fold: (B, V), V may be 0.

    Columns that are constant in the training part become 0 (papers.md 5.1). Before `fit` every value is NaN, so that
    unscaled features cannot go unnoticed.
    """

    mean: Tensor  # (V,)
    factor: Tensor  # (V,)

    def __init__(self, names: Sequence[str], size: int) -> None:
        super().__init__()
        self.names, self.size = tuple(names), size
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("factor", torch.full((size,), torch.nan))

    def fit(self, train: Inputs) -> None:
        """Takes mean and deviation from the training part."""
        if not self.names:
            return
        x = np.concatenate([train.vectors(n) for n in self.names], 1).astype(np.float64)
        mean, deviation = x.mean(0), x.std(0)
        varies = deviation > 1e-9 * np.maximum(1.0, np.abs(mean))  # smaller ones are rounding errors
        self.mean.copy_(torch.from_numpy(mean))
        self.factor.copy_(torch.from_numpy(np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0)))

    def forward(self, batch: Batch, like: Tensor) -> Tensor:
        """`like`: (B, ...), gives batch size and device where there are no functionals."""
        if not self.names:
            return like.new_empty(len(like), 0)
        return (torch.cat([batch.inputs[n] for n in self.names], 1) - self.mean) * self.factor


class Output(NamedTuple):
    """What the forward pass returns."""

    logits: Tensor  # (B, K)
    reconstruction: Tensor | None  # (B, T, F); None where the decoder did not run


class Model(nn.Module):
    """(B, T, F) and the functionals of the profile -> (B, K).

    Raises `SerError` when the task lacks one of them, and in forward for a number of frames that is not a multiple of 8
    or too small for the layers. ``stage``: what is trained, both parts jointly or one of them (`schedule`).
    """

    axes: Tensor  # (2,) frames per second and samples per second of the spectrogram, for the figures

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.config, self.classes = config, len(task.outputs)
        self.feature = frame_feature(task, "emotion_autoencoder", "logmag")
        names, bins = functional_names(config, task), task.inputs[self.feature]
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
        """With two stages: the autoencoder alone, then the classifier on the fixed encoder."""
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
        x = batch.inputs[self.feature].transpose(1, 2)  # (B, F, T)
        self._check(x.shape[2])
        z = self.encoder(x)  # (B, H, S)
        reconstruction = None
        if self.training and self.stage != "classifier":
            reconstruction = self.decoder(z, batch.targets).transpose(1, 2)
        if self.config.detach_latent or self.stage != "joint":
            z = z.detach()
        return Output(self.classifier(z, self.functionals(batch, z)), reconstruction)

    def loss(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """L = L_AE + lambda L_EC (papers.md 5.5). A term that the present stage does not train is 0.

        ``reconstruction``: absolute error, averaged over the bins and frames of a crop or summed (`reduction`), and
        averaged over crops; ``classification``: lambda times cross-entropy.
        """
        zero = output.logits.new_zeros(())
        losses = {"reconstruction": zero, "classification": zero}
        if self.stage != "classifier":
            assert output.reconstruction is not None, "the loss needs an output of training mode, not of evaluation"
            error = functional.l1_loss(output.reconstruction, batch.inputs[self.feature])
            summed = self.config.reduction == "sum"
            losses["reconstruction"] = error * output.reconstruction[0].numel() if summed else error
        if self.stage != "autoencoder":
            entropy = cross_entropy(output.logits, batch)
            losses["classification"] = self.config.classification_weight * entropy
        return losses

    def _check(self, frames: int) -> None:
        multiple = 2**HALVINGS
        # two latent frames at least, for their deviation, and enough frames to reflect
        if frames % multiple or frames < 2 * multiple or frames <= self.config.bank_kernels // 2:
            raise SerError(
                f"crops of {frames} frames: a multiple of {multiple} and at least {2 * multiple} is needed",
                f"{WHERE}.training.frames",
                "Set frames: 128, as in the paper",
            )

    def artefacts(self, batches: Iterable[tuple[Sequence[int], Batch]]) -> dict[str, np.ndarray]:
        """Arrays for the figures, from batches of a test part with the positions of their utterances.

        latents (N, H): means over the frames and crops of each utterance; examples (2,): positions of the first and
        the last utterance that fill a crop, or of any where none does; inputs (2, T, F): their first crops;
        reconstructions (2, K, T, F): with the embedding of each emotion; axes (2,): see `Model`.
        """
        latents: dict[int, list[Tensor]] = {}
        first: tuple[tuple[bool, int], Tensor] | None = None  # rank, crop
        last: tuple[tuple[bool, int], Tensor] | None = None
        for positions, batch in batches:
            x = batch.inputs[self.feature]
            means = self.encoder(x.transpose(1, 2)).mean(2)
            full = (batch.lengths[self.feature] >= x.shape[1]).tolist()
            for i, position in enumerate(positions):
                latents.setdefault(position, []).append(means[i])
                if first is None or (not full[i], position) < first[0]:
                    first = (not full[i], position), x[i]
                if last is None or (full[i], position) > last[0]:
                    last = (full[i], position), x[i]
        assert first, "there are no batches"
        assert last
        inputs = torch.stack([first[1], last[1]])
        found = {
            "latents": torch.stack([torch.stack(latents[p]).mean(0) for p in sorted(latents)]),
            "examples": torch.tensor([first[0][1], last[0][1]]),
            "inputs": inputs,
            "reconstructions": self._reconstructions(inputs),
            "axes": self.axes,
        }
        return {name: tensor.cpu().numpy() for name, tensor in found.items()}

    def _reconstructions(self, x: Tensor) -> Tensor:
        """(B, T, F) -> (B, K, T, F)."""
        z = self.encoder(x.transpose(1, 2))
        labels = torch.arange(self.classes, device=x.device)
        return torch.stack([self.decoder(z, k.expand(len(x))).transpose(1, 2) for k in labels], 1)


def functional_names(config: Config, task: Task) -> tuple[str, ...]:
    """The utterance-level inputs of the task, which must hold as many functionals as the profile has.

    Raises `SerError` when they do not.
    """
    if not config.functionals:
        return ()
    names = tuple(name for name, level in task.levels.items() if level == "utterance")
    found, needed = sum(task.inputs[name] for name in names), FUNCTIONALS[config.profile]
    if found != needed:
        raise SerError(
            f"profile {config.profile} needs {needed} functionals of an utterance, the inputs have {found}",
            WHERE,
            "profile: table reads a feature with set: is10_is09, profile: text one with set: is10",
        )
    return names
