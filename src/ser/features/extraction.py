"""Audio and features of a corpus into packed stores: utterances in parallel, written in order, in bounded memory.

Every feature sees the same samples: float32 from 16-bit integers, k / 32768, whatever the original file was: openSMILE
gets what it would read from a 16-bit file, and a corpus that is 16-bit at the pack's rate is kept sample by sample.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from ser.errors import SerError
from ser.store import Store, Writer

if TYPE_CHECKING:
    import pandas as pd

# How the work is cut (ours). None of these changes a number: each utterance is computed alone.
CHUNK = 4.0  # seconds of audio a job at least: small enough to keep all workers busy, large beside the cost of a job
WAVE = 600.0  # seconds of audio in flight: about 100 MB of the widest feature (513 columns, 80 rows a second)
SCALE = 32768.0  # int16 step of 1.0; 32767 would shift every sample of a 16-bit file

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Clip(NamedTuple):
    """One utterance of the manifest and the samples it should give; times as in `ser.corpora.manifest`."""

    utterance: str
    file: str
    start: float | None
    end: float | None
    rate: int
    duration: float


def pack_audio(
    manifest: pd.DataFrame, root: str | Path, rate: int, folder: str | Path, jobs: int = 1, backend: str = "threading"
) -> Store:
    """Decodes, mixes down and resamples every utterance of the manifest into one store of int16 samples at `rate` Hz.

    Samples beyond 16 bits are limited; ``card["clipped"]`` counts them. Raises `SerError` naming the unreadable file.
    """
    clips = [
        _Clip(str(u), str(f), _seconds(s), _seconds(e), int(r), float(d))
        for u, f, s, e, r, d in manifest[["utterance", "file", "start", "end", "rate", "duration"]].itertuples(
            index=False
        )
    ]
    card: dict[str, Any] = {"kind": "audio", "level": "sample", "rate": rate, "frame_rate": rate, "clipped": 0}
    card["synthetic"] = bool((manifest["synthetic"] == 1).any())
    work = partial(_decode, root=Path(root), rate=rate)
    with Writer(folder, None, "int16", card) as writer:
        for clip, (samples, clipped) in zip(
            clips, run(work, clips, [c.duration for c in clips], jobs, backend, "audio"), strict=True
        ):
            writer.append(clip.utterance, samples)
            writer.card["clipped"] += clipped
    return Store(folder)


def extract(feature: Any, audio: Store, folder: str | Path, jobs: int = 1, backend: str = "threading") -> Store:
    """One feature of every utterance of an audio store, in its order; the same bytes for any number of jobs.

    Audio of another rate than the feature's is resampled utterance by utterance. Raises `SerError` naming the
    utterances whose feature is NaN or infinite (openSMILE on clips of 50 ms or less), and writes nothing then.
    """
    ids, rate = audio.utterances, int(audio.card["rate"])
    card: dict[str, Any] = {"kind": "feature", "feature": type(feature).__module__.rsplit(".", 1)[-1]}
    card |= {"params": dataclasses.asdict(feature), "level": feature.level, "rate": feature.rate}
    card |= {"frame_rate": feature.frame_rate, "synthetic": audio.card["synthetic"], "audio": audio.content}
    bad: list[str] = []
    seconds = audio.lengths(ids) / rate
    with Writer(folder, feature.dim, "float32", card) as writer:
        results = run(partial(_extract, feature=feature, audio=audio), ids, seconds, jobs, backend, card["feature"])
        for utterance, length, rows in zip(ids, seconds, results, strict=True):
            if not np.isfinite(rows).all():
                bad.append(f"{utterance!r} of {length:.3f} s")
            writer.append(utterance, rows)
        if bad:
            more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
            raise SerError(
                f"{card['feature']} is NaN or infinite for {', '.join(bad[:5])}{more}",
                audio.folder,
                "Take them out of the corpus, or hint their audio; IS10 needs more than 50 ms",
            )
    return Store(folder)


def to_int16(signal: np.ndarray) -> tuple[np.ndarray, int]:
    """(N,) float in [-1, 1] -> (N,) int16 and how many samples were beyond it. 16-bit sources come back exactly."""
    scaled = np.rint(signal * np.float32(SCALE))
    clipped = int(np.count_nonzero(np.abs(scaled) > SCALE))  # not +1.0 itself: it moves by one step only
    return np.clip(scaled, -SCALE, SCALE - 1).astype(np.int16), clipped


def to_float(samples: np.ndarray) -> np.ndarray:
    """(N,) int16 of an audio store -> (N,) float32 in [-1, 1)."""
    return np.multiply(samples, np.float32(1 / SCALE), dtype=np.float32)


def run(
    work: Callable[[Item], Result], items: Sequence[Item], seconds: Iterable[float], jobs: int, backend: str, title: str
) -> Iterator[Result]:
    """Results of `work` in the order of `items`, with `jobs` workers and a progress bar; `seconds`: audio of each.

    Threads by default: numpy, openSMILE and soxr release the interpreter's lock, and no worker has to start up. Work
    goes out in waves, so that a slow disk holds the workers back instead of filling the memory. BLAS uses one
    thread in each worker.
    """
    from joblib import Parallel, delayed, parallel_config
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    chunks = list(_chunks(items, seconds, CHUNK))
    wave = max(int(WAVE / CHUNK), 16 * jobs)  # enough jobs a wave that waiting for its last one costs little
    threads = {"inner_max_num_threads": 1} if backend == "loky" else {}
    bar = tqdm(total=len(items), desc=title, unit="utt", disable=None)
    with (
        bar,
        threadpool_limits(1),
        parallel_config(backend, n_jobs=jobs, **threads),
        Parallel(return_as="generator", batch_size=1) as pool,
    ):
        for first in range(0, len(chunks), wave):
            for results in pool(delayed(_each)(work, chunk) for chunk in chunks[first : first + wave]):
                yield from results
                bar.update(len(results))


def _chunks(items: Sequence[Item], seconds: Iterable[float], limit: float) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    total = 0.0
    for item, length in zip(items, seconds, strict=True):
        chunk.append(item)
        total += length
        if total >= limit:
            yield chunk
            chunk, total = [], 0.0
    if chunk:
        yield chunk


def _each(work: Callable[[Item], Result], chunk: list[Item]) -> list[Result]:
    return [work(item) for item in chunk]


def _decode(clip: _Clip, root: Path, rate: int) -> tuple[np.ndarray, int]:
    from ser.corpora.audio import decode, resample

    signal, found, _ = decode(root / clip.file, clip.start, clip.end, clip.rate)
    return to_int16(resample(signal, found, rate))


def _extract(utterance: str, feature: Any, audio: Store) -> np.ndarray:
    signal, rate = to_float(audio.read(utterance)), int(audio.card["rate"])
    if not len(signal):
        raise SerError(f"utterance {utterance!r} has no samples", audio.folder, "Take it out of the corpus")
    if rate != feature.rate:
        from ser.corpora.audio import resample

        signal, rate = resample(signal, rate, feature.rate), feature.rate
    rows = feature.extract(signal, rate)
    expected = (feature.dim,) if feature.level == "utterance" else (len(rows), feature.dim)
    if rows.shape != expected or rows.dtype != np.float32:
        raise TypeError(f"{type(feature).__module__}.extract gave {rows.dtype} {rows.shape}, not float32 {expected}")
    return rows


def _seconds(value: Any) -> float | None:
    return None if value is None or value != value or value == "" else float(value)
