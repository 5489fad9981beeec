"""EMO-DB, RAVDESS and IEMOCAP."""

from __future__ import annotations

import shutil
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

import pandas as pd
import pytest

from ser.core.errors import SerError
from ser.corpora import MARKER, emodb, iemocap, ravdess
from ser.corpora.tables import check_counts
from tests import corpus_trees as trees
from tests.corpus_trees.iemocap import LABELS


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


# ---- EMO-DB


def test_emodb_fields_of_a_name(tmp_path: Path) -> None:
    first = next(iter(emodb.utterances(trees.tree("emodb", tmp_path))))
    assert (first.id, first.file, first.speaker, first.sex) == ("03a01Fa", "wav/03a01Fa.wav", "03", "m")
    assert (first.emotion, first.text_id) == ("happiness", "a01")
    assert first.text == "Der Lappen liegt auf dem Eisschrank."


def test_emodb_2_is_read_as_the_published_535(tmp_path: Path) -> None:
    published = emodb.published()
    more = [f"{s}{t}{e}f" for s in ("03", "16") for t in ("a01", "b10") for e in "WLEAFTN"]
    assert not published & set(more)
    touch(*(tmp_path / "wav" / f"{name}.wav" for name in (*published, *more)))
    found = list(emodb.utterances(tmp_path))
    check_counts(emodb.CARD, pd.DataFrame([vars(u) for u in found]), tmp_path)  # the table of papers.md 1.1
    touch(tmp_path / MARKER)
    assert len(list(emodb.utterances(tmp_path))) == 535 + len(more)


@pytest.mark.real
def test_emodb_published_names(real_emodb: Path) -> None:
    assert {p.stem for p in (real_emodb / "wav").glob("*.wav")} == emodb.published()
    test = (real_emodb / "erkennung.txt").read_text("iso-8859-1")
    assert all(f"{name}.wav" in test for name in emodb.published())


@pytest.mark.real
def test_emodb_sentences_are_those_of_the_labels(real_emodb: Path) -> None:
    """The corpus's own syllable labels, near phonetic in spelling, are closest to the sentence of their code."""
    plain = {code: "".join(c for c in text.lower() if c.isalpha()) for code, text in emodb.SENTENCES.items()}
    for code in plain:
        path = sorted((real_emodb / "silb").glob(f"*{code}*.silb"))[0]
        fields = (line.split("\t") for line in path.read_text("iso-8859-1").splitlines())
        labels = "".join(f[1].strip(" .").lower() for f in fields if len(f) > 1)
        likeness = {c: SequenceMatcher(None, labels, text, autojunk=False).ratio() for c, text in plain.items()}
        assert max(likeness, key=likeness.__getitem__) == code
        assert likeness[code] > 0.9


def test_emodb_foreign_name(tmp_path: Path) -> None:
    touch(trees.tree("emodb", tmp_path) / "wav/03a01Fa_noisy.wav")
    with pytest.raises(SerError, match=r"not a file name of EMO-DB.*03a01Fa_noisy\.wav"):
        list(emodb.utterances(tmp_path))


# ---- RAVDESS


def full_ravdess(top: Path) -> Path:
    for actor in range(1, 25):
        for emotion in range(1, 9):
            for intensity in (1, 2) if emotion > 1 else (1,):
                for rest in ("01-01", "01-02", "02-01", "02-02"):
                    touch(top / f"Actor_{actor:02d}/03-01-{emotion:02d}-{intensity:02d}-{rest}-{actor:02d}.wav")
    return top


def test_ravdess_fields_of_a_name(tmp_path: Path) -> None:
    first, second = ravdess.utterances(trees.tree("ravdess", tmp_path))
    assert (first.speaker, first.sex, first.emotion, first.text_id) == ("01", "m", "neutral", "01")
    assert (second.speaker, second.sex, second.emotion, second.text_id) == ("02", "f", "surprise", "02")
    assert second.text == "Dogs are sitting by the door."


def test_ravdess_double_tree_is_read_once(tmp_path: Path) -> None:
    full_ravdess(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "audio_speech_actors_01-24", ignore=lambda d, _: {"audio_speech_actors_01-24"})
    assert len(list(tmp_path.rglob("*.wav"))) == 2880
    found = list(ravdess.utterances(tmp_path))
    assert {u.file.split("/")[0] for u in found} == {f"Actor_{a:02d}" for a in range(1, 25)}
    check_counts(ravdess.CARD, pd.DataFrame([vars(u) for u in found]), tmp_path)


def test_ravdess_trees_that_differ(tmp_path: Path) -> None:
    trees.tree("ravdess", tmp_path)
    trees.tree("ravdess", tmp_path / "copy")
    (tmp_path / "copy/Actor_02/03-01-08-02-02-02-02.wav").unlink()
    with pytest.raises(SerError, match=r"03-01-08-02-02-02-02\.wav is only in one of"):
        list(ravdess.utterances(tmp_path))


def test_ravdess_leaves_out_song_and_video(tmp_path: Path) -> None:
    trees.tree("ravdess", tmp_path / "Audio_Speech_Actors_01-24")
    touch(tmp_path / "Audio_Song_Actors_01-24/Actor_01/03-02-01-01-01-01-01.wav")
    touch(tmp_path / "Video_Speech_Actor_01/Actor_01/01-01-01-01-01-01-01.mp4")
    touch(tmp_path / "Audio_Speech_Actors_01-24/Actor_01/02-01-01-01-01-01-01.wav")
    found = [u.file for u in ravdess.utterances(tmp_path)]
    assert found == [
        "Audio_Speech_Actors_01-24/Actor_01/03-01-01-01-01-01-01.wav",
        "Audio_Speech_Actors_01-24/Actor_02/03-01-08-02-02-02-02.wav",
    ]


def test_ravdess_foreign_name(tmp_path: Path) -> None:
    touch(trees.tree("ravdess", tmp_path) / "Actor_01/03-01-09-01-01-01-01.wav")
    with pytest.raises(SerError, match=r"not a file name of RAVDESS.*03-01-09"):
        list(ravdess.utterances(tmp_path))


# ---- IEMOCAP


def test_iemocap_speaker_is_the_last_letter(tmp_path: Path) -> None:
    found = {u.id: u for u in iemocap.utterances(trees.tree("iemocap", tmp_path))}
    assert list(found) == [
        "Ses01F_impro01_F000",
        "Ses01F_impro01_M000",
        "Ses01F_impro01_M001",
        "Ses01M_script01_1_F000",
    ]
    turn = found["Ses01F_impro01_M000"]
    assert (turn.speaker, turn.sex, turn.session, turn.dialogue) == ("Ses01M", "m", "Ses01", "Ses01F_impro01")
    assert (turn.emotion, turn.text) == ("happiness", "Do you have your forms?")
    assert turn.file == "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav"
    assert found["Ses01F_impro01_F000"].text == "Excusé me."  # in ISO-8859-1
    assert found["Ses01F_impro01_M001"].text == ""  # without a line in the transcript
    script = found["Ses01M_script01_1_F000"]  # without a transcript
    assert (script.speaker, script.text, script.text_id) == ("Ses01F", "", "script01_1")


def test_iemocap_options(tmp_path: Path) -> None:
    def emotions(**options: object) -> Counter[str]:
        return Counter(u.emotion for u in iemocap.utterances(root, iemocap.Config(**options)))

    root = trees.tree("iemocap", tmp_path)
    assert emotions() == {"neutral": 1, "happiness": 2, "sadness": 1}
    assert emotions(merge_excited=False) == {"neutral": 1, "happiness": 1, "sadness": 1}
    assert emotions(improvised_only=True) == {"neutral": 1, "happiness": 2}
    assert emotions(classes=("frustration", "excitement"), merge_excited=False) == {"frustration": 1, "excitement": 1}
    with pytest.raises(SerError, match=r"unknown class 'joy'.*classes"):
        iemocap.Config(classes=("joy",))


def test_iemocap_below_the_folder_of_the_release(tmp_path: Path) -> None:
    trees.tree("iemocap", tmp_path / "IEMOCAP_full_release")
    assert next(iter(iemocap.utterances(tmp_path))).file.startswith("IEMOCAP_full_release/Session1/")


def test_iemocap_expected_counts_follow_the_options() -> None:
    alone = iemocap.expected(iemocap.Config(merge_excited=False))
    assert (alone.utterances, alone.counts["happiness"]) == (4490, 595)
    assert "happiness" not in alone.counts_by_speaker["Ses01F"]
    assert iemocap.expected(iemocap.Config()) == iemocap.CARD
    assert iemocap.expected(iemocap.Config(improvised_only=True)).utterances == 2943
    two = iemocap.expected(iemocap.Config(classes=("anger", "sadness")))
    assert (two.utterances, two.counts) == (2187, {"anger": 1103, "sadness": 1084})
    more = iemocap.expected(iemocap.Config(classes=("anger", "frustration")))
    assert (more.utterances, more.counts, more.counts_by_speaker["Ses05M"]) == (None, {}, {"anger": 92})


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("[1.0 - 2.0] Ses01F_impro01_F003 neu [1, 1, 1]", "not a label line"),
        ("[1.0 - 2.0]\tSes01F_impro01_Z003\tneu\t[1, 1, 1]", "not a turn of IEMOCAP"),
    ],
)
def test_iemocap_faulty_label_line(tmp_path: Path, line: str, fault: str) -> None:
    root = trees.tree("iemocap", tmp_path)
    path = trees.write(root / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt", f"{LABELS}{line}\n")
    with pytest.raises(SerError, match=rf"{fault}.*{path.name}:10"):
        list(iemocap.utterances(root))


# ---- counts


def complete(card: object) -> pd.DataFrame:
    rows = [
        {"speaker": speaker, "emotion": emotion, "partition": ""}
        for speaker, row in card.counts_by_speaker.items()  # type: ignore[attr-defined]
        for emotion, n in row.items()
        for _ in range(n)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("module", [emodb, ravdess, iemocap])
def test_counts_name_the_cell_that_differs(module: object) -> None:
    card = module.CARD  # type: ignore[attr-defined]
    table = complete(card)
    check_counts(card, table, "here")
    speaker, emotion = table.iloc[0]["speaker"], table.iloc[0]["emotion"]
    want = card.counts_by_speaker[speaker][emotion]
    with pytest.raises(SerError, match=rf"speaker {speaker}, {emotion}: expected {want}, found {want - 1};.*\(here\)"):
        check_counts(card, table.iloc[1:], "here")
    extra = pd.concat([table, pd.DataFrame([{"speaker": speaker, "emotion": "joy", "partition": ""}])])
    with pytest.raises(SerError, match="'joy': expected 0, found 1"):
        check_counts(card, extra, "here")
