"""Leave one session out: both speakers of a session are tested; IEMOCAP's usual five folds (not in papers.md).

Here a dialogue is never in two parts, as it may be in folds by speaker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from ser.protocols.folds import Fold
from ser.protocols.splitting import fold, nobody, values

SPEAKER_INDEPENDENT = True
TESTS_EACH_ONCE = True


@dataclass(frozen=True)
class Config:
    """`dev`: ``none``, or ``next`` for the next session in alphabetical order, cyclically (ours)."""

    dev: Literal["none", "next"] = "none"


def folds(manifest: pd.DataFrame, config: Config, seed: int) -> list[Fold]:
    """One fold per session, named ``session-<id>``; nothing is random and `seed` is not used.

    Raises `SerError` when an utterance has no session or there are fewer than 2 sessions (3 with dev).
    """
    hint = "Use speaker_independent or leave_one_speaker_out for a corpus without sessions"
    names = values(manifest, "session", 2 if config.dev == "none" else 3, "leave_one_session_out", hint)
    session = manifest["session"].to_numpy()
    made = []
    for name, following in zip(names, names[1:] + names[:1], strict=True):
        test = session == name
        dev = session == following if config.dev == "next" else nobody(manifest)
        made.append(fold(f"session-{name}", manifest, ~(test | dev), dev, test))
    return made
