"""Audio and features into stores: exact samples, the same bytes for any number of workers, faults named."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser import plugins
from ser.errors import SerError
from ser.features import extraction
from ser.features.extraction import extract, pack_audio, to_float, to_int16
from ser.store import Store

RATE = 16000


def table(*rows: dict) -> pd.DataFrame:
    common = {"start": np.nan, "end": np.nan, "rate": RATE, "duration": 1.0, "synthetic": 0}
    return pd.DataFrame([common | row for row in rows])


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """Seven utterances of 0.3 to 1.5 s at 16 kHz."""
    root, random = tmp_path_factory.mktemp("corpus"), np.random.default_rng(4)
    rows = []
    for i, seconds in enumerate((0.3, 1.5, 0.5, 0.7, 0.4, 1.1, 0.6)):
        time = np.arange(int(seconds * RATE)) / RATE
        sound = 0.3 * np.sin(2 * np.pi * (120 + 20 * i) * time) + 0.01 * random.normal(size=time.size)
        soundfile.write(root / f"{i}.wav", sound, RATE, subtype="PCM_16")
        rows.append({"utterance": f"u{i}", "file": f"{i}.wav", "duration": seconds})
    return root, table(*rows)


@pytest.fixture(scope="module")
def audio(corpus, tmp_path_factory) -> Store:
    return pack_audio(corpus[1], corpus[0], RATE, tmp_path_factory.mktemp("audio") / "a", 2)


def test_every_16_bit_sample_comes_back_exactly(tmp_path):
    samples = np.arange(-32768, 32768).astype("int16")
    soundfile.write(tmp_path / "all.wav", samples, RATE, subtype="PCM_16")
    store = pack_audio(table({"utterance": "all", "file": "all.wav"}), tmp_path, RATE, tmp_path / "a")
    np.testing.assert_array_equal(store["all"], samples)
    assert store.card["clipped"] == 0
    floats, _ = soundfile.read(tmp_path / "all.wav", dtype="float32")
    np.testing.assert_array_equal(to_float(store["all"]), floats)


def test_rounding_and_clipping_are_counted():
    samples, clipped = to_int16(np.array([0.0, 0.5, -1.0, 1.0, 1.5, -1.01, 0.4 / 32768, 0.6 / 32768], "float32"))
    np.testing.assert_array_equal(samples, [0, 16384, -32768, 32767, 32767, -32768, 0, 1])
    assert clipped == 2


def test_clipped_samples_are_reported_on_the_card(tmp_path):
    soundfile.write(tmp_path / "loud.wav", np.array([0.1, 1.5, -1.5, 0.2]), RATE, subtype="FLOAT")
    store = pack_audio(table({"utterance": "loud", "file": "loud.wav"}), tmp_path, RATE, tmp_path / "a")
    assert store.card["clipped"] == 2


def test_parts_of_a_file_and_resampling(tmp_path):
    ramp = np.arange(8000).astype("int16")
    soundfile.write(tmp_path / "long.wav", ramp, 8000, subtype="PCM_16")
    part = {"utterance": "part", "file": "long.wav", "start": 0.25, "end": 0.5, "rate": 8000}
    store = pack_audio(table(part), tmp_path, 8000, tmp_path / "a")
    np.testing.assert_array_equal(store["part"], ramp[2000:4000])
    assert len(pack_audio(table(part), tmp_path, RATE, tmp_path / "b")["part"]) == 4000


def test_the_mark_of_synthetic_audio_follows(corpus, audio, tmp_path):
    feature = plugins.load("features", "waveform").Feature()
    assert audio.card["synthetic"] is False
    made = pack_audio(corpus[1].assign(synthetic=1), corpus[0], RATE, tmp_path / "a")
    assert made.card["synthetic"] is True
    assert extract(feature, made, tmp_path / "f").card["synthetic"] is True


def test_an_unreadable_file_is_named_and_nothing_is_written(corpus, tmp_path):
    root, manifest = corpus
    with pytest.raises(SerError, match=r"gone\.wav"):
        pack_audio(
            pd.concat([manifest, table({"utterance": "x", "file": "gone.wav"})]), root, RATE, tmp_path / "a", jobs=2
        )
    assert list(tmp_path.iterdir()) == []


def test_audio_is_the_same_for_any_number_of_workers(corpus, audio, tmp_path):
    assert hashes(pack_audio(corpus[1], corpus[0], RATE, tmp_path / "one", 1).folder) == hashes(audio.folder)


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


def test_audio_of_another_rate_is_resampled(corpus, tmp_path):
    from ser.corpora.audio import resample

    low = pack_audio(corpus[1], corpus[0], 8000, tmp_path / "a")
    feature = plugins.load("features", "logmel").Feature()
    store = extract(feature, low, tmp_path / "f")
    expected = feature.extract(resample(to_float(low["u1"]), 8000, RATE), RATE)
    np.testing.assert_array_equal(store["u1"], expected)


@pytest.mark.filterwarnings("ignore:Segment too short")  # pytest resets the filter the feature sets
def test_clips_too_short_for_opensmile_are_all_named(corpus, tmp_path):
    root, manifest = corpus
    short = [{"utterance": f"short{i}", "file": "1.wav", "start": 0.2, "end": 0.25, "duration": 0.05} for i in range(7)]
    store = pack_audio(pd.concat([table(*short), manifest]), root, RATE, tmp_path / "a")
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

    results = extraction.run(work, range(200), [1.0] * 200, 2, "threading", "toy")
    assert next(results) == 0
    assert len(started) <= 32  # 16 jobs a worker
    assert list(results) == [i * i for i in range(1, 200)]


def test_silent_when_not_a_terminal(audio, tmp_path, capfd):
    extract(plugins.load("features", "waveform").Feature(), audio, tmp_path / "f")
    assert capfd.readouterr() == ("", "")


def test_workers_use_one_thread_each():
    from threadpoolctl import threadpool_info

    def work(_: int) -> int:
        return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    assert set(extraction.run(work, range(4), [9.0] * 4, 2, "threading", "toy")) == {1}
