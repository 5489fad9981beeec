"""Leave one speaker out and train on all others: 9/0/1 of ten speakers (papers.md 5.7, P2 read literally).

Without a dev part the last epoch is selected; `dev_share` takes a dev part from the training utterances (papers.md 3).
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
    """`dev_share`: share of the training utterances used as dev, stratified by class. Dev then has training speakers,
    while the test speaker remains unseen. 0: none (papers.md 5.7); 0.1: papers.md 3."""

    dev_share: float = 0.0

    def __post_init__(self) -> None:
        check_share("dev_share", self.dev_share)


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold per speaker, named ``speaker-<id>``; `seed` only draws dev.

    Raises `SerError` when there are fewer than 2 speakers, an utterance has none, or a class is too small for
    `dev_share`.
    """
    protocol = "leave_one_speaker_out"
    hint = "Use a corpus with more speakers, or a speaker-dependent protocol"
    speaker = manifest["speaker"].to_numpy()
    made = []
    for name in values(manifest, "speaker", 2, protocol, hint):
        test = speaker == name
        state = random_state(protocol, seed, name)
        dev = stratified_share(manifest, ~test, config.dev_share, state, place(protocol, manifest))
        made.append(fold(f"speaker-{name}", manifest, ~(test | dev), dev, test))
    return made
