"""The corpus's own partitions: SEWA in AVEC 2017 packaging, 34 train / 14 dev / 16 test recordings (papers.md 1.5, P4).

A user may not receive the test labels (papers.md 1.5). Recordings without labels are still predicted; ``test: dev``
evaluates on the development partition instead, and the name of the fold says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from ser.core.errors import SerError
from ser.protocols.folds import ROLES, Fold
from ser.protocols.splitting import check_share, fold, nobody, place, random_state, stratified_share, values

SPEAKER_INDEPENDENT = True
TESTS_EACH_ONCE = False


@dataclass(frozen=True)
class Config:
    """`test`: the partition that is tested. With ``dev`` the test partition is not used and dev is empty, because
    selecting on the part that is reported is biased (papers.md 7.6, no 9); `dev_share` then takes a dev part from train
    (ours, as papers.md 3; 0: none). `speaker_independent`: false for partitions that share speakers."""

    test: Literal["dev", "test"] = "test"
    dev_share: float = 0.0
    speaker_independent: bool = True

    def __post_init__(self) -> None:
        check_share("dev_share", self.dev_share)
        if self.dev_share and self.test == "test":
            raise ValueError("dev_share needs 'test: dev'; otherwise dev is the corpus's own dev partition")


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold named ``partition-test`` or ``partition-dev``; `seed` only draws dev.

    Raises `SerError` when an utterance has no partition or an unknown one, or when train or the tested one is empty.
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
