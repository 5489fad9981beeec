"""Word2Vec: the text space T, by gensim's skip-gram with negative sampling (papers.md 7.3)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ser.core.errors import SerError
from ser.words.config import Word2Vec
from ser.words.vectors import Vectors, ordered


def train(sentences: Sequence[Sequence[str]], config: Word2Vec) -> Vectors:
    """Vectors of the words that occur at least ``min_count`` times, or those of the file ``vectors``.

    Equal sentences give equal bytes: there is one worker, and the hash does not change between processes as Python's
    own does. Raises `SerError` when fewer than two words are frequent enough.
    """
    if config.vectors:
        return read(Path(config.vectors), config.vector_size)
    from gensim.models import Word2Vec as Gensim

    model = Gensim(
        vector_size=config.vector_size,
        window=config.window,
        min_count=config.min_count,
        sg=1,
        hs=0,
        negative=config.negative,
        alpha=config.alpha,
        epochs=config.epochs,
        seed=config.seed,
        workers=1,
        hashfxn=_hash,
    )
    model.build_vocab(sentences)
    if len(model.wv) < 2:
        what = f"{len(model.wv)} words occur {config.min_count} times in {len(sentences)} sentences"
        raise SerError(what, "word2vec.min_count", "Name more text, or lower it")
    model.train(sentences, total_examples=model.corpus_count, epochs=model.epochs)
    counts = np.array([model.wv.get_vecattr(w, "count") for w in model.wv.index_to_key])
    return ordered(model.wv.index_to_key, model.wv.vectors, counts)


def read(path: Path, dim: int) -> Vectors:
    """Ready vectors in the text format of word2vec: a line with the numbers of words and of columns, then a word and
    its vector per line, the most frequent word first. Raises `SerError` for another file, and for vectors that are not
    `dim` long.
    """
    from gensim.models import KeyedVectors

    try:
        found = KeyedVectors.load_word2vec_format(str(path), unicode_errors="replace")
    except (OSError, ValueError, EOFError) as error:
        hint = "Its first line holds the numbers of words and of columns, each other line a word and its vector"
        raise SerError(f"not a file of word vectors: {error}", path, hint) from error
    if found.vector_size != dim:
        what = f"the vectors have {found.vector_size} columns, not {dim}"
        raise SerError(what, path, f"Set word2vec.vector_size and speech2vec.dim: {found.vector_size}")
    return ordered(found.index_to_key, found.vectors, np.arange(len(found), 0, -1))


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())
