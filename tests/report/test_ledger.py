from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

from ser.core.errors import SerError
from ser.evaluation import pooling, predictions
from ser.evaluation.evaluate import describe, score
from ser.evaluation.published import numbers, published
from ser.evaluation.results import Description, Result, Score
from ser.report import ledger, sections
from ser.report.write import render

CELL = "fusion_convbert.table_4.cnns.emodb/speaker_independent"
ABOUT = Description(
    "x", paper=CELL, corpus="emodb", protocol="speaker_independent", data="real", size="paper", selection="dev",
    folds=10, transductive=False, control="none", model="cnns", seeds=(1, 2, 3),
)  # fmt: skip


def result(wa=(0.79, 0.75, 0.83), by_class=None, pretraining=None, **about):
    """A result with a WA and its interval; P1's Table 4 prints 0.7942 for it."""
    made = replace(ABOUT, **about)
    return Result(made, {"wa": Score(*wa)}, by_class=by_class or {}, pretraining=pretraining or {})


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


def test_features_of_an_encoder_that_the_paper_did_not_have_are_named_with_what_it_has_heard():
    encoder = {"bundle": "WAVLM_LARGE", "sha256": "ab", "pretrained_on": ["librilight", "gigaspeech"]}
    made = replace(result(), encoders={"wavlm": encoder})
    expected = "not comparable: features of WAVLM_LARGE, pretrained on librilight and gigaspeech"
    assert wa_of({"x": made}).verdict == expected
    random = replace(result(), encoders={"tiny": {"bundle": "TINY", "sha256": "random", "pretrained_on": []}})
    assert wa_of({"x": random}).verdict.endswith("features of TINY, pretrained on nothing")


def test_folds_must_be_as_many_as_the_paper_has():
    key = "autoencoder_emotion_embedding.headline.ae_ee_in.emodb/cv5"
    unknown = "; also the paper does not say what chose its epoch, or whether it counts crops"
    found = result(wa=(0.92, 0.9, 0.94), paper=key, protocol="kfold", folds=5)
    assert wa_of({"x": found}).verdict == "reproduced" + unknown
    found = result(wa=(0.92, 0.9, 0.94), paper=key, protocol="kfold", folds=10)
    assert wa_of({"x": found}).verdict == "not comparable: another protocol" + unknown


@pytest.mark.parametrize(
    ("about", "verdict"),
    [
        ({"seeds": (1,)}, "reproduced; also 1 seed instead of 3"),
        ({"seeds": (1, 2)}, "reproduced; also 2 seeds instead of 3"),
        ({"seeds": (1,), "size": "reduced"}, "not comparable: reduced size; also 1 seed instead of 3"),
        ({"seeds": (1,), "model": "svm"}, "reproduced"),
        (
            {"pretraining": {"train_hours": 0.762, "steps": 600}},
            "reproduced; also pretrained on 0.76 h for 600 steps instead of 363.6 h for 500,000",
        ),
        ({"pretraining": {"train_hours": 363.0, "steps": 500_000}}, "reproduced"),
    ],
)
def test_a_verdict_names_the_other_differences_that_are_known(about, verdict):
    assert wa_of({"x": result(**about)}).verdict == verdict


@pytest.mark.parametrize("stream", ["word2vec", "paralinguistic"])
def test_words_without_wikipedia_are_a_known_difference(stream):
    key = f"semantic_ser.table_2.{stream}.sewa/devel"
    about = {"paper": key, "corpus": "sewa", "protocol": "partitions", "fold": "dev", "model": "semantic"}
    found = replace(result(**about), scores={"ccc": Score(0.38, 0.3, 0.4)})
    (row,) = [r for r in ledger.rows({"x": found}) if r.ran and r.metric == "CCC"]
    also = "" if stream == "paralinguistic" else "; also our word vectors know no German Wikipedia"
    assert row.verdict == "reproduced" + also


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
    "model": "svm",
    "by_class": {
        "recall of anger": Score(0.9, 0.85, 0.95),
        "precision of anger": Score(0.93, 0.9, 0.96),
        "share of anger as disgust": Score(0.02, 0.0, 0.04),
        "share of sadness as sadness": Score(1.0),
    },
}


def test_numbers_by_class_and_cells_of_matrices_are_set_beside_ours_with_an_interval():
    """P2, Table 8: anger 93.96 / 96.40 / 95.13 (precision, recall, F1), fear recall 98.33. Table 12: anger as disgust
    1.11, sadness as sadness 100."""
    found = ledger.rows({"x": result(**BY_CLASS)})
    eighth = {r.metric: r for r in ledger.of(found, "class") if r.table == "table 8"}
    assert len(eighth) == 7 * 3
    also = "; also averaged over folds there, pooled here"
    anger = eighth["recall of anger"]
    assert (anger.published, anger.ours.value, anger.ours.low, anger.experiment) == (0.964, 0.9, 0.85, "x")
    assert anger.difference == pytest.approx(-0.064)
    assert anger.verdict == "differs: published is above our interval" + also
    assert eighth["recall of fear"].published == 0.9833
    assert (eighth["precision of anger"].published, eighth["precision of anger"].verdict) == (
        0.9396,
        "reproduced" + also,
    )
    assert {eighth[m].verdict for m in ("F1 of fear", "recall of happiness")} == {
        "not comparable: we keep no such number"
    }
    cells = {r.metric: r for r in ledger.of(found, "confusion") if r.table == "table 12"}
    assert len(cells) == 49
    disgust, sadness = cells["share of anger as disgust"], cells["share of sadness as sadness"]
    assert (disgust.published, disgust.verdict) == (0.0111, "reproduced" + also)
    assert (sadness.published, sadness.verdict) == (1.0, "not comparable: no interval" + also)
    made = ledger.rows({"x": result(**BY_CLASS, data="synthetic")})
    assert {r.verdict for r in made if r.metric == "recall of anger" and r.ran} == {
        "not comparable: SYNTHETIC data" + also
    }


def test_a_row_under_another_name_is_answered_by_the_same_experiment():
    """P1 prints its full model once more in Figure 9 and in Figure 10; P4 that of Table 3 in Table 4."""
    key = "fusion_convbert.table_4.fusion_convbert.emodb/speaker_independent"
    found = replace(result(paper=key), scores={"ua": Score(0.85, 0.8, 0.9)})
    ran = {(r.table, r.system) for r in ledger.rows({"x": found}) if r.ran and r.metric == "UA"}
    names = {("table 4", "fusion convbert"), ("figure 9", "fusion a finetuned"), ("figure 10", "robust bert")}
    assert ran == names
    same = numbers()[numbers()["same_as"] != ""]
    assert len(same) == 2 * 4 + 3
    assert set(same["same_as"]) <= set(numbers()["key"])
    for _, row in same.iterrows():
        (other,) = numbers()[(numbers()["key"] == row["same_as"]) & (numbers()["name"] == row["name"])]["value"]
        assert row["value"] == other


def test_stated_losses_are_set_beside_ours_and_never_reproduced():
    """P3 states final losses of 0.346 in training and 0.57 on test, and does not say on which corpus."""
    key = "clstm.table_1.convlstm_skip_bigru_center.ravdess/cv5"
    found = result(paper=key, corpus="ravdess", protocol="kfold", folds=5)
    rows = ledger.of(ledger.rows({"x": found}, {"x": {"train": 0.5, "test": 1.25}}), "loss")
    assert [(r.metric, r.published, r.ours.value) for r in rows] == [
        ("train loss", 0.346, 0.5),
        ("test loss", 0.57, 1.25),
    ]
    assert all(r.verdict.startswith("not comparable: the paper names no corpus, no interval") for r in rows)
    rows = ledger.of(ledger.rows({"x": found}), "loss")
    assert {r.verdict for r in rows} == {"not comparable: we keep no such number"}
    assert {r.verdict for r in ledger.of(ledger.rows({}), "loss")} == {
        "not run: no experiment of this study is this system under this protocol"
    }


def test_final_losses_are_the_end_of_the_curve_and_the_likelihood_of_the_test_parts():
    curve = pd.DataFrame({"evaluation": [1, 2, 3], "train_loss": [1.9, 0.8, None]})
    calibrated = replace(result(), calibration={"temperature": 1.0, "before": {"ece": 0.1, "nll": 0.7, "brier": 0.4}})
    assert ledger.final_losses(calibrated, curve) == {"train": 0.8, "test": 0.7}
    assert ledger.final_losses(result(), pd.DataFrame()) == {}


def test_all_numbers_of_the_papers_tables_can_be_answered():
    """One experiment for each system of each table, with our class names: nothing is left without ours, but the numbers
    of others and P4's mean over a test part without labels."""
    from ser.corpora import emodb, iemocap, ravdess

    classes = {"emodb": emodb.CARD.classes, "iemocap": iemocap.CARD.classes, "ravdess": ravdess.CARD.classes}
    table = numbers()[numbers()["kind"].isin(["own"])].dropna(subset="value")
    table = table[table["same_as"] == ""]
    experiments = {}
    for key, own in table.groupby("key"):
        corpus = own["corpus"].iloc[0]
        scores = {m: Score(0.5, 0.4, 0.6) for m in ("wa", "ua", "f1", "ccc", *own["metric"])}
        named = {name: Score(0.5, 0.4, 0.6) for name in pooling.by_class(classes.get(corpus, ()))}
        experiments[key] = Result(replace(ABOUT, paper=key, corpus=corpus), scores, by_class=named)
    rows = ledger.rows(experiments, {name: {"train": 0.5, "test": 0.5} for name in experiments})
    silent = [r for r in rows if r.kind != "cited" and (not r.ran or r.ours.value is None)]
    assert not silent, {(r.table, r.system, r.metric) for r in silent}
    assert sum(r.kind in ("own", "class") for r in rows if r.ran) == 244  # papers.md 8; all with an interval
    assert all(r.ours.low is not None for r in rows if r.ran and r.kind != "loss")


def test_means_of_a_table_by_class_are_our_headline_numbers():
    """P3, Table 6 (RAVDESS): accuracy 0.82, unweighted recall 0.81; Table 3 is IEMOCAP and contradicts itself."""
    key = "clstm.table_1.convlstm_skip_bigru_center.ravdess/cv5"
    named = {"weighted F1": Score(0.79), "unweighted precision": Score(0.8, 0.75, 0.85)}
    kfold = {"corpus": "ravdess", "protocol": "kfold", "folds": 5, "model": "svm"}
    found = result(wa=(0.8, 0.78, 0.83), paper=key, by_class=named, **kfold)
    rows = {r.metric: r for r in ledger.of(ledger.rows({"x": found}), "class") if r.ran}
    assert {r.table for r in rows.values()} == {"table 6"}
    assert (rows["overall accuracy"].published, rows["overall accuracy"].verdict) == (0.82, "reproduced")
    assert rows["weighted recall"].ours.value == 0.8  # the recalls weighted by their counts are the accuracy
    assert (rows["weighted F1"].ours.value, rows["weighted F1"].verdict) == (0.79, "not comparable: no interval")
    assert (rows["unweighted precision"].published, rows["unweighted precision"].verdict) == (0.8, "reproduced")
    assert rows["precision of anger"].ours.value is None
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
        assert verdict.startswith("not comparable: another partition") == (other != part), verdict


def test_the_markdown_file_has_all_rows():
    found = {"x": result()}
    rows = ledger.rows(found)
    text = render("ledger.md", {"study": "s", "published": sections.published_results(found), "others": None})
    assert text.startswith("# Published and ours: study s\n")
    lines = [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| table, row"))
    ]
    assert len(lines) == len(rows)
    assert text.count(" numbers by class\n") == 3  # P4 prints nothing by class
    assert text.count(" cells of confusion matrices\n") == 1  # P2's
    assert text.count(" losses that the text states\n") == 1  # P3's
    assert text.count(" cited from others\n") == 4
    assert (
        "| table 4, cnns | x | emodb, speaker independent | WA | 0.794 | 0.790 [0.750, 0.830] | -0.004 "
        "| real data, paper size, selection: dev | reproduced |" in text
    )
