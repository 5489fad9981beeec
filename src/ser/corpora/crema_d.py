"""CREMA-D: 91 actors, twelve sentences, six emotions, American English.

Layout: ``AudioWAV/<actor>_<sentence>_<emotion>_<level>.wav`` (1001_DFA_ANG_XX.wav) and, for the sex of the actors,
``VideoDemographics.csv``. The label is the emotion that the actor was asked for, not what listeners perceived.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ser.core.errors import SerError
from ser.corpora import Card, Utterance, reading
from ser.corpora.download import refuse

EMOTIONS = {
    "NEU": "neutral",
    "HAP": "happiness",
    "SAD": "sadness",
    "ANG": "anger",
    "FEA": "fear",
    "DIS": "disgust",
}
SENTENCES = {
    "DFA": "Don't forget a jacket.",
    "IEO": "It's eleven o'clock.",
    "IOM": "I'm on my way to the meeting.",
    "ITH": "I think I have a doctor's appointment.",
    "ITS": "I think I've seen this before.",
    "IWL": "I would like a new alarm clock.",
    "IWW": "I wonder what this is about.",
    "MTI": "Maybe tomorrow it will be cold.",
    "TAI": "The airplane is almost full.",
    "TIE": "That is exactly what happened.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
CARD = Card(
    name="crema_d",
    title="CREMA-D (Crowd-sourced Emotional Multimodal Actors Dataset), audio",
    licence="Open Database License (ODbL) 1.0",
    homepage="https://github.com/CheyneyComputerScience/CREMA-D",
    citation="H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova, R. Verma: CREMA-D: Crowd-sourced Emotional "
    "Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4), 2014, pp. 377-390.",
    language="en",
    task="classification",
    access="licence",
    classes=tuple(EMOTIONS.values()),
    utterances=7442,
    speakers=91,
    counts={emotion: 1087 if emotion == "neutral" else 1271 for emotion in EMOTIONS.values()},
    steps="Clone https://github.com/CheyneyComputerScience/CREMA-D with git lfs (the folder AudioWAV is enough), "
    "then run: ser link crema_d PATH (PATH holds AudioWAV)",
)
_NAME = re.compile(rf"(1\d{{3}})_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_(LO|MD|HI|XX|X)")


@dataclass(frozen=True)
class Config:
    """Options of the reader. The files have 16 kHz."""

    rates: tuple[int, ...] = (16_000,)
    assume_rate: int | None = None


def download(root: Path, config: Config = Config()) -> None:
    refuse(CARD)


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance per file. Raises `SerError` for a missing corpus and for names that are not CREMA-D's."""
    root = reading.folder(root, CARD)
    paths = reading.visible((root / "AudioWAV").glob("*.wav"))
    if not paths:
        raise SerError("no audio of CREMA-D: no AudioWAV/*.wav", root, CARD.steps)
    sexes = _sexes(root / "VideoDemographics.csv")
    for path in paths:
        match = _NAME.fullmatch(path.stem)
        if not match:
            raise SerError("not a file name of CREMA-D (like 1001_DFA_ANG_XX.wav)", path, "Take the file out")
        actor, sentence, emotion, _ = match.groups()
        yield Utterance(
            id=path.stem,
            file=f"AudioWAV/{path.name}",
            speaker=actor,
            emotion=EMOTIONS[emotion],
            sex=sexes.get(actor, ""),
            text=SENTENCES[sentence],
            text_id=sentence,
        )


def _sexes(path: Path) -> dict[str, str]:
    """Actor -> f or m; empty without the table."""
    if not path.exists():
        return {}
    rows = csv.DictReader(line for _, line in reading.lines(path))
    return {str(row.get("ActorID")): {"Female": "f", "Male": "m"}.get(str(row.get("Sex")), "") for row in rows}
