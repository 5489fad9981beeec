"""EMO-DB, the Berlin Database of Emotional Speech (papers.md 1.1): ten actors, ten sentences, seven emotions, German.

Layout: ``wav/SSTTTEV.wav`` (speaker, text code, emotion letter, version letter); label folders beside it are not read.
EMO-DB 2.0 adds 281 recordings that failed the perception test: of an original copy only the published 535 are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ser.corpora import MARKER, Card, Source, Utterance
from ser.corpora.reading import emodb_names as _emodb
from ser.corpora.reading import read as _read
from ser.corpora.reading.download import fetch
from ser.errors import SerError

EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
SEX = {"03": "m", "08": "f", "09": "f", "10": "m", "11": "m", "12": "m", "13": "f", "14": "f", "15": "m", "16": "f"}
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Blatt Papier befindet sich da oben neben dem Holzstück.",  # as spoken and labelled in silb/
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
_COUNTS = {  # papers.md 1.1, in the order of EMOTIONS
    "03": (14, 5, 1, 4, 7, 7, 11),
    "08": (12, 10, 0, 6, 11, 9, 10),
    "09": (13, 4, 8, 1, 4, 4, 9),
    "10": (10, 8, 1, 8, 4, 3, 4),
    "11": (11, 8, 2, 10, 8, 7, 9),
    "12": (12, 5, 2, 6, 2, 4, 4),
    "13": (12, 10, 8, 7, 10, 5, 9),
    "14": (16, 8, 8, 12, 8, 10, 7),
    "15": (13, 9, 5, 8, 6, 4, 11),
    "16": (14, 14, 11, 7, 11, 9, 5),
}
CARD = Card(
    name="emodb",
    title="EMO-DB (Berlin Database of Emotional Speech)",
    licence="CC0 1.0 (as packaged by audEERING; freely available)",
    homepage="http://emodb.bilderbar.info/",
    citation="F. Burkhardt, A. Paeschke, M. Rolfes, W. F. Sendlmeier, B. Weiss: A Database of German Emotional Speech. "
    "Proc. Interspeech 2005, pp. 1517-1520.",
    language="de",
    task="classification",
    access="download",
    classes=tuple(EMOTIONS.values()),
    utterances=535,
    speakers=10,
    counts={"anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "sadness": 62, "neutral": 79},
    counts_by_speaker={s: dict(zip(EMOTIONS.values(), row, strict=True)) for s, row in _COUNTS.items()},
    sources=(Source("http://emodb.bilderbar.info/download/download.zip"),),  # no checksum is published
    steps="Free download of 40 MB: set corpora.emodb.source: real in params.yaml and run dvc repro, "
    "or unpack a copy of your own and run: ser link emodb PATH (PATH holds the folder wav)",
    shareable=True,
)
_NAME = re.compile(r"(03|08|09|1[0-6])(a0[12457]|b0[1239]|b10)([WLEAFTN])[a-f]")


@dataclass(frozen=True)
class Config:
    """Options of the reader. papers.md 1.1: distributed at 16 kHz."""

    rates: tuple[int, ...] = (16_000,)
    assume_rate: int | None = None


def download(root: Path, config: Config = Config()) -> None:
    """Fetches the archive into `root`; no checksum is published, so the 535 names are checked before it is done."""
    fetch(CARD, CARD.sources[0], root, _check_names)


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance a recording. Raises `SerError` for a missing corpus and for names that are not EMO-DB's."""
    root = _read.folder(root, CARD)
    paths = _read.visible((root / "wav").glob("*.wav"))
    if not paths:
        raise SerError("no recordings of EMO-DB: no wav/*.wav", root, CARD.steps)
    wanted = None if (root / MARKER).exists() else _emodb.published()
    for path in paths:
        match = _NAME.fullmatch(path.stem)
        if not match:
            raise SerError("not a file name of EMO-DB (like 03a01Fa.wav)", path, "Take the file out of wav/")
        if wanted is None or path.stem in wanted:
            speaker, text, letter = match.groups()
            yield Utterance(
                id=path.stem,
                file=f"wav/{path.name}",
                speaker=speaker,
                emotion=EMOTIONS[letter],
                sex=SEX[speaker],
                text=SENTENCES[text],
                text_id=text,
            )


def _check_names(root: Path) -> None:
    missing = sorted(_emodb.published() - {p.stem for p in (root / "wav").glob("*.wav")})
    if missing:
        raise SerError(
            f"the download is not EMO-DB: wav/{missing[0]}.wav is not in it", CARD.sources[0].url, CARD.steps
        )
