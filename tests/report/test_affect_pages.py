"""What the report says of continuous experiments and of word vectors, read as text."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from ser.evaluation import evaluate, notes, predictions
from ser.files import write_json
from ser.report.html import affect, semantics
from ser.words.config import MODES, STREAMS

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def words(html):
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def rows(html):
    """Cells of all rows of all tables."""
    found = re.findall("<tr>(.*?)</tr>", html)
    return [[words(cell) for cell in re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in found]


@pytest.fixture
def experiment(affect, tmp_path):
    """An experiment whose dev part is predicted two seconds early, and half as large."""
    dev = affect.assign(fold="partition-test")
    test = dev.assign(utterance=dev["utterance"].str.replace("Devel", "Test"))
    for table in (dev, test):
        for d in ("arousal", "valence"):
            early = table.groupby("utterance")[f"truth_{d}"].shift(-20)
            table[f"prediction_{d}"] = 0.5 * early.fillna(0.0)
    predictions.write(test, tmp_path / "x.csv")
    predictions.write(dev, tmp_path / "dev.csv")
    paths = tmp_path / "x.csv", tmp_path / "x.json", tmp_path / "p.csv"
    found = evaluate.run(paths[0], {"protocol": "partitions"}, 50, *paths[1:], dev_path=tmp_path / "dev.csv")
    return SimpleNamespace(name="<x>", metrics=found, about=found["about"][0])


def test_the_table_has_every_option_beside_the_headline(experiment):
    html = affect.postprocessing(experiment)
    header, *body = rows(html)
    assert header == ["option", "CCC", "CCC arousal", "CCC valence", "chosen on dev"]
    assert [row[0] for row in body] == ["none (headline)", "delay", "median", "rescale", "all"]
    found = experiment.about["postprocessing"]["delay"]
    assert body[0][1].startswith(f"{experiment.metrics['ccc']:.2f} [")
    assert body[1][2] == f"{found['ccc_arousal']:.2f} [{found['ccc_arousal_low']:.2f}, {found['ccc_arousal_high']:.2f}]"
    assert body[1][4] == "arousal later by 2 s; valence later by 2 s"
    assert html.count("<caption>") == html.count("<table") == 1
    assert "&lt;x&gt;" in html
    assert 'scope="row"' in html


def test_what_was_chosen_in_words():
    chosen = {"delay_s": {"a": [1.0, 2.0, 2.5], "v": [0.0, 0.0, 0.0]}, "factor": {"a": [1.5] * 3, "v": [2.0] * 3}}
    assert affect.choice(chosen) == "a later by 2 (1 to 2.5) s, times 1.5; v later by 0 s, times 2"


def test_without_post_processing_there_is_no_table(experiment):
    experiment.about = {}
    assert affect.postprocessing(experiment) is None


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


def test_every_stream_and_mode_has_its_words():
    assert set(notes.MODES) == set(notes.RANDOM) == set(MODES)
    assert set(notes.STREAMS) == {*STREAMS, "paralinguistic"}


def test_a_card_stands_in_the_notes_of_the_metrics(affect, tmp_path):
    predictions.write(affect, tmp_path / "x.csv")
    card = {"f": {"stream": "aligned", "mode": "token_unsupervised", "fusion": "disentangled"}}
    found = evaluate.run(tmp_path / "x.csv", {"notes": card}, 0, tmp_path / "x.json", tmp_path / "p.csv")
    assert set(notes.of_card(card)) <= set(found["about"][0]["notes"])


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
        (path / "spaces.png").write_bytes(PIXEL)
        return path

    return folder


def test_the_section_has_the_numbers_of_the_files(folder):
    html = semantics.section([folder(diagnostics())])
    text, cells = words(html), rows(html)
    assert "11,027 spoken words (1.00 h, 12 speakers) of libri, partitions train alone" in text
    assert "words spread evenly over the speech, which is rough, inside timed sentences" in text
    assert ["chance", "0.1%", "0.5%", "1.0%", "0.1%", "0.5%", "1.0%", "-"] in cells
    (aligned,) = [row for row in cells if row[0].startswith("aligned")]
    assert aligned[1:] == ["0.0%", "1.0%", "3.0%", "0.0%", "1.0%", "3.0%", "1.25"]
    assert ["speech (Speech2Vec)", "50.0%", "25.0%", "0.12"] in cells
    assert ["words with a vector of text", "75.0%"] in cells
    assert ["label rows inside a word", "25.0%"] in cells
    assert "words in 19 of 20 recordings of sewa" in text
    assert "Chen 2022" in text
    assert "SYNTHETIC" not in text
    assert html.count("<caption>") == html.count("<table") == 3
    (image,) = re.findall("<img[^>]*>", html)
    assert re.search('alt="[^"]+"', image)


def test_word_similarity_stands_where_a_list_was_given(folder):
    card = diagnostics(synthetic=True)
    given = {**card["text"], "similarity": {"pairs": 7, "of": 30, "spearman": 0.5}}
    html = semantics.section([folder({**card, "text": given, "speech": given, "random": given})])
    assert ["text (Word2Vec)", "50.0%", "25.0%", "0.12", "0.50 (7 pairs)"] in rows(html)
    assert "SYNTHETIC data" in html


def test_no_folder_no_section_and_missing_files_are_left_out(folder):
    assert semantics.section([]) is None
    path = folder(diagnostics())
    (path / "streams.json").unlink()
    (path / "spaces.png").unlink()
    html = semantics.section([path])
    assert "coverage" not in html
    assert "<img" not in html


def test_ids_and_names_are_safe(folder):
    html = semantics.section([folder(diagnostics(), name) for name in ("a", "b<i>")])
    ids = re.findall('id="([^"]*)"', html)
    assert ids == ["semantics", "semantics-a", "semantics-b-i-"]
    assert "<i>" not in html


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
    ("own", "told", "said"),
    [
        (0.2, 0.0, "told no word finds held-out words again"),
        (0.0, 0.2, "have something in common"),
        (0.03, 0.03, "not even a map that was told the other words"),
    ],
)
def test_what_can_be_concluded_follows_from_the_numbers(own, told, said):
    text = semantics.verdict(diagnostics(own, told))
    assert said in text
    assert f"aligned {round(100 * own)}, supervised {round(100 * told)}, random_vectors" in text
    assert "; 1.0 by chance;" in text
    assert "nothing; no word was held out" in semantics.verdict(diagnostics(n=0))


def test_the_report_of_words_needs_no_torch():
    code = (
        "import sys, ser.report.html.semantics, ser.report.html.affect, ser.evaluation.postprocessing\n"
        "heavy = {'torch', 'librosa', 'matplotlib', 'scipy', 'gensim'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
