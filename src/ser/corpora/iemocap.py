"""IEMOCAP (papers.md 1.2): five sessions of two actors, scripted and improvised dialogues, English.

Layout, at the top or below IEMOCAP_full_release/: audio in ``SessionN/sentences/wav/<dialogue>/<turn>.wav``, labels in
``SessionN/dialog/EmoEvaluation/<dialogue>.txt``, text in ``SessionN/dialog/transcriptions/<dialogue>.txt``, word times
in ``SessionN/sentences/ForcedAlignment/<dialogue>/<turn>.wdseg``.
The first letter of a turn (Ses01F_impro01_M003) is the actor who wore the markers for motion capture, the last one the
actor who speaks.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ser.core.errors import SerError, warn
from ser.corpora import Card, Utterance, Word, reading
from ser.corpora.download import refuse

EMOTIONS = {
    "neu": "neutral",
    "hap": "happiness",
    "exc": "excitement",
    "sad": "sadness",
    "ang": "anger",
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
}  # oth (other) and xxx (no majority) are not classes
FOUR = ("neutral", "happiness", "sadness", "anger")
_COUNTS = {  # papers.md 1.2, in the order of FOUR; happiness holds excitement
    "Ses01F": (171, 132, 78, 147),
    "Ses01M": (213, 146, 116, 82),
    "Ses02F": (135, 166, 113, 67),
    "Ses02M": (227, 161, 84, 70),
    "Ses03F": (130, 128, 172, 92),
    "Ses03M": (190, 158, 133, 148),
    "Ses04F": (76, 185, 62, 205),
    "Ses04M": (182, 118, 81, 122),
    "Ses05F": (221, 159, 132, 78),
    "Ses05M": (163, 283, 113, 92),
}
_HAPPY_ALONE = 595  # happiness without excitement
_IMPROVISED = 2943  # of the 5 531
CARD = Card(
    name="iemocap",
    title="IEMOCAP (Interactive Emotional Dyadic Motion Capture Database)",
    licence="licensed by USC SAIL for research, on signed request",
    homepage="https://sail.usc.edu/iemocap/",
    citation="C. Busso, M. Bulut, C.-C. Lee, A. Kazemzadeh, E. Mower, S. Kim, J. N. Chang, S. Lee, S. S. Narayanan: "
    "IEMOCAP: Interactive emotional dyadic motion capture database. "
    "Language Resources and Evaluation 42, 2008, pp. 335-359.",
    language="en",
    task="classification",
    access="licence",
    classes=FOUR,
    utterances=5531,
    speakers=10,
    counts={"neutral": 1708, "happiness": 1636, "sadness": 1084, "anger": 1103},
    counts_by_speaker={s: dict(zip(FOUR, row, strict=True)) for s, row in _COUNTS.items()},
    steps="Sign the release form at https://sail.usc.edu/iemocap/, download and unpack the full release, then run: "
    "ser link iemocap PATH (PATH holds Session1 to Session5)",
)
_FRAME = 0.01  # seconds per frame of the Sphinx aligner that made the .wdseg files
_LABEL = re.compile(r"\[\s*([\d.]+)\s*-\s*([\d.]+)\s*\]\t(\S+)\t(\w+)\t\[.*\]\s*")
_TURN = re.compile(r"((Ses0[1-5])[FM]_(\w+))_([FM])\d{3}")
_TRANSCRIPT = re.compile(r"(Ses\S+)\s+\[[^\]]*\]:\s*(.*)")


@dataclass(frozen=True)
class Config:
    """Options of the reader; the defaults are the 5 531 turns of the papers.

    `classes` (any of EMOTIONS) are kept, everything else is dropped; with `merge_excited` excitement is happiness.
    papers.md 1.2: 16 kHz.
    """

    merge_excited: bool = True
    improvised_only: bool = False
    classes: tuple[str, ...] = FOUR
    rates: tuple[int, ...] = (16_000,)
    assume_rate: int | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.classes) - set(EMOTIONS.values())):
            raise SerError(
                f"unknown class {unknown[0]!r}",
                "corpora.iemocap.reader.classes",
                "Known: " + ", ".join(EMOTIONS.values()),
            )


def expected(config: Config) -> Card:
    """The card with the counts that papers.md states, or that follow from them, for these options."""
    four = [c for c in config.classes if c in FOUR]
    counts, by_speaker = dict(CARD.counts), {s: dict(row) for s, row in CARD.counts_by_speaker.items()}
    if not config.merge_excited:
        counts["happiness"] = _HAPPY_ALONE
        for row in by_speaker.values():
            del row["happiness"]
    total = None
    if set(config.classes) <= set(FOUR):
        total = sum(counts[c] for c in four)
    if config.improvised_only:
        counts, by_speaker = {}, {}
        total = _IMPROVISED if set(config.classes) == set(FOUR) and config.merge_excited else None
    return dataclasses.replace(
        CARD,
        classes=config.classes,
        utterances=total,
        speakers=CARD.speakers if four else None,
        # other classes have no published counts: beside them, only those of the four are asserted, speaker by speaker
        counts={c: counts[c] for c in four if c in counts} if total else {},
        counts_by_speaker={s: {c: row[c] for c in four if c in row} for s, row in by_speaker.items()},
    )


def download(root: Path, config: Config = Config()) -> None:
    refuse(CARD)


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance per labelled turn. Raises `SerError` for a missing corpus and for label lines that cannot be read.

    Turns of unclear speakers (ids that end in XX and a digit) are left out: their label belongs to nobody.
    """
    root = reading.folder(root, CARD)
    top = root / "IEMOCAP_full_release" if (root / "IEMOCAP_full_release").is_dir() else root
    labels = reading.visible(top.glob("Session[1-5]/dialog/EmoEvaluation/*.txt"))
    if not labels:
        raise SerError("no labels of IEMOCAP: no Session*/dialog/EmoEvaluation/*.txt", root, CARD.steps)
    found = [u for path in labels for u in _dialogue(path, root, config)]
    yield from sorted(found, key=lambda u: u.id)


def words(root: Path, utterances: Iterable[Utterance]) -> Iterator[tuple[str, list[Word]]]:
    """Words of every turn that has a `.wdseg`; the others are left out."""
    for utterance in utterances:
        wav = Path(root) / utterance.file
        path = wav.parents[2] / "ForcedAlignment" / wav.parent.name / f"{wav.stem}.wdseg"
        if path.exists():
            yield utterance.id, read_wdseg(path)


def read_wdseg(path: Path) -> list[Word]:
    """Words of a `.wdseg` file: columns SFrm EFrm score word, in frames of 10 ms from the start of the turn, the last
    frame included. Silence and noise are left out. A malformed line is left out with a warning, since no study here
    depends on these words."""
    words = []
    for number, line in reading.lines(path):
        fields = line.split()
        if fields[0] == "SFrm" or line.lstrip().lower().startswith("total"):
            continue
        if len(fields) != 4 or not (fields[0].isdigit() and fields[1].isdigit()):
            warn("left out: expected first frame, last frame, score, word", f"{path}:{number}")
            continue
        token = re.sub(r"\(\d+\)$", "", fields[3])  # (2): second pronunciation of the word
        start, end = int(fields[0]) * _FRAME, (int(fields[1]) + 1) * _FRAME
        if not start < end:
            warn("left out: the word ends before it starts", f"{path}:{number}")
        elif not re.fullmatch(r"<.*>|\+\+.*\+\+", token):
            words.append(reading.word(start, end, token, path, number))
    return words


def _dialogue(labels: Path, root: Path, config: Config) -> Iterator[Utterance]:
    session = labels.parents[2]
    text = _transcript(session / "dialog" / "transcriptions" / labels.name)
    for number, line in reading.lines(labels):
        if not line.startswith("["):
            continue  # the header and the lines of single raters
        match = _LABEL.fullmatch(line)
        if not match:
            raise SerError("not a label line of IEMOCAP ([start - end] turn label [v, a, d])", f"{labels}:{number}")
        turn, emotion = match[3], EMOTIONS.get(match[4], "")
        who = _TURN.fullmatch(turn)
        if not who:
            if "XX" in turn.rsplit("_", 1)[-1]:
                continue
            raise SerError(f"{turn!r} is not a turn of IEMOCAP (like Ses01F_impro01_M003)", f"{labels}:{number}")
        dialogue, number_of_session, script, letter = who.groups()
        if config.merge_excited and emotion == "excitement":
            emotion = "happiness"
        if emotion not in config.classes or (config.improvised_only and not script.startswith("impro")):
            continue
        yield Utterance(
            id=turn,
            file=(session / "sentences" / "wav" / dialogue / f"{turn}.wav").relative_to(root).as_posix(),
            speaker=number_of_session + letter,
            emotion=emotion,
            session=number_of_session,
            dialogue=dialogue,
            sex=letter.lower(),
            text=text.get(turn, ""),
            text_id=script if script.startswith("script") else "",  # a script is spoken in every session
        )


def _transcript(path: Path) -> dict[str, str]:
    """Turn -> text; empty when there is no file. Lines that do not begin with the id of a turn are remarks."""
    if not path.exists():
        return {}
    matches = (_TRANSCRIPT.match(line) for _, line in reading.lines(path))
    return {m[1]: m[2].strip() for m in matches if m}
