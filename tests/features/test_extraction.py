"""A feature of a corpus as a store: the same bytes for any number of workers, the order kept, faults named."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.store import Store, Writer
from ser.corpora.audio import resample, to_float, to_int16
from ser.features import extraction
from ser.features.extraction import extract

RATE = 16000


def packed(folder: Path, sounds: Mapping[str, np.ndarray], rate: int = RATE, synthetic: bool = False) -> Store:
    """An audio store of float signals (N,)."""
    card = {"kind": "audio", "level": "sample", "rate": rate, "frame_rate": rate, "synthetic": synthetic}
    with Writer(folder, None, "int16", card) as writer:
        for utterance, signal in sounds.items():
            writer.append(utterance, to_int16(signal)[0])
    return Store(folder)


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def sounds() -> dict[str, np.ndarray]:
    """Seven utterances of 0.3 to 1.5 s at 16 kHz."""
    random, made = np.random.default_rng(4), {}
    for i, seconds in enumerate((0.3, 1.5, 0.5, 0.7, 0.4, 1.1, 0.6)):
        time = np.arange(int(seconds * RATE)) / RATE
        sound = 0.3 * np.sin(2 * np.pi * (120 + 20 * i) * time) + 0.01 * random.normal(size=time.size)
        made[f"u{i}"] = sound.astype(np.float32)
    return made


@pytest.fixture(scope="module")
def audio(sounds, tmp_path_factory) -> Store:
    return packed(tmp_path_factory.mktemp("audio") / "a", sounds)


def test_the_mark_of_synthetic_audio_follows(sounds, audio, tmp_path):
    feature = plugins.load("features", "waveform").Feature()
    assert extract(feature, audio, tmp_path / "f").card["synthetic"] is False
    made = packed(tmp_path / "a", sounds, synthetic=True)
    assert extract(feature, made, tmp_path / "f").card["synthetic"] is True


@pytest.mark.parametrize("name", plugins.names("features"))
def test_one_worker_or_two_give_the_same_bytes(name, audio, tmp_path, monkeypatch):
    feature = plugins.load("features", name).Feature()
    one = extract(feature, audio, tmp_path / "one", jobs=1)
    monkeypatch.setattr(extraction, "CHUNK", 0.5)  # several jobs and waves even of this corpus
    monkeypatch.setattr(extraction, "WAVE", 0.5)
    two = extract(feature, audio, tmp_path / "two", jobs=2)
    assert hashes(one.folder) == hashes(two.folder)
    assert one.utterances == audio.utterances
    assert (one.card["feature"], one.card["level"], one.card["dim"]) == (name, feature.level, feature.dim)
    expected = feature.extract(to_float(audio["u3"]), RATE)
    np.testing.assert_array_equal(one["u3"], expected)


def test_processes_give_the_same_bytes_as_threads(audio, tmp_path):
    feature = plugins.load("features", "logmel").Feature()
    threads = extract(feature, audio, tmp_path / "threads", 2)
    processes = extract(feature, audio, tmp_path / "processes", 2, backend="loky")
    assert hashes(threads.folder) == hashes(processes.folder)


def test_audio_of_another_rate_is_resampled(sounds, tmp_path):
    low = packed(tmp_path / "a", {u: resample(x, RATE, 8000) for u, x in sounds.items()}, 8000)
    feature = plugins.load("features", "logmel").Feature()
    store = extract(feature, low, tmp_path / "f")
    expected = feature.extract(resample(to_float(low["u1"]), 8000, RATE), RATE)
    np.testing.assert_array_equal(store["u1"], expected)


@pytest.mark.filterwarnings("ignore:Segment too short")  # pytest resets the filter the feature sets
def test_clips_too_short_for_opensmile_are_all_named(sounds, tmp_path):
    short = {f"short{i}": sounds["u1"][3200:4000] for i in range(7)}
    store = packed(tmp_path / "a", {**short, **sounds})
    feature = plugins.load("features", "functionals").Feature()
    with pytest.raises(SerError, match=r"'short0' of 0\.050 s, .*'short4'.* and 2 more.*50 ms"):
        extract(feature, store, tmp_path / "f", jobs=2)
    assert not (tmp_path / "f").exists()


def test_results_keep_their_order_and_work_stays_one_wave_ahead(monkeypatch):
    monkeypatch.setattr(extraction, "CHUNK", 1.0)
    monkeypatch.setattr(extraction, "WAVE", 1.0)
    lock, started = threading.Lock(), []

    def work(i: int) -> int:
        with lock:
            started.append(i)
        return i * i

    results = extraction.in_parallel(work, range(200), [1.0] * 200, 2, "threading", "toy")
    assert next(results) == 0
    assert len(started) <= 32  # 16 jobs per worker
    assert list(results) == [i * i for i in range(1, 200)]


def test_silent_when_not_a_terminal(audio, tmp_path, capfd):
    extract(plugins.load("features", "waveform").Feature(), audio, tmp_path / "f")
    assert capfd.readouterr() == ("", "")


def test_workers_use_one_thread_each():
    from threadpoolctl import threadpool_info

    def work(_: int) -> int:
        return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    assert set(extraction.in_parallel(work, range(4), [9.0] * 4, 2, "threading", "toy")) == {1}


def test_a_killed_extraction_continues_with_the_shards_it_finished(audio, tmp_path, monkeypatch, capsys):
    feature = plugins.load("features", "logmel").Feature()
    whole = extract(feature, audio, tmp_path / "whole", checkpoints=tmp_path / "none")
    assert not (tmp_path / "none").exists(), "a short corpus is made again"
    monkeypatch.setattr(extraction, "SHARD", 1.0)
    monkeypatch.setattr(extraction, "CHUNK", 0.1)
    done, original = [], extraction._extract

    class Killed(BaseException):
        pass

    def dying(utterance, **arguments):
        done.append(utterance)
        if utterance == "u5" and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            raise Killed
        return original(utterance, **arguments)

    monkeypatch.setattr(extraction, "_extract", dying)
    with pytest.raises(Killed):
        extract(feature, audio, tmp_path / "parts", checkpoints=tmp_path / "c")
    files = sorted((tmp_path / "c").rglob("*.npz"))
    assert len(files) >= 2
    assert not (tmp_path / "parts").exists()
    files[1].write_bytes(files[1].read_bytes()[:-100])
    first = done.copy()
    done.clear()
    parts = extract(feature, audio, tmp_path / "parts", checkpoints=tmp_path / "c")
    assert hashes(parts.folder) == hashes(whole.folder)
    assert first[0] not in done, "the first shard was kept"
    assert "damaged" in capsys.readouterr().err
    assert not list((tmp_path / "c").rglob("*.npz"))
