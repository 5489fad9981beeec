"""Protocols across corpora, and what the audit says of equal audio in two corpora."""

from __future__ import annotations

import pandas as pd
import pytest
from tests import fake_manifests as fake

from ser.core.errors import SerError
from ser.protocols import claims, cross_corpus, leave_one_corpus_out
from ser.protocols.audit import audit


def three(**changes: object) -> pd.DataFrame:
    rows = [
        {"utterance": f"{c}.{s}{i}", "corpus": c, "speaker": f"{c}.{s}", "emotion": "ab"[i % 2], "pcm": f"{c}{s}{i}"}
        for c in ("x", "y", "z")
        for s in range(2)
        for i in range(4)
    ]
    return fake.manifest(rows)


def test_leave_one_corpus_out_tests_each_corpus_whole() -> None:
    made = leave_one_corpus_out.folds(three(), leave_one_corpus_out.Config(), 1)
    assert [f.name for f in made] == ["without-x", "without-y", "without-z"]
    for fold, corpus in zip(made, "xyz", strict=True):
        assert {u[0] for u in fold.test} == {corpus}
        assert len(fold.test) == 8
        assert {u[0] for u in fold.train} == set("xyz") - {corpus}
        assert len(fold.train) == 16
    audit(made, three(), where="here", **claims(leave_one_corpus_out, leave_one_corpus_out.Config()))


def test_cross_corpus_takes_every_ordered_pair() -> None:
    made = cross_corpus.folds(three(), cross_corpus.Config(), 1)
    assert [f.name for f in made] == ["x-to-y", "x-to-z", "y-to-x", "y-to-z", "z-to-x", "z-to-y"]
    assert all(len(f.train) == len(f.test) == 8 and not f.dev for f in made)
    audit(made, three(), where="here", **claims(cross_corpus, cross_corpus.Config()))


def test_cross_corpus_of_named_corpora_with_a_dev_part_of_training() -> None:
    (fold,) = cross_corpus.folds(three(), cross_corpus.Config(("z",), ("x",), dev_share=0.25), 1)
    assert fold.name == "z-to-x"
    assert len(fold.dev) == 2
    assert {u[0] for u in (*fold.train, *fold.dev)} == {"z"}
    assert {u[0] for u in fold.test} == {"x"}


@pytest.mark.parametrize(
    ("config", "fault"),
    [(cross_corpus.Config(("w",)), "'w' is not one of the corpora"), (cross_corpus.Config(("x",), ("x",)), "no pair")],
)
def test_corpora_that_make_no_pair(config: cross_corpus.Config, fault: str) -> None:
    with pytest.raises(SerError, match=fault):
        cross_corpus.folds(three(), config, 1)


@pytest.mark.parametrize("protocol", [cross_corpus, leave_one_corpus_out])
def test_one_corpus_is_too_few(protocol) -> None:
    with pytest.raises(SerError, match=r"needs at least 2 corpora, the corpus has 1.*format: joint"):
        protocol.folds(fake.emodb(), protocol.Config(), 1)


def test_equal_audio_in_two_corpora_stops_the_run_even_within_one_part() -> None:
    table = three()
    table.loc[table["utterance"] == "y.00", "pcm"] = "x00"  # both are in training when z is tested
    made = [f for f in leave_one_corpus_out.folds(table, leave_one_corpus_out.Config(), 1) if f.name == "without-z"]
    with pytest.raises(SerError, match=r"equal audio in two corpora: 'x\.00' .* of x, 'y\.00' .* of y"):
        audit(made, table, where="here", speaker_independent=True, tests_each_once=False)


def test_equal_audio_within_one_corpus_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    table = three()
    table.loc[table["utterance"] == "x.01", "pcm"] = "x00"  # as the pair of RAVDESS
    made = leave_one_corpus_out.folds(table, leave_one_corpus_out.Config(), 1)
    report = audit(made, table, where="here", speaker_independent=True, tests_each_once=True)
    assert report.data["equal_audio"][0]["utterances"] == ["x.00", "x.01"]
