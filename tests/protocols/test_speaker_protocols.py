"""Protocols over speakers and sessions, against the closed forms of papers.md 1 and 3."""

from __future__ import annotations

import pytest
from tests import fake_manifests as fake

from ser.core.errors import SerError
from ser.protocols import group_kfold, leave_one_session_out, leave_one_speaker_out, speaker_independent


def speakers(manifest, ids) -> set[str]:
    return set(manifest.set_index("utterance").loc[list(ids), "speaker"])


def test_emodb_dev_is_the_next_speaker_cyclically():
    manifest = fake.emodb()
    folds = speaker_independent.folds(manifest, speaker_independent.Config(), 0)
    order = ["03", "08", "09", "10", "11", "12", "13", "14", "15", "16"]
    assert [f.name for f in folds] == [f"speaker-{s}" for s in order]
    for i, fold in enumerate(folds):
        assert speakers(manifest, fold.test) == {order[i]}
        assert speakers(manifest, fold.dev) == {order[(i + 1) % 10]}
        assert len(speakers(manifest, fold.train)) == 8
    assert len(folds[0].test) == 49
    assert len(folds[-1].dev) == 49
    assert len(folds[-1].train) == 535 - 71 - 49


def test_iemocap_dev_is_the_session_partner_and_train_sizes_are_those_of_the_paper():
    manifest = fake.iemocap()
    folds = speaker_independent.folds(manifest, speaker_independent.Config(), 0)
    assert len(manifest) == 5531
    assert len(folds) == 10
    for fold in folds:
        tested = fold.name.removeprefix("speaker-")
        partner = tested[:-1] + {"F": "M", "M": "F"}[tested[-1]]
        assert speakers(manifest, fold.dev) == {partner}
    assert [len(f.train) for f in folds[::2]] == [5531 - n for n in (1085, 1023, 1151, 1031, 1241)]
    assert {min(len(f.train) for f in folds), max(len(f.train) for f in folds)} == {4290, 4508}


def test_iemocap_with_dev_next_takes_the_next_speaker():
    manifest = fake.iemocap()
    folds = speaker_independent.folds(manifest, speaker_independent.Config(dev="next"), 0)
    assert speakers(manifest, folds[1].dev) == {"Ses02F"}


def test_a_speaker_of_two_sessions_has_no_partner():
    rows = [{"speaker": s, "session": k} for k, pair in (("1", "ab"), ("2", "ac")) for s in pair]
    manifest = fake.manifest(rows)
    folds = speaker_independent.folds(manifest, speaker_independent.Config(), 0)
    assert [speakers(manifest, f.dev) for f in folds] == [{"b"}, {"c"}, {"a"}]


def test_ids_are_in_manifest_order():
    manifest = fake.emodb().iloc[::-1].reset_index(drop=True)
    place = {name: i for i, name in enumerate(manifest["utterance"])}
    for fold in speaker_independent.folds(manifest, speaker_independent.Config(), 0):
        for part in (fold.train, fold.dev, fold.test):
            assert [place[u] for u in part] == sorted(place[u] for u in part)


def test_two_speakers_are_too_few():
    manifest = fake.manifest([{"speaker": s} for s in "aabb"], "tiny")
    with pytest.raises(SerError, match=r"at least 3 speakers, the corpus has 2: a, b \(protocol .* corpus tiny\)"):
        speaker_independent.folds(manifest, speaker_independent.Config(), 0)


def test_an_utterance_without_speaker_is_named():
    manifest = fake.emodb()
    manifest.loc[3, "speaker"] = ""
    with pytest.raises(SerError, match=r"1 utterance without speaker, the first is '03-anger-03'"):
        leave_one_speaker_out.folds(manifest, leave_one_speaker_out.Config(), 0)


def test_leave_one_speaker_out_trains_on_the_nine_others():
    manifest = fake.emodb()
    folds = leave_one_speaker_out.folds(manifest, leave_one_speaker_out.Config(), 0)
    assert [len(f.test) for f in folds] == [49, 58, 43, 38, 55, 35, 61, 69, 56, 71]
    assert all(len(f.train) == 535 - len(f.test) and not f.dev for f in folds)


def test_leave_one_speaker_out_takes_a_stratified_dev_part():
    manifest = fake.emodb()
    emotion = manifest.set_index("utterance")["emotion"]
    for fold in leave_one_speaker_out.folds(manifest, leave_one_speaker_out.Config(dev_share=0.1), 0):
        rest = fold.train + fold.dev
        assert sorted(rest + fold.test) == sorted(manifest["utterance"])
        dev, both = emotion[list(fold.dev)].value_counts(), emotion[list(rest)].value_counts()
        assert (dev.reindex(both.index, fill_value=0) - 0.1 * both).abs().max() <= 1


def test_leave_one_session_out_on_iemocap():
    manifest = fake.iemocap()
    folds = leave_one_session_out.folds(manifest, leave_one_session_out.Config(), 0)
    assert [len(f.test) for f in folds] == [1085, 1023, 1151, 1031, 1241]
    assert not any(f.dev for f in folds)
    folds = leave_one_session_out.folds(manifest, leave_one_session_out.Config(dev="next"), 0)
    assert [len(f.dev) for f in folds] == [1023, 1151, 1031, 1241, 1085]
    assert [len(f.train) for f in folds] == [
        5531 - a - b for a, b in ((1085, 1023), (1023, 1151), (1151, 1031), (1031, 1241), (1241, 1085))
    ]


def test_leave_one_session_out_needs_sessions():
    with pytest.raises(
        SerError, match=r"535 utterances without session.*leave_one_session_out.*corpus emodb.*speaker_independent"
    ):
        leave_one_session_out.folds(fake.emodb(), leave_one_session_out.Config(), 0)


@pytest.mark.parametrize("order", ["seeded", "sorted"])
def test_ravdess_has_two_women_and_two_men_per_fold(order):
    manifest = fake.ravdess()
    folds = group_kfold.folds(manifest, group_kfold.Config(order=order, dev="next"), 0)
    assert [f.name for f in folds] == [f"group{i}" for i in range(6)]
    for fold, following in zip(folds, folds[1:] + folds[:1], strict=True):
        actors = speakers(manifest, fold.test)
        assert sorted(int(a) % 2 for a in actors) == [0, 0, 1, 1]
        assert fold.dev == following.test
        assert (len(fold.train), len(fold.dev), len(fold.test)) == (960, 240, 240)


def test_group_kfold_order_and_seed():
    manifest = fake.ravdess()
    seeded = [group_kfold.folds(manifest, group_kfold.Config(), seed) for seed in (0, 0, 1)]
    assert seeded[0] == seeded[1] != seeded[2]
    plain = [group_kfold.folds(manifest, group_kfold.Config(order="sorted"), seed) for seed in (0, 1)]
    assert plain[0] == plain[1] != seeded[0]


def test_group_kfold_spreads_unequal_sexes_evenly():
    rows = [{"speaker": f"{sex}{i}", "sex": sex} for sex, n in (("f", 5), ("m", 3), ("", 3)) for i in range(n)]
    manifest = fake.manifest(rows)
    folds = group_kfold.folds(manifest, group_kfold.Config(n_folds=4), 7)
    assert sorted(len(f.test) for f in folds) == [2, 3, 3, 3]
    for sex, n in (("f", 5), ("m", 3)):
        counts = [sum(s.startswith(sex) for s in speakers(manifest, f.test)) for f in folds]
        assert sum(counts) == n
        assert max(counts) - min(counts) <= 1


def test_group_kfold_needs_as_many_speakers_as_folds():
    with pytest.raises(SerError, match="at least 11 speakers, the corpus has 10"):
        group_kfold.folds(fake.emodb(), group_kfold.Config(n_folds=11), 0)
