"""The published numbers, as `paper_results.csv` holds them."""

from __future__ import annotations

import pytest

from ser.core.errors import SerError
from ser.evaluation.published import MEANS, PAPERS, numbers, published
from ser.report.ledger import PROTOCOLS

CELL = "fusion_convbert.table_4.cnns.emodb/speaker_independent"


def test_published_numbers_have_our_names_and_units():
    found = published(CELL)
    assert found.numbers == {"wa": 0.7942, "ua": 0.7812, "f1": 0.77}  # P1, Table 4
    assert (found.kind, found.flag, found.key) == ("own", "", CELL)
    assert found.place == "fusion convbert, table 4, cnns"
    sewa = published("semantic_ser.table_4.disentangled_attention.sewa/test")
    assert sewa.numbers == {"ccc_arousal": 0.429, "ccc_valence": 0.503, "ccc_liking": 0.312}  # P4, Table 4
    assert published("semantic_ser.table_3.concatenation.sewa/devel").numbers["ccc"] == 0.387
    assert published("autoencoder_emotion_embedding.headline.ae_ee_in.emodb/cv5").numbers == {"wa": 0.922}
    assert published("autoencoder_emotion_embedding.table_4.is10_svm.iemocap/cv10").numbers == {}  # an empty cell
    assert (
        published("fusion_convbert.table_7.bert.iemocap/speaker_dependent").flag == "bert wa exceeds bolded fusion wa"
    )
    assert published("") is published(None) is None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (CELL.replace("table_4", "table4"), "Did you mean 'table_4'"),
        ("fusion_convbert.table_4", "not the key of a published result"),
        (CELL + ".wa", "not the key of a published result"),
        (CELL.replace("cnns", "cnn"), "Did you mean 'cnns'"),
    ],
)
def test_a_wrong_key_names_the_nearest(key, message):
    with pytest.raises(SerError, match=message):
        published(key)


def test_every_row_can_be_read():
    table = numbers()
    shares = table[table["unit"].isin(["percent", "fraction", "ccc"])]
    assert shares["value"].dropna().between(-1, 1).all()
    results = table[table["kind"].isin(["own", "class", "cited", "repeated", "confusion"])]
    assert set(results["paper"]) == set(PAPERS)
    assert set(results["protocol"]) == {*PROTOCOLS, "mixed"}  # P3 cites results of several protocols in one column
    assert not table.duplicated(["kind", "key", "name"])[table["kind"].isin(["own", "cited", "repeated"])].any()


def test_the_numbers_are_as_many_as_the_specification_says():
    """The counts of papers.md, section 8."""
    table = numbers().dropna(subset="value")
    counts = table["kind"].value_counts()
    assert counts[["own", "class", "cited"]].to_dict() == {"own": 119, "class": 125, "cited": 71}
    assert counts[["confusion", "loss", "repeated"]].to_dict() == {"confusion": 129, "loss": 2, "repeated": 16}
    own = table[table["kind"].isin(["own", "class"])]
    counted = own.groupby(["paper", "table"], sort=False).size()
    assert counted["fusion_convbert"].to_dict() == {
        **dict.fromkeys(("table_4", "table_5", "table_6", "table_7"), 12), "figure_9": 6, "figure_10": 6, "text": 8
    }  # fmt: skip
    assert counted["autoencoder_emotion_embedding"].to_dict() == {
        "table_4": 13, "table_5": 12, "table_6": 12, "table_7": 21, "table_8": 21, "headline": 2, "table_9": 1
    }  # fmt: skip
    assert counted["clstm"].to_dict() == {"table_1": 14, "table_3": 19, "table_6": 31}
    assert counted["semantic_ser"].to_dict() == {"table_2": 16, "table_3": 8, "table_4": 6}
    elsewhere = own["table"].isin(
        ["text", "headline", "table_9"]
    )  # not in a table or figure of the paper's own results
    assert (len(own), int((~elsewhere).sum())) == (244, 233)


def test_twenty_numbers_of_p4_are_those_of_other_systems():
    """They are in a table of own results, which has 26 numbers: who counts tables finds 253 own ones, not 233."""
    table = numbers().dropna(subset="value")
    fourth = table[(table["paper"] == "semantic_ser") & (table["table"] == "table_4")]
    assert fourth["kind"].value_counts().to_dict() == {"cited": 20, "own": 6}


def test_classes_have_the_names_of_our_corpora():
    from ser.corpora import emodb, iemocap, ravdess

    for corpus, source in (("emodb", emodb), ("iemocap", iemocap), ("ravdess", ravdess)):
        own = numbers()[(numbers()["kind"] == "class") & (numbers()["corpus"] == corpus)]
        assert set(own["label"]) - {*MEANS} <= set(source.CARD.classes), corpus
