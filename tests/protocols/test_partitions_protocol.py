"""The corpus's own partitions (SEWA)."""

from __future__ import annotations

import pytest
from tests import fake_manifests as fake

from ser.core.errors import SerError
from ser.protocols import claims, partitions
from ser.protocols.audit import audit


def test_sewa_partitions_with_unlabelled_test_recordings():
    manifest = fake.sewa()
    (fold,) = partitions.folds(manifest, partitions.Config(), 0)
    assert fold.name == "partition-test"
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (34, 14, 16)
    assert all(u.startswith("Test_") for u in fold.test)
    assert all(u.startswith("Dev_") for u in fold.dev)


def test_evaluation_on_devel_is_named_and_leaves_nothing_to_select_on():
    manifest = fake.sewa()
    (fold,) = partitions.folds(manifest, partitions.Config(test="dev"), 0)
    assert fold.name == "partition-dev"
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (34, 0, 14)
    (fold,) = partitions.folds(manifest, partitions.Config(test="dev", dev_share=0.1), 0)
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (30, 4, 14)
    assert all(u.startswith("Train_") for u in fold.dev)


def test_both_sides_of_a_conversation_are_on_the_same_side_of_a_carved_dev_part():
    for seed in range(20):
        (fold,) = partitions.folds(fake.sewa(), partitions.Config(test="dev", dev_share=0.1, pairs=True), seed)
        assert (len(fold.train), len(fold.dev), len(fold.test)) == (30, 4, 14)
        pairs = {(int(u.rsplit("_", 1)[1]) + 1) // 2 for u in fold.dev}
        assert len(pairs) == 2
        assert not pairs & {(int(u.rsplit("_", 1)[1]) + 1) // 2 for u in fold.train}
    manifest = fake.sewa()
    with pytest.raises(SerError, match="17 conversations cannot be divided"):
        partitions.folds(manifest, partitions.Config(test="dev", dev_share=0.99, pairs=True), 0)
    manifest.loc[0, "utterance"] = "somebody"
    with pytest.raises(SerError, match="recording 'somebody' has no number"):
        partitions.folds(manifest, partitions.Config(test="dev", dev_share=0.1, pairs=True), 0)


def test_without_test_partition_the_hint_is_devel():
    with pytest.raises(SerError, match=r"no utterance in partition 'test'.*corpus sewa.*Set 'test: dev'"):
        partitions.folds(fake.sewa(with_test=False), partitions.Config(), 0)


def test_missing_and_unknown_partitions():
    with pytest.raises(SerError, match="535 utterances without partition"):
        partitions.folds(fake.emodb(), partitions.Config(), 0)
    manifest = fake.sewa()
    manifest.loc[0, "partition"] = "devel"
    with pytest.raises(SerError, match=r"unknown partition 'devel'.*train, dev, test"):
        partitions.folds(manifest, partitions.Config(), 0)


def test_own_partitions_that_share_speakers_pass_only_when_declared():
    manifest = fake.sewa()
    manifest["speaker"] = ["s1", "s2"] * 32
    for declared in (True, False):
        config = partitions.Config(speaker_independent=declared)
        made = partitions.folds(manifest, config, 0)
        if declared:
            with pytest.raises(SerError, match="speaker 's1' is in two parts of fold 'partition-test'"):
                audit(made, manifest, where="own", **claims(partitions, config))
        else:
            report = audit(made, manifest, where="own", **claims(partitions, config)).to_json()
            assert report["shared"]["speaker"]["test_in_train"] == {"partition-test": 1.0}
