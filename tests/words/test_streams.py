from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.core.store import Store
from ser.core.tasks import STREAMS
from ser.corpora import manifest
from ser.words import occurrences, speech2vec, streams, vectors
from ser.words.config import Alignment, Config, Speech2Vec, Word2Vec
from ser.words.make import Source, make

RATE = 16000
WORDS = ("north", "south", "east", "west", "up", "down", "left", "right")
SECONDS = 2.0
CONFIG = Config(
    word2vec=Word2Vec(vector_size=8, min_count=2, negative=3, epochs=2, min_words=2),
    speech2vec=Speech2Vec(dim=8, epochs=1, batch=64, min_count=2),
    alignment=Alignment(dis_hid_dim=8, epoch_size=64, n_epochs=1, n_refinement=1),
    corpus="tones",
    target="talk",
    texts=("target",),
)


def _tone(i: int) -> np.ndarray:
    return 0.1 * np.sin(2 * np.pi * (300 + 200 * i) * np.arange(1600) / RATE)


def _corpus(folder: Path, names: list[str], parts: list[str]) -> list[tuple[str, float, float, str]]:
    """Recordings of 2 s: eight tones of 0.1 s, one per word, from 0.2 s on, then silence."""
    g = np.random.default_rng(len(names))
    rows, spans = [], []
    (folder / "audio").mkdir(parents=True)
    for name, part in zip(names, parts, strict=True):
        order = g.permutation(len(WORDS))
        sound = np.zeros(round(SECONDS * RATE))
        for k, i in enumerate(order):
            start = 0.2 + 0.1 * k
            sound[round(start * RATE) : round(start * RATE) + 1600] = _tone(i)
            spans.append((name, start, start + 0.1, WORDS[i]))
        soundfile.write(folder / "audio" / f"{name}.wav", sound, RATE, subtype="PCM_16")
        rows.append({"utterance": name, "file": f"audio/{name}.wav", "partition": part, "speaker": name})
    table = pd.DataFrame(rows).reindex(columns=list(manifest.COLUMNS)).astype({"start": float, "end": float})
    table[["corpus", "synthetic", "duration", "rate", "channels"]] = ["tones", 1, SECONDS, RATE, 1]
    manifest.write(table, folder / "utterances.csv")
    return spans


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A corpus of tones to learn from, and two recordings for the streams: the second has no sentences and no turns."""
    folder = tmp_path_factory.mktemp("made")
    spans = _corpus(folder / "tones", [f"u{i}" for i in range(4)], ["train"] * 4)
    pd.DataFrame(spans, columns=list(occurrences.COLUMNS)).to_csv(folder / "tones" / "words.csv", index=False)
    spoken = _corpus(folder / "talk", ["Train_01", "Test_01"], ["train", "test"])
    text = " ".join(w for u, *_, w in spoken if u == "Train_01")
    (folder / "talk" / "sentences.csv").write_text(f"utterance,start,end,text\nTrain_01,0.2,1.0,<laughter> {text}\n")
    (folder / "talk" / "turns.csv").write_text("utterance,start,end\nTrain_01,0.5,1.0\n")
    sources = [Source(folder / name, folder / name) for name in ("tones", "talk")]
    make(CONFIG, *sources, folder / "out", folder / "report", "cpu", folder / "checkpoints")
    return folder


def _store(made: Path, name: str) -> Store:
    return Store(made / "out" / "streams" / name)


def test_a_store_for_every_stream_and_mode(made):
    names = {f"{s}-{m}" for s, modes in STREAMS.items() for m in modes}
    assert {p.name for p in (made / "out" / "streams").iterdir()} == names | {"turns"}
    for name in names:
        store = _store(made, name)
        assert (store.card["dim"], store.card["level"], store.card["frame_rate"]) == (8, "frame", 10.0)
        assert store.lengths(["Train_01", "Test_01"]).tolist() == [20, 20]
    coverage = json.loads((made / "report" / "streams.json").read_text())
    assert (coverage["words_by"], coverage["words"], coverage["words_in_speech"]) == ("uniform in sentences", 9, 8)
    assert {p.name for p in (made / "report").iterdir()} == {"curve.csv", "diagnostics.json", "streams.json"}


def test_words_are_within_their_sentence_and_a_recording_without_a_transcript_has_none(made):
    rows = np.asarray(_store(made, "random_vectors-type_lookup_oracle")["Train_01"])
    assert not rows[:2].any()
    assert rows[2:10].any(1).all()
    assert not rows[11:].any()
    for stream in ("word2vec", "aligned", "random_vectors"):
        assert not np.asarray(_store(made, f"{stream}-type_lookup_oracle")["Test_01"]).any()


def test_types_are_looked_up_and_tokens_are_encoded(made):
    speech, _ = vectors.load(made / "out" / "speech")
    known = speech.matrix.round(6).tolist()
    for row in np.asarray(_store(made, "speech2vec-type_lookup_oracle")["Train_01"]):
        assert not row.any() or row.round(6).tolist() in known
    learned = streams.Learned.load(made / "out")
    tokens, mapped = (np.asarray(_store(made, f"{s}-token_aligned")["Train_01"]) for s in ("speech2vec", "aligned"))
    spoken = tokens.any(1)
    np.testing.assert_allclose(mapped[spoken], learned.aligned(tokens[spoken]), atol=1e-5)
    assert not mapped[~spoken].any()  # a row without a word is zero, not the image of zero under W


def test_the_random_control_knows_the_word_only_where_the_word_is_known(made):
    by_type = np.asarray(_store(made, "random_vectors-type_lookup_oracle")["Train_01"])[2:10]
    np.testing.assert_allclose(np.linalg.norm(by_type, axis=1), 1, atol=1e-5)
    recording = streams.Recording("a", 20, np.zeros(RATE, np.float32), RATE, ["up", "up"], [(0, 0.1), (0.2, 0.3)], None)
    found = streams.streams(recording, [], streams.Learned.load(made / "out"), CONFIG)
    once, again = found["random_vectors-type_lookup_oracle"]
    np.testing.assert_array_equal(once, again)
    once, again = found["random_vectors-token_aligned"]
    assert abs(float(once @ again)) < 0.999
    assert found["aligned-token_unsupervised"].shape == (0, 8)


def test_chunks_keep_to_the_turns(made):
    turns = np.asarray(_store(made, "turns")["Train_01"])[:, 0]
    assert turns.tolist() == [0] * 5 + [1] * 6 + [0] * 9  # round(10 * 0.5) to round(10 * 1.0), both included
    assert np.asarray(_store(made, "turns")["Test_01"]).all()  # the corpus does not state it
    encoded = np.asarray(_store(made, "speech2vec-token_unsupervised")["Train_01"]).any(1)
    assert encoded[5:10].all()
    assert not encoded[:5].any()
    assert not encoded[12:].any()


def test_equal_inputs_give_equal_bytes(made, tmp_path):
    sources = [Source(made / name, made / name) for name in ("tones", "talk")]
    make(CONFIG, *sources, tmp_path / "out", tmp_path / "report", "cpu", tmp_path / "checkpoints")
    files = [p.relative_to(made / "out") for p in sorted((made / "out").rglob("*")) if p.is_file()]
    assert len(files) > 30
    for file in files:
        assert (tmp_path / "out" / file).read_bytes() == (made / "out" / file).read_bytes(), file
    assert speech2vec.load(tmp_path / "out" / "speech").config == CONFIG.speech2vec


def test_transcripts_of_the_test_part_are_not_learned_from(made):
    lines = (made / "out" / "target.txt").read_text().splitlines()
    assert len(lines) == 1
    assert set(lines[0].split()) == {*WORDS, "laughter"}


def test_settings_that_learn_from_the_test_part_are_refused():
    for partitions in ((), ("train", "test"), ("train", "dev")):  # folds of `test: dev` test on dev
        with pytest.raises(ValueError, match=r"set partitions: \[train\]"):
            Config(corpus="sewa", target="sewa", partitions=partitions)
