"""The manifest: one row an utterance, the only thing about a corpus that later stages read.

CSV, UTF-8, one header line, rows sorted by utterance id; joined by id, never by order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ser import files, plugins
from ser.corpora import Utterance
from ser.corpora._check import check_counts
from ser.errors import SerError

COLUMNS = (
    "utterance",  # unique id
    "corpus",
    "synthetic",  # 1 when the audio was made by our synthesizer, else 0
    "file",  # POSIX path relative to the corpus root
    "start",  # seconds in the file, empty: from its start
    "end",  # seconds in the file, empty: to its end
    "duration",  # seconds
    "rate",  # Hz, of the file as decoded; the reader's assume_rate where the header lies
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
_FROM_READER = (
    "file",
    "start",
    "end",
    "speaker",
    "sex",
    "session",
    "dialogue",
    "partition",
    "emotion",
    "text_id",
    "labels",
)
_ID = re.compile(r"\w[\w.+-]*")


def read(path: str | Path) -> pd.DataFrame:
    """The manifest as a frame with COLUMNS, empty strings as such. Raises `SerError` on a missing or foreign file."""
    path = Path(path)
    if not path.exists():
        raise SerError("no manifest", path, "Run its stage: dvc repro")
    table = pd.read_csv(
        path,
        dtype=_STRINGS,
        keep_default_na=False,
        na_values={"start": [""], "end": [""]},
    )
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise SerError(f"not a manifest: no column {missing[0]!r}", path)
    if table["utterance"].duplicated().any():
        raise SerError(
            f"utterance {table.loc[table['utterance'].duplicated(), 'utterance'].iloc[0]!r} stands twice", path
        )
    return table


def is_synthetic(manifest: pd.DataFrame) -> bool:
    return bool((manifest["synthetic"] == 1).any())


def build(
    corpus: str, root: str | Path, config: Any, synthetic: bool, jobs: int = 1, expected_rate: int | None = None
) -> pd.DataFrame:
    """The manifest of the corpus below `root`: every file is decoded once, `jobs` at a time, in bounded memory.

    `config` holds the reader's options; `expected_rate` (Hz) stands in for its `rates`. Raises `SerError` for an empty
    corpus, ids that are unsafe or stand twice, all faulty files at once, and, unless `synthetic`, counts that are not
    those of the corpus's card.
    """
    root = Path(root)
    module = plugins.load("corpora", corpus)
    utterances = sorted(module.utterances(root, config), key=lambda u: u.id)
    if not utterances:
        raise SerError(f"no utterance of {corpus}", root, module.CARD.steps)
    _check_ids(utterances, root)
    rates = (expected_rate,) if expected_rate else config.rates
    found = _probe_all(root, utterances, corpus, rates, config.assume_rate, jobs)
    rows = [
        {
            "utterance": u.id,
            "corpus": corpus,
            "synthetic": int(synthetic),
            "text": " ".join(u.text.split()),
            **{name: getattr(u, name) for name in _FROM_READER},
            **facts,
        }
        for u, facts in zip(utterances, found, strict=True)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"start": float, "end": float})
    if not synthetic:
        check_counts(module.expected(config) if hasattr(module, "expected") else module.CARD, table, root)
    return table


def write(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a manifest atomically; `read` gives the same values back, to the last bit."""
    with files.replacing(path) as temporary:
        table.to_csv(temporary, index=False, columns=list(COLUMNS), lineterminator="\n")


def _check_ids(utterances: Sequence[Utterance], root: Path) -> None:
    previous = ""
    for utterance in utterances:
        if not _ID.fullmatch(utterance.id):
            raise SerError(
                f"utterance id {utterance.id!r} is not safe in a CSV or a file name",
                root,
                "Use letters, digits, _ . + -",
            )
        if utterance.id == previous:
            raise SerError(f"utterance {utterance.id!r} stands twice", root, "Give every utterance an id of its own")
        previous = utterance.id


def _probe_all(
    root: Path, utterances: Sequence[Utterance], corpus: str, rates: tuple[int, ...], assume_rate: int | None, jobs: int
) -> list[dict[str, Any]]:
    from joblib import Parallel, delayed
    from tqdm import tqdm

    tasks = (delayed(_probe)(root, u.file, u.start, u.end, corpus, rates, assume_rate) for u in utterances)
    results = Parallel(n_jobs=jobs, backend="loky", return_as="generator")(tasks)
    found = list(tqdm(results, total=len(utterances), desc=f"decode {corpus}", unit="file", disable=None))
    faults = list(dict.fromkeys(f for f in found if isinstance(f, str)))
    if faults:
        shown, rest = faults[:3], len(faults) - 3
        more = f" (and {rest} more)" if rest > 0 else ""
        raise SerError(f"{len(faults)} audio files of {corpus} cannot be used: {' '.join(shown)}{more}")
    return found


def _probe(
    root: Path,
    file: str,
    start: float | None,
    end: float | None,
    corpus: str,
    rates: tuple[int, ...],
    assume_rate: int | None,
) -> dict[str, Any] | str:
    """What decoding shows of one utterance, or the fault as text, so that all faults are shown at once."""
    from ser import audio

    try:
        signal, rate, channels = audio.decode(root / file, start, end, rate=assume_rate)
        if rates and not assume_rate and rate not in rates:
            raise SerError(
                f"its header says {rate} Hz, expected {' or '.join(map(str, rates))} Hz",
                root / file,
                f"Set corpora.{corpus}.reader.rates where files were resampled, .assume_rate where headers lie",
            )
    except SerError as error:
        return str(error)
    return {
        "duration": round(len(signal) / rate, 6),
        "rate": rate,
        "channels": channels,
        "pcm": audio.pcm_hash(signal),
    }
