"""Word2Vec by gensim: skip-gram with negative sampling (papers.md 7.3)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from ser.errors import SerError
from ser.words.settings import Word2Vec
from ser.words.vectors import Vectors, ordered


def train(sentences: Sequence[Sequence[str]], settings: Word2Vec) -> Vectors:
    """Vectors of the words that occur ``min_count`` times. One worker, and no use of Python's own hashes: the same
    sentences give the same bytes.

    Raises `SerError` when fewer than two words occur often enough.
    """
    from gensim.models import Word2Vec as Gensim

    model = Gensim(
        vector_size=settings.dim,
        window=settings.window,
        min_count=settings.min_count,
        sg=1,
        hs=0,
        negative=settings.negative,
        alpha=settings.lr,
        epochs=settings.epochs,
        seed=settings.seed,
        workers=1,
        hashfxn=_hash,
    )
    model.build_vocab(sentences)
    if len(model.wv) < 2:
        raise SerError(
            f"{len(model.wv)} words occur {settings.min_count} times in {len(sentences)} sentences",
            "word2vec",
            "Name more text, or lower word2vec.min_count",
        )
    model.train(sentences, total_examples=model.corpus_count, epochs=model.epochs)
    counts = np.array([model.wv.get_vecattr(w, "count") for w in model.wv.index_to_key])
    return ordered(model.wv.index_to_key, model.wv.vectors, counts)


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())
