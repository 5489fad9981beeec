"""Leave one speaker out and another for development: train/dev/test = 8/1/1 of ten speakers (papers.md 3, P1).

One fold a speaker, who is tested. IEMOCAP: dev is the other speaker of the test speaker's session, so training sees
the four other sessions only (4 290 - 4 508 utterances). EMO-DB has no sessions: dev is the next speaker of the sorted
list, cyclically.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from ser.protocols._split import fold, values
from ser.protocols.folds import Fold

SPEAKER_INDEPENDENT = True
TESTS_EACH_ONCE = True


@dataclass(frozen=True)
class Config:
    """`dev`: ``partner`` = the other speaker of the session where every session has its own two speakers, else the next
    one of the sorted list; ``next`` = always the next one (papers.md 3: the 8/1/1 is the paper's, this choice ours)."""

    dev: Literal["partner", "next"] = "partner"


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold a speaker, named ``speaker-<id>``; nothing is random, `seed` is not used.

    Raises `SerError` when there are fewer than 3 speakers or an utterance has none.
    """
    hint = "Use a corpus with more speakers, or a speaker-dependent protocol"
    names = values(manifest, "speaker", 3, "speaker_independent", hint)
    dev_of = dict(zip(names, names[1:] + names[:1], strict=True))
    if config.dev == "partner":
        dev_of.update(_partners(manifest))
    speaker = manifest["speaker"].to_numpy()
    made = []
    for name in names:
        test, dev = speaker == name, speaker == dev_of[name]
        made.append(fold(f"speaker-{name}", manifest, ~(test | dev), dev, test))
    return made


def _partners(manifest: pd.DataFrame) -> dict[str, str]:
    """Speaker to session partner, empty unless every session has exactly two speakers whom no other session has."""
    if (manifest["session"] == "").any():
        return {}
    pairs = [sorted(set(s)) for _, s in manifest.groupby("session")["speaker"]]
    if any(len(p) != 2 for p in pairs) or len({s for p in pairs for s in p}) != 2 * len(pairs):
        return {}
    return {a: b for p in pairs for a, b in (p, p[::-1])}
