from __future__ import annotations

import pytest

from ser.core.errors import SerError
from ser.evaluation import ledger, predictions
from ser.evaluation.evaluate import evaluate

CELL = "fusion_convbert.tables.table_4.rows.cnns.emodb/speaker_independent"
ABOUT = {
    "paper": CELL,
    "corpus": "emodb",
    "protocol": "speaker_independent",
    "data": "real",
    "size": "paper",
    "selection": "dev",
    "folds": 10,
    "transductive": False,
    "control": "none",
}


def metrics(wa=(0.79, 0.75, 0.83), **about):
    """A metrics file with a WA and its interval; P1's Table 4 prints 0.7942 for it."""
    return {**dict(zip(("wa", "wa_low", "wa_high"), wa, strict=True)), "about": [{**ABOUT, **about}]}


def wa_of(experiments):
    (row,) = [r for r in ledger.rows(experiments) if r.metric == "wa" and r.ran]
    return row


def test_reproduced_is_said_by_the_rule_alone():
    row = wa_of({"x": metrics()})
    assert (row.published, row.ours, row.verdict) == (0.7942, 0.79, "reproduced")
    assert row.difference == pytest.approx(-0.0042)
    assert wa_of({"x": metrics(wa=(0.79, 0.78, 0.794))}).verdict == "differs: published is above our interval"
    assert wa_of({"x": metrics(wa=(0.85, 0.80, 0.90))}).verdict == "differs: published is below our interval"


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
    assert wa_of({"x": metrics(**about)}).verdict == f"not comparable: {reason}"


def test_folds_must_be_as_many_as_the_paper_has():
    key = "autoencoder_emotion_embedding.headline.ae_ee_in.emodb/cv5"
    found = metrics(wa=(0.92, 0.9, 0.94), paper=key, protocol="kfold", folds=5)
    assert wa_of({"x": found}).verdict == "reproduced"
    found["about"][0]["folds"] = 10
    assert wa_of({"x": found}).verdict == "not comparable: another protocol"


def test_numbers_without_interval_or_labels_are_not_judged():
    assert wa_of({"x": metrics(wa=(0.79, None, None))}).verdict == "not comparable: no interval"
    assert wa_of({"x": metrics(wa=(None, None, None))}).verdict == "not comparable: no labels to score"


def test_every_own_cell_has_a_row_and_cited_ones_have_none():
    """P1 prints 16 cells of WA, UA, F1 in Tables 4-7; P4 six of four CCC each in Tables 2 and 3, and two of three."""
    rows = ledger.rows({})
    assert not any(r.ran for r in rows)
    p1 = [r for r in rows if r.paper == "fusion_convbert" and r.table in {f"table {i}" for i in (4, 5, 6, 7)}]
    assert len(p1) == 48
    assert sum(r.flagged for r in p1) == 12  # Table 7 contradicts itself
    p4 = [r for r in rows if r.paper == "semantic_ser"]
    assert len(p4) == 6 * 4 + 2 * 3
    assert {r.system for r in p4 if r.table == "table 4"} == {"disentangled attention"}
    assert not any("proposed" in r.system or "2019" in r.system for r in rows)
    assert [r.published for r in rows if r.table == "headline"] == [0.922, 0.956]


def test_rows_not_run_say_why():
    def why(experiments):
        return {(r.paper, r.system, r.corpus): r.verdict for r in ledger.rows(experiments)}

    nothing = why({})
    assert nothing["fusion_convbert", "bert", "iemocap"] == "not run: licence: IEMOCAP is given on a signed request"
    assert nothing["fusion_convbert", "bert", "emodb"].startswith("not run: emodb is not in this study")
    here = why({"x": metrics(paper="")})
    assert here["fusion_convbert", "bert", "emodb"].startswith("not run: GPU")
    assert here["fusion_convbert", "cnns", "emodb"] == "not run: not in this study"
    assert why({"x": metrics(paper="", data="synthetic")}) == nothing


def test_two_experiments_may_answer_to_one_cell_and_a_wrong_key_is_named():
    rows = [r for r in ledger.rows({"x": metrics(), "y": metrics(size="demo")}) if r.ran and r.metric == "wa"]
    assert [r.experiment for r in rows] == ["x", "y"]
    with pytest.raises(SerError, match="Did you mean 'table_4'"):
        ledger.rows({"x": metrics(paper=CELL.replace("table_4", "table4"))})


def test_the_test_partition_is_set_beside_the_published_test_row(make_affect, tmp_path):
    import pandas as pd

    test = make_affect().assign(fold="partition-test")
    test["utterance"] = test["utterance"].str.replace("Devel", "Test")
    test["prediction_valence"] = test["truth_valence"]
    predictions.write(pd.concat([make_affect(), test]), tmp_path / "p.csv")
    key = "semantic_ser.tables.table_4.rows.disentangled_attention.sewa/test"
    found = evaluate(tmp_path / "p.csv", {"protocol": "partitions", "corpus": "sewa", "paper": key}, 20)
    rows = {r.metric: r for r in ledger.rows({"x": found}) if r.ran}
    assert (rows["ccc_valence"].ours, rows["ccc_valence"].low) == (1.0, None)


def test_markdown_has_a_table_a_paper_and_all_rows():
    rows = ledger.rows({"x": metrics()})
    text = ledger.markdown(rows, "s")
    assert text.startswith("# Published and ours: study s\n")
    lines = [line for line in text.splitlines() if line.startswith(("| table ", "| figure ", "| headline "))]
    assert len(lines) == len(rows) + 4  # each paper's table has its header
    assert (
        "| table 4 | cnns | x | emodb | speaker independent | WA | 0.794 | 0.790 [0.750, 0.830] | -0.004 | dev | paper "
        "| real | reproduced |" in text
    )
