"""The Markdown report of a study: the content of its tables and sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ser.evaluation import predictions, results
from ser.evaluation.evaluate import describe, score
from ser.evaluation.results import Across, Score
from ser.report.write import render, summary

CELL = "fusion_convbert.table_4.cnns.emodb/speaker_independent"
DETAILS = {
    "model": "cnns",
    "size": "demo",
    "corpus": "emodb",
    "protocol": "leave_one_speaker_out",
    "speaker_independent": True,
    "selection": "dev",
    "transductive": False,
    "synthetic": False,
}


@pytest.fixture
def result(emotions, affect, tmp_path):
    """Makes a result: result(kind, **details)."""
    predictions.write(emotions, tmp_path / "emotions.csv")
    predictions.write(affect, tmp_path / "affect.csv")

    def made(kind="emotions", **details):
        about = describe({"experiment": "x", **DETAILS, **details})
        return score(predictions.read(tmp_path / f"{kind}.csv"), about, 50)

    return made


def report(study, found, audits=()):
    found = {n: replace(r, description=replace(r.description, experiment=n)) for n, r in found.items()}
    values = summary(study, found, results.table(found.values()), {"x": {}})
    return render("report.md", values | {"audits": audits})


def rows(text: str, header: str = "experiment") -> list[dict[str, str]]:
    """All Markdown tables of a text as mappings column -> cell."""
    found, titles = [], None
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if not line.startswith("|"):
            titles = None
        elif titles is None:
            titles = cells
        elif set(line) - set("|- "):
            assert len(cells) == len(titles)
            found.append(dict(zip(titles, cells, strict=True)))
    return found


def test_rows_hold_what_the_metrics_files_hold(result):
    found = result(paper=CELL)
    (row,) = rows(report("s", {"cnns-loso": found}))
    assert row["experiment"] == "cnns-loso (cnns, demo size)"
    wa = found.scores["wa"]
    assert row["WA"] == f"{wa.value:.2f} [{wa.low:.2f}, {wa.high:.2f}]"
    assert list(row)[:2] == ["experiment", "UA"]
    assert row["chance"] == "0.25"
    assert row["corpus, protocol"] == "emodb (leave one speaker out, speaker-independent)"
    assert row["n"] == "120"
    assert row["published UA / WA / F1"] == "0.781 / 0.794 / 0.770 (fusion convbert, table 4, cnns)"
    assert "training" not in row  # times differ from run to run, and this file is in git


def test_real_data_have_no_banner_and_synthetic_data_always_have(result):
    real = report("s", {"a": result()})
    assert "SYNTHETIC" not in real
    mixed = report("s", {"a": result(), "b": result(synthetic=True)})
    assert mixed.startswith("# Study s (SYNTHETIC data)\n\n> **SYNTHETIC data.**")
    assert [r["experiment"] for r in rows(mixed)] == ["a (cnns, demo size)", "b (cnns, demo size, SYNTHETIC data)"]


def test_marks_of_biased_and_transductive_results(result):
    text = report(
        "s",
        {
            "a": result(transductive=True),
            "b": result(selection="test_oracle", speaker_independent=False),
            "c": result(control="shuffled_labels"),
        },
        {},
    )
    a, c, b = rows(text)  # speaker-dependent ones last
    assert a["experiment"].startswith("a† ")
    assert (b["selection"], b["corpus, protocol"]) == (
        "test (BIASED)",
        "emodb (leave one speaker out, SPEAKER-DEPENDENT)",
    )
    assert b["experiment"].startswith("b§ ")
    assert c["experiment"].startswith("c‡ ")
    assert "\n† transductive" in text
    assert "\n§ BIASED" in text
    assert "- transductive: statistics of the test speakers' audio were used, without labels (a)" in text
    assert "- only 6 speakers: the interval is too narrow (all experiments)" in text
    plain = report("s", {"c": result(control="shuffled_labels")})
    assert "†" not in plain
    assert "§" not in plain


def test_continuous_experiments_have_a_table_of_their_own(result):
    text = report("s", {"a": result(), "b": result("affect", protocol="partitions")})
    assert "## Categorical emotion" in text
    assert "## Continuous affect" in text
    a, b = rows(text)
    assert not any("CCC" in column for column in a)
    assert [k for k in b if "CCC" in k] == ["CCC", "CCC arousal", "CCC valence"]


def test_systems_are_ranked_within_a_corpus(result, emotions, tmp_path):
    worse = emotions.assign(**{c: emotions[c].to_numpy()[::-1] for c in emotions if c.startswith("score_")})
    predictions.write(worse, tmp_path / "worse.csv")
    found = {"first": result("worse"), "other": result(corpus="ravdess"), "second": result()}
    assert [r["experiment"].split()[0] for r in rows(report("s", found))] == ["second", "first", "other"]


def test_results_without_labels_or_intervals_are_named_so(result, affect, tmp_path):
    predictions.write(affect.assign(truth_arousal=None, truth_valence=None), tmp_path / "test.csv")
    (row,) = rows(report("s", {"a": result("test")}))
    assert row["CCC"] == "not available"
    plain = replace(result(), scores={"wa": results.Score(0.5), "ua": results.Score(0.5), "f1": results.Score(0.5)})
    (row,) = rows(report("s", {"a": plain}))
    assert row["WA"] == "0.50"


def test_the_leak_audit_is_shown_and_no_picture_that_git_does_not_have(result):
    text = report("s", {"a": result()}, [("loso: no leak", ["1 speaker"])])
    assert "\n## Leak audit\n\n- loso: no leak\n  - 1 speaker\n" in text
    assert "![" not in text
    assert "[ledger.md](ledger.md)" in text


def test_a_matrix_of_training_and_test_corpora(result):
    cells = [Across(("a",), "b", Score(0.4, 0.3, 0.5), 60, 6), Across(("b",), "a", Score(0.5, 0.4, 0.6), 40, 4)]
    inside = [Across(("a",), "a", Score(0.7, 0.6, 0.8), 40, 4)]
    found = {
        "svm-both-cross": replace(result(), across=cells),
        "svm-a4-loso": replace(result(), across=inside),
        "mlp-both-cross": replace(result(transductive=True), across=cells[:1]),
        "cnns-loso": result(),
    }
    text = report("s", found)
    by_row = {row["trained on"]: row for row in rows(text, "trained on") if "trained on" in row}
    assert "**svm: trained on one corpus, tested on another**" in text
    assert "**mlp†: trained on one corpus, tested on another**" in text
    svm = text.split("**svm: ")[1].split("**")[1]
    (first, second) = rows(svm)
    assert first["trained on"] == "a"
    assert first["UA on a"] == "0.70 [0.60, 0.80] (40 of 4 speakers)"
    assert first["UA on b"] == "0.40 [0.30, 0.50] (60 of 6 speakers)"
    assert first["chance"] == "0.25"
    assert first["experiments"] == "svm-both-cross, svm-a4-loso"
    assert second["UA on b"] == ""
    assert set(by_row) == {"a", "b"}


def test_without_a_joint_corpus_there_is_no_matrix(result):
    assert "Across corpora" not in report("s", {"a": result()})
