"""The HTML report, read as a browser and a screen reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from ser.core.files import write_json, write_text
from ser.core.layout import Layout
from ser.core.store import Writer
from ser.evaluation import evaluate, predictions, results
from ser.evaluation.predictions import Predictions
from ser.report import charts, cost, experiment, gallery, sound
from ser.report.study import load
from ser.report.tables import Cell, Table
from ser.report.write import TEMPLATES, contents, render, write
from tests.conftest import ROOT

VOID = {"meta", "link", "img", "br", "wbr"}
SCRIPT = (TEMPLATES / "page.js").read_text(encoding="utf-8")
STYLE = (TEMPLATES / "style.css").read_text(encoding="utf-8")


def page(layout, **more):
    """The HTML of a study without its figures, which take time to draw."""
    return render("report.html", contents(load(layout)) | {"provenance": ["today"], **more})


class Page(HTMLParser):
    """All elements as (name, attributes), the headings' levels, the text; fails on tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "wbr":
            self.words.append("\0")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]

    @property
    def text(self):
        return " ".join(" ".join(self.words).replace(" \0 ", "").split())


DETAILS = {"model": "svm", "corpus": "emodb", "protocol": "leave_one_speaker_out", "speaker_independent": True}


@pytest.fixture
def make(emotions, affect, tmp_path, monkeypatch):
    """Writes a study of two categorical experiments and a continuous one; make(**details) -> its layout."""
    monkeypatch.chdir(tmp_path)
    layout = Layout("s")

    def make(corpora=None, audio=True, **details):
        worse = emotions.copy()
        scores = [c for c in worse if c.startswith("score_")]
        worse[scores] = np.random.default_rng(1).dirichlet([1] * len(scores), size=len(worse))
        for name, table, more in (
            ("good", emotions, {"paper": "fusion_convbert.table_4.cnns.emodb/speaker_independent"}),
            ("bad-<b>", worse, {}),
            ("affect", affect, {"corpus": "sewa", "protocol": "partitions"}),
        ):
            predictions.write(table, layout.predictions(name))
            given = {**DETAILS, **more, **details}
            card = {"device": "cpu", "folds": "loso", "notes": {"f": {"parameters": 1234}}}
            write_json(layout.card(name), {"synthetic": False, **card, **details})
            results.write(layout, evaluate.run(layout, name, given, 50))
            curve = "evaluation,train_loss,train_center,dev_loss,dev_score,folds\n1,2,1,2.1,,3\n2,1.5,.5,1.9,0.4,3\n"
            write_text(layout.curves(name), curve)
        part = {"utterances": 20, "unlabelled": 0, "seconds": 1.0, "speakers": 1, "absent": []}
        audit = {
            "where": "loso", "corpus": ["emodb"], "synthetic": False, "speaker_independent": True,
            "tests_each_once": True, "folds": 1, "utterances": 120, "speakers": 6, "unused": {}, "equal_audio": [],
            "parts": {"03": {"train": part, "dev": {**part, "utterances": 0}, "test": part}},
            "shared": {k: {} for k in ("speaker", "session", "dialogue", "text", "file")},
        }  # fmt: skip
        write_json(layout.folds("loso").with_suffix(".json"), {"audit": audit})
        names = ["good", "bad-<b>", "affect"]
        settings = {"study": "s", "experiments": names, "folds": dict.fromkeys(names, "loso"), "corpora": corpora or {}}
        settings["audio"] = audio
        write_json(layout.data / "settings" / "report.json", settings)
        return layout

    return make


@pytest.fixture
def read(make):
    return lambda **details: Page(page(make(**details)))


def test_the_page_is_sound_and_can_be_read_without_eyes_or_mouse(read):
    found = read()
    assert found.all("html") == [{"lang": "en"}]
    assert "Study s - ser report" in found.text
    assert len(found.all("h1")) == len(found.all("main")) == 1
    levels = [int(name[1]) for name, _ in found.elements if re.fullmatch("h[1-6]", name)]
    assert all(b <= a + 1 for a, b in pairwise(levels))
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for a in found.all("a")]
    assert links[0] == "#main"
    assert {link[1:] for link in links} <= set(ids)
    assert all(a.get("scope") in ("row", "col") for a in found.all("th"))
    assert len(found.all("caption")) == len(found.all("table"))
    scrolling = [a for a in found.all("div") if a.get("class") == "scroll"]
    assert scrolling
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolling)
    assert all(a.get("role") == "img" and a.get("aria-label") for a in found.all("svg"))
    assert all(a.get("alt") for a in found.all("img"))


def test_nothing_is_asked_of_a_network(read):
    found = read()
    assert [a.get("type") for a in found.all("script")] == ["application/json", "application/json", None]
    for asks in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "innerHTML", "eval("):
        assert asks not in SCRIPT
    assert len(SCRIPT) < 13_000
    for name, attributes in found.elements:
        for key in ("src", "href"):
            assert attributes.get(key, "#").startswith(("#", "data:")), (name, key)
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def test_every_section_is_there_with_the_numbers_of_the_files(read):
    found = read()
    for words in (
        "Compare two systems",
        "Speakers",
        "Data",
        "Results",
        "The tests below compare both systems",
        "Published and ours",
        "Leak audit",
        "Notes",
    ):
        assert words in found.text, words
    for words in ("Confusions", "Classes", "Speakers", "Folds", "Calibration", "Learning curves"):
        assert words in found.text, words
    for words in ("Recordings", "True and predicted", "Worst errors", "not comparable", "good is better", "1,234"):
        assert words in found.text, words
    ua = load(Layout("s")).experiments["good"].result.headline
    assert f"{ua.value:.2f} [{ua.low:.2f}, {ua.high:.2f}]" in found.text
    assert "train_center" in found.text  # the parts of a loss have curves of their own


def test_numbers_of_others_are_there_with_their_sources(read):
    found = read().text
    assert "What others published" in found
    assert "Table 2, also src/IEMOCAP.png" in found
    assert "What others published" not in read(synthetic=True).text


def test_lines_of_one_chart_differ_in_colour_and_dash():
    names = [f"curve{k}" for k in range(6)]
    drawn = charts.lines("loss", {n: np.arange(3.0) + k for k, n in enumerate(names)}, "epoch", "loss")
    assert len(set(re.findall(r'class="line (l\d)"', drawn))) == len(names)
    for k in range(6):
        assert re.search(rf"\.l{k} \{{ stroke: var\(--l{k}\)", STYLE)
    dashes = re.findall(r"stroke-dasharray: ([\d ]+);? ?\}", STYLE)
    assert len(set(dashes)) == len(dashes)


def test_names_from_data_never_become_markup(read):
    found = read()
    assert "bad-<b>" in found.text
    assert not found.all("b")
    drawn = charts.lines('<u a="', {"<b>": np.arange(3.0)}, "x", "y")
    assert "<u" not in drawn
    assert "<b" not in drawn


def test_a_table_leaves_out_empty_columns_and_what_text_cannot_show():
    table = Table("t", ("a", "b", "c"), [("x|y", "", Cell(inner="<i></i>")), (Cell("1", "two"), "", Cell())])
    assert table.columns == ["a", "c"]
    assert table.markdown() == "| a |\n| --- |\n| x\\|y |\n| 1 (two) |"


def test_synthetic_is_said_wherever_synthetic_results_are(read):
    real, made = read(), read(synthetic=True)
    assert "SYNTHETIC" not in real.text
    assert "Study s (SYNTHETIC data)" in made.text
    assert made.text.count("SYNTHETIC data") > 5  # title, heading, banner, notes, each experiment


def without_provenance(path):
    return re.sub('<footer class="provenance">.*?</footer>', "", path.read_text())


def test_equal_inputs_give_equal_bytes_but_for_the_provenance(make):
    layout = make()
    first, files = without_provenance(write(layout)), {p: p.read_bytes() for p in layout.report.iterdir()}
    assert without_provenance(write(layout)) == first
    assert all(p.read_bytes() == content for p, content in files.items() if p.suffix != ".html")
    names = {"report.html", "report.md", "ledger.md", "ua.png", "ccc.png", "confusion-good.png", "traces-affect.png"}
    assert {p.name for p in files} > names


def test_the_page_says_from_which_code_and_on_which_machine_it_was_made(make):
    found = Page(write(make()).read_text()).text
    assert re.search(r"ser \d", found)
    assert "Python 3." in found
    assert "numpy" in found
    assert f"{os.cpu_count()} processors" in found
    assert re.search(r"commit \w{7,} of 20\d\d-\d\d-\d\d", provenance_of_the_repository())


def provenance_of_the_repository():
    code = "from ser.report.write import provenance; print('; '.join(provenance()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    if "commit" not in done.stdout:
        pytest.skip("not a git checkout")
    return done.stdout


COST = {
    "folds": 20, "seconds": 754.2, "peak_bytes": 1_234_000_000, "device": "cpu", "threads": 1, "resumed": False
}  # fmt: skip


def test_the_cost_of_a_training_is_shown_and_is_all_that_differs_between_runs(make):
    layout = make()
    without = page(layout)
    assert "13 min" not in without
    write_json(layout.cost("good"), COST)
    first = page(layout)
    found = Page(first)
    words = (
        "13 min of training (20 folds and seeds added up), at most 1.2 GB of memory per worker, 1 thread, device cpu"
    )
    assert f"Cost: {words}, 1,234 parameters" in found.text
    assert "are the same at every run" in found.text
    assert len([a for a in found.all("td") if a.get("class") == "cost"]) == 2  # good, and bad without a cost
    assert len(found.all("caption")) == len(found.all("table"))
    resumed = {**COST, "seconds": 7300, "peak_bytes": 5e8, "gpu_bytes": 3e9, "resumed": True}
    write_json(layout.cost("good"), {**resumed, "device": "cuda", "threads": 2})
    again = page(layout)
    assert "at least 2.0 h of training (20 folds and seeds added up; what was trained before" in Page(again).text
    assert "at most 500 MB of memory per worker, at most 3.0 GB on the GPU, 2 threads, device cuda" in Page(again).text

    def rest(text):
        text = re.sub(r'<section id="training".*?</section>', "", text, flags=re.S)
        return re.sub(r'<(p|td) class="cost">.*?</\1>', "", text)

    assert first != again
    assert rest(first) == rest(again)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59, "59 s"), (119, "119 s"), (120, "2.0 min"), (7200, "2.0 h"), (1e6, "278 h")],
)
def test_times_are_in_units_one_can_read(seconds, text):
    assert cost.time({**COST, "seconds": seconds}) == text


def test_the_ledger_keeps_what_was_not_run_by_class_and_cited_behind_folds(read):
    found = read()
    assert len(found.all("details")) > 4
    for words in ("numbers by class", "numbers cited from others", "published numbers not run here"):
        assert words in found.text
    assert "cited in table 8, not the paper's own: context only" in found.text


def test_writing_a_report_imports_no_heavy_library():
    code = "import sys, ser.report.write; print([h for h in ('torch', 'librosa', 'matplotlib') if h in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_figures_are_inside_and_missing_arrays_are_explained(make):
    layout = make()
    write_json(layout.card("good"), {"folds": "loso", "artefacts": "checkpoints/gone.npz"})
    write_text(layout.about_pretraining("speech") / "curve.csv", "step,train_l1,dev_l1\n1,1,1.1\n2,0.8,0.9\n")
    study = load(layout)
    drawn = gallery.draw(study)
    found = Page(render("report.html", contents(study, drawn) | {"provenance": []}))
    (image,) = found.all("img")
    assert image["src"].startswith("data:image/png;base64,")
    assert image["alt"] == "affect: traces"
    assert "gone.npz, which is not on this machine: dvc repro -f -s studies/s/dvc.yaml:train@good makes" in found.text
    assert "speech/samples.npz: dvc repro -f -s studies/s/dvc.yaml:pretrain@speech makes it." in found.text
    assert "L1 loss of masked frames" in found.text


def test_arrays_of_the_first_fold_become_figures(make, emotions):
    layout, g = make(), np.random.default_rng(0)
    names = sorted(set(emotions["utterance"]))[:20]
    arrays = {
        "utterances": np.array(names), "latents": g.normal(size=(20, 4)), "examples": np.array([0, 19]),
        "inputs": g.random((2, 32, 10)), "reconstructions": g.random((2, 4, 32, 10)), "axes": np.array([100.0, 16e3]),
    }  # fmt: skip
    np.savez("first.npz", **arrays)
    write_json(layout.card("good"), {"folds": "loso", "artefacts": "first.npz"})
    study = load(layout)
    study = replace(study, corpora={study.experiments["good"].about.corpus: {"shareable": True}})
    drawn = gallery.draw(study)
    assert not drawn.missing
    assert [p.path.name for p in drawn.experiments["good"]] == ["latents-good.png", "reconstructions-good.png"]
    test = gallery.tested(study, study.experiments["good"], arrays)
    truth = emotions.drop_duplicates("utterance").set_index("utterance")["truth"]
    assert test["emotion"].tolist() == truth.loc[names].tolist()


@pytest.mark.parametrize("synthetic", [True, False])
def test_pictures_of_an_encoder_say_that_its_speech_was_synthetic(make, synthetic):
    layout = make()
    write_json(layout.pretrained("speech") / "card.json", {"corpus": "speech", "synthetic": synthetic})
    frames = np.zeros((1, 4, 3))
    arrays = {"original": frames, "masked": frames, "predicted": frames, "hidden": np.zeros((1, 4))}
    np.savez(layout.pretrained("speech") / "samples.npz", **arrays, lengths=np.array([4]), frame_rate=np.array(50.0))
    study = replace(
        load(layout), pretraining=(layout.about_pretraining("speech"),), corpora={"speech": {"shareable": True}}
    )
    (picture,) = gallery.draw(study).pretraining["speech"]
    assert picture.path.is_file()
    assert ("SYNTHETIC" in picture.title) is synthetic


def store(layout, emotions, seconds=1.0):
    ids = sorted(set(emotions["utterance"]))
    with Writer(layout.audio("emodb"), None, "int16", {"rate": 8000}) as writer:
        for k, name in enumerate(ids):
            tone = 8000 * np.sin(np.arange(int(seconds * 8000)) * 0.1 * (k + 1))
            writer.append(name, tone.astype(np.int16))


def test_what_an_encoder_has_heard_is_in_the_notes_and_in_the_ledger(read):
    encoder = {"bundle": "WAVLM_LARGE", "sha256": "ab" * 32, "pretrained_on": ["librilight", "emodb"]}
    text = read(encoders={"wavlm": encoder}).text
    assert f"encoder WAVLM_LARGE (SHA-256 {'ab' * 6}), pretrained on librilight, emodb" in text
    assert "the encoder WAVLM_LARGE was pretrained on the tested corpus emodb" in text
    assert "features of WAVLM_LARGE, pretrained on librilight and emodb" in text


def test_worst_errors_can_be_heard_where_the_licence_allows(make, emotions):
    layout = make({"emodb": {"licence": "CC0", "shareable": True}})
    assert "no players: the audio was not on the machine where the report was made" in Page(page(layout)).text
    store(layout, emotions)
    first = page(layout)
    players = Page(first).all("audio")
    assert len(players) > 5
    assert all(p["preload"] == "none" and p["src"].startswith("data:audio/mpeg;base64,") for p in players)
    assert page(layout) == first
    make({"emodb": {"licence": "secret", "shareable": False}})
    kept = Page(page(layout))
    assert not kept.all("audio")
    assert "no players: the licence does not allow audio of this corpus to leave the machine" in kept.text
    make({"emodb": {"licence": "CC0", "shareable": True}}, audio=False)
    asked = Page(page(layout))
    assert not asked.all("audio")
    assert "no players: params.yaml has report.audio: false" in asked.text


def test_players_keep_to_their_budget_and_each_clip_stands_once(make, emotions, monkeypatch):
    layout = make()
    store(layout, emotions)
    players = sound.Players(layout, {})
    first, again = players.player("emodb", "u00-00"), players.player("emodb", "u00-00")
    assert first.inner.startswith('<audio id="clip-emodb-u00-00"')
    assert again == Cell("player above", href="clip-emodb-u00-00")
    monkeypatch.setattr(sound, "BUDGET", players.spent)
    assert players.player("emodb", "u00-01") is None
    assert "the page would grow too large" in players.reasons["emodb"]
    monkeypatch.setattr(sound, "LONGEST", 0.5)
    assert players.player("emodb", "u00-02") is None
    assert players.reasons["emodb"].startswith("longer than")


def test_worst_errors_are_those_it_was_most_sure_of():
    rows = [("u1", 1, 0.6, 0.4), ("u1", 2, 0.9, 0.1), ("u2", 1, 1.0, 0.0), ("u2", 2, 0.3, 0.7), ("u3", 1, 0.1, 0.9)]
    table = pd.DataFrame(rows, columns=["utterance", "seed", "score_a", "score_b"])
    table = table.assign(corpus="c", speaker="s", truth="b")
    found = experiment.worst_classes(Predictions(table, "classification", ("a", "b")))
    assert found["utterance"].tolist() == ["u1", "u2"]  # mean gaps 0.5 and 0.3; u3 is right
    assert found["score_of_it"].tolist() == pytest.approx([0.75, 0.65])


def luminance(colour):
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one, two):
    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_the_contrast_of_wcag_aa():
    """4.5 for text on each of its backgrounds, 3 for lines and ticks, in light, dark and print."""
    assert contrast("#000000", "#ffffff") == 21
    blocks = re.findall(r":root \{\s*(--[^}]*)\}", STYLE)
    assert len(blocks) == 3
    for block in blocks:
        c = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        grounds = ["page", "panel", *(f"s{k}" for k in range(5))]
        pairs = [("ink", g) for g in grounds] + [("soft", g) for g in ("page", "panel")]
        pairs += [("link", "page"), ("link", "panel"), ("warn", "page"), ("warn", "warn-panel")]
        assert all(contrast(c[a], c[b]) >= 4.5 for a, b in pairs), block
        assert all(contrast(c[a], c["page"]) >= 3 for a in (*(f"l{k}" for k in range(charts.LINES)), "accent"))
        assert contrast(c["accent"], c["panel"]) >= 3


def test_every_colour_of_the_style_is_one_of_its_variables():
    style = STYLE
    rest = re.sub(r":root \{\s*--[^}]*\}", "", style)
    assert re.findall(r"#[0-9a-f]{3,8}\b", rest) == ["#ffffff"]  # behind pictures, drawn for white paper
    assert set(re.findall(r"var\(--([\w-]+)\)", rest)) <= set(re.findall(r"--([\w-]+):", style))


def test_pictures_of_a_licensed_corpus_are_not_in_the_report(make, emotions):
    """Of a corpus whose licence does not allow it, no picture shows a sound or a word; numbers and points remain."""
    layout, g = make(), np.random.default_rng(0)
    arrays = {
        "utterances": np.array(sorted(set(emotions["utterance"]))[:2]), "latents": g.normal(size=(2, 4)),
        "inputs": g.random((1, 8, 4)), "reconstructions": g.random((1, 4, 8, 4)), "axes": np.array([100.0, 16e3]),
        "examples": np.array([0]),
    }  # fmt: skip
    np.savez("first.npz", **arrays)
    write_json(layout.card("good"), {"folds": "loso", "artefacts": "first.npz"})
    write_text(layout.about_pretraining("speech") / "curve.csv", "step,train_l1,dev_l1\n1,1,1.1\n2,0.8,0.9\n")
    write_json(layout.pretrained("speech") / "card.json", {"corpus": "licensed", "synthetic": False})
    write_json(layout.about_words("w") / "diagnostics.json", {"corpus": "free+licensed", "synthetic": False})
    study = load(layout)
    name = study.experiments["good"].about.corpus
    corpora = {name: {"shareable": False}, "free": {"shareable": True}, "licensed": {"shareable": False}}
    good = study.experiments["good"]
    result = replace(good.result, description=replace(good.about, data="real"))
    licensed = replace(study, corpora=corpora, experiments={"good": replace(good, result=result)})
    drawn = gallery.draw(licensed)
    assert set(drawn.missing) == {"good", "pretraining/speech", "words/w"}
    assert all("the licence does not allow" in reason for reason in drawn.missing.values())
    assert not any((drawn.experiments.get("good"), drawn.pretraining, drawn.words))
