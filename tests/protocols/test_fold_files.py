"""Fold files: reading gives what was written, and an error names the damaged line."""

from __future__ import annotations

import pytest
from tests import fake_manifests as fake

from ser.core.errors import SerError
from ser.protocols import folds as fold_files
from ser.protocols import speaker_independent
from ser.protocols.folds import Fold


def test_round_trip(tmp_path):
    folds = speaker_independent.folds(fake.emodb(), speaker_independent.Config(), 0)
    fold_files.write(folds, tmp_path / "deep" / "folds.csv")
    assert fold_files.read(tmp_path / "deep" / "folds.csv") == folds
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["folds.csv"]


def test_what_a_protocol_claims_is_beside_the_folds(tmp_path):
    folds = [Fold("f", ("a",), (), ("b",))]
    fold_files.write(folds, tmp_path / "x.csv", {"protocol": "kfold", "claims": {"carved_dev": False}, "seed": 1})
    assert fold_files.read(tmp_path / "x.csv") == folds
    assert fold_files.read_claims(tmp_path / "x.csv") == {
        "protocol": "kfold",
        "claims": {"carved_dev": False},
        "seed": 1,
    }
    fold_files.write(folds, tmp_path / "y.csv", {"protocol": "kfold"})
    with pytest.raises(SerError, match=r"no 'claims' of the folds \(.*y.json\)"):
        fold_files.read_claims(tmp_path / "y.csv")
    fold_files.write(folds, tmp_path / "z.csv")
    with pytest.raises(SerError, match=r"missing file \(.*z.json\)"):
        fold_files.read_claims(tmp_path / "z.csv")


def test_format_and_odd_names(tmp_path):
    folds = [Fold("speaker-03", ("NA", 'a,"b"'), (), ("007",)), Fold("03", ("x",), ("ü",), ("y",))]
    path = tmp_path / "folds.csv"
    fold_files.write(folds, path)
    text = path.read_bytes().decode("utf-8")
    assert text.splitlines()[:4] == [
        "fold,utterance,role",
        "speaker-03,NA,train",
        'speaker-03,"a,""b""",train',
        "speaker-03,007,test",
    ]
    assert "\r" not in text
    assert fold_files.read(path) == folds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"not a fold file: No columns"),
        ("utterance,fold,role\na,f,train\n", r"header is not fold,utterance,role \(.*folds.csv, line 1\)"),
        ("fold,utterance,role\n", "a fold file without folds"),
        (
            "fold,utterance,role\nf,a,train\nf,b,tset\n",
            r"'f,b,tset' is not .* one of train, dev, test \(.*folds.csv, line 3\)",
        ),
        ("fold,utterance,role\nf,a,train\n\nf,b,test\n", r"folds.csv, line 3"),
        ("fold,utterance,role\nf,a,train\n<<<<<<< HEAD\nf,b,test\n", r"'<<<<<<< HEAD,,' .*folds.csv, line 3"),
        ("fold,utterance,role\nf,,train\n", r"folds.csv, line 2"),
        ("fold,utterance,role\nf,a,train\nf,b,test,more\n", r"not a fold file: .*line 3"),
    ],
)
def test_damage_is_named(tmp_path, text, message):
    path = tmp_path / "folds.csv"
    path.write_text(text)
    with pytest.raises(SerError, match=message):
        fold_files.read(path)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(SerError, match=r"no fold file \(.*none.csv\)"):
        fold_files.read(tmp_path / "none.csv")
    (tmp_path / "folds.csv").write_bytes(b"fold,utterance,role\nf,\xff\xfe,train\n")
    with pytest.raises(SerError, match="not a fold file"):
        fold_files.read(tmp_path / "folds.csv")
