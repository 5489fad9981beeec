"""k-fold over speakers: RAVDESS in 6 folds of 4 actors, 2 f + 2 m (papers.md 6.7: P3's speaker-independent twin)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ser.protocols.folds import Fold
from ser.protocols.splitting import check_count, fold, generator, nobody, values

SPEAKER_INDEPENDENT = True
TESTS_EACH_ONCE = True


@dataclass(frozen=True)
class Config:
    """`n_folds` is the number of groups of speakers (papers.md 6.7). `order`: speakers are assigned to groups after
    shuffling (``seeded``) or in alphabetical order (``sorted``). `dev`: ``none``, or ``next`` for the group of the next
    fold, cyclically. The last two are ours, because the paper's folds are not by speaker."""

    n_folds: int = 6
    order: Literal["seeded", "sorted"] = "seeded"
    dev: Literal["none", "next"] = "none"

    def __post_init__(self) -> None:
        check_count("n_folds", self.n_folds, 2 if self.dev == "none" else 3)


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """`n_folds` folds named ``group0``, ``group1``, ...; groups differ by at most one speaker, and by one of each sex.

    Raises `SerError` when there are fewer speakers than folds or an utterance has none.
    """
    hint = "Lower n_folds, or use a corpus with more speakers"
    names = values(manifest, "speaker", config.n_folds, "group_kfold", hint)
    if config.order == "seeded":
        names = [str(n) for n in generator("group_kfold", seed).permutation(names)]
    sex = dict(zip(manifest["speaker"], manifest["sex"], strict=True))
    names.sort(key=lambda name: sex[name])  # stable; assigning one sex after the other spreads each evenly
    group_of = {name: i % config.n_folds for i, name in enumerate(names)}
    group = manifest["speaker"].map(group_of).to_numpy(dtype=np.int64)
    made = []
    for i in range(config.n_folds):
        test = group == i
        dev = group == (i + 1) % config.n_folds if config.dev == "next" else nobody(manifest)
        made.append(fold(f"group{i}", manifest, ~(test | dev), dev, test))
    return made
