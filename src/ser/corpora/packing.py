"""The `corpus` stage: one pass over a corpus's own files makes the tables and the audio that all later stages read.

Every file is decoded once. The samples give the facts of the manifest (duration, rate, channels, hash) and, resampled,
the packed audio. Every feature therefore sees the same samples, 16-bit integers k / 32768, whatever the original file
was: openSMILE gets what it would read from a 16-bit file, and a 16-bit corpus at the pack's rate is kept exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import guarded, replacing_folder, write_json
from ser.core.store import Writer
from ser.corpora import Utterance, audio, manifest, tables
from ser.corpora.location import Location

WAVE = 16  # utterances per worker that are decoded before they must be written; ours: bounds the memory


def pack(
    corpus: str,
    location: Location,
    config: Any,
    folder: Path,
    rate: int | None = None,
    jobs: int = 1,
    reader: str = "",
) -> str:
    """Writes the tables of a corpus into `folder`, and with a `rate` (Hz) its packed audio into ``folder/audio``.

    ``utterances.csv``
        the manifest (`ser.corpora.manifest`);
    ``card.json``
        corpus, task and outputs, which are the classes that occur or the continuous dimensions;
    ``labels.csv``, ``words.csv``, ``turns.csv``, ``sentences.csv``
        where the corpus has them (`ser.corpora.tables`);
    ``audio``
        a store (`ser.core.store`) of mono int16 samples at `rate`; ``card["clipped"]`` counts samples beyond 16 bits.

    `config` holds the options of the module `reader` of `ser.corpora` (default: that called like the corpus); `jobs`
    files are decoded at a time, and the bytes do not depend on it. Returns
    a line for the user. The folder appears whole or not at all. Raises `SerError` for an empty corpus, unsafe or
    repeated ids, all faulty audio files at once and, unless the corpus is synthetic, for counts that are not those of
    its card.
    """
    module = plugins.load("corpora", reader or corpus)
    utterances = tables.utterances(module, location, config)
    with replacing_folder(folder) as unfinished:
        found = tables.timed(module, location.root, utterances)  # before the decoding, which takes longer
        readings = [Reading(u, location.root, config, corpus) for u in utterances]
        facts, clipped = decode_all(corpus, readings, location.synthetic, unfinished / "audio", rate, jobs)
        table = tables.manifest_of(corpus, utterances, facts, location.synthetic)
        card = tables.card(module, config)
        if card.task == "continuous":
            found = {"labels": tables.labels(module, config, location.root, table), **found}
        write(unfinished, table, {"corpus": corpus, "task": card.task, "outputs": tables.outputs(card, table)}, found)
    return "; ".join(_summary(corpus, module, location, table, found, rate, clipped))


def write(folder: Path, table: pd.DataFrame, card: dict[str, Any], found: dict[str, pd.DataFrame]) -> None:
    """Writes the manifest, the card and the further tables of a corpus into its folder."""
    manifest.write(table, folder / "utterances.csv")
    write_json(folder / "card.json", card)
    for name, rows in found.items():
        digits = "%.4f" if name == "words" else None  # aligners give no more; turns and sentences keep every digit
        guarded(rows).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n", float_format=digits)


def _summary(
    corpus: str,
    module: Any,
    location: Location,
    table: pd.DataFrame,
    found: dict[str, pd.DataFrame],
    rate: int | None,
    clipped: int,
) -> Iterator[str]:
    speakers, minutes = table["speaker"].nunique(), table["duration"].sum() / 60
    mark = ", SYNTHETIC" if location.synthetic else ""
    yield f"{corpus}: {len(table)} utterances, {speakers} speakers, {minutes:.1f} min{mark}"
    if hasattr(module, "incomplete") and not location.synthetic:
        yield from (f"incomplete subset {subset}" for subset in module.incomplete(table["file"]))
    for name, rows in found.items():
        yield f"{len(rows)} {name} in {rows['utterance'].nunique()} utterances"
    if rate:
        yield f"audio at {rate} Hz, {clipped} samples clipped"


class _Decoded(NamedTuple):
    """One utterance: the columns of the manifest that its samples decide, and its packed samples (N,) int16."""

    facts: dict[str, Any]
    samples: np.ndarray
    clipped: int  # number of samples beyond 16 bits


class Reading(NamedTuple):
    """One utterance to decode: where its files are, and the options of its corpus, which errors name."""

    utterance: Utterance
    root: Path
    config: Any
    corpus: str


def decode_all(
    corpus: str, readings: Sequence[Reading], synthetic: bool, store: Path, rate: int | None, jobs: int
) -> tuple[list[dict[str, Any]], int]:
    """The facts of each utterance and the number of clipped samples; with a `rate` it also writes the store."""
    card = {"kind": "audio", "level": "sample", "rate": rate, "frame_rate": rate, "clipped": 0}
    card["synthetic"] = synthetic
    facts, faults = [], []
    work = partial(_decode, rate=rate)
    with Writer(store, None, "int16", card) if rate else nullcontext() as writer:
        for reading, decoded in zip(readings, _in_order(work, readings, jobs, corpus), strict=True):
            if isinstance(decoded, str):
                faults.append(decoded)
                continue
            facts.append(decoded.facts)
            if writer:
                writer.append(reading.utterance.id, decoded.samples)
                writer.card["clipped"] += decoded.clipped
        _check_faults(corpus, faults)
    return facts, int(writer.card["clipped"]) if writer else 0


def _check_faults(corpus: str, faults: Sequence[str]) -> None:
    if distinct := list(dict.fromkeys(faults)):
        more = f" (and {len(distinct) - 3} more)" if len(distinct) > 3 else ""
        what = "1 audio file" if len(distinct) == 1 else f"{len(distinct)} audio files"
        raise SerError(f"{what} of {corpus} cannot be used: {' '.join(distinct[:3])}{more}")


def _in_order(work: Any, readings: Sequence[Reading], jobs: int, corpus: str) -> Iterator[_Decoded | str]:
    """Results in the order of the utterances. They are made in waves, so that a slow disk does not fill the memory.
    Threads are enough: soundfile, soxr and numpy release the interpreter's lock."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    wave = WAVE * jobs
    with (
        tqdm(total=len(readings), desc=f"decode {corpus}", unit="file", disable=None) as bar,
        Parallel(n_jobs=jobs, backend="threading", return_as="generator") as pool,
    ):
        for first in range(0, len(readings), wave):
            for result in pool(delayed(work)(r) for r in readings[first : first + wave]):
                bar.update()
                yield result


def _decode(reading: Reading, rate: int | None) -> _Decoded | str:
    """An utterance decoded, or its fault as text, so that all faults are reported at once."""
    utterance, root, config, corpus = reading
    path = root / utterance.file
    try:
        signal, found, channels = audio.decode(path, utterance.start, utterance.end, rate=config.assume_rate)
        if config.rates and not config.assume_rate and found not in config.rates:
            raise SerError(
                f"its header says {found} Hz, expected {' or '.join(map(str, config.rates))} Hz",
                path,
                f"Set corpora.{corpus}.reader.rates where files were resampled, .assume_rate where headers are wrong",
            )
    except SerError as error:
        return str(error)
    facts = {
        "duration": round(len(signal) / found, 6),
        "rate": found,
        "channels": channels,
        "pcm": audio.pcm_hash(signal),
    }
    if rate is None:
        return _Decoded(facts, np.zeros(0, np.int16), 0)
    return _Decoded(facts, *audio.to_int16(audio.resample(signal, found, rate)))
