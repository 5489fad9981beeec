"""Random 80:20 split over utterances, repeated over seeds: SPEAKER-DEPENDENT (papers.md 3 and 4.7, P1's second one).

Test speakers are in training, so every number made with it says so (papers.md 8). The split is stratified by class, and
equal audio stays in one part.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ser.protocols.folds import Fold
from ser.protocols.splitting import check_count, check_share, fold, place, random_state, stratified_share

SPEAKER_INDEPENDENT = False
TESTS_EACH_ONCE = False


@dataclass(frozen=True)
class Config:
    """`test_share`: share of all utterances (papers.md 4.7). `repetitions`: number of seeds (papers.md 3; ours: the
    paper has one run). `dev_share`: share of the training utterances (papers.md 4.8, no 15; ours: the paper has no dev
    part); 0: none."""

    test_share: float = 0.2
    repetitions: int = 5
    dev_share: float = 0.1

    def __post_init__(self) -> None:
        check_share("test_share", self.test_share, positive=True)
        check_share("dev_share", self.dev_share)
        check_count("repetitions", self.repetitions, 1)


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold per repetition, named ``seed0``, ``seed1``, ...; draws are independent, so test parts overlap.

    Raises `SerError` when a class is too small to be divided.
    """
    protocol = "speaker_dependent_holdout"
    where = place(protocol, manifest)
    made = []
    for i in range(config.repetitions):
        everyone = (manifest["utterance"] != "").to_numpy()
        test = stratified_share(manifest, everyone, config.test_share, random_state(protocol, seed, i, "test"), where)
        dev = stratified_share(manifest, ~test, config.dev_share, random_state(protocol, seed, i, "dev"), where)
        made.append(fold(f"seed{i}", manifest, ~(test | dev), dev, test))
    return made
