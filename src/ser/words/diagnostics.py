"""What word vectors contain: meaning, the sound of the words, or nothing.

Each measure is a plain mapping of numbers: its value, the value that chance gives where that is known, and the number
of words it is computed from. Letters: n, m words of two spaces, d dimensions.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser.core.errors import SerError
from ser.corpora import reading
from ser.words.alignment import nearest
from ser.words.vectors import Vectors, unit

RANKS = (1, 5, 10)  # of the translation precision, MUSE's
PAIRS = 20_000  # largest number of pairs of words; the standard error of a correlation is then below 0.01
TOKENS = 4_000  # largest number of spoken words in `same_word`, which then takes seconds


def translation(mapped: np.ndarray, text: np.ndarray, pairs: np.ndarray, k: int | None = 10) -> dict[str, Any]:
    """Precision@1, 5, 10: the share of words whose own text vector is among the nearest to their mapped speech vector.

    `pairs` (n, 2) are the rows of these words in `mapped` and `text`, which are searched whole: by CSLS with `k`
    neighbours, by cosine with `k` None.
    """
    found = nearest(_rows(mapped), _rows(text), max(RANKS), k).columns.numpy()
    hit = found[pairs[:, 0]] == pairs[:, 1:]
    shares = {f"precision@{r}": _share(hit[:, :r].any(1)) for r in RANKS}
    return {"words": len(pairs), **shares, "chance@1": 1 / len(text)}


def hubness(mapped: np.ndarray, text: np.ndarray, k: int = 10) -> float:
    """Skewness of N_k, the number of mapped vectors that have a text vector among their k nearest (cosine); 0 without
    hubs."""
    from scipy.stats import skew

    found = nearest(_rows(mapped), _rows(text), k, None).columns.numpy()
    counts = np.bincount(found.ravel(), minlength=len(text))
    return float(skew(counts)) if counts.std() else 0.0


def purity(vectors: Vectors, topics: Mapping[str, str], k: int = 5) -> dict[str, Any]:
    """The share of a word's k nearest neighbours that have its topic, by cosine among the words with a topic. `topics`:
    word -> topic."""
    rows = [i for i, w in enumerate(vectors.words) if w in topics]
    if len(rows) < 2:
        return {"words": len(rows), "purity": None, "chance": None}
    names = np.unique([topics[vectors.words[i]] for i in rows], return_inverse=True)[1]
    x = _rows(vectors.matrix[rows])
    cosines = (x @ x.T).fill_diagonal_(-torch.inf)
    near = cosines.topk(min(k, len(rows) - 1), 1).indices.numpy()
    sizes = np.bincount(names)
    chance = float((sizes[names] - 1).mean() / (len(rows) - 1))
    return {"words": len(rows), "purity": _share(names[near] == names[:, None]), "chance": chance}


def similarity(vectors: Vectors, path: Path) -> dict[str, Any]:
    """Spearman correlation with a list of word similarities (`similarities`), and how many of its pairs are in the
    vocabulary. Raises `SerError` naming the line that is wrong."""
    pairs = similarities(path)
    known = [(vectors.index[a], vectors.index[b], v) for a, b, v in pairs if a in vectors.index and b in vectors.index]
    x = unit(vectors.matrix.astype(np.float64))
    cosines = [float(x[i] @ x[j]) for i, j, _ in known]
    return {"pairs": len(known), "of": len(pairs), "spearman": _spearman(cosines, [v for *_, v in known])}


def agreement(a: Vectors, b: Vectors, seed: int = 1) -> dict[str, Any]:
    """Spearman correlation between the cosine of two words in one space and in the other, over pairs of the words that
    both share. No rotation changes it, so it bounds what any orthogonal W can achieve."""
    shared = a.shared(b)
    first, second = _pairs(len(shared), seed)
    cosines = [
        (rows[first] * rows[second]).sum(1)
        for rows in (
            unit(space.matrix[shared[:, i]].astype(np.float64) - space.matrix.mean(0)) for i, space in enumerate((a, b))
        )
    ]
    return {"words": len(shared), "pairs": len(first), "spearman": _spearman(*cosines)}


def shuffled(words: Sequence[str], speakers: Sequence[str], seed: int = 1) -> tuple[str, ...]:
    """The words of tokens, shuffled among the tokens of the same speaker.

    Type vectors computed with these contain only how often each speaker says a word. Where each speaker reads a book or
    speaks about a topic, that alone agrees with text.
    """
    rng = np.random.default_rng(seed)
    mixed, names = np.array(words, dtype=object), np.array(speakers)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        mixed[rows] = mixed[rng.permutation(rows)]
    return tuple(mixed.tolist())


def spelling(vectors: Vectors, seed: int = 1) -> dict[str, Any]:
    """Spearman correlation between the cosine of two words and the similarity of their spelling (difflib's ratio).

    It is high for vectors that contain the sound of words and not their meaning.
    """
    first, second = _pairs(len(vectors), seed)
    x = unit(vectors.matrix.astype(np.float64) - vectors.matrix.mean(0))
    words = vectors.words
    alike = [
        difflib.SequenceMatcher(None, words[i], words[j], False).ratio() for i, j in zip(first, second, strict=True)
    ]
    return {"pairs": len(first), "spearman": _spearman((x[first] * x[second]).sum(1), alike)}


def same_word(embeddings: np.ndarray, words: Sequence[str], seed: int = 1) -> dict[str, Any]:
    """The share of spoken words (n, d) whose nearest other one is the same word, and the share that chance gives."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(words))[:TOKENS])
    names = np.unique([words[i] for i in chosen], return_inverse=True)[1]
    if len(names) < 2:
        return {"tokens": len(names), "same": None, "chance": None}
    x = _rows(embeddings[chosen] - embeddings.mean(0))
    two = nearest(x, x, 2, None).columns.numpy()
    own = np.arange(len(names))
    other = np.where(two[:, 0] == own, two[:, 1], two[:, 0])
    chance = float((np.bincount(names)[names] - 1).mean() / (len(names) - 1))
    return {"tokens": len(names), "same": _share(names[other] == names), "chance": chance}


def _rows(matrix: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(unit(np.asarray(matrix, dtype=np.float32)))


def _share(hits: np.ndarray) -> float | None:
    return float(hits.mean()) if hits.size else None


def _spearman(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float | None:
    """None where it is not defined: fewer than three pairs, or one side constant."""
    from scipy.stats import spearmanr

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)


def _pairs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of different numbers below n: all of them, or `PAIRS` at random."""
    if n * (n - 1) // 2 <= PAIRS:
        return np.triu_indices(n, 1)
    rng = np.random.default_rng(seed)
    first = rng.integers(n, size=PAIRS)
    return first, (first + rng.integers(1, n, size=PAIRS)) % n


def similarities(path: Path) -> list[tuple[str, str, float]]:
    """The rows of a list of word similarities: word, word, number, separated by commas, semicolons, tabs or blanks; the
    first line may be a header. Raises `SerError` for a missing file, and naming the line that is wrong."""
    if not path.is_file():
        raise SerError("no such list of word similarities", path, "Name a file with lines of word, word, number")
    text = reading.text(path)
    separator = next((s for s in "\t;," if s in text), " ")
    found = []
    for number, fields in enumerate(csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True), 1):
        if not any(fields):
            continue
        try:
            found.append((fields[0].strip().lower(), fields[1].strip().lower(), float(fields[2])))
        except (IndexError, ValueError):
            if number > 1:  # the first line may be a header
                raise SerError("expected word, word, number", f"{path}:{number}") from None
    return found
