"""Word2Vec: the text space T, by gensim's skip-gram with negative sampling (papers.md 7.3)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from ser.core.errors import SerError
from ser.words.config import Word2Vec
from ser.words.vectors import Vectors, ordered


def train(sentences: Sequence[Sequence[str]], config: Word2Vec) -> Vectors:
    """Vectors of the words that occur at least ``min_count`` times.

    Equal sentences give equal bytes: there is one worker, and the hash does not change between processes as Python's
    own does. Raises `SerError` when fewer than two words are frequent enough.
    """
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


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())
