"""The published numbers, as `paper_results.csv` holds them."""

from __future__ import annotations

import pytest

from ser.core.errors import SerError
from ser.evaluation.published import PAPERS, numbers, published
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


def test_own_and_cited_numbers_are_counted_apart():
    """20 of the numbers in P4's Table 4 are those of other systems."""
    table = numbers().dropna(subset="value")
    assert table["kind"].value_counts()[["own", "class", "cited"]].to_dict() == {"own": 119, "class": 125, "cited": 71}
    fourth = table[(table["paper"] == "semantic_ser") & (table["table"] == "table_4")]
    assert fourth["kind"].value_counts().to_dict() == {"cited": 20, "own": 6}
