"""Claims of the papers as data, and their test on results: the page docs/what_holds.md."""

from __future__ import annotations

import numpy as np
import pytest

from ser.core.layout import Layout
from ser.evaluation import predictions, results
from ser.evaluation.claims import claims, others
from ser.evaluation.evaluate import describe, score
from ser.evaluation.published import numbers
from ser.report import holds, sections
from ser.report.write import render


def test_every_claim_is_about_systems_of_its_paper_and_printed_as_claimed():
    """A claim that the printed numbers contradict would be a slip in the file."""
    assert len(claims()) == 27
    assert len({(c.paper, c.a, c.b) for c in claims()}) == 27
    systems = set(zip(numbers()["paper"], numbers()["system"], strict=True))
    for claim in claims():
        assert {(claim.paper, claim.a), (claim.paper, claim.b)} <= systems, claim
        assert claim.printed, claim
        for printed in claim.printed:
            assert None in (printed.a, printed.b) or printed.a > printed.b, (claim, printed)


def test_a_claim_without_numbers_counts_where_the_text_makes_it():
    """P1 says so of IEMOCAP in Figure 9, whose bars for it were not read; P2 prints no SVM for its random folds."""
    by_text = {c.text: c for c in claims()}
    ninth = by_text["fusion_a_finetuned > fusion_b_frozen"].printed
    assert [(p.corpus, p.b) for p in ninth] == [
        ("emodb", 0.843),
        ("emodb", 0.8614),
        ("iemocap", None),
        ("iemocap", None),
    ]
    assert [p.protocol for p in by_text["ae_ee_in > is10_svm"].printed] == ["loso10"]


def test_numbers_of_others_name_their_source():
    table = others()
    assert (table[["system", "source", "where", "selection"]] != "").all().all()
    assert table["value"].between(0, 1).all()
    pairs = table[table["kind"] == "selection"].groupby("protocol")
    assert {name: own["value"].tolist() for name, own in pairs} == {
        "leave_one_session_out": [0.7179, 0.7448], "speaker_independent": [0.7294, 0.7764]
    }  # fmt: skip


@pytest.fixture
def study(make_emotions, tmp_path, monkeypatch):
    """study(name=wrong share, ...) -> results of these experiments on ten speakers, with their files."""
    monkeypatch.chdir(tmp_path)

    def made(synthetic=False, **wrong):
        found = {}
        for name, share in wrong.items():
            table = make_emotions(speakers=10, seeds=(1,))
            scores = [c for c in table if c.startswith("score_")]
            classes = [c.removeprefix("score_") for c in scores]
            said = table["truth"].map(classes.index).to_numpy()
            rng = np.random.default_rng(len(name))
            said = np.where(rng.random(len(said)) < share, (said + 1) % len(classes), said)
            table[scores] = 0.7 * np.eye(len(classes))[said] + 0.3 / len(classes)
            name = name.replace("__", "-")
            layout = Layout("s")
            layout.predictions(name).parent.mkdir(parents=True, exist_ok=True)
            predictions.write(table, layout.predictions(name))
            about = {
                "experiment": name,
                "corpus": "emodb",
                "protocol": "speaker_independent",
                "speaker_independent": True,
            }
            about |= {"synthetic": synthetic, "size": "reduced", "selection": "dev", "model": "cnns"}
            found[name] = score(predictions.read(layout.predictions(name)), describe(about), 100)
        return {"s": found}

    return made


def verdicts(found):
    return {(t.found.a, t.found.b): t.verdict for t in holds.evidence(found, draws=200)}


def test_a_claim_holds_fails_or_is_not_shown_by_the_paired_test(study):
    found = study(fusion_convbert__emodb__si=0.1, cnns__emodb__si=0.6, bert__emodb__si=0.6, transformer__emodb__si=0.1)
    a = "fusion_convbert-emodb-si"
    assert verdicts(found) == {
        (a, "cnns-emodb-si"): "holds",
        (a, "bert-emodb-si"): "holds",
        (a, "transformer-emodb-si"): "not shown",
        ("bert-emodb-si", "transformer-emodb-si"): "the opposite holds",
    }


def test_p_is_corrected_over_all_tests_about_one_paper(study):
    found = study(fusion_convbert__emodb__si=0.1, cnns__emodb__si=0.6, bert__emodb__si=0.6)
    tests = holds.evidence(found, draws=200)
    assert [t.difference.p for t in tests] == [2 / 1024] * 2
    assert [t.difference.p_holm for t in tests] == [4 / 1024] * 2


def test_variants_of_ours_answer_no_printed_comparison(study):
    found = study(fusion_stem__emodb__si=0.1, cnn_statistics__emodb__si=0.6, cnns__emodb__loso=0.5)
    (test,) = holds.evidence(found, draws=200)
    assert (test.ours, test.claim.text, test.verdict) == (True, "fusion_convbert > cnns", "holds")
    assert not any(test.answers(p) for p in test.claim.printed)


def test_synthetic_data_and_other_folds_are_no_evidence(study):
    assert verdicts(study(synthetic=True, fusion_convbert__emodb__si=0.1, cnns__emodb__si=0.6)) == {}
    assert verdicts(study(fusion_convbert__emodb__si=0.1, cnns__emodb__loso=0.6)) == {}


def test_the_page_has_a_row_for_each_test_and_lists_the_rest_as_open(study):
    found = study(fusion_convbert__emodb__si=0.1, cnns__emodb__si=0.6)
    text = render("what_holds.md", holds.contents(found))
    printed = sum(len(c.printed) for c in claims())
    lines = [line for line in text.splitlines() if " > " in line]
    assert len(lines) == printed  # one answered by the one test, the others open
    assert "| fusion convbert > cnns | 0.860 and 0.781 (table 4) | fusion_convbert-emodb-si / cnns-emodb-si |" in text
    assert "6 claims, printed in 24 comparisons, 23 of them open. 1 test: 1 holds." in text
    assert (
        "| fusion convbert > cnns | iemocap, speaker independent | table 5 | 0.671 | 0.647 | licence: IEMOCAP" in text
    )
    empty = render("what_holds.md", holds.contents({}))
    assert "There are no results to test anything on." in empty
    assert len([line for line in empty.splitlines() if " > " in line]) == printed


def test_numbers_of_others_stand_beside_ours_under_the_same_protocol(study):
    found = study(cnns__emodb__loso=0.2)["s"]["cnns-emodb-loso"]
    assert sections.other_results([]) is None
    rows = sections.other_results([found]).body
    assert [row[3] for row in rows] == ["0.718", "0.745", "0.729", "0.776"]  # what choosing on test is worth
    from dataclasses import replace

    about = replace(found.description, protocol="leave_one_speaker_out")
    rows = sections.other_results([replace(found, description=about)]).body
    assert [row[3] for row in rows[:4]] == ["0.770", "0.730", "0.771", "0.934"]
    assert rows[0][5].text == results.text(found.scores["wa"], 3)
    assert rows[2][5].text == results.text(found.scores["ua"], 3)
    marked = replace(found, description=replace(about, transductive=True))
    assert len(sections.other_results([marked]).body) == 4
