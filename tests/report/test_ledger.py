from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from ser.core.errors import SerError
from ser.evaluation import predictions
from ser.evaluation.evaluate import describe, score
from ser.evaluation.published import published
from ser.evaluation.results import Description, Result, Score
from ser.report import ledger, sections
from ser.report.write import render

CELL = "fusion_convbert.table_4.cnns.emodb/speaker_independent"
ABOUT = Description(
    "x", paper=CELL, corpus="emodb", protocol="speaker_independent", data="real", size="paper", selection="dev",
    folds=10, transductive=False, control="none",
)  # fmt: skip


def result(wa=(0.79, 0.75, 0.83), recall=None, weighted_f1=None, **about):
    """A result with a WA and its interval; P1's Table 4 prints 0.7942 for it."""
    return Result(replace(ABOUT, **about), {"wa": Score(*wa)}, recall=recall or {}, weighted_f1=weighted_f1)


def wa_of(experiments):
    (row,) = [r for r in ledger.rows(experiments) if r.metric == "WA" and r.ran]
    return row


def test_reproduced_is_said_by_the_rule_alone():
    row = wa_of({"x": result()})
    assert (row.published, row.ours.value, row.verdict) == (0.7942, 0.79, "reproduced")
    assert row.difference == pytest.approx(-0.0042)
    assert wa_of({"x": result(wa=(0.79, 0.78, 0.794))}).verdict == "differs: published is above our interval"
    assert wa_of({"x": result(wa=(0.85, 0.80, 0.90))}).verdict == "differs: published is below our interval"


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"data": "synthetic"}, "SYNTHETIC data"),
        ({"data": "unknown"}, "unknown data"),
        ({"size": "reduced"}, "reduced size"),
        ({"protocol": "kfold"}, "another protocol"),
        ({"corpus": "ravdess"}, "another corpus"),
        ({"selection": "test_oracle"}, "selected on test"),
        ({"transductive": True}, "transductive"),
        ({"control": "shuffled_labels"}, "a control"),
    ],
)
def test_each_way_of_being_another_thing_forbids_the_word(about, reason):
    assert wa_of({"x": result(**about)}).verdict == f"not comparable: {reason}"


def test_folds_must_be_as_many_as_the_paper_has():
    key = "autoencoder_emotion_embedding.headline.ae_ee_in.emodb/cv5"
    found = result(wa=(0.92, 0.9, 0.94), paper=key, protocol="kfold", folds=5)
    assert wa_of({"x": found}).verdict == "reproduced"
    found = result(wa=(0.92, 0.9, 0.94), paper=key, protocol="kfold", folds=10)
    assert wa_of({"x": found}).verdict == "not comparable: another protocol"


def test_numbers_without_interval_or_labels_are_not_judged():
    assert wa_of({"x": result(wa=(0.79, None, None))}).verdict == "not comparable: no interval"
    assert wa_of({"x": result(wa=(None, None, None))}).verdict == "not comparable: no labels to score"


def test_every_number_of_the_papers_has_a_row():
    """P1 prints 16 cells of WA, UA, F1 in Tables 4-7; P4 six of four CCC each in Tables 2 and 3, and two of three."""
    rows = ledger.rows({})
    assert not any(r.ran for r in rows)
    own = ledger.of(rows, "own")
    p1 = [r for r in own if r.paper == "fusion_convbert" and r.table in {f"table {i}" for i in (4, 5, 6, 7)}]
    assert len(p1) == 48
    assert sum(r.flagged for r in p1) == 12  # Table 7 contradicts itself
    p4 = [r for r in own if r.paper == "semantic_ser"]
    assert len(p4) == 6 * 4 + 2 * 3
    assert {r.system for r in p4 if r.table == "table 4"} == {"disentangled attention"}
    assert not any("proposed" in r.system or "2019" in r.system for r in own)
    assert [r.published for r in own if r.table == "headline"] == [0.922, 0.956]


def test_numbers_cited_from_others_are_context_and_never_reproduced():
    """Counted in the papers: P1 Table 8 cites 10 numbers, Table 9 7; P2 Table 13 9, Table 14 5; P3 13 and 7; P4 Table 4
    the CCC of 4 systems on two parts, liking twice missing."""
    cited = ledger.of(ledger.rows({}), "cited")
    counts = Counter((r.paper.split("_")[0], r.table) for r in cited)
    assert counts["fusion", "table 8"] == 10
    assert counts["fusion", "table 9"] == 7
    assert (counts["autoencoder", "table 13"], counts["autoencoder", "table 14"]) == (9, 5)
    assert (counts["clstm", "table 4"], counts["clstm", "table 7"]) == (13, 7)
    assert counts["semantic", "table 4"] == 4 * 2 * 3 - 4
    assert all(r.verdict == f"cited in {r.table}, not the paper's own: context only" for r in cited)
    assert not any(r.system == "proposed" for r in cited)
    key = "fusion_convbert.table_8.guo_2019.emodb/speaker_independent"
    row = wa_of({"x": result(wa=(0.87, 0.85, 0.9), paper=key)})
    assert (row.kind, row.verdict) == ("cited", "not comparable: cited, not the paper's own")
    dang = "semantic_ser.table_4.dang_2017.sewa/devel"
    assert published(dang).kind == "cited"


BY_CLASS = {
    "paper": "autoencoder_emotion_embedding.headline.ae_ee_in.emodb/cv10",
    "protocol": "kfold",
    "recall": {"anger": 0.9, "fear": 0.98, "joy": 0.5},
}


def test_numbers_by_class_are_set_beside_our_recall_without_an_interval():
    """P2, Table 8: anger 93.96 / 96.40 / 95.13 (precision, recall, F1), fear recall 98.33."""
    rows = ledger.of(ledger.rows({"x": result(**BY_CLASS)}), "class")
    eighth = {r.metric: r for r in rows if r.table == "table 8"}
    assert len(eighth) == 7 * 3
    anger = eighth["recall of anger"]
    assert (anger.published, anger.ours.value, anger.ours.low, anger.experiment) == (0.964, 0.9, None, "x")
    assert anger.difference == pytest.approx(-0.064)
    assert anger.verdict == "not comparable: no interval"
    assert eighth["recall of fear"].published == 0.9833
    assert eighth["precision of anger"].published == 0.9396
    none = {eighth[m].verdict for m in ("precision of anger", "F1 of fear", "recall of happiness")}  # ours is joy
    assert none == {"not comparable: we keep no such number"}
    made = ledger.rows({"x": result(**BY_CLASS, data="synthetic")})
    assert {r.verdict for r in made if r.metric == "recall of anger" and r.ran} == {
        "not comparable: SYNTHETIC data, no interval"
    }


def test_means_of_a_table_by_class_are_our_headline_numbers():
    """P3, Table 6 (RAVDESS): accuracy 0.82, unweighted recall 0.81; Table 3 is IEMOCAP and contradicts itself."""
    key = "clstm.table_1.convlstm_skip_bigru_center.ravdess/cv5"
    found = result(wa=(0.8, 0.78, 0.83), paper=key, corpus="ravdess", protocol="kfold", folds=5, weighted_f1=0.79)
    rows = {r.metric: r for r in ledger.of(ledger.rows({"x": found}), "class") if r.ran}
    assert {r.table for r in rows.values()} == {"table 6"}
    assert (rows["overall accuracy"].published, rows["overall accuracy"].verdict) == (0.82, "reproduced")
    assert rows["weighted recall"].ours.value == 0.8  # the recalls weighted by their counts are the accuracy
    assert (rows["weighted F1"].ours.value, rows["weighted F1"].verdict) == (0.79, "not comparable: no interval")
    assert rows["unweighted precision"].ours.value is None
    flagged = [r for r in ledger.of(ledger.rows({}), "class") if r.paper == "clstm" and r.flagged]
    assert {r.table for r in flagged} == {"table 3"}


def test_numbers_by_class_stand_once():
    """P2's confusion matrices repeat the recalls of its tables, but one; P1 prints seven recalls in its text and one
    more (boredom) for the speaker-dependent EMO-DB."""
    rows = ledger.of(ledger.rows({}), "class")
    (other,) = [r for r in rows if r.table in {f"table {i}" for i in range(9, 13)}]
    assert (other.table, other.metric, other.published, other.flagged) == ("table 9", "recall of sadness", 0.7978, True)
    text = [r for r in rows if r.table == "text"]
    assert len(text) == 8
    assert {r.published for r in text if r.corpus == "emodb"} == {0.73}
    assert all(0 < r.published <= 1 for r in rows)


def test_rows_not_run_say_why():
    def why(experiments):
        return {(r.paper, r.system, r.corpus): r.verdict for r in ledger.rows(experiments)}

    nothing = why({})
    assert nothing["fusion_convbert", "bert", "iemocap"] == "not run: licence: IEMOCAP is given on a signed request"
    assert nothing["fusion_convbert", "bert", "emodb"].startswith("not run: emodb is not in this study")
    here = why({"x": result(paper="")})
    assert here["fusion_convbert", "bert", "emodb"].startswith("not run: GPU")
    assert here["fusion_convbert", "cnns", "emodb"] == "not run: not in this study"
    assert why({"x": result(paper="", data="synthetic")}) == nothing


def test_two_experiments_may_answer_to_one_cell_and_a_wrong_key_is_named():
    rows = [r for r in ledger.rows({"x": result(), "y": result(size="demo")}) if r.ran and r.metric == "WA"]
    assert [r.experiment for r in rows] == ["x", "y"]
    with pytest.raises(SerError, match="Did you mean 'table_4'"):
        ledger.rows({"x": result(paper=CELL.replace("table_4", "table4"))})


def test_the_test_partition_is_set_beside_the_published_test_row(make_affect, tmp_path):
    import pandas as pd

    test = make_affect().assign(fold="partition-test")
    test["utterance"] = test["utterance"].str.replace("Devel", "Test")
    test["prediction_valence"] = test["truth_valence"]
    predictions.write(pd.concat([make_affect(), test]), tmp_path / "p.csv")
    key = "semantic_ser.table_4.disentangled_attention.sewa/test"
    about = describe({"experiment": "x", "protocol": "partitions", "corpus": "sewa", "paper": key})
    found = score(predictions.read(tmp_path / "p.csv"), about, 20)
    rows = {r.metric: r for r in ledger.rows({"x": found}) if r.ran}
    assert (rows["CCC valence"].ours.value, rows["CCC valence"].ours.low) == (1.0, None)


@pytest.mark.parametrize("part", ["test", "devel"])
def test_one_partition_alone_answers_to_its_own_column_only(make_affect, tmp_path, part):
    """As the protocol makes them: one fold, whose headline it is."""
    fold = {"test": "partition-test", "devel": "partition-dev"}
    for other in fold:
        predictions.write(make_affect().assign(fold=fold[other]), tmp_path / "p.csv")
        details = {"protocol": "partitions", "corpus": "sewa", "synthetic": False, "size": "paper", "selection": "dev"}
        details["paper"] = f"semantic_ser.table_4.disentangled_attention.sewa/{part}"
        found = score(predictions.read(tmp_path / "p.csv"), describe({"experiment": "x", **details}), 20)
        rows = {r.metric: r for r in ledger.rows({"x": found}) if r.ran}
        expected = found.scores["ccc_valence"]
        assert (rows["CCC valence"].ours.value, rows["CCC valence"].ours.low) == (expected.value, expected.low)
        verdict = rows["CCC valence"].verdict
        assert (verdict == "not comparable: another partition") == (other != part), verdict


def test_the_markdown_file_has_all_rows():
    found = {"x": result()}
    rows = ledger.rows(found)
    text = render("ledger.md", {"study": "s", "published": sections.published_results(found)})
    assert text.startswith("# Published and ours: study s\n")
    lines = [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| table, row"))
    ]
    assert len(lines) == len(rows)
    assert text.count(" by class\n") == 3  # P4 prints nothing by class
    assert text.count(" cited from others\n") == 4
    assert (
        "| table 4, cnns | x | emodb, speaker independent | WA | 0.794 | 0.790 [0.750, 0.830] | -0.004 "
        "| real data, paper size, selection: dev | reproduced |" in text
    )
