"""The manifest: one row per utterance, all that later stages need to know of a corpus.

CSV, UTF-8, one header line, rows sorted by utterance id. Tables are joined by id, never by order.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ser.core import files
from ser.core.errors import SerError

LABEL_RATE = 10.0  # Hz: continuous labels and their predictions (SEWA, papers.md 1.5)
COLUMNS = (
    "utterance",  # unique id
    "corpus",
    "synthetic",  # 1 when the audio was made by our synthesizer, else 0
    "file",  # POSIX path relative to the corpus root
    "start",  # seconds in the file; empty: from its start
    "end",  # seconds in the file; empty: to its end
    "duration",  # seconds
    "rate",  # Hz, of the file as decoded; the reader's assume_rate where the header is wrong
    "channels",
    "speaker",
    "sex",
    "session",
    "dialogue",
    "partition",
    "emotion",
    "text_id",
    "text",
    "labels",  # file of continuous labels relative to the root
    "pcm",  # hash of the decoded mono samples: equal audio has equal pcm, whatever the file is called
)
_STRINGS = {c: str for c in COLUMNS if c not in ("synthetic", "start", "end", "duration", "rate", "channels")}


def read(path: str | Path) -> pd.DataFrame:
    """The manifest as a frame with the columns COLUMNS; empty strings stay empty strings. Raises `SerError` for a
    missing file and for one that is not a manifest."""
    path = Path(path)
    if not path.exists():
        raise SerError("no manifest", path, f"Run its stage: {files.repro(path)}")
    table = files.read_csv(path, dtype=_STRINGS, keep_default_na=False, na_values={"start": [""], "end": [""]})
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise SerError(f"not a manifest: no column {missing[0]!r}", path)
    if table["utterance"].duplicated().any():
        raise SerError(
            f"utterance {table.loc[table['utterance'].duplicated(), 'utterance'].iloc[0]!r} occurs twice", path
        )
    return table


def is_synthetic(manifest: pd.DataFrame) -> bool:
    """Whether any utterance was made by a speech synthesizer."""
    return bool((manifest["synthetic"] == 1).any())


def write(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a manifest atomically; `read` gives back exactly the same values."""
    with files.replacing(path) as temporary:
        files.guarded(table).to_csv(temporary, index=False, columns=list(COLUMNS), lineterminator="\n")
