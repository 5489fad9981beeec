"""The folds that a corpus itself defines, one or several, such as those of EmoBox (Ma et al. 2024).

The column `partition` holds the role of an utterance (train, dev or test) in the only fold, or its role in each fold,
as ``1:test 2:train``. Of 28 corpora of EmoBox whose metadata have folds and speakers, 18 have a test speaker in
training; the audit reports the share. Where EmoBox gives no dev part it takes one from training at random, as
`dev_share` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.protocols.folds import ROLES, Fold
from ser.protocols.splitting import check_share, fold, place, random_state, stratified_share, values

SPEAKER_INDEPENDENT = False  # in 18 of 28 corpora of EmoBox folds share speakers
TESTS_EACH_ONCE = False  # some corpora have one fold


@dataclass(frozen=True)
class Config:
    """`speaker_independent`: true for folds that share no speakers, which the audit then checks. `dev_share`: share of
    the training utterances used as dev in folds without a dev part, stratified by class (EmoBox: 0.2; 0: none)."""

    speaker_independent: bool = False
    dev_share: float = 0.0

    def __post_init__(self) -> None:
        check_share("dev_share", self.dev_share)


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold per number in the column `partition`, named ``fold1``, ``fold2``, ...; `seed` only draws dev.

    Raises `SerError` when no utterance has a partition, and for a role other than train, dev and test.
    """
    where = place("emobox", manifest)
    hint = "Use a reader that knows the folds of the corpus, or a protocol that makes its own parts"
    if not (manifest["partition"] != "").any():
        values(manifest, "partition", 1, "emobox", hint)
    roles = [_roles(text, where) for text in manifest["partition"]]
    made = []
    for number in sorted({k for of_one in roles for k in of_one}, key=lambda k: (len(k), k)):
        role = np.array([of_one.get(number, "") for of_one in roles])
        train, dev, test = (role == name for name in ROLES)
        if not dev.any():
            state = random_state("emobox", seed, number)
            dev = stratified_share(manifest, train, config.dev_share, state, where)
        made.append(fold(f"fold{number}", manifest, train & ~dev, dev, test))
    return made


def _roles(partition: str, where: str) -> dict[str, str]:
    """Number of the fold -> role. An utterance without any is in no fold."""
    pairs = [part.rpartition(":") for part in partition.split()]
    found = {number or "1": role for number, _, role in pairs}
    if wrong := [role for role in found.values() if role not in ROLES]:
        raise SerError(f"unknown partition {wrong[0]!r}", where, f"Partitions are called {', '.join(ROLES)}")
    return found
