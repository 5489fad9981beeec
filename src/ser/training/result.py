"""What training one fold with one seed gives: its scores, its learning curve, and what the model noted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ser.core import weights as weight_files
from ser.core.errors import SerError
from ser.core.files import reading, replacing

_EMPTY = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Result:
    """One trained fold. Letters: n utterances, K classes, D continuous dimensions."""

    scores: np.ndarray | Sequence[np.ndarray]  # (n, K) class probabilities, or one array (rows, D) per utterance
    history: list[dict[str, float]]  # the learning curve, one row per evaluation
    notes: dict[str, Any]
    votes: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """(n, K): how many windows of each utterance have each class as their best; empty without windows."""
    utterances: tuple[str, ...] = ()  # what was tested, where it is not the fold's test part (the leak control)
    dev: Sequence[np.ndarray] = ()  # predictions of the dev part, for continuous labels only
    artefacts: dict[str, np.ndarray] = field(default_factory=dict)  # arrays for figures, of the first fold only
    weights: dict[str, np.ndarray] = field(default_factory=dict)  # everything that a prediction needs of the training

    def write(self, path: Path, name: str) -> None:
        """Writes an .npz without pickle, and before it, beside it, the artefacts and the weights. `name`: fold and
        seed.
        """
        if self.weights:
            weight_files.save_arrays(weights(path), self.weights)
        if self.artefacts:
            _savez(artefacts(path), utterances=np.array(self.utterances, dtype=str), **self.artefacts)
        scores, lengths = (self.scores, _EMPTY) if isinstance(self.scores, np.ndarray) else _joined(self.scores)
        dev, dev_lengths = _joined(self.dev)
        _savez(
            path,
            name=np.array(name),
            scores=scores,
            lengths=lengths,
            dev=dev,
            dev_lengths=dev_lengths,
            history=np.array(json.dumps(self.history)),
            notes=np.array(json.dumps(self.notes)),
            votes=self.votes,
            utterances=np.array(self.utterances, dtype=str),
        )

    @classmethod
    def read(cls, path: Path, name: str) -> Result:
        """A written result without artefacts and weights. Raises `SerError` for a damaged file or another name."""
        with reading(path), np.load(path) as file:
            if (own := str(file["name"])) != name:
                raise SerError(f"this is the result of {own}, not of {name}", path, "Remove it")
            scores, lengths = file["scores"], file["lengths"]
            return cls(
                _split(scores, lengths) if len(lengths) else scores,
                json.loads(str(file["history"])),
                json.loads(str(file["notes"])),
                file["votes"],
                tuple(map(str, file["utterances"])),
                _split(file["dev"], file["dev_lengths"]),
            )


def artefacts(path: Path) -> Path:
    """The file of the artefacts of the result at `path`."""
    return path.with_suffix(".artefacts.npz")


def weights(path: Path) -> Path:
    """The file of the weights of the result at `path`."""
    return path.with_suffix(".safetensors")


def _savez(path: Path, **arrays: np.ndarray) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _joined(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Arrays one after the other, and the number of rows of each."""
    lengths = np.array([len(a) for a in arrays], dtype=np.int64)
    return (np.concatenate(list(arrays)) if len(arrays) else np.zeros((0, 0))), lengths


def _split(rows: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, np.cumsum(lengths)[:-1]) if len(lengths) else []
