"""The contract of the protocols, tested on every module of ser.protocols."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pandas as pd
import pytest

from ser.core import plugins
from ser.core.errors import SerError
from ser.protocols import claims
from ser.protocols import folds as fold_files
from ser.protocols.audit import audit
from ser.protocols.folds import ROLES, Fold
from tests import fake_manifests as fake


@pytest.fixture
def manifest() -> pd.DataFrame:
    """A corpus that suits every protocol: 12 speakers in 6 sessions, both sexes, partitions, two corpora, a pair of
    equal audio."""
    rows = []
    for s in range(12):
        for i in range(24):
            rows.append(
                {
                    "utterance": f"{s:02d}-{i:02d}",
                    "corpus": ("one", "other")[s % 2],
                    "speaker": f"{s:02d}",
                    "sex": "fm"[s % 2],
                    "session": f"session {s // 2}",
                    "dialogue": f"dialogue {s // 2} {i % 3}",
                    "partition": ROLES[s // 4],
                    "emotion": ("anger", "joy", "fear", "neutral")[i % 4],
                    "text_id": f"t{i % 5}",
                }
            )
    table = fake.manifest(rows)
    table.loc[1, ["pcm", "text_id", "dialogue"]] = table.loc[0, ["pcm", "text_id", "dialogue"]]  # a copy of the first
    return table


@pytest.fixture(params=plugins.names("protocols"))
def protocol(request):
    return plugins.load("protocols", request.param)


def test_all_are_here():
    assert set(plugins.names("protocols")) >= {
        "cross_corpus",
        "group_kfold",
        "kfold",
        "leave_one_corpus_out",
        "leave_one_session_out",
        "leave_one_speaker_out",
        "partitions",
        "speaker_dependent_holdout",
        "speaker_independent",
    }


def test_has_the_parts_of_the_contract(protocol):
    name = protocol.__name__.rsplit(".", 1)[1]
    assert dataclasses.is_dataclass(protocol.Config)
    assert protocol.Config.__dataclass_params__.frozen
    assert plugins.keys("protocols", name) == [f.name for f in dataclasses.fields(protocol.Config)]
    assert plugins.build(protocol.Config, {}, name) == protocol.Config()
    assert isinstance(protocol.SPEAKER_INDEPENDENT, bool)
    assert isinstance(protocol.TESTS_EACH_ONCE, bool)
    assert list(inspect.signature(protocol.folds).parameters) == ["manifest", "config", "seed"]
    assert protocol.__doc__, "say what is split how, and where that comes from"
    if "dependent" in name:
        assert (name == "speaker_independent") == protocol.SPEAKER_INDEPENDENT


def test_folds_keep_their_claims_and_survive_a_file(protocol, manifest, tmp_path):
    config = protocol.Config()
    folds = protocol.folds(manifest, config, 1)
    assert folds
    assert all(isinstance(f, Fold) for f in folds)
    audit(folds, manifest, where=protocol.__name__, **claims(protocol, config))
    fold_files.write(folds, tmp_path / "folds.csv")
    assert fold_files.read(tmp_path / "folds.csv") == folds


def test_every_utterance_is_in_one_part_in_manifest_order(protocol, manifest):
    place = {u: i for i, u in enumerate(manifest["utterance"])}
    for fold in protocol.folds(manifest, protocol.Config(), 1):
        parts = [[place[u] for u in getattr(fold, role)] for role in ROLES]
        assert all(part == sorted(part) for part in parts)
        assert sorted(i for part in parts for i in part) == list(range(len(manifest)))


def test_folds_are_pure(protocol, manifest):
    untouched = manifest.copy()
    state = str(np.random.get_state())
    first = protocol.folds(manifest, protocol.Config(), 5)
    assert str(np.random.get_state()) == state
    np.random.seed(3)
    assert protocol.folds(manifest, protocol.Config(), 5) == first
    pd.testing.assert_frame_equal(manifest, untouched)


def test_a_corpus_that_cannot_be_split_is_one_clear_line(protocol):
    with pytest.raises(SerError, match=r"\(protocol \w+ on corpus tiny\)"):
        protocol.folds(fake.manifest([{"emotion": "a"}], "tiny"), protocol.Config(), 0)
