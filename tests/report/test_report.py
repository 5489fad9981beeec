from __future__ import annotations

import pandas as pd
import pytest
from ruamel.yaml import YAML

from ser.errors import SerError
from ser.evaluation import predictions
from ser.evaluation.evaluate import evaluate
from ser.evaluation.published import RESULTS, published
from ser.protocols.audit import audit
from ser.protocols.folds import Fold
from ser.report.summary import report

CELL = "fusion_convbert.tables.table_4.rows.cnns.emodb/speaker_independent"
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
def metrics(emotions, affect, tmp_path):
    """Makes a metrics file: metrics(kind, **details)."""
    predictions.write(emotions, tmp_path / "emotions.csv")
    predictions.write(affect, tmp_path / "affect.csv")
    return lambda kind="emotions", **details: evaluate(tmp_path / f"{kind}.csv", {**DETAILS, **details}, 50)


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


def test_published_numbers_have_our_names_and_units():
    found = published(CELL)
    assert (found["wa"], found["ua"], found["f1"]) == (0.7942, 0.7812, 0.77)  # P1, Table 4
    assert (found["kind"], found["flags"]) == ("own", [])
    assert "leave-one-speaker-out" in found["protocol"]
    sewa = published("semantic_ser.tables.table_4.rows.disentangled_attention.sewa/test")
    assert (sewa["ccc_arousal"], sewa["ccc_valence"], sewa["ccc_liking"]) == (0.429, 0.503, 0.312)  # P4, Table 4
    assert published("semantic_ser.tables.table_3.rows.concatenation.sewa/devel")["ccc"] == 0.387
    assert published("autoencoder_emotion_embedding.headline.ae_ee_in.emodb/cv5")["wa"] == 0.922
    missing = published("autoencoder_emotion_embedding.tables.table_4.rows.is10_svm.iemocap/cv10")
    assert missing["ua"] is None
    assert (
        "bert_wa_exceeds_bolded_fusion_wa"
        in published(CELL.replace("4", "7").replace("emodb", "iemocap").replace("_independent", "_dependent"))["flags"]
    )
    assert published("") is published(None) is None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (CELL.replace("table_4", "table4"), "Did you mean 'table_4'"),
        ("fusion_convbert.tables.table_4", "not a cell"),
        (CELL + ".wa.x", "below a number"),
    ],
)
def test_a_wrong_key_names_the_nearest(key, message):
    with pytest.raises(SerError, match=message):
        published(key)


def test_every_published_row_can_be_read():
    """Rows by class are no cells of their own; all others are, and their shares lie in [-1, 1]."""
    papers = YAML(typ="safe").load(RESULTS.read_text(encoding="utf-8"))["papers"]
    cells = 0
    for paper, content in papers.items():
        for table, block in content["tables"].items():
            for row, protocols in block["rows"].items():
                for protocol, values in protocols.items():
                    if any(isinstance(v, dict) for v in values.values()):
                        continue
                    found = published(f"{paper}.tables.{table}.rows.{row}.{protocol}")
                    assert found["kind"] == ("cited" if row in block.get("cited_rows", ()) else block["kind"])
                    assert all(
                        abs(v) <= 1
                        for k, v in found.items()
                        if k.startswith(("wa", "ua", "f1", "ccc")) and v is not None
                    )
                    cells += 1
    assert cells > 80


def test_rows_hold_what_the_metrics_files_hold(metrics):
    found = metrics(paper=CELL)
    (row,) = rows(report("s", {"cnns-loso": found}, {}))
    assert row["experiment"] == "cnns-loso"
    assert row["WA"] == f"{found['wa']:.2f} [{found['wa_low']:.2f}, {found['wa_high']:.2f}]"
    assert row["protocol"] == "leave_one_speaker_out (speaker-independent)"
    assert row["n"] == "120"
    assert row["published"] == "0.794 / 0.781 / 0.770 (fusion convbert, table 4, cnns, emodb/speaker independent)"


def test_real_data_have_no_banner_and_synthetic_data_always_have(metrics):
    real = report("s", {"a": metrics()}, {})
    assert "SYNTHETIC" not in real
    mixed = report("s", {"a": metrics(), "b": metrics(synthetic=True)}, {})
    assert mixed.startswith("# Study s (SYNTHETIC data)\n\n> **SYNTHETIC data.**")
    assert [r["data"] for r in rows(mixed)] == ["real", "SYNTHETIC"]


def test_marks_of_biased_and_transductive_results(metrics):
    text = report(
        "s",
        {
            "a": metrics(transductive=True),
            "b": metrics(selection="test_oracle", speaker_independent=False),
            "c": metrics(control="shuffled_labels"),
        },
        {},
    )
    a, b, c = rows(text)
    assert a["experiment"] == "a†"
    assert (b["selection"], b["protocol"]) == (
        "**test_oracle** (biased)",
        "leave_one_speaker_out (**speaker-dependent**)",
    )
    assert c["experiment"] == "c‡"
    assert "\n† transductive" in text
    assert "- transductive: statistics of the test speakers' audio were used, without labels (a)" in text
    assert "- only 6 speakers: the interval is too narrow (all experiments)" in text
    assert "†" not in report("s", {"c": metrics(control="shuffled_labels")}, {})


def test_continuous_experiments_have_a_table_of_their_own(metrics):
    text = report("s", {"a": metrics(), "b": metrics("affect", protocol="partitions")}, {})
    a, b = rows(text)
    assert "CCC" not in a
    assert [k for k in b if "CCC" in k] == ["CCC", "CCC arousal", "CCC valence"]


def test_results_without_labels_or_intervals_are_named_so(metrics, affect, tmp_path):
    predictions.write(affect.assign(truth_arousal=None, truth_valence=None), tmp_path / "test.csv")
    (row,) = rows(report("s", {"a": metrics("test")}, {}))
    assert row["CCC"] == "not available"
    (row,) = rows(report("s", {"a": {**metrics(), "wa_low": None, "wa_high": None, "wa": 0.5}}, {}))
    assert row["WA"] == "0.50"


def test_leak_audit_and_plots_are_shown(metrics, tmp_path):
    blank = dict.fromkeys(("session", "dialogue", "text", "text_id", "labels"), "")
    manifest = pd.DataFrame(
        {
            "utterance": u,
            "speaker": s,
            "emotion": "joy",
            "corpus": "emodb",
            "synthetic": 0,
            "file": u,
            "pcm": u,
            "duration": 1.0,
            **blank,
        }
        for u, s in (("u1", "a"), ("u2", "b"))
    )
    folds = [Fold("1", ("u1",), (), ("u2",)), Fold("2", ("u2",), (), ("u1",))]
    data = audit(folds, manifest, True, True, "loso").to_json()
    for name in ("ua", "confusion-a", "confusion-b", "foreign"):
        (tmp_path / f"{name}.png").touch()
    text = report("s", {"a": metrics(), "b": metrics(synthetic=True)}, {"loso": data}, tmp_path)
    assert "\n## Leak audit\n\n- loso: no leak" in text
    assert [line for line in text.splitlines() if line.startswith("!")] == [
        "![ua (SYNTHETIC data)](ua.png)",
        "![confusion-a](confusion-a.png)",
        "![confusion-b (SYNTHETIC data)](confusion-b.png)",
    ]
