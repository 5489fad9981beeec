"""Leave one corpus out: train on all other corpora of a joint corpus, test on the whole of one (ours).

There is no dev part from the tested corpus, because nothing of it may be known; `dev_share` takes one from training.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ser.protocols.folds import Fold
from ser.protocols.splitting import check_share, fold, place, random_state, stratified_share, values

SPEAKER_INDEPENDENT = True
TESTS_EACH_ONCE = True


@dataclass(frozen=True)
class Config:
    """`dev_share`: share of the training utterances used as dev, stratified by class (ours; 0: none)."""

    dev_share: float = 0.0

    def __post_init__(self) -> None:
        check_share("dev_share", self.dev_share)


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold per corpus, named ``without-<corpus>`` after what training lacks; `seed` only draws dev.

    Raises `SerError` when there are fewer than 2 corpora, or a class is too small for `dev_share`.
    """
    protocol = "leave_one_corpus_out"
    hint = "Use a corpus with format: joint that names two corpora or more"
    corpus, made = manifest["corpus"].to_numpy(), []
    for name in values(manifest, "corpus", 2, protocol, hint):
        test = corpus == name
        state = random_state(protocol, seed, name)
        dev = stratified_share(manifest, ~test, config.dev_share, state, place(protocol, manifest))
        made.append(fold(f"without-{name}", manifest, ~(test | dev), dev, test))
    return made
