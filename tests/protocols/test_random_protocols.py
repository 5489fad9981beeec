"""Random splits: stratified, shuffled, equal audio together, equal on every machine."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from tests import fake_manifests as fake

from ser.core import plugins
from ser.core.errors import SerError
from ser.protocols import kfold, speaker_dependent_holdout


def counts(manifest, ids):
    return (
        manifest.set_index("utterance")
        .loc[list(ids), "emotion"]
        .value_counts()
        .reindex(sorted(set(manifest["emotion"])), fill_value=0)
    )


@pytest.mark.parametrize("n", [5, 10])
def test_kfold_parts_have_the_corpus_class_mix_within_one(n):
    manifest = fake.emodb()
    folds = kfold.folds(manifest, kfold.Config(n_folds=n), 0)
    total = counts(manifest, manifest["utterance"])
    assert [f.name for f in folds] == [f"fold{i}" for i in range(n)]
    for fold in folds:
        assert (counts(manifest, fold.test) - total / n).abs().max() < 1
        assert abs(len(fold.test) - 535 / n) < 1
        assert not fold.dev
        assert len(fold.train) == 535 - len(fold.test)
    assert sorted(u for f in folds for u in f.test) == sorted(manifest["utterance"])


def test_kfold_is_shuffled_by_the_seed():
    manifest = fake.emodb()
    a, b, c = (kfold.folds(manifest, kfold.Config(), seed) for seed in (0, 0, 1))
    assert a == b != c
    first = manifest["utterance"].iloc[:100]
    assert len(set(first) & set(a[0].test)) < 50  # not the first hundred in a row


def test_holdout_sizes_names_and_stratification():
    manifest = fake.emodb()
    folds = speaker_dependent_holdout.folds(manifest, speaker_dependent_holdout.Config(), 0)
    total = counts(manifest, manifest["utterance"])
    assert [f.name for f in folds] == ["seed0", "seed1", "seed2", "seed3", "seed4"]
    assert len({f.test for f in folds}) == 5
    for fold in folds:  # 535 -> ceil(107) test; 428 -> ceil(42.8) dev
        assert (len(fold.train), len(fold.dev), len(fold.test)) == (385, 43, 107)
        assert sorted(fold.train + fold.dev + fold.test) == sorted(manifest["utterance"])
        assert (counts(manifest, fold.test) - 0.2 * total).abs().max() <= 1
        assert (counts(manifest, fold.dev) - 0.1 * (total - counts(manifest, fold.test))).abs().max() <= 1


def test_a_repetition_does_not_depend_on_how_many_there_are():
    manifest = fake.emodb()
    two, three = (
        speaker_dependent_holdout.folds(manifest, speaker_dependent_holdout.Config(repetitions=n), 3) for n in (2, 3)
    )
    assert two == three[:2]


@pytest.mark.parametrize("protocol", [kfold, speaker_dependent_holdout])
def test_equal_audio_stays_in_one_part(protocol):
    manifest = fake.emodb()
    rows = np.arange(len(manifest))
    manifest["pcm"] = [f"pcm {i // 2}" for i in rows]  # every utterance has a twin, often of another class or speaker
    pcm = manifest.set_index("utterance")["pcm"]
    for seed in range(3):
        for fold in protocol.folds(manifest, protocol.Config(dev_share=0.1), seed):
            parts = [set(pcm[list(part)]) for part in (fold.train, fold.dev, fold.test)]
            assert all(parts)
            assert sum(map(len, parts)) == len(set.union(*parts)) == 268


def test_utterances_without_hash_are_not_taken_for_equal():
    manifest = fake.emodb()
    expected = kfold.folds(manifest, kfold.Config(), 0)
    manifest["pcm"] = ""
    assert kfold.folds(manifest, kfold.Config(), 0) == expected


def test_continuous_corpora_are_split_without_classes():
    folds = kfold.folds(fake.sewa(), kfold.Config(), 0)
    assert sorted(len(f.test) for f in folds) == [12, 13, 13, 13, 13]


def test_a_class_smaller_than_the_folds_is_named():
    manifest = fake.emodb()
    keep = (manifest["emotion"] != "disgust") | manifest["speaker"].isin(["03", "10", "11"])  # 4 disgust utterances
    with pytest.raises(SerError, match=r"class 'disgust' has 4 utterances of different audio, too few for 5 folds"):
        kfold.folds(manifest[keep].reset_index(drop=True), kfold.Config(), 0)


def test_a_class_of_one_cannot_be_held_out():
    manifest = fake.manifest([{"emotion": "a"}] * 20 + [{"emotion": "b"}])
    with pytest.raises(SerError, match="class 'b' has 1 utterance of"):
        speaker_dependent_holdout.folds(manifest, speaker_dependent_holdout.Config(), 0)


def test_a_share_smaller_than_the_classes_says_so():
    manifest = fake.manifest([{"emotion": e} for e in "abcd" * 4])
    with pytest.raises(SerError, match=r"share of 0.1 divides 12 utterances into 2 and 10, fewer than the 4 classes"):
        speaker_dependent_holdout.folds(manifest, speaker_dependent_holdout.Config(), 0)


@pytest.mark.parametrize(
    ("protocol", "block", "message"),
    [
        ("kfold", {"n_folds": 1}, "n_folds must be at least 2, got 1"),
        ("kfold", {"dev_share": 1.0}, "dev_share must be a share from 0 and below 1"),
        ("speaker_dependent_holdout", {"test_share": 0}, "test_share must be a share above 0"),
        ("speaker_dependent_holdout", {"repetitions": 0}, "repetitions must be at least 1"),
        ("group_kfold", {"n_folds": 2, "dev": "next"}, "n_folds must be at least 3"),
        ("leave_one_speaker_out", {"dev_share": -0.1}, "dev_share must be a share"),
        ("partitions", {"dev_share": 0.1}, "dev_share needs 'test: dev'"),
    ],
)
def test_bad_parameters_are_one_line(protocol, block, message):
    module = plugins.load("protocols", protocol)
    with pytest.raises(SerError, match=message):
        plugins.build(module.Config, block, f"protocols.{protocol}")


def test_folds_are_equal_in_another_process_with_another_hash_seed():
    code = (
        "import sys, hashlib; sys.path.insert(0, '.'); from tests import fake_manifests as fake\n"
        "import numpy as np; np.random.seed(9)\n"
        "from ser.protocols import kfold\n"
        "print(hashlib.sha256(repr(kfold.folds(fake.emodb(), kfold.Config(dev_share=.1), 4)).encode()).hexdigest())"
    )
    root = str(fake.__file__).rsplit("/tests/", 1)[0]
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={"PYTHONHASHSEED": "123", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    here = hashlib.sha256(repr(kfold.folds(fake.emodb(), kfold.Config(dev_share=0.1), 4)).encode()).hexdigest()
    assert ran.stdout.strip() == here
