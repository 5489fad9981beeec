"""Each planted leak is reported on one line that names it; unavoidable overlaps are reported with their share."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
from tests import fake_manifests as fake

from ser.core.errors import SerError
from ser.protocols import claims, kfold, leave_one_speaker_out, speaker_dependent_holdout, speaker_independent
from ser.protocols.audit import audit
from ser.protocols.folds import Fold


@pytest.fixture
def manifest():
    return fake.emodb()


@pytest.fixture
def folds(manifest):
    return speaker_independent.folds(manifest, speaker_independent.Config(), 0)


def run(folds, manifest, **other):
    return audit(
        folds, manifest, **{"speaker_independent": True, "tests_each_once": True, "where": "folds.csv", **other}
    )


def move(folds, index, utterance, source, target):
    """Moves an utterance of one part (None: a new one) to another part (None: removes it)."""
    changes = {}
    if source:
        changes[source] = tuple(u for u in getattr(folds[index], source) if u != utterance)
    if target:
        changes[target] = (*getattr(folds[index], target), utterance)
    return [*folds[:index], dataclasses.replace(folds[index], **changes), *folds[index + 1 :]]


def test_clean_folds_pass(folds, manifest):
    assert run(folds, manifest).to_json()["folds"] == 10


def test_an_utterance_in_two_parts(folds, manifest):
    leaky = move(folds, 0, "03-anger-00", None, "train")
    with pytest.raises(
        SerError, match=r"utterance '03-anger-00' is in train and test of fold 'speaker-03' \(folds.csv\)"
    ):
        run(leaky, manifest)


def test_an_utterance_twice_in_one_part(folds, manifest):
    leaky = move(folds, 1, "03-anger-00", None, "train")
    with pytest.raises(SerError, match="utterance '03-anger-00' is twice in train of fold 'speaker-08'"):
        run(leaky, manifest)


def test_equal_audio_in_two_parts_names_both_files(folds, manifest):
    manifest.loc[manifest["utterance"] == "16-fear-03", "pcm"] = "pcm of 03-anger-05"
    with pytest.raises(
        SerError,
        match=r"equal audio .*'03-anger-05' \(wav/03-anger-05.wav\) in test, '16-fear-03' \(wav/16-fear-03.wav\) in tr",
    ):
        run(folds, manifest)


def test_equal_audio_is_caught_in_speaker_dependent_folds_too(manifest):
    folds = kfold.folds(manifest, kfold.Config(), 0)
    a, b = folds[2].test[0], folds[3].test[0]
    manifest.loc[manifest["utterance"] == a, "pcm"] = f"pcm of {b}"
    with pytest.raises(SerError, match=f"equal audio in two parts of fold 'fold2': '{a}'.*'{b}'"):
        run(folds, manifest, speaker_independent=False)


@pytest.mark.parametrize(("source", "target"), [("train", "test"), ("train", "dev"), ("dev", "train")])
def test_a_speaker_in_two_parts(folds, manifest, source, target):
    victim = getattr(folds[4], source)[0]
    speaker = victim[:2]
    leaky = move(folds, 4, victim, source, target)
    with pytest.raises(
        SerError, match=f"speaker '{speaker}' is in two parts of fold 'speaker-11': .*'{victim}' in {target}"
    ):
        run(leaky, manifest, tests_each_once=False)


def test_a_carved_dev_part_may_share_speakers_with_train_but_not_with_test(manifest):
    config = leave_one_speaker_out.Config(dev_share=0.1)
    folds = leave_one_speaker_out.folds(manifest, config, 0)
    claimed = claims(leave_one_speaker_out, config)
    assert claimed == {"speaker_independent": True, "tests_each_once": True, "carved_dev": True}
    report = run(folds, manifest, **claimed).to_json()
    assert set(report["shared"]["speaker"]["dev_in_train"].values()) == {1.0}
    assert set(report["shared"]["speaker"]["test_in_dev"].values()) == {0.0}
    with pytest.raises(SerError, match="in two parts"):
        run(folds, manifest)
    victim = folds[0].test[0]
    with pytest.raises(SerError, match="speaker '03' is in two parts"):
        run(move(folds, 0, victim, "test", "dev"), manifest, **claimed)


def test_an_utterance_without_speaker(folds, manifest):
    manifest.loc[0, "speaker"] = ""
    with pytest.raises(SerError, match="utterance '03-anger-00' has no speaker"):
        run(folds, manifest)


def test_an_unknown_utterance(folds, manifest):
    with pytest.raises(SerError, match="utterance 'ghost' in dev of fold 'speaker-08' is not in the manifest"):
        run(move(folds, 1, "ghost", None, "dev"), manifest)


def test_a_dropped_test_item(folds, manifest):
    with pytest.raises(SerError, match="utterance '03-anger-07' is never tested"):
        run(move(folds, 0, "03-anger-07", "test", None), manifest)


def test_a_missing_fold(folds, manifest):
    with pytest.raises(SerError, match=r"utterance '08-anger-00' is never tested \(and 57 more\)"):
        run([folds[0], *folds[2:]], manifest)


def test_an_item_tested_twice(folds, manifest):
    kept = speaker_independent.folds(manifest, speaker_independent.Config(), 0)
    again = dataclasses.replace(folds[0], name="again")
    with pytest.raises(SerError, match=r"'03-anger-00' is tested 2 times, in folds speaker-03, again \(and 48 more\)"):
        run([*kept, again], manifest)
    run([*kept, again], manifest, tests_each_once=False)


@pytest.mark.parametrize("role", ["train", "test"])
def test_an_empty_part(folds, manifest, role):
    leaky = [dataclasses.replace(folds[0], **{role: ()}), *folds[1:]]
    with pytest.raises(SerError, match=f"fold 'speaker-03' has an empty {role} part"):
        run(leaky, manifest)


def test_no_folds_and_two_folds_of_one_name(folds, manifest):
    with pytest.raises(SerError, match="no folds"):
        run([], manifest)
    with pytest.raises(SerError, match="two folds are called 'speaker-03'"):
        run([folds[0], folds[0]], manifest)


def test_a_class_that_is_tested_but_never_trained(folds, manifest):
    manifest.loc[manifest["utterance"] == "03-anger-00", "emotion"] = "surprise"
    with pytest.raises(SerError, match="class 'surprise' is in test but not in train of fold 'speaker-03'"):
        run(folds, manifest)


def test_report_of_emodb(folds, manifest):
    report = run(folds, manifest)
    data = report.to_json()
    assert json.loads(json.dumps(data)) == data
    assert data["parts"]["speaker-08"]["test"] == {
        "utterances": 58,
        "unlabelled": 0,
        "seconds": 116.0,
        "speakers": 1,
        "absent": ["disgust"],
    }
    assert data["parts"]["speaker-03"]["dev"]["absent"] == ["disgust"]  # dev of 03 is 08
    assert data["parts"]["speaker-03"]["train"]["speakers"] == 8
    assert set(data["shared"]["text"]["test_in_train"].values()) == {1.0}
    assert set(data["shared"]["speaker"]["test_in_train"].values()) == {0.0}
    assert data["shared"]["session"] == {}
    text = "\n".join(report.summary())
    assert "no leak; speaker-independent" in text
    assert "test 35-71 utterances of 1 speaker\n" in text
    assert "100 % of test utterances have a text of train" in text
    assert "absent in test: disgust (speaker-08)" in text
    assert "SYNTHETIC" not in text


def test_report_of_iemocap_partners_and_dialogues():
    manifest = fake.iemocap()
    folds = speaker_independent.folds(manifest, speaker_independent.Config(), 0)
    shared = run(folds, manifest).to_json()["shared"]
    assert set(shared["session"]["test_in_dev"].values()) == {1.0}
    assert set(shared["session"]["test_in_train"].values()) == {0.0}
    assert set(shared["dialogue"]["test_in_train"].values()) == {0.0}
    assert set(shared["text"]["test_in_train"].values()) == {0.0}
    assert any("dev has the test speaker's partner" in line for line in run(folds, manifest).summary())


def test_text_share_is_counted_over_test_utterances():
    rows = [
        {"speaker": s, "text": t}
        for s, t in (("a", "Hello  there"), ("a", "one"), ("a", ""), ("a", "two"), ("b", "hello there"), ("b", ""))
    ]
    manifest = fake.manifest(rows)
    ids = tuple(manifest["utterance"])
    fold = [Fold("f", ids[4:], (), ids[:4])]
    data = run(fold, manifest, tests_each_once=False).to_json()
    assert data["shared"]["text"]["test_in_train"] == {
        "f": 0.25
    }  # case and spacing aside; empty texts are not a shared text


def test_report_of_a_speaker_dependent_split(manifest):
    config = speaker_dependent_holdout.Config()
    folds = speaker_dependent_holdout.folds(manifest, config, 0)
    report = run(folds, manifest, **claims(speaker_dependent_holdout, config))
    assert set(report.to_json()["shared"]["speaker"]["test_in_train"].values()) == {1.0}
    assert "100 % of test utterances have a speaker of train (speaker-dependent)" in "\n".join(report.summary())


def test_duplicates_with_two_labels_unused_and_unlabelled_are_reported():
    manifest = fake.emodb()
    manifest["synthetic"] = 1
    manifest.loc[manifest["utterance"] == "03-fear-00", "pcm"] = "pcm of 03-anger-00"
    manifest.loc[manifest["utterance"] == "03-fear-01", "emotion"] = ""
    fold = leave_one_speaker_out.folds(manifest, leave_one_speaker_out.Config(), 0)[0]
    fold = dataclasses.replace(fold, train=fold.train[2:])
    report = run([fold], manifest, tests_each_once=False)
    data, text = report.to_json(), "\n".join(report.summary())
    assert data["equal_audio"] == [
        {
            "utterances": ["03-anger-00", "03-fear-00"],
            "files": ["wav/03-anger-00.wav", "wav/03-fear-00.wav"],
            "classes": ["anger", "fear"],
        }
    ]
    assert data["unused"] == {"speaker-03": 2}
    assert data["parts"]["speaker-03"]["test"]["unlabelled"] == 1
    assert data["synthetic"] is True
    for line in (
        "03-fear-00 (anger and fear)",
        "in no part: up to 2 utterances",
        "without labels in test: 1",
        "SYNTHETIC emodb",
    ):
        assert line in text


def test_ten_folds_of_iemocap_take_less_than_a_second():
    manifest = fake.iemocap()
    folds = speaker_independent.folds(manifest, speaker_independent.Config(), 0)
    started = time.process_time()
    run(folds, manifest)
    assert time.process_time() - started < 1


def test_files_with_another_number_of_channels_are_named(folds, manifest):
    assert run(folds, manifest).to_json()["other_channels"] == []
    manifest["channels"] = 1
    manifest.loc[manifest["utterance"] == "03-fear-00", "channels"] = 2
    report = run(folds, manifest)
    assert report.to_json()["other_channels"] == ["03-fear-00"]
    assert "another number of channels than most files: 1 utterance, 03-fear-00" in "\n".join(report.summary())
