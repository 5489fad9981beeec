"""What a model gets: a task, inputs without labels, examples with labels, padded batches with masks.

Letters: B utterances of a batch, T frames (padded), F columns of a feature, K classes, R label rows,
D continuous dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ser.core.errors import SerError
from ser.core.store import Store

if TYPE_CHECKING:
    import torch

# streams of word vectors, and what of the words is known at test time (papers.md 7.3); in which modes a stream exists
MODES = ("type_lookup_oracle", "token_aligned", "token_unsupervised")
STREAMS = {"word2vec": MODES[:1], "speech2vec": MODES, "aligned": MODES, "random_vectors": MODES}


class Window(NamedTuple):
    """A piece of an utterance. `start` in frames; None: at random in training, centred in prediction."""

    utterance: int  # its position in the part
    start: int | None


@dataclass(frozen=True)
class Task:
    """What is predicted, and from which inputs. The sizes of a model's input and head come from here."""

    kind: Literal["classification", "continuous"]
    outputs: tuple[str, ...]  # class names in score order, or dimension names
    inputs: Mapping[str, int]  # feature name -> columns F
    levels: Mapping[str, str]  # feature name -> "frame" or "utterance"


@dataclass(frozen=True)
class Inputs:
    """Utterances without labels: all that a prediction may use. Speakers and corpora are for transductive scaling."""

    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    stores: Mapping[str, Store]
    rows: tuple[int, ...]  # continuous tasks: label rows of each utterance, so that a prediction has as many
    durations: tuple[float, ...] = field(default=(), kw_only=True)  # s
    corpora: tuple[str, ...] = field(default=(), kw_only=True)  # the corpus of each utterance
    windows: tuple[Window, ...] | None = field(default=None, kw_only=True)  # given by the leak control only

    def __len__(self) -> int:
        return len(self.utterances)

    def vectors(self, feature: str) -> np.ndarray:
        """Utterance-level features, (len, F) float32."""
        return np.asarray(self.stores[feature].rows(self.utterances), dtype=np.float32)


@dataclass(frozen=True)
class Examples(Inputs):
    """Utterances with labels: class indices (len,), or for continuous tasks one array (rows, D) per utterance.

    groups: what a model keeps together when it divides its training part again, so that its inner folds are of the same
    kind as the folds themselves: the speaker where these are speaker-independent, otherwise equal audio.
    """

    labels: np.ndarray | Sequence[np.ndarray]
    groups: tuple[str, ...] = field(default=(), kw_only=True)  # without any: the speakers

    @property
    def by_speaker(self) -> bool:
        """Whether speakers are kept together."""
        return self.groups in ((), self.speakers)

    def unlabelled(self) -> Inputs:
        return Inputs(
            self.utterances,
            self.speakers,
            self.stores,
            self.rows,
            durations=self.durations,
            corpora=self.corpora,
            windows=self.windows,
        )


@dataclass
class Batch:
    """B examples on one device.

    inputs: feature -> (B, T, F) for frame features, zero after the valid frames, or (B, F) for utterance features;
    lengths: frame feature -> (B,) valid frames; labels: (B,) class indices, (B, R, D) continuous with NaN where there
    is no label, or None; soft: (B, K) what the loss asks of each class, or None where that is the label alone; known:
    the lengths once more, on the CPU, where they are known there.
    """

    inputs: dict[str, torch.Tensor]
    lengths: dict[str, torch.Tensor]
    labels: torch.Tensor | None
    soft: torch.Tensor | None = None
    known: dict[str, torch.Tensor] = field(default_factory=dict)

    def on_host(self, feature: str) -> torch.Tensor:
        """(B,) valid frames, on the CPU: reading them from a GPU would wait for all that it still has to do."""
        return self.known[feature] if feature in self.known else self.lengths[feature].cpu()

    @property
    def targets(self) -> torch.Tensor:
        """The labels of a training batch."""
        assert self.labels is not None, "a loss was computed of a batch without labels"
        return self.labels

    def mask(self, feature: str) -> torch.Tensor:
        """(B, T) bool, True on valid frames."""
        import torch

        x = self.inputs[feature]
        return torch.arange(x.shape[1], device=x.device)[None, :] < self.lengths[feature][:, None]


UNLABELLED = -1  # in place of the class of an utterance that is predicted and not scored


def class_indices(emotions: Sequence[str], classes: Sequence[str], where: str) -> np.ndarray:
    """Class indices (len,) int64, `UNLABELLED` for an empty label; raises `SerError` for one outside the classes."""
    position = {"": UNLABELLED, **{c: i for i, c in enumerate(classes)}}
    unknown = sorted({e for e in emotions if e not in position})
    if unknown:
        raise SerError(f"label {unknown[0]!r} is none of the classes {', '.join(classes)}", where)
    return np.array([position[e] for e in emotions], dtype=np.int64)
