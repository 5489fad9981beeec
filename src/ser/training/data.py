"""What a model is given: a task, inputs without labels, examples with labels, padded batches with masks.

Letters: B utterances of a batch, T frames (padded), F columns of a feature, K classes, D continuous dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ser.core.errors import SerError
from ser.core.store import Store
from ser.evaluation import metrics
from ser.training.seeds import seed_of
from ser.training.settings import Training

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Task:
    """What is predicted from what; head and input sizes come from here, never from constants."""

    kind: Literal["classification", "continuous"]
    outputs: tuple[str, ...]  # class names in score order, or dimension names
    inputs: Mapping[str, int]  # feature name -> columns F
    levels: Mapping[str, str]  # feature name -> "frame" or "utterance"


@dataclass(frozen=True)
class Inputs:
    """Utterances without labels: all a prediction may see. Speakers serve transductive scaling only."""

    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    stores: Mapping[str, Store]
    rows: tuple[int, ...]  # continuous tasks: label rows of each utterance, so that a prediction has as many

    def __len__(self) -> int:
        return len(self.utterances)

    def vectors(self, feature: str) -> np.ndarray:
        """Utterance-level features, (len, F) float32."""
        return np.asarray(self.stores[feature].rows(self.utterances), dtype=np.float32)

    def frames(self, feature: str, i: int) -> np.ndarray:
        """Frame-level features of the i-th utterance, a memory-mapped view (T, F)."""
        return self.stores[feature][self.utterances[i]]


@dataclass(frozen=True)
class Examples(Inputs):
    """Utterances with labels: class indices (len,), or for continuous tasks one array (rows, D) an utterance."""

    labels: np.ndarray | Sequence[np.ndarray]

    def unlabelled(self) -> Inputs:
        return Inputs(self.utterances, self.speakers, self.stores, self.rows)


@dataclass
class Batch:
    """B utterances on one device.

    inputs: feature -> (B, T, F) for frame features, zero-padded after the valid frames, or (B, F);
    lengths: frame feature -> (B,) valid frames; labels: (B,) class indices or None.
    """

    inputs: dict[str, torch.Tensor]
    lengths: dict[str, torch.Tensor]
    labels: torch.Tensor | None

    @property
    def targets(self) -> torch.Tensor:
        """The labels of a training batch."""
        assert self.labels is not None, "a loss was asked of a batch without labels"
        return self.labels

    def mask(self, feature: str) -> torch.Tensor:
        """(B, T) bool, True on valid frames."""
        import torch

        x = self.inputs[feature]
        return torch.arange(x.shape[1], device=x.device)[None, :] < self.lengths[feature][:, None]


def order(examples: Inputs, training: Training, seed: int, epoch: int) -> list[list[int]]:
    """Index lists of one epoch's batches: shuffled, and with `bucket` of similar length.

    Bucketing sorts by length inside pools of 32 batches (ours: long enough to cut padding, short enough to stay
    random)."""
    generator = np.random.default_rng(seed_of(seed, "order", epoch))
    indices = generator.permutation(len(examples))
    feature = next((f for f, s in examples.stores.items() if s.card["level"] == "frame"), None)
    if training.bucket and feature is not None:
        lengths = examples.stores[feature].lengths(examples.utterances)
        pool = 32 * training.batch
        parts = [indices[i : i + pool] for i in range(0, len(indices), pool)]
        indices = np.concatenate([p[np.argsort(lengths[p], kind="stable")] for p in parts])
    batches = [indices[i : i + training.batch].tolist() for i in range(0, len(indices), training.batch)]
    return [batches[i] for i in generator.permutation(len(batches))]


def collate(
    examples: Inputs, indices: Sequence[int], training: Training, device: str, crop: np.random.Generator | None
) -> Batch:
    """One padded batch. `crop` draws the start of a random crop of utterances longer than `training.frames`, and says
    that this is training (SpecAugment is applied); without it the crop is centred and nothing is masked."""
    import torch

    inputs, lengths = {}, {}
    for name, store in examples.stores.items():
        if store.card["level"] == "utterance":
            rows = store.rows([examples.utterances[i] for i in indices])
            inputs[name] = torch.from_numpy(np.array(rows, dtype=np.float32)).to(device)
            continue
        pieces = [_cut(examples.frames(name, i), training.frames, crop) for i in indices]
        valid = [len(p) for p in pieces]
        x = torch.zeros(len(pieces), training.frames or max(valid), pieces[0].shape[1])
        for row, piece in zip(x, pieces, strict=True):
            row[: len(piece)] = _augment(
                torch.from_numpy(np.array(piece, dtype=np.float32)), training, crop is not None
            )
        inputs[name] = x.to(device, non_blocking=True)
        lengths[name] = torch.tensor(valid, device=device)
    labels = None
    if isinstance(examples, Examples):
        labels = torch.as_tensor(np.asarray(examples.labels)[list(indices)], device=device)
    return Batch(inputs, lengths, labels)


def _cut(frames: np.ndarray, length: int | None, crop: np.random.Generator | None) -> np.ndarray:
    if length is None or len(frames) <= length:
        return frames
    start = (len(frames) - length) // 2 if crop is None else int(crop.integers(0, len(frames) - length + 1))
    return frames[start : start + length]


def _augment(x: torch.Tensor, training: Training, active: bool) -> torch.Tensor:
    """SpecAugment on the valid frames (T, F) of one utterance, filled with 0, the mean after CMVN."""
    if not active or not (training.frequency_masks or training.time_masks):
        return x
    from torchaudio.functional import mask_along_axis

    spectrogram = x.T[None]  # torchaudio's order: (channel, F, T)
    for _ in range(training.frequency_masks):
        spectrogram = mask_along_axis(spectrogram, min(training.frequency_width, spectrogram.shape[1]), 0.0, axis=1)
    for _ in range(training.time_masks):
        spectrogram = mask_along_axis(spectrogram, training.time_width, 0.0, axis=2, p=training.time_share)
    return spectrogram[0].T


def batches(inputs: Inputs, training: Training, device: str) -> Iterator[tuple[list[int], Batch]]:
    """Batches for prediction, sorted by length; yields the positions of the batch's utterances with it."""
    feature = next((f for f, s in inputs.stores.items() if s.card["level"] == "frame"), None)
    indices = np.arange(len(inputs))
    if feature is not None:
        indices = np.argsort(inputs.stores[feature].lengths(inputs.utterances), kind="stable")
    for i in range(0, len(indices), training.batch):
        part = indices[i : i + training.batch].tolist()
        yield part, collate(inputs, part, training, device, None)


def class_indices(emotions: Sequence[str], classes: Sequence[str], where: str) -> np.ndarray:
    """Class indices (len,) int64; raises `SerError` for a label outside the classes."""
    position = {c: i for i, c in enumerate(classes)}
    unknown = sorted({e for e in emotions if e not in position})
    if unknown:
        raise SerError(f"label {unknown[0]!r} is none of the classes {', '.join(classes)}", where)
    return np.array([position[e] for e in emotions], dtype=np.int64)


def macro_recall(truth: np.ndarray, prediction: np.ndarray, classes: int) -> float:
    """UA of class indices; classes absent from `truth` are left out."""
    matrix = np.bincount(truth * classes + prediction, minlength=classes * classes).reshape(classes, classes)
    return float(metrics.ua(matrix))
