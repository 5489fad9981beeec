"""Random k-fold over utterances, stratified, shuffled: SPEAKER-DEPENDENT (papers.md 5.7: P2, 5 and 10; 6.7: P3, 5).

Equal audio stays in one part. Without a dev part the last epoch is selected; `dev_share` takes a dev part from the
training utterances (papers.md 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ser.protocols.folds import Fold
from ser.protocols.splitting import (
    check_count,
    check_share,
    fold,
    place,
    random_state,
    stratified_parts,
    stratified_share,
)

SPEAKER_INDEPENDENT = False
TESTS_EACH_ONCE = True


@dataclass(frozen=True)
class Config:
    """`n_folds`: 5 (papers.md 6.7) or 10 (5.7). `dev_share`: share of the training utterances used as dev; 0: none."""

    n_folds: int = 5
    dev_share: float = 0.0

    def __post_init__(self) -> None:
        check_count("n_folds", self.n_folds, 2)
        check_share("dev_share", self.dev_share)


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """`n_folds` folds named ``fold0``, ``fold1``, ...

    Raises `SerError` when a class has fewer utterances of different audio than folds, or is too small for `dev_share`.
    """
    where = place("kfold", manifest)
    part = stratified_parts(manifest, config.n_folds, random_state("kfold", seed), where)
    made = []
    for i in range(config.n_folds):
        test = part == i
        dev = stratified_share(manifest, ~test, config.dev_share, random_state("kfold", seed, i, "dev"), where)
        made.append(fold(f"fold{i}", manifest, ~(test | dev), dev, test))
    return made
