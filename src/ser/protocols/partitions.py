"""The corpus's own partitions: SEWA in AVEC 2017 packaging, 34 train / 14 dev / 16 test recordings (papers.md 1.5, P4).

Test labels may not be part of what a user receives (papers.md 1.5): recordings without labels are still tested, that is
predicted; ``test: dev`` evaluates on devel instead, and the fold's name says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from ser.errors import SerError
from ser.protocols._split import check_share, fold, nobody, place, random_state, stratified_share, values
from ser.protocols.folds import ROLES, Fold

SPEAKER_INDEPENDENT = True
TESTS_EACH_ONCE = False


@dataclass(frozen=True)
class Config:
    """`test`: the partition that is tested. ``dev`` leaves the test partition out and dev is then empty, because
    selecting on the part one reports is biased (papers.md 7.6, no 9); `dev_share` carves a dev part out of train in its
    place, 0 = none (ours, as papers.md 3). `speaker_independent`: false for partitions that share speakers."""

    test: Literal["dev", "test"] = "test"
    dev_share: float = 0.0
    speaker_independent: bool = True

    def __post_init__(self) -> None:
        check_share("dev_share", self.dev_share)
        if self.dev_share and self.test == "test":
            raise ValueError("dev_share is for 'test: dev' only: otherwise the corpus's own dev partition is dev")


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold named ``partition-test`` or ``partition-dev``; `seed` draws the carve only.

    Raises `SerError` when an utterance has no or an unknown partition, or train or the tested one is empty.
    """
    where = place("partitions", manifest)
    found = values(manifest, "partition", 1, "partitions", "Use a protocol that makes its own parts")
    unknown = [p for p in found if p not in ROLES]
    if unknown:
        raise SerError(f"unknown partition {unknown[0]!r}", where, f"Partitions are called {', '.join(ROLES)}")
    for needed in ("train", config.test):
        if needed not in found:
            hint = (
                "Set 'test: dev'" if needed == "test" and "dev" in found else "Use a protocol that makes its own parts"
            )
            raise SerError(f"no utterance in partition {needed!r}", where, hint)
    train, dev, test = ((manifest["partition"] == role).to_numpy() for role in ROLES)
    if config.test == "dev":
        test, dev = dev, nobody(manifest)
        if config.dev_share:
            dev = stratified_share(manifest, train, config.dev_share, random_state("partitions", seed, "dev"), where)
    return [fold(f"partition-{config.test}", manifest, train & ~dev, dev, test)]
