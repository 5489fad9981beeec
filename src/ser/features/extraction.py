"""One feature of a corpus as a packed store: utterances in parallel, written in order, in bounded memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ser.core import caching
from ser.core.errors import SerError, end_with_parent
from ser.core.files import reading, remove, replacing, set_aside
from ser.core.store import Store, Writer
from ser.corpora.audio import resample, to_float

# How the work is divided (ours). None of this changes a number, because each utterance is computed alone.
CHUNK = 4.0  # least seconds of audio per job: few enough to keep all workers busy, many compared with the cost of a job
WAVE = 600.0  # seconds of audio in memory: about 100 MB of the widest feature (513 columns, 80 rows per second)

SHARD = 1200.0  # seconds of audio per file of finished work: at most 200 MB, and at most that much is done twice

Item = TypeVar("Item")
Result = TypeVar("Result")


def extract(
    feature: Any,
    audio: Store,
    folder: str | Path,
    jobs: int = 1,
    backend: str = "threading",
    checkpoints: Path = caching.CHECKPOINTS,
) -> Store:
    """Extracts a feature of every utterance of an audio store, in its order, with the same bytes for any `jobs`.

    Finished shards of `SHARD` seconds are kept in `checkpoints` until all are done, so a killed stage continues. Audio
    is resampled per utterance when the feature needs another rate. Raises `SerError` that names the utterances whose
    feature is NaN or infinite (openSMILE on clips of 50 ms or less), and then writes nothing.
    """
    ids, rate = audio.verify().utterances, int(audio.card["rate"])
    card: dict[str, Any] = {"kind": "feature", "feature": type(feature).__module__.rsplit(".", 1)[-1]}
    card |= {"params": dataclasses.asdict(feature), "level": feature.level, "rate": feature.rate}
    card |= {"frame_rate": feature.frame_rate, "synthetic": audio.card["synthetic"], "audio": audio.content}
    about = feature.about() if hasattr(feature, "about") else {}
    card |= about
    bad: list[str] = []
    seconds = audio.lengths(ids) / rate
    module, inputs = type(feature).__module__, {"audio": audio.content, "about": str(about)}
    members = list(_chunks(range(len(ids)), seconds, SHARD))
    several = len(members) > 1
    name = caching.fingerprint(__name__, module, settings=card["params"], inputs=inputs) if several else "none"
    shards = _Shards(checkpoints / "features" / name, members)
    missing = shards.missing()
    with Writer(folder, feature.dim, "float32", card) as writer:
        work, left = partial(_extract, feature=feature, audio=audio), [ids[i] for i in missing]
        results = shards.all(in_parallel(work, left, seconds[missing], jobs, backend, card["feature"]))
        for utterance, length, rows in zip(ids, seconds, results, strict=True):
            if not np.isfinite(rows).all():
                bad.append(f"{utterance!r} of {length:.3f} s")
            writer.append(utterance, rows)
        if bad:
            more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
            raise SerError(
                f"{card['feature']} is NaN or infinite for {', '.join(bad[:5])}{more}",
                audio.folder,
                "Take them out of the corpus, or repair their audio; IS10 needs more than 50 ms",
            )
    remove(shards.folder, checkpoints)
    return Store(folder)


class _Shards:
    """The rows of `members`, lists of positions of utterances, one file per list. A single list has no file: it is made
    again.
    """

    def __init__(self, folder: Path, members: list[list[int]]) -> None:
        self.folder, self.members = folder, members
        self.done = [self._read(k) is not None for k in range(len(members))]

    def missing(self) -> list[int]:
        """The utterances that no file holds."""
        return [i for done, members in zip(self.done, self.members, strict=True) if not done for i in members]

    def all(self, new: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The rows (T, F) of all utterances in order, those of `new` in place of the missing ones; writes the files."""
        for k, members in enumerate(self.members):
            found = self._read(k) if self.done[k] else None
            if found is None:
                found = [np.atleast_2d(rows) for rows in islice(new, len(members))]
                if len(self.members) > 1:
                    with replacing(self._path(k)) as temporary:
                        np.savez(temporary, rows=np.concatenate(found), lengths=[len(rows) for rows in found])
            yield from found

    def _path(self, k: int) -> Path:
        return self.folder / f"{k}.npz"

    def _read(self, k: int) -> list[np.ndarray] | None:
        """The rows of each utterance of a shard; None where it is missing or, set aside then, damaged."""
        path = self._path(k)
        if not path.exists():
            return None
        try:
            with reading(path), np.load(path) as file:
                rows, lengths = file["rows"], file["lengths"]
                if len(lengths) != len(self.members[k]):
                    raise ValueError("another number of utterances")
                return np.split(rows, np.cumsum(lengths)[:-1])
        except SerError as error:
            set_aside(path, error)
            return None


def in_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], seconds: Iterable[float], jobs: int, backend: str, title: str
) -> Iterator[Result]:
    """Results of `work` in the order of `items`, from `jobs` workers, with a progress bar; `seconds` is the audio of
    each.

    Threads are a good default: numpy, openSMILE and soxr release the interpreter's lock, and a thread starts at once.
    Work is done in waves, so that a slow disk does not fill the memory. BLAS uses one thread per worker.
    """
    from joblib import Parallel, delayed, parallel_config
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    chunks = list(_chunks(items, seconds, CHUNK))
    wave = max(int(WAVE / CHUNK), 16 * jobs)  # so many jobs per wave that waiting for the last one costs little
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
    end_with_parent()
    return [work(item) for item in chunk]


def _extract(utterance: str, feature: Any, audio: Store) -> np.ndarray:
    signal, rate = to_float(audio.read(utterance)), int(audio.card["rate"])
    if not len(signal):
        raise SerError(f"utterance {utterance!r} has no samples", audio.folder, "Take it out of the corpus")
    return of_signal(feature, signal, rate)


def of_signal(feature: Any, signal: np.ndarray, rate: int) -> np.ndarray:
    """A feature of one signal (N,) float32 of any rate in Hz: (T, dim), or (dim,) at utterance level."""
    rows = feature.extract(resample(signal, rate, feature.rate), feature.rate)
    expected = (feature.dim,) if feature.level == "utterance" else (len(rows), feature.dim)
    if rows.shape != expected or rows.dtype != np.float32:
        raise TypeError(f"{type(feature).__module__}.extract gave {rows.dtype} {rows.shape}, not float32 {expected}")
    return rows
