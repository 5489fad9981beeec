"""The look-alikes' files against the originals' formats (papers.md, section 1), without our readers or writers."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_synth import build

SIZES = {
    "emodb": {"speakers": 2, "per_cell": 2},
    "ravdess": {"actors": 1, "files": 9},
    "iemocap": {"sessions": 1, "turns": 3},
    "librispeech": {"minutes": 0.4, "speakers": 2},
    "sewa": {"minutes": 0.75, "recordings": 3},
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a folder with spaces")
    for name, size in SIZES.items():
        config = build.load(name).Config(**size)
        build.build(name, config, folder / name, processes=1)
    return folder


def audio(path: Path, rate: int, kind: str = "WAV") -> np.ndarray:
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype, info.format) == (rate, 1, "PCM_16", kind)
    samples, _ = soundfile.read(path, dtype="int16")
    assert np.abs(samples).max() < 32767  # not clipped
    assert samples.astype(float).std() > 30  # not silent
    return samples


def test_emodb(corpora: Path) -> None:
    pattern = r"^(03|08|09|1[0-6])(a0[12457]|b0[1239]|b10)[WLEAFTN][a-f]\.wav$"
    paths = sorted((corpora / "emodb/wav").iterdir())
    assert len(paths) == 2 * 7 * 2
    assert all(re.match(pattern, p.name) for p in paths)
    cells = [p.name[:2] + p.name[5] for p in paths]
    assert {cells.count(c) for c in cells} == {2}
    assert all(1.0 < len(audio(p, 16000)) / 16000 < 9.5 for p in paths)


def test_ravdess(corpora: Path) -> None:
    paths = sorted((corpora / "ravdess/Actor_01").iterdir())
    assert len(paths) == 9
    fields = [p.stem.split("-") for p in paths]
    for path, (modality, channel, emotion, intensity, statement, repetition, actor) in zip(paths, fields, strict=True):
        assert (modality, channel, actor) == ("03", "01", "01")
        assert 1 <= int(emotion) <= 8
        assert int(intensity) == 1 if emotion == "01" else int(intensity) in (1, 2)
        assert int(statement) in (1, 2)
        assert int(repetition) in (1, 2)
        assert 2.5 < len(audio(path, 48000)) / 48000 < 7
    assert {f[2] for f in fields} == {f"{e:02d}" for e in range(1, 9)}


def test_ravdess_full_size_has_the_originals_files() -> None:
    from ser_synth import ravdess

    jobs = ravdess.jobs(ravdess.Config(files=60))
    counts = np.bincount([j.emotion for j in jobs])
    assert counts[1:].tolist() == [96] + [192] * 7  # papers.md 1.3
    assert len({j.file for j in jobs}) == 1440


def test_iemocap(corpora: Path) -> None:
    session = corpora / "iemocap/Session1"
    dialogues = sorted(p.stem for p in (session / "dialog/EmoEvaluation").glob("*.txt"))
    assert len(dialogues) == 6
    turn = re.compile(
        r"^\[(\d+\.\d{4}) - (\d+\.\d{4})\]\t(Ses0[1-5][FM]_(?:impro\d\d[ab]?|script\d\d_\d[a-z]?)_[FM]\d{3})\t"
        r"(neu|hap|exc|ang|sad|fru)\t\[([\d.]+), ([\d.]+), ([\d.]+)\]$"
    )
    for dialogue in dialogues:
        lines = (session / f"dialog/EmoEvaluation/{dialogue}.txt").read_text().splitlines()
        assert lines[:2] == ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        turns = [turn.match(line) for line in lines if line.startswith("[")]
        spoken = (session / f"dialog/transcriptions/{dialogue}.txt").read_text().splitlines()
        assert len(turns) == len(spoken) == 3
        for match, line in zip(turns, spoken, strict=True):
            assert match
            start, end, name = float(match[1]), float(match[2]), match[3]
            assert name.startswith(dialogue)
            assert all(1 <= float(v) <= 5 for v in match.group(5, 6, 7))
            samples = audio(session / "sentences/wav" / dialogue / f"{name}.wav", 16000)
            assert len(samples) / 16000 == pytest.approx(end - start, abs=2e-4)
            text = re.match(rf"^{name} \[(\d{{3}}\.\d{{4}})-(\d{{3}}\.\d{{4}})\]: (.+)$", line)
            assert text
            assert (float(text[1]), float(text[2])) == pytest.approx((start, end), abs=1e-4)
            segments = session / "sentences/ForcedAlignment" / dialogue / f"{name}.wdseg"
            check_wdseg(segments.read_text().splitlines(), text[3], len(samples) / 16000)


def check_wdseg(lines: list[str], text: str, duration: float) -> None:
    assert lines[0].split() == ["SFrm", "EFrm", "SegAScr", "Word"]
    rows = [line.split() for line in lines[1:-1]]
    assert lines[-1].startswith("Total score:")
    frames = [(int(a), int(b)) for a, b, _, _ in rows]
    assert frames[0][0] == 0
    assert all(a <= b for a, b in frames)
    assert all(b + 1 == a for (_, b), (a, _) in pairwise(frames))  # no gap, no overlap
    assert frames[-1][1] <= 100 * duration
    words = [word for *_, word in rows]
    assert (words[0], words[-1]) == ("<s>", "</s>")
    assert [w for w in words if not w.startswith("<")] == re.sub(r"[.,!?]", "", text).upper().split()


def test_librispeech(corpora: Path) -> None:
    root = corpora / "librispeech/LibriSpeech"
    table = [line.split("|") for line in (root / "SPEAKERS.TXT").read_text().splitlines() if line[0] != ";"]
    sexes = {row[0].strip(): row[1].strip() for row in table}
    chapters = sorted((root / "train-clean-100").glob("*/*"))
    assert {c.parent.name for c in chapters} == set(sexes)
    assert set(sexes.values()) == {"F", "M"}
    for chapter in chapters:
        stem = f"{chapter.parent.name}-{chapter.name}"
        transcript = (chapter / f"{stem}.trans.txt").read_text().splitlines()
        alignment = (chapter / f"{stem}.alignment.txt").read_text().splitlines()
        assert len(transcript) == len(alignment) == len(list(chapter.glob("*.flac")))
        for number, (spoken, aligned) in enumerate(zip(transcript, alignment, strict=True)):
            name, text = spoken.split(" ", 1)
            assert name == f"{stem}-{number:04d}"
            assert re.fullmatch(r"[A-Z' ]+", text)
            samples = audio(chapter / f"{name}.flac", 16000, "FLAC")
            match = re.fullmatch(rf'{name} "([^"]*)" "([^"]*)"', aligned)
            assert match
            words, ends = match[1].split(","), [float(t) for t in match[2].split(",")]
            assert len(words) == len(ends)
            assert words[0] == words[-1] == ""  # always silence
            assert [w for w in words if w] == text.split()
            assert all(np.diff(ends) > 0)
            assert ends[-1] == pytest.approx(len(samples) / 16000, abs=1e-3)


def test_sewa(corpora: Path) -> None:
    root = corpora / "sewa"
    names = sorted(p.stem for p in (root / "audio").iterdir())
    assert names == ["Devel_01", "Test_01", "Train_01"]
    for name in names:
        seconds = len(audio(root / f"audio/{name}.wav", 16000)) / 16000
        rows = [line.split(";") for line in (root / f"labels/{name}.csv").read_text().splitlines()]
        assert {row[0] for row in rows} == {f"'{name}'"}
        values = np.array([row[1:] for row in rows], float)
        assert values.shape == (150, 4)
        assert np.allclose(values[:, 0], np.arange(150) / 10)
        assert np.abs(values[:, 1:]).max() <= 1
        assert values[:, 1:].std(0).min() > 0.01
        turns = table(root / f"turns/{name}.csv")
        spoken = (root / f"transcriptions/{name}.csv").read_text().splitlines()
        assert (turns[:, 0] < turns[:, 1]).all()
        assert (turns[1:, 0] > turns[:-1, 1]).all()
        assert turns[-1, 1] <= seconds + 0.01
        check_segmentation(root / f"segmentation/{name}.csv", turns, spoken)
        raters = sorted((root / "annotators").glob(f"{name}_A*.csv"))
        assert [p.stem[-2:] for p in raters] == ["A1", "A2", "A3", "A4", "A5", "A6"]
        assert all(table(p).shape == (150, 4) for p in raters)


def check_segmentation(path: Path, turns: np.ndarray, spoken: list[str]) -> None:
    rows = [line.split(";") for line in path.read_text().splitlines()]
    for k, (start, end) in enumerate(turns):
        match = re.fullmatch(r"(\d+\.\d\d);(\d+\.\d\d);'(.+)'", spoken[k])
        assert match
        assert [float(match[1]), float(match[2])] == [start, end]
        own = [row for row in rows if re.fullmatch(rf"s{k}w\d{{6}}", row[0])]
        assert [row[3] for row in own] == re.sub(r"<\w+>", "", match[3]).split()  # one interval per token
        times = np.array([row[1:3] for row in own], float)
        assert (times[:, 0] < times[:, 1]).all()
        assert (times[1:, 0] >= times[:-1, 1] - 1e-4).all()
        assert times.min() >= start - 0.01
        assert times.max() <= end + 0.01


def table(path: Path) -> np.ndarray:
    return np.array([line.split(";") for line in path.read_text().splitlines()], float)
