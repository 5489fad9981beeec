"""Word vectors: a vocabulary, its matrix, and how often each word was seen; most frequent first.

On disk ``vectors.safetensors`` (matrix, counts) beside ``card.json`` (words, and what the vectors are); equal vectors
give equal bytes. Letters: V words, d dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ser.errors import SerError
from ser.files import read_json, replacing, write_json
from ser.seeds import seed_of
from ser.words.settings import Oov


@dataclass(frozen=True)
class Vectors:
    """`matrix` (V, d) float32, row i of ``words[i]``; `counts` (V,) int64, not rising."""

    words: tuple[str, ...]
    matrix: np.ndarray
    counts: np.ndarray

    @cached_property
    def index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def shared(self, other: Vectors) -> np.ndarray:
        """Rows (n, 2) of the words both have, in this one's order."""
        pairs = [(i, other.index[w]) for i, w in enumerate(self.words) if w in other.index]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def replaced(self, matrix: np.ndarray) -> Vectors:
        """The same vocabulary with other vectors."""
        return Vectors(self.words, np.asarray(matrix, dtype=np.float32), self.counts)

    def look_up(self, words: Iterable[str], oov: Oov = "zero", seed: int = 1) -> np.ndarray:
        """Vectors (n, d) of words; one that is not in the vocabulary is zero or, as in the public code of P4, uniform
        in [-1, 1) and the same wherever the word stands."""
        words = list(words)
        found = np.zeros((len(words), self.matrix.shape[1]), dtype=np.float32)
        for row, word in zip(found, words, strict=True):
            if word in self.index:
                row[:] = self.matrix[self.index[word]]
            elif oov == "random":
                row[:] = np.random.default_rng(seed_of(seed, "oov", word)).uniform(-1, 1, len(row))
        return found


def ordered(words: Sequence[str], matrix: np.ndarray, counts: np.ndarray) -> Vectors:
    """Vectors with the most frequent word first, alphabetical among equals."""
    order = sorted(range(len(words)), key=lambda i: (-int(counts[i]), words[i]))
    kept = np.asarray(counts, dtype=np.int64)[order]
    return Vectors(tuple(words[i] for i in order), np.asarray(matrix, dtype=np.float32)[order], kept)


def random(like: Vectors, seed: int) -> Vectors:
    """The control: a unit vector of random direction per word, the same for a word in any vocabulary."""
    return like.replaced(directions(like.words, like.matrix.shape[1], seed))


def directions(names: Sequence[str], dim: int, seed: int) -> np.ndarray:
    """A unit vector of random direction for each name, (n, d) float32; equal names have equal ones."""
    rows = [np.random.default_rng(seed_of(seed, "random vector", n)).normal(size=dim) for n in names]
    return unit(np.array(rows).reshape(-1, dim)).astype(np.float32)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (n, d) of length 1; zero rows stay zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def save(folder: Path, vectors: Vectors, card: Mapping[str, Any]) -> None:
    from safetensors.numpy import save_file

    folder = Path(folder)
    with replacing(folder / "vectors.safetensors") as temporary:
        save_file({"counts": vectors.counts, "matrix": np.ascontiguousarray(vectors.matrix)}, temporary)
    write_json(folder / "card.json", {**card, "words": list(vectors.words)})


def load(folder: Path) -> tuple[Vectors, dict[str, Any]]:
    """The vectors and their card. Raises `SerError` for a folder that is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(folder) / "vectors.safetensors"
    card = read_json(Path(folder) / "card.json")
    if not path.exists():
        raise SerError("missing vectors", path, "Run the stage that makes them: dvc repro")
    try:
        arrays = load_file(path)
        vectors = Vectors(tuple(card.pop("words")), arrays["matrix"], arrays["counts"])
    except (SafetensorError, KeyError) as error:
        raise SerError(f"damaged vectors: {error}", path, "Remove the folder and make it anew") from error
    if not len(vectors.words) == len(vectors.matrix) == len(vectors.counts):
        raise SerError("damaged vectors: words and matrix do not fit", path, "Remove the folder and make it anew")
    return vectors, card
