"""The tables of a corpus that later stages read: utterances, and where the corpus has them continuous labels and
words.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ser import plugins
from ser.corpora import Card, Utterance, audio, manifest
from ser.corpora.reading.check import check_counts
from ser.corpora.reading.read import ID
from ser.errors import SerError
from ser.files import write_json

if TYPE_CHECKING:
    from ser.corpora.reading.location import Location


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
_SPANS = {"turns": ("start", "end"), "sentences": ("start", "end", "text")}  # optional functions of a corpus module
STEP = 0.1  # seconds between two labels (papers.md 1.5): models count rows, not times
_TOLERANCE = 0.001  # seconds a label may lie off its place; ours: files round times to milliseconds
_OVERHANG = 1.0  # seconds labels may outlast the audio; ours: annotation tools end on their own clock


def write(corpus: str, location: Location, config: Any, folder: Path, jobs: int) -> str:
    """Writes utterances.csv, card.json (task, outputs: the classes present or the dimensions), labels.csv (utterance,
    row, one column a dimension), words.csv (utterance, start, end, word), turns.csv (utterance, start, end: when the
    labelled speaker has the turn) and sentences.csv (utterance, start, end, text) into `folder`, the last four where
    the corpus has them; times are seconds from the start of the utterance.

    Returns a summary line. The folder appears whole or not at all.
    """
    module = plugins.load("corpora", corpus)
    card = _card(module, config)
    table = build(corpus, location.root, config, location.synthetic, jobs)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    manifest.write(table, partial / "utterances.csv")
    write_json(partial / "card.json", {"corpus": corpus, "task": card.task, "outputs": _outputs(card, table)})
    speakers, minutes = table["speaker"].nunique(), table["duration"].sum() / 60
    summary = [f"{corpus}: {len(table)} utterances, {speakers} speakers, {minutes:.1f} min"]
    if hasattr(module, "incomplete") and not location.synthetic:
        summary += [f"incomplete subset {subset}" for subset in module.incomplete(table["file"])]
    if card.task == "continuous":
        labels = _labels(module, config, card.dimensions, location.root, table)
        labels.to_csv(partial / "labels.csv", index=False, lineterminator="\n")
        summary.append(f"labels of {labels['utterance'].nunique()} recordings")
    if hasattr(module, "words"):
        words = _words(module, location.root, config)
        words.to_csv(partial / "words.csv", index=False, lineterminator="\n", float_format="%.4f")
        summary.append(f"{len(words)} aligned words in {words['utterance'].nunique()} of {len(table)} utterances")
    for name, columns in _SPANS.items():
        if hasattr(module, name):
            spans = _spans(getattr(module, name), location.root, module.utterances(location.root, config), columns)
            spans.to_csv(partial / f"{name}.csv", index=False, lineterminator="\n")  # every digit of the times
            summary.append(f"{len(spans)} {name} in {spans['utterance'].nunique()} utterances")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial.rename(folder)
    return ", ".join(summary) + (", SYNTHETIC" if location.synthetic else "")


def build(
    corpus: str, root: str | Path, config: Any, synthetic: bool, jobs: int = 1, expected_rate: int | None = None
) -> pd.DataFrame:
    """The manifest (`ser.corpora.manifest`) of the corpus below `root`.

    Every file is decoded once, `jobs` at a time, in bounded memory.

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
    table = pd.DataFrame(rows, columns=list(manifest.COLUMNS)).astype({"start": float, "end": float})
    if not synthetic:
        check_counts(_card(module, config), table, root)
    return table


def _card(module: Any, config: Any) -> Card:
    return module.expected(config) if hasattr(module, "expected") else module.CARD


def _outputs(card: Card, table: pd.DataFrame) -> list[str]:
    """Dimensions, or the classes that occur: in the card's order, else (a user's own table) sorted."""
    if card.task == "continuous":
        return list(card.dimensions)
    found = set(table["emotion"]) - {""}
    return [c for c in card.classes if c in found] or sorted(found)


def _labels(module: Any, config: Any, dimensions: Sequence[str], root: Path, table: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for row in table[table["labels"] != ""].itertuples():
        times, values = module.read_labels(root / row.labels, config)
        _check_times(times, row.duration, root / row.labels)
        part = pd.DataFrame(values, columns=list(dimensions))
        part.insert(0, "row", range(len(part)))
        part.insert(0, "utterance", row.utterance)
        parts.append(part)
    columns = ["utterance", "row", *dimensions]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _check_times(times: np.ndarray, duration: float, path: Path) -> None:
    """Later stages take row k for the label at k * STEP, so the times (T,) must be that grid. Fewer rows than the audio
    lasts are fine.
    """
    hint = f"Write one label every {STEP} s, from the start of the audio"
    if not -_TOLERANCE <= times[0] <= STEP + _TOLERANCE:
        raise SerError(f"the labels start at {times[0]:g} s (row 1), not within the first {STEP} s", path, hint)
    expected = times[0] + STEP * np.arange(len(times))
    wrong = np.flatnonzero(np.abs(times - expected) > _TOLERANCE + 1e-9)  # 1e-9: rounding of the sums
    if wrong.size:
        k = wrong[0]
        raise SerError(f"label row {k + 1} is at {times[k]:g} s, expected {expected[k]:g} s", path, hint)
    if times[-1] > duration + _OVERHANG:
        raise SerError(
            f"the labels last to {times[-1]:g} s (row {len(times)}), their audio {duration:g} s",
            path,
            "Check that they are this recording's",
        )


def _words(module: Any, root: Path, config: Any) -> pd.DataFrame:
    found = module.words(root, list(module.utterances(root, config)))
    rows = [(utterance, *dataclasses.astuple(word)) for utterance, words in found for word in words]
    return pd.DataFrame(rows, columns=["utterance", "start", "end", "word"])


def _spans(function: Any, root: Path, utterances: Iterable[Utterance], columns: Sequence[str]) -> pd.DataFrame:
    """The rows of turns or sentences that a corpus module yields per utterance."""
    rows = [(utterance, *span) for utterance, spans in function(root, list(utterances)) for span in spans]
    return pd.DataFrame(rows, columns=["utterance", *columns])


def _check_ids(utterances: Sequence[Utterance], root: Path) -> None:
    previous = ""
    for utterance in utterances:
        if not ID.fullmatch(utterance.id):
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
    results = Parallel(n_jobs=jobs, backend="threading", return_as="generator")(tasks)
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
