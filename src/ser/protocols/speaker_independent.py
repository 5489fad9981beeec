"""Leave one speaker out and another for development: train/dev/test = 8/1/1 of ten speakers (papers.md 3, P1).

There is one fold per speaker, who is tested. In IEMOCAP dev is the other speaker of the same session, so training sees
only the four other sessions (4 290 to 4 508 utterances). EMO-DB has no sessions: there dev is the next speaker in
alphabetical order, cyclically.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from ser.protocols.folds import Fold
from ser.protocols.splitting import fold, values

SPEAKER_INDEPENDENT = True
TESTS_EACH_ONCE = True


@dataclass(frozen=True)
class Config:
    """`dev`: ``partner`` for the other speaker of the session where every session has its own two speakers, otherwise
    the next speaker; ``next`` for always the next one (papers.md 3: 8/1/1 is the paper's, this choice is ours)."""

    dev: Literal["partner", "next"] = "partner"


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold per speaker, named ``speaker-<id>``; nothing is random and `seed` is not used.

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
    """Speaker -> the other one of the session; empty unless every session has two speakers who are in no other."""
    if (manifest["session"] == "").any():
        return {}
    pairs = [sorted(set(s)) for _, s in manifest.groupby("session")["speaker"]]
    if any(len(p) != 2 for p in pairs) or len({s for p in pairs for s in p}) != 2 * len(pairs):
        return {}
    return {a: b for p in pairs for a, b in (p, p[::-1])}
