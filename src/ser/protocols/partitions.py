"""The corpus's own partitions: SEWA in AVEC 2017 packaging, 34 train / 14 dev / 16 test recordings (papers.md 1.5, P4).

A user may not receive the test labels (papers.md 1.5). Recordings without labels are still predicted; ``test: dev``
evaluates on the development partition instead, and the name of the fold says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.protocols.folds import ROLES, Fold
from ser.protocols.splitting import check_share, fold, generator, nobody, place, random_state, stratified_share, values

SPEAKER_INDEPENDENT = True
TESTS_EACH_ONCE = False


@dataclass(frozen=True)
class Config:
    """`test`: the partition that is tested. With ``dev`` the test partition is not used and dev is empty, because
    selecting on the part that is reported is biased (papers.md 7.6, no 9); `dev_share` then takes a dev part from train
    (ours, as papers.md 3; 0: none). `pairs`: recordings are numbered, and 1 and 2, 3 and 4, ... are the two sides of
    one conversation, which `dev_share` keeps together, because each side hears the other. That is ours: a package of
    SEWA has 17 pairs in 34 numbered recordings and does not say who spoke to whom. `speaker_independent`: false for
    partitions that share speakers."""

    test: Literal["dev", "test"] = "test"
    dev_share: float = 0.0
    pairs: bool = False
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
        if config.dev_share and config.pairs:
            dev = _share_of_pairs(manifest, train, config.dev_share, seed, where)
        elif config.dev_share:
            dev = stratified_share(manifest, train, config.dev_share, random_state("partitions", seed, "dev"), where)
    return [fold(f"partition-{config.test}", manifest, train & ~dev, dev, test)]


def _share_of_pairs(manifest: pd.DataFrame, train: np.ndarray, share: float, seed: int, where: str) -> np.ndarray:
    """The mask of a random share of the pairs of a part, at least one. Raises `SerError` for a recording without a
    number, and when there is no pair to spare."""
    conversation = []
    for utterance in manifest["utterance"]:
        match = re.fullmatch(r"(.*?)(\d+)", utterance)
        if match is None:
            raise SerError(
                f"recording {utterance!r} has no number, by which pairs are found", where, "Set pairs: false"
            )
        conversation.append(f"{match[1]}{(int(match[2]) + 1) // 2}")
    own = np.array(conversation)
    found = sorted(set(own[train]))
    drawn = generator("partitions", seed, "dev").permutation(len(found))[: max(1, round(share * len(found)))]
    if len(drawn) >= len(found):
        raise SerError(f"{len(found)} conversations cannot be divided", where, "Lower dev_share, or set pairs: false")
    return train & np.isin(own, [found[i] for i in drawn])
