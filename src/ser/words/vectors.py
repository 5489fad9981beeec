"""A vocabulary with one vector per word, the most frequent word first.

Stored as ``vectors.safetensors`` (matrix, counts) and ``card.json`` (words and what the vectors are). Equal vectors
give equal bytes. Letters: V words of the vocabulary, n words, d dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ser.core.errors import SerError
from ser.core.files import read_json, replacing, repro, write_json
from ser.core.seeds import seed_of
from ser.words.config import OutOfVocabulary

# German words for the event tags of SEWA's transcripts, from P4's public code, where the last one counts [R]
SYNONYMS = {
    "<laughter>": ("lachen", "gelächter"),
    "<slightlaughter>": ("lachen", "gelächter"),
    "<breathing>": ("atmung",),
    "<moaning>": ("stöhnen", "seufzen", "gejammer", "gestöhne"),
    "<contempt>": ("verachtung", "geringschätzung"),
    "<fumbling>": ("fummelei", "gefummel", "linkisch"),
    "<clearingthroat>": ("räuspern",),
    "<coughing>": ("husten",),
    "<singing>": ("singen", "gesang"),
    "<disgust>": ("ekeln", "anwidern", "empören", "anekeln"),
    "<clicking>": ("klicken",),
}


@dataclass(frozen=True)
class Vectors:
    """`matrix` (V, d) float32 with row i for ``words[i]``; `counts` (V,) int64, in descending order."""

    words: tuple[str, ...]
    matrix: np.ndarray
    counts: np.ndarray

    @cached_property
    def index(self) -> dict[str, int]:
        """Word -> its row."""
        return {word: i for i, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def shared(self, other: Vectors) -> np.ndarray:
        """Rows (n, 2) of the words that both vocabularies have, in the order of this one."""
        pairs = [(i, other.index[w]) for i, w in enumerate(self.words) if w in other.index]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def replaced(self, matrix: np.ndarray) -> Vectors:
        """The same vocabulary with other vectors."""
        return Vectors(self.words, np.asarray(matrix, dtype=np.float32), self.counts)

    def look_up(self, words: Iterable[str], oov: OutOfVocabulary = "zero", seed: int = 1) -> np.ndarray:
        """Vectors (n, d) of words. An event tag such as ``<laughter>`` that is not in the vocabulary has the vector of
        its last synonym that is (`SYNONYMS`). Any other word that is not is zero or, with `oov` "random" as in P4's
        public code, uniform in [0, 1) and the same wherever the word occurs."""
        words = list(words)
        found = np.zeros((len(words), self.matrix.shape[1]), dtype=np.float32)
        for row, word in zip(found, words, strict=True):
            known = [w for w in (*SYNONYMS.get(word, ()), word) if w in self.index]
            if known:
                row[:] = self.matrix[self.index[known[-1]]]
            elif oov == "random":
                row[:] = np.random.default_rng(seed_of(seed, "oov", word)).uniform(0, 1, len(row))
        return found


def ordered(words: Sequence[str], matrix: np.ndarray, counts: np.ndarray) -> Vectors:
    """Vectors sorted by descending count, words of equal count alphabetically."""
    order = sorted(range(len(words)), key=lambda i: (-int(counts[i]), words[i]))
    kept = np.asarray(counts, dtype=np.int64)[order]
    return Vectors(tuple(words[i] for i in order), np.asarray(matrix, dtype=np.float32)[order], kept)


def random(like: Vectors, seed: int) -> Vectors:
    """The control: a unit vector in a random direction for each word, the same in every vocabulary."""
    return like.replaced(directions(like.words, like.matrix.shape[1], seed))


def directions(names: Sequence[str], dim: int, seed: int) -> np.ndarray:
    """A unit vector in a random direction for each name, (n, d) float32; equal names have equal vectors."""
    rows = [np.random.default_rng(seed_of(seed, "random vector", n)).normal(size=dim) for n in names]
    return unit(np.array(rows).reshape(-1, dim)).astype(np.float32)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (n, d) scaled to length 1; zero rows stay zero."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def save(folder: Path, vectors: Vectors, card: Mapping[str, Any]) -> None:
    """Writes ``vectors.safetensors`` and ``card.json``."""
    save_arrays(folder / "vectors.safetensors", counts=vectors.counts, matrix=vectors.matrix)
    write_json(folder / "card.json", {**card, "words": list(vectors.words)})


def load(folder: Path) -> tuple[Vectors, dict[str, Any]]:
    """The vectors and their card. Raises `SerError` for a folder that is missing or damaged."""
    card, arrays = read_json(folder / "card.json"), load_arrays(folder / "vectors.safetensors", "counts", "matrix")
    vectors = Vectors(tuple(card.pop("words", ())), arrays["matrix"], arrays["counts"])
    if not len(vectors.words) == len(vectors.matrix) == len(vectors.counts):
        raise SerError("damaged vectors: words and matrix do not fit", folder, _again(folder))
    return vectors, card


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Writes named arrays as safetensors."""
    from safetensors.numpy import save_file

    with replacing(path) as temporary:
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, temporary)


def load_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """The arrays of `save_arrays`. Raises `SerError` for a file that is missing, damaged or lacks one of `names`."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.exists():
        raise SerError("missing file", path, _again(path))
    try:
        arrays = load_file(path)
        return {name: arrays[name] for name in names}
    except (SafetensorError, KeyError) as error:
        raise SerError(f"damaged file: {error}", path, _again(path)) from error


def _again(path: Path) -> str:
    return f"Remove the folder and run its stage again: {repro(path)}"
