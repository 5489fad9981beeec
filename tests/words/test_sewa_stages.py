"""SEWA folders as users have them, through every stage: used, or refused with one line before hours of training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.core.errors import SerError
from ser.core.store import Store
from ser.corpora import packing, sewa
from ser.corpora.location import Location
from ser.words import speech2vec, word2vec
from ser.words.make import Source, make, summary
from tests.words.sewa_tree import CONFIG, RATE, WORDS, stages, tree, write


def test_a_header_crlf_and_latin_1_change_nothing(tmp_path):
    plain, _ = stages(tree(tmp_path / "a"), tmp_path / "a_out")
    other, cover = stages(tree(tmp_path / "b", header=True, encoding="iso-8859-1", newline="\r\n"), tmp_path / "b_out")
    assert -1 <= plain.headline.value <= 1
    assert other == plain
    assert cover["recordings_with_words"] == 4
    assert set(pd.read_csv(tmp_path / "b_out" / "words" / "words.csv")["word"]) == set(WORDS)
    for name in ("out/x.csv", "words/text/vectors.safetensors", "words/speech/encoder.safetensors"):
        assert (tmp_path / "a_out" / name).read_bytes() == (tmp_path / "b_out" / name).read_bytes()


def test_a_package_without_alignment_with_gaps_everywhere(tmp_path):
    """As AVEC distributes it: transcripts only, no labels of the test part; and other missing or short files."""
    root = tree(tmp_path / "c", segmentation=False)
    (root / "labels/Test_01.csv").unlink()
    (root / "transcriptions/Test_01.csv").unlink()
    (root / "turns/Test_01.csv").unlink()
    write(root / "transcriptions/Devel_01.csv", "\n")
    short = (root / "labels/Train_01.csv").read_text().splitlines(keepends=True)[:33]
    write(root / "labels/Train_01.csv", "".join(short))
    found, cover = stages(root, tmp_path / "out", mode="token_unsupervised")
    assert (cover["words_by"], cover["recordings"], cover["recordings_with_words"]) == ("uniform in sentences", 4, 2)
    assert found.headline.value is None
    assert any("Test_01" in note for note in found.notes)
    predicted = pd.read_csv(tmp_path / "out" / "out" / "x.csv")
    assert len(predicted) == 40
    assert predicted["prediction_arousal"].notna().all()
    labels = pd.read_csv(tmp_path / "out" / "manifest" / "labels.csv").groupby("utterance").size()
    assert labels.to_dict() == {"Devel_01": 40, "Train_01": 33, "Train_02": 40}
    assert set(pd.read_csv(tmp_path / "out" / "words" / "words.csv")["word"]) == set(WORDS)


def _replaced(name, text):
    return lambda root: write(root / name, text)


def _short_audio(root):
    """2.2 s of audio with 20 labels, under words until 2.8 s."""
    samples, _ = soundfile.read(root / "audio/Test_01.wav")
    soundfile.write(root / "audio/Test_01.wav", samples[: round(2.2 * RATE)], RATE, subtype="PCM_16")
    labels = (root / "labels/Test_01.csv").read_text().splitlines(keepends=True)
    write(root / "labels/Test_01.csv", "".join(labels[:20]))


FAULTS = {
    "dev labels missing": (lambda root: (root / "labels/Devel_01.csv").unlink(), "recording Devel_01 has no labels"),
    "labels of another recording": (
        lambda root: soundfile.write(root / "audio/Train_01.wav", np.ones(RATE) / 9, RATE),
        r"the labels last to 3.9 s \(row 40\), their audio 1 s",
    ),
    "label no number": (_replaced("labels/Train_01.csv", "'a';0.0;1;x;0\n"), r"'x' is not a number \(.*Train_01.csv:1"),
    "label row short": (_replaced("labels/Train_01.csv", "'a';0.0;1;0;0\n'a';0.1;1\n"), r"Train_01.csv:2"),
    "labels empty": (_replaced("labels/Train_01.csv", ""), "no labels in the file"),
    "label times": (_replaced("labels/Train_01.csv", "'a';0.0;1;0;0\n'a';0.3;1;0;0\n"), "label row 2 is at 0.3 s"),
    "word after the end": (_short_audio, r"word '\w+' of Test_01 starts at 2.3 s, its audio lasts 2.2 s .*words.csv"),
    "word backwards": (
        _replaced("segmentation/Test_01.csv", "a;2;1;ost\n"),
        r"'ost' lasts from 2.0 s to 1.0 s .*csv:1",
    ),
    "word without a time": (_replaced("segmentation/Test_01.csv", "a;1;2;ost\na;x;2;ab\n"), r"'x' is not .*csv:2"),
    "turn no number": (_replaced("turns/Test_01.csv", "1;2\n3;end\n"), r"'end' is not a number .*Test_01.csv:2"),
    "no words in train": (
        lambda root: [write(root / f"segmentation/Train_0{i}.csv", "\n") for i in (1, 2)],
        "the utterances to learn from contain no word.*Give a corpus with aligned words or transcripts",
    ),
}
SENTENCES = {
    "no transcript at all": (
        lambda root: [p.unlink() for p in (root / "transcriptions").iterdir()],
        "neither aligned words nor text .*Put an alignment beside",
    ),
}


@pytest.mark.parametrize("fault", [*FAULTS, *SENTENCES])
def test_what_cannot_be_used_is_refused_in_one_line_before_anything_is_learned(tmp_path, monkeypatch, fault):
    root = tree(tmp_path / "sewa", segmentation=fault in FAULTS)
    damage, message = {**FAULTS, **SENTENCES}[fault]
    damage(root)
    monkeypatch.setattr(speech2vec, "train", None)
    with pytest.raises(SerError, match=message) as caught:
        stages(root, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_missing_texts_and_similarities_are_named_before_anything_is_learned(tmp_path, monkeypatch):
    monkeypatch.setattr(word2vec, "train", None)
    root = tree(tmp_path / "sewa")
    with pytest.raises(SerError, match=r"no such text \(\S+nope.txt\)"):
        stages(root, tmp_path / "a", dataclasses.replace(CONFIG, texts=(str(tmp_path / "nope.txt"),)))
    with pytest.raises(SerError, match="no such list of word similarities"):
        stages(root, tmp_path / "b", dataclasses.replace(CONFIG, similarities=str(tmp_path / "nope.csv")))
    write(tmp_path / "list.csv", "word,word,number\nost,west,viel\n")
    with pytest.raises(SerError, match=r"expected word, word, number \(\S+list.csv:2"):
        stages(root, tmp_path / "c", dataclasses.replace(CONFIG, similarities=str(tmp_path / "list.csv")))


def test_nothing_of_the_test_part_is_learned(tmp_path):
    """Other words and another sound in the dev and test recordings: the same vectors and the same W, other streams."""
    out = []
    for name in ("one", "other"):
        root = tree(tmp_path / name)
        for part in ("Devel_01", "Test_01") if name == "other" else ():
            g = np.random.default_rng(5)
            noise = 0.1 * g.normal(size=4 * RATE)
            soundfile.write(root / f"audio/{part}.wav", noise if part == "Test_01" else noise[::-1], RATE)
            for folder, start in (("segmentation", "a;"), ("transcriptions", "")):
                write(root / f"{folder}/{part}.csv", "".join(f"{start}{k};{k + 1};fremd\n" for k in range(3)))
        stages(root, tmp_path / f"{name}_out")
        out.append(tmp_path / f"{name}_out")
    learned = [p.relative_to(out[0]) for p in (out[0] / "words").rglob("*") if p.is_file() and "streams" not in p.parts]
    learned += [p.relative_to(out[0]) for p in (out[0] / "report").iterdir() if p.name != "streams.json"]
    assert len(learned) == 12
    for file in learned:
        assert (out[0] / file).read_bytes() == (out[1] / file).read_bytes(), file
    for store in ("speech2vec-token_aligned", "aligned-type_lookup_oracle", "random_vectors-token_unsupervised"):
        one, other = (Store(o / "words" / "streams" / store) for o in out)
        np.testing.assert_array_equal(one["Train_01"], other["Train_01"])
        assert not np.array_equal(one["Test_01"], other["Test_01"]), store


def test_without_streams_there_are_spaces_and_a_summary(tmp_path):
    root = tree(tmp_path / "sewa")
    packing.pack("sewa", Location(root, True), sewa.Config(), tmp_path / "manifest")
    source = Source(tmp_path / "manifest", root)
    for streams in (False, True):
        config, out = dataclasses.replace(CONFIG, streams=streams), tmp_path / str(streams)
        card = make(config, source, source, out / "words", out / "report", "cpu", tmp_path / "checkpoints")
        assert (out / "report" / "streams.json").exists() == (out / "words" / "streams").exists() == streams
        assert ("no streams" in summary(card)) != streams
