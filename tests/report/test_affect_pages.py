"""The text of the report on continuous experiments and on word vectors."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser.core.files import write_json
from ser.core.layout import Layout
from ser.core.recipe import CONTROLS
from ser.core.tasks import MODES, STREAMS
from ser.evaluation import evaluate, notes, predictions, results
from ser.report import experiment as section
from ser.report import words as semantics
from ser.report.study import Experiment


def rows(table):
    """The texts of all cells of a table."""
    return [[cell.text for cell in row] for row in table.rows]


@pytest.fixture
def experiment(affect, tmp_path, monkeypatch):
    """An experiment whose dev part is predicted two seconds early, and half as large."""
    monkeypatch.chdir(tmp_path)
    dev = affect.assign(fold="partition-test")
    test = dev.assign(utterance=dev["utterance"].str.replace("Devel", "Test"))
    for table in (dev, test):
        for d in ("arousal", "valence"):
            early = table.groupby("utterance")[f"truth_{d}"].shift(-20)
            table[f"prediction_{d}"] = 0.5 * early.fillna(0.0)
    layout = Layout("s")
    predictions.write(test, layout.predictions("x"))
    predictions.write(dev, layout.card("x").with_name("dev.csv"))
    write_json(layout.card("x"), {})
    found = evaluate.run(layout, "x", {"protocol": "partitions"}, 50)
    return Experiment("x", found, predictions.read(layout.predictions("x")), None, {}, {}, pd.DataFrame())


def test_the_table_has_every_option_beside_the_headline(experiment):
    part = section.postprocessing(experiment)
    (table,) = part.tables
    assert table.columns == ["option", "CCC", "CCC arousal", "CCC valence", "chosen on dev"]
    body = rows(table)
    assert [row[0] for row in body] == ["none (headline)", "delay", "median", "rescale", "all"]
    delay = experiment.result.postprocessing["delay"].scores
    assert body[0][1] == results.text(experiment.result.headline)
    assert body[1][2] == results.text(delay["ccc_arousal"])
    assert body[1][4] == "arousal later by 2 s; valence later by 2 s"
    assert "never on test" in part.remark


def test_what_was_chosen_in_words():
    chosen = {"delay_s": {"a": [1.0, 2.0, 2.5], "v": [0.0, 0.0, 0.0]}, "factor": {"a": [1.5] * 3, "v": [2.0] * 3}}
    assert section.choice(chosen) == "a later by 2 (1 to 2.5) s, times 1.5; v later by 0 s, times 2"


def test_without_post_processing_there_is_no_table(experiment):
    plain = replace(experiment, result=replace(experiment.result, postprocessing={}))
    assert section.postprocessing(plain) is None


def test_stream_mode_and_fusion_are_said_in_words():
    def said(**card):
        return notes.of_card({"f-seed1": card})

    mode, stream = said(stream="aligned", mode="token_aligned", fusion="concat")
    assert mode.startswith("words: token_aligned: ")
    assert "speech-only content, oracle word boundaries" in mode
    assert stream.startswith("stream: aligned: ")
    assert "; concat: " in stream
    assert "not speech-only" in said(stream="word2vec", mode="type_lookup_oracle", fusion="none")[0]
    control, _ = said(stream="random_vectors", mode="token_aligned", fusion="none")
    assert "control: " in control
    assert "speech-only content" not in control
    assert said(stream="paralinguistic", mode="none", fusion="none") == [
        "stream: paralinguistic: the waveform alone, no words"
    ]
    assert said(parameters=3) == notes.of_card(None) == notes.of_card({}) == []


def test_every_control_has_its_note():
    assert {"none", *notes.CONTROLS} == set(CONTROLS)


def test_every_stream_and_mode_has_its_words():
    assert set(notes.MODES) == set(notes.RANDOM) == set(MODES)
    assert set(notes.STREAMS) == {*STREAMS, "paralinguistic"}


def test_the_notes_of_a_card_are_among_those_of_the_result(affect, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predictions.write(affect, Layout("s").predictions("x"))
    card = {"f": {"stream": "aligned", "mode": "token_unsupervised", "fusion": "disentangled"}}
    write_json(Layout("s").card("x"), {"notes": card})
    assert set(notes.of_card(card)) <= set(evaluate.run(Layout("s"), "x", {}, 0).notes)


def diagnostics(own=0.03, told=0.03, n=100, synthetic=False):
    """A diagnostics.json with 1000 words of text; `own` and `told`: precision@10 of the aligned and the told map."""

    def shares(p, words):
        return {"words": words, "precision@1": 0.0, "precision@5": 0.01, "precision@10": p, "chance@1": 0.001}

    def variant(p):
        return {"held_out": shares(p, n), "all": shares(p, 300), "hubness": 1.25, "criterion": None}

    space = {"spelling": {"pairs": 10, "spearman": 0.125}, "topics": {"words": 9, "purity": 0.5, "chance": 0.25}}
    names = ("random_vectors", "identity", "supervised_random")
    return {
        "corpus": "libri", "synthetic": synthetic, "partitions": ["train"], "words_by": "uniform in sentences",
        "text_words": 50_159, "hours": 1.0, "speakers": 12, "spoken_words": 11_027, "speech_vocabulary": 432,
        "text_vocabulary": 1000, "tokens": {"tokens": 400, "same": 0.51, "chance": 0.04},
        "agreement_by_speaker_alone": {"words": 3, "pairs": 3, "spearman": 0.01}, "speech2vec_loss": [0.5, 0.4],
        "agreement": {"words": 3, "pairs": 3, "spearman": None}, "text": space, "speech": space, "random": space,
        "alignment": {"aligned": variant(own), "supervised": variant(told), **{k: variant(0.0) for k in names}},
    }  # fmt: skip


STREAM = {
    "target": "sewa", "words_by": "corpus", "recordings": 20, "recordings_with_words": 19, "turns": False, "rows": 200,
    "rows_with_word": 50, "rows_with_chunk": 100, "words": 40, "words_in_text": 30, "words_in_speech": 10,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """folder(card) -> one with all its files."""

    def folder(card, name="sewa"):
        path = tmp_path / name
        write_json(path / "diagnostics.json", card)
        write_json(path / "streams.json", STREAM)
        return path

    return folder


def test_the_section_has_the_numbers_of_the_files(folder):
    found = semantics.section(folder(diagnostics()))
    maps, spaces, coverage = found.part.tables
    assert "11,027 spoken words (1.00 h, 12 speakers) of libri, partitions train alone" in found.source
    assert "words spread evenly over the speech, which is rough, inside timed sentences" in found.source
    assert rows(maps)[0] == ["chance", "0.1%", "0.5%", "1.0%", "0.1%", "0.5%", "1.0%", "-"]
    (aligned,) = [row for row in rows(maps) if row[0].startswith("aligned")]
    assert aligned[1:] == ["0.0%", "1.0%", "3.0%", "0.0%", "1.0%", "3.0%", "1.25"]
    assert ["speech (Speech2Vec)", "50.0%", "25.0%", "0.12"] in rows(spaces)
    assert ["words with a vector of text", "75.0%"] in rows(coverage)
    assert ["label rows inside a word", "25.0%"] in rows(coverage)
    assert "words in 19 of 20 recordings of sewa" in coverage.caption
    assert "Chen 2022" in semantics.CAUTION
    assert not found.synthetic


def test_word_similarity_is_shown_where_a_list_was_given(folder):
    card = diagnostics(synthetic=True)
    given = {**card["text"], "similarity": {"pairs": 7, "of": 30, "spearman": 0.5}}
    found = semantics.section(folder({**card, "text": given, "speech": given, "random": given}))
    assert ["text (Word2Vec)", "50.0%", "25.0%", "0.12", "0.50 (7 pairs)"] in rows(found.part.tables[1])
    assert found.synthetic


def test_streams_may_be_missing_and_ids_are_safe(folder):
    path = folder(diagnostics(), "b<i>")
    (path / "streams.json").unlink()
    found = semantics.section(path)
    assert len(found.part.tables) == 2
    assert found.id == "words-b-i-"


def test_what_is_above_chance():
    """P(X >= k) of 100 words at 1 %: 0.264 for 2, 0.079 for 3, 0.018 for 4 (binomial, by hand)."""
    for hits, above in ((0, False), (2, False), (3, False), (4, True)):
        held_out = diagnostics(own=hits / 100)["alignment"]["aligned"]["held_out"]
        assert semantics.above_chance(held_out) is above
    tail = 1 - sum(np.prod([(100 - j) / (j + 1) for j in range(k)]) * 0.01**k * 0.99 ** (100 - k) for k in range(4))
    assert tail == pytest.approx(0.018, abs=5e-4)


def test_a_borderline_count_of_one_of_two_maps_is_not_above_chance():
    """6 of 129 words at 2.03 %: 0.049 by the binomial, which one of two maps reaches by luck in a tenth of cases."""
    held_out = {"words": 129, "precision@10": 6 / 129, "chance@1": 0.002033}
    assert semantics.above_chance(held_out) is False
    assert semantics.above_chance({**held_out, "precision@10": 8 / 129}) is True


@pytest.mark.parametrize(
    ("own", "told", "text"),
    [
        (0.2, 0.0, "fitted without word pairs finds held-out words"),
        (0.0, 0.2, "have something in common"),
        (0.03, 0.03, "not even a map that was fitted on the other words"),
    ],
)
def test_what_can_be_concluded_follows_from_the_numbers(own, told, text):
    sentence = semantics.verdict(diagnostics(own, told))
    assert text in sentence
    assert f"aligned {round(100 * own)}, supervised {round(100 * told)}, random_vectors" in sentence
    assert "; 1.0 by chance;" in sentence
    assert "nothing; no word was held out" in semantics.verdict(diagnostics(n=0))


def test_the_report_of_words_needs_no_torch():
    code = (
        "import sys, ser.report.words, ser.report.experiment, ser.evaluation.postprocessing\n"
        "heavy = {'torch', 'librosa', 'matplotlib', 'scipy', 'gensim'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
