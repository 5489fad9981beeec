"""Cross-corpus: train on the whole of one corpus of a joint corpus, test on the whole of another (ours)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pandas as pd

from ser.core.errors import SerError
from ser.core.plugins import nearest
from ser.protocols.folds import Fold
from ser.protocols.splitting import check_share, fold, place, random_state, stratified_share, values

SPEAKER_INDEPENDENT = True
TESTS_EACH_ONCE = False  # of three corpora, each is tested after training on either of the two others


@dataclass(frozen=True)
class Config:
    """`train`, `test`: the corpora to train and to test on; empty: all. `dev_share`: share of the training utterances
    used as dev, stratified by class (ours; 0: none)."""

    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    dev_share: float = 0.0

    def __post_init__(self) -> None:
        check_share("dev_share", self.dev_share)


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold per ordered pair of corpora, named ``<train>-to-<test>``; `seed` only draws dev.

    Raises `SerError` when there are fewer than 2 corpora, when `train` or `test` names another one, when they leave no
    pair, and when a class is too small for `dev_share`.
    """
    protocol, where = "cross_corpus", place("cross_corpus", manifest)
    hint = "Use a corpus with format: joint that names two corpora or more"
    names = values(manifest, "corpus", 2, protocol, hint)
    for name in (*config.train, *config.test):
        if name not in names:
            raise SerError(f"{name!r} is not one of the corpora", where, nearest(name, names))
    corpus, made = manifest["corpus"].to_numpy(), []
    for source, target in itertools.product(config.train or names, config.test or names):
        if source == target:
            continue
        train, test = corpus == source, corpus == target
        state = random_state(protocol, seed, source, target)
        dev = stratified_share(manifest, train, config.dev_share, state, where)
        made.append(fold(f"{source}-to-{target}", manifest, train & ~dev, dev, test))
    if not made:
        raise SerError("train and test leave no pair of two corpora", where, "Name different corpora")
    return made
