from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.corpora import manifest
from ser.errors import SerError
from ser.store import Writer
from ser.words import adversary, alignment, run, speech2vec, vectors, words
from ser.words.settings import Alignment, Semantics, Speech2Vec, Word2Vec
from ser.words.words import Segments

RATE = 16000
WORDS = ("north", "south", "east", "west", "up", "down", "left", "right")
SETTINGS = Semantics(
    word2vec=Word2Vec(dim=8, min_count=2, negative=3, epochs=2, sentence=2),
    speech2vec=Speech2Vec(dim=8, epochs=2, batch=64, min_count=2, optimiser="adam"),
    alignment=Alignment(hidden=8, samples=320, epochs=2, refinements=1),
)
FILES = ("words.csv", "curve.csv", "diagnostics.json", "spaces.png", "text/vectors.safetensors", "text/card.json")
FILES += ("speech/vectors.safetensors", "speech/encoder.safetensors", "speech/encoder.json", "speech/card.json")
FILES += ("aligned/alignment.safetensors", "aligned/alignment.json")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six utterances of twelve words, each a tone of its own for 0.1 s; the last two are for testing."""
    folder = tmp_path_factory.mktemp("tones")
    g = np.random.default_rng(0)
    rows, spans = [], []
    for u in range(6):
        ids = g.integers(len(WORDS), size=12)
        tones = [0.1 * np.sin(2 * np.pi * (300 + 200 * i) * np.arange(1600) / RATE) for i in ids]
        soundfile.write(folder / f"u{u}.wav", np.concatenate(tones), RATE, subtype="PCM_16")
        spans += [(f"u{u}", 0.1 * k, 0.1 * k + 0.1, WORDS[i].upper()) for k, i in enumerate(ids)]
        part = "test" if u > 3 else "train"
        rows.append(
            {"utterance": f"u{u}", "file": f"u{u}.wav", "partition": part, "speaker": f"s{u % 2}", "corpus": "tones"}
        )
    table = pd.DataFrame(rows).reindex(columns=list(manifest.COLUMNS)).astype({"start": float, "end": float})
    table["text"] = [" ".join(w for v, _, _, w in spans if v == u) for u in table["utterance"]]
    table[["duration", "synthetic", "rate", "channels"]] = [1.2, 1, RATE, 1]
    manifest.write(table, folder / "utterances.csv")
    pd.DataFrame(spans, columns=["utterance", "start", "end", "word"]).to_csv(folder / "words.csv", index=False)
    return folder


def _learn(corpus, out, settings=SETTINGS, **options):
    signal = options.pop("signal", None) or run.from_files(manifest.read(corpus / "utterances.csv"), corpus)
    options = {"partitions": ("train",), "checkpoints": out.parent / "checkpoints"} | options
    return run.learn(settings, corpus, signal, out, **options)


def _bytes(out):
    return {name: (out / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, _learn(corpus, out)


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
    assert card["tokens"]["same"] > 0.9  # tones are told apart
    assert speech2vec.load(out / "speech").settings == SETTINGS.speech2vec


def test_a_killed_run_ends_with_the_same_bytes(corpus, whole, tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    def killed(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(adversary.Game, "_judge_epoch", killed)
        with pytest.raises(KilledError):
            _learn(corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()  # what is there is whole
    monkeypatch.setattr(speech2vec, "error_of", killed)  # finished before: not trained again
    _learn(corpus, tmp_path / "out")
    assert _bytes(tmp_path / "out") == _bytes(whole[0])


def test_a_store_gives_what_the_files_give(corpus, whole, tmp_path):
    with Writer(tmp_path / "store", None, "int16", {"level": "sample", "rate": RATE}) as writer:
        for u in range(6):
            writer.append(f"u{u}", soundfile.read(corpus / f"u{u}.wav", dtype="int16")[0])
    from ser.store import Store

    _learn(corpus, tmp_path / "out", signal=run.from_store(Store(tmp_path / "store")))
    assert _bytes(tmp_path / "out") == _bytes(whole[0])


def test_settings_are_light():
    code = "import sys, ser.words.settings; assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="dim of word2vec 8 and of speech2vec 4"):
        Semantics(word2vec=Word2Vec(dim=8), speech2vec=Speech2Vec(dim=4))
    with pytest.raises(ValueError, match="dim 5 must be even"):
        Speech2Vec(dim=5)
    with pytest.raises(ValueError, match="batch must be at least 1"):
        Alignment(batch=0)
    with pytest.raises(ValueError, match="lr -1 must be above 0"):
        Word2Vec(lr=-1)


def test_too_little_speech(corpus, tmp_path):
    few = Semantics(SETTINGS.words, SETTINGS.word2vec, Speech2Vec(dim=8, min_count=100), SETTINGS.alignment)
    with pytest.raises(SerError, match=r"0 words are spoken 100 times.*lower speech2vec.min_count"):
        _learn(corpus, tmp_path / "out", few)


def test_what_would_stop_the_alignment_stops_before_speech2vec(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(speech2vec, "train", None)
    with pytest.raises(SerError, match="no word in what is learnt from"):
        _learn(corpus, tmp_path / "out", said=Segments(words.read(corpus).head(0), "corpus"))
    with pytest.raises(SerError, match=r"unknown partition 'trian'.*Did you mean 'train'"):
        _learn(corpus, tmp_path / "out", partitions=("trian",))
    (tmp_path / "mute").mkdir()
    table = manifest.read(corpus / "utterances.csv")
    table["text"] = "een hond blaft hier nachts hard"
    manifest.write(table, tmp_path / "mute" / "utterances.csv")
    (tmp_path / "mute" / "words.csv").write_bytes((corpus / "words.csv").read_bytes())
    with pytest.raises(SerError, match="none of the 8 words spoken 2 times is one of the 6 words of the text"):
        _learn(tmp_path / "mute", tmp_path / "out")
