"""Leave one speaker out, everything else trains: 9/0/1 on ten speakers (papers.md 5.7, P2's literal reading).

Without a dev part selection is the last epoch; `dev_share` carves one out of the training utterances (papers.md 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ser.protocols._split import check_share, fold, place, random_state, stratified_share, values
from ser.protocols.folds import Fold

SPEAKER_INDEPENDENT = True
TESTS_EACH_ONCE = True


@dataclass(frozen=True)
class Config:
    """`dev_share`: share of the training utterances carved as dev, stratified by class; dev then has training speakers,
    the test speaker stays unseen. 0 = none (papers.md 5.7); .1 is the carve of papers.md 3."""

    dev_share: float = 0.0

    def __post_init__(self) -> None:
        check_share("dev_share", self.dev_share)


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold a speaker, named ``speaker-<id>``; `seed` draws the carve only.

    Raises `SerError` when there are fewer than 2 speakers, an utterance has none, or a class is too small to carve.
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
