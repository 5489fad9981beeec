"""What a model is given: a task, inputs without labels, examples with labels, padded batches with masks.

Letters: B utterances of a batch, T frames (padded), F columns of a feature, K classes, R label rows,
D continuous dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from ser.core.errors import SerError
from ser.core.store import Store
from ser.evaluation import metrics
from ser.training import windows
from ser.training.seeds import seed_of
from ser.training.settings import Training
from ser.training.windows import Window

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
    durations: tuple[float, ...] = field(default=(), kw_only=True)  # s
    windows: tuple[Window, ...] | None = field(default=None, kw_only=True)  # the leak control's; else the settings'

    def __len__(self) -> int:
        return len(self.utterances)

    def vectors(self, feature: str) -> np.ndarray:
        """Utterance-level features, (len, F) float32."""
        return np.asarray(self.stores[feature].rows(self.utterances), dtype=np.float32)


@dataclass(frozen=True)
class Examples(Inputs):
    """Utterances with labels: class indices (len,), or for continuous tasks one array (rows, D) an utterance."""

    labels: np.ndarray | Sequence[np.ndarray]

    def unlabelled(self) -> Inputs:
        return Inputs(
            self.utterances, self.speakers, self.stores, self.rows, durations=self.durations, windows=self.windows
        )


@dataclass
class Batch:
    """B utterances on one device.

    inputs: feature -> (B, T, F) for frame features, zero-padded after the valid frames, or (B, F);
    lengths: frame feature -> (B,) valid frames; labels: (B,) class indices, (B, R, D) continuous with NaN where there
    is none, or None.
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


def order(examples: Inputs, training: Training, seed: int, epoch: int) -> list[list[Window]]:
    """One epoch's batches of windows: shuffled, and with `bucket` of similar length.

    Bucketing sorts by length inside pools of 32 batches (ours: long enough to cut padding, short enough to stay
    random)."""
    generator = np.random.default_rng(seed_of(seed, "order", epoch))
    items = windows.drawn(examples, training)
    indices = generator.permutation(len(items))
    if training.bucket:
        sizes = windows.sizes(examples, items, training)
        pool = 32 * training.batch
        parts = [indices[i : i + pool] for i in range(0, len(indices), pool)]
        indices = np.concatenate([p[np.argsort(sizes[p], kind="stable")] for p in parts])
    batches = [[items[i] for i in indices[j : j + training.batch]] for j in range(0, len(indices), training.batch)]
    return [batches[i] for i in generator.permutation(len(batches))]


def collate(
    examples: Inputs, items: Sequence[Window], training: Training, device: str, crop: np.random.Generator | None
) -> Batch:
    """One padded batch. `crop` draws the start of windows that have none, and says that this is training (SpecAugment
    is applied); without it such a window is centred and nothing is masked. All frame-level inputs are cut alike."""
    import torch

    utterances = [examples.utterances[w.utterance] for w in items]
    own = windows.lengths(examples)
    cuts = [windows.cut(int(own[w.utterance]), w.start, training.frames, crop) for w in items]
    inputs, lengths = {}, {}
    for name, store in examples.stores.items():
        if store.card["level"] == "utterance":
            inputs[name] = torch.from_numpy(np.array(store.rows(utterances), dtype=np.float32)).to(device)
            continue
        # without `frames` an input keeps its own length, which may differ by a row from the labels'
        pieces = [store[u][c] if training.frames else store[u] for u, c in zip(utterances, cuts, strict=True)]
        valid = [len(p) for p in pieces]
        x = torch.zeros(len(pieces), training.frames or max(valid), int(store.card["dim"]))
        for row, piece in zip(x, pieces, strict=True):
            row[: len(piece)] = _augment(
                torch.from_numpy(np.array(piece, dtype=np.float32)), training, crop is not None
            )
        inputs[name] = x.to(device, non_blocking=True)
        lengths[name] = torch.tensor(valid, device=device)
    labels = _labels(examples, items, cuts, training) if isinstance(examples, Examples) else None
    return Batch(inputs, lengths, None if labels is None else torch.as_tensor(labels, device=device))


def _labels(examples: Examples, items: Sequence[Window], cuts: Sequence[slice], training: Training) -> np.ndarray:
    """(B,) class indices, or (B, R, D) with NaN after the last label row."""
    if isinstance(examples.labels, np.ndarray):
        return examples.labels[[w.utterance for w in items]]
    pieces = [examples.labels[w.utterance][c] for w, c in zip(items, cuts, strict=True)]
    rows = training.frames or max(map(len, pieces))
    out = np.full((len(pieces), rows, pieces[0].shape[1]), np.nan, dtype=np.float32)
    for row, piece in zip(out, pieces, strict=True):
        row[: len(piece)] = piece
    return out


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


def batches(inputs: Inputs, training: Training, device: str) -> Iterator[tuple[list[Window], Batch]]:
    """Batches for prediction, sorted by length; yields the windows of the batch with it."""
    items = windows.fixed(inputs, training)
    indices = np.argsort(windows.sizes(inputs, items, training), kind="stable")
    for i in range(0, len(indices), training.batch):
        part = [items[j] for j in indices[i : i + training.batch]]
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
