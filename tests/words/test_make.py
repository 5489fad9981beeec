from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.core.errors import SerError
from ser.corpora import manifest
from ser.words import alignment, make, speech2vec, vectors
from ser.words.config import Alignment, Config, Speech2Vec, Word2Vec
from ser.words.make import Source

RATE = 16000
WORDS = ("north", "south", "east", "west", "up", "down", "left", "right")
CONFIG = Config(
    corpus="tones",
    target="tones",
    partitions=("train",),
    streams=False,
    word2vec=Word2Vec(vector_size=8, min_count=2, negative=3, epochs=2, min_words=2),
    speech2vec=Speech2Vec(dim=8, epochs=2, batch=64, min_count=2, optimiser="adam"),
    alignment=Alignment(dis_hid_dim=8, epoch_size=320, n_epochs=2, n_refinement=1),
)
FILES = ("words.csv", "curve.csv", "diagnostics.json", "spaces.npz", "text/vectors.safetensors", "text/card.json")
FILES += ("speech/vectors.safetensors", "speech/encoder.safetensors", "speech/encoder.json", "speech/card.json")
FILES += ("aligned/alignment.safetensors", "aligned/alignment.json")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six utterances of twelve words, each a different tone of 0.1 s; the last two are for testing."""
    folder = tmp_path_factory.mktemp("tones")
    g = np.random.default_rng(0)
    rows, spans = [], []
    for u in range(6):
        ids = g.integers(len(WORDS), size=12)
        tones = [0.1 * np.sin(2 * np.pi * (300 + 200 * i) * np.arange(1600) / RATE) for i in ids]
        soundfile.write(folder / f"u{u}.wav", np.concatenate(tones), RATE, subtype="PCM_16")
        spans += [(f"u{u}", 0.1 * k, 0.1 * k + 0.1, WORDS[i].upper()) for k, i in enumerate(ids)]
        part = "test" if u > 3 else "train"
        row = {"utterance": f"u{u}", "file": f"u{u}.wav", "partition": part, "speaker": f"s{u % 2}"}
        rows.append({**row, "corpus": "tones"})
    table = pd.DataFrame(rows).reindex(columns=list(manifest.COLUMNS)).astype({"start": float, "end": float})
    table["text"] = [" ".join(w for v, _, _, w in spans if v == u) for u in table["utterance"]]
    table[["duration", "synthetic", "rate", "channels"]] = [1.2, 1, RATE, 1]
    _write(folder, table, spans)
    return folder


def _write(folder, table, spans):
    manifest.write(table, folder / "utterances.csv")
    pd.DataFrame(spans, columns=["utterance", "start", "end", "word"]).to_csv(folder / "words.csv", index=False)


def _make(corpus, out, config=CONFIG, root=None):
    """Vectors and reports in one folder, checkpoints in another."""
    source = Source(corpus, root or corpus)
    return make.make(config, source, source, out, out, "cpu", out.parent / "checkpoints")


def _bytes(out):
    return {name: (out / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """The files of a stage that was not interrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, _make(corpus, out)


def test_what_it_leaves(corpus, whole):
    out, card = whole
    assert set(_bytes(out)) == {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert card["speakers"] == 2
    assert (card["words_by"], card["spoken_words"], card["text_words"], card["synthetic"]) == ("corpus", 48, 48, True)
    assert set(pd.read_csv(out / "words.csv")["utterance"]) == {"u0", "u1", "u2", "u3"}  # nothing of the test part
    assert json.loads((out / "diagnostics.json").read_text())["agreement"] == card["agreement"]
    controls = {"aligned", "random_vectors", "identity", "supervised", "supervised_random"}
    assert set(card["alignment"]) == controls
    speech, _ = vectors.load(out / "speech")
    text, about = vectors.load(out / "text")
    assert set(speech.words) == set(text.words) == set(WORDS)
    assert about["partitions"] == ["train"]
    mapped = alignment.load(out / "aligned")(speech.matrix)
    np.testing.assert_allclose(np.linalg.norm(mapped, axis=1), 1, atol=0.05)
    assert card["tokens"]["same"] > 0.9  # the encoder distinguishes tones
    assert speech2vec.load(out / "speech").config == CONFIG.speech2vec


def test_a_stopped_stage_ends_with_the_same_bytes(corpus, whole, tmp_path, monkeypatch):
    class StoppedError(Exception):
        pass

    def stopped(*_):
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(alignment.Adversaries, "evaluate", stopped)
        with pytest.raises(StoppedError):
            _make(corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()  # nothing half-finished
    monkeypatch.setattr(speech2vec, "error_of", stopped)  # it was finished before, so it is not trained again
    _make(corpus, tmp_path / "out")
    assert _bytes(tmp_path / "out") == _bytes(whole[0])


def test_other_words_or_settings_are_trained_again(corpus, whole, tmp_path, monkeypatch):
    """Checkpoints of the undisturbed stage are there; a finished training is taken from them only if all is equal."""
    trained = []
    error_of = speech2vec.error_of
    monkeypatch.setattr(speech2vec, "error_of", lambda *a: trained.append(1) or error_of(*a))
    out = whole[0].parent
    _make(corpus, out / "again", replace(CONFIG, speech2vec=replace(CONFIG.speech2vec, checkpoint_every=1)))
    assert not trained  # the number of steps between checkpoints changes no result
    _make(corpus, out / "other", replace(CONFIG, speech2vec=replace(CONFIG.speech2vec, seed=2)))
    assert trained
    trained.clear()
    (tmp_path / "fewer").mkdir()
    table = manifest.read(corpus / "utterances.csv")
    table.loc[table["utterance"] == "u3", "partition"] = "test"
    _write(tmp_path / "fewer", table, pd.read_csv(corpus / "words.csv"))
    source = Source(tmp_path / "fewer", corpus)
    make.make(CONFIG, source, source, out / "fewer", out / "fewer", "cpu", out / "checkpoints")
    assert trained


def test_settings_are_light():
    code = "import sys, ser.words.config; assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"word2vec.vector_size and speech2vec.dim must be equal, not 8 and 4"):
        replace(CONFIG, speech2vec=Speech2Vec(dim=4))
    with pytest.raises(ValueError, match=r"dim must be even.* not 5"):
        Speech2Vec(dim=5)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        Alignment(batch_size=0)
    with pytest.raises(ValueError, match="alpha must be above 0, not -1"):
        Word2Vec(alpha=-1)


def test_too_little_speech(corpus, tmp_path):
    few = replace(CONFIG, speech2vec=Speech2Vec(dim=8, min_count=100))
    with pytest.raises(SerError, match=r"0 words are spoken at least 100 times \(speech2vec.min_count\)"):
        _make(corpus, tmp_path / "out", few)


def test_what_would_stop_the_alignment_stops_before_speech2vec(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(speech2vec, "train", None)
    spans, table = pd.read_csv(corpus / "words.csv"), manifest.read(corpus / "utterances.csv")
    (tmp_path / "silent").mkdir()
    _write(tmp_path / "silent", table, spans[spans["utterance"] == "u5"])
    with pytest.raises(SerError, match="the utterances to learn from contain no word"):
        _make(tmp_path / "silent", tmp_path / "out", root=corpus)
    with pytest.raises(SerError, match=r"unknown partition 'trian'.*Did you mean 'train'"):
        _make(corpus, tmp_path / "out", replace(CONFIG, target="other", partitions=("trian",)))
    (tmp_path / "dutch").mkdir()
    table["text"] = "een hond blaft hier nachts hard"
    _write(tmp_path / "dutch", table, spans)
    with pytest.raises(SerError, match="none of the 8 words spoken at least 2 times is among the 6 of the text"):
        _make(tmp_path / "dutch", tmp_path / "out", root=corpus)
