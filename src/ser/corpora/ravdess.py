"""RAVDESS, the speech part, audio only (papers.md 1.3): 24 actors, two sentences, eight emotions, American English.

Layout, at the top or one folder below: ``Actor_AA/MM-VV-EE-II-SS-RR-AA.wav`` (modality, channel, emotion, intensity,
statement, repetition, actor). Song and video files are left out. Packages that hold the tree twice are read once.
Two files of actor 07 are the same recording in the original. Both are kept, and their `pcm` is equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ser.core.errors import SerError
from ser.corpora import Card, Source, Utterance, reading
from ser.corpora.download import fetch

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
SENTENCES = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
_PER_ACTOR = {emotion: 4 if emotion == "neutral" else 8 for emotion in EMOTIONS.values()}  # neutral has one intensity
CARD = Card(
    name="ravdess",
    title="RAVDESS (Ryerson Audio-Visual Database of Emotional Speech and Song), speech audio",
    licence="CC BY-NC-SA 4.0",
    homepage="https://zenodo.org/records/1188976",
    citation="S. R. Livingstone, F. A. Russo: The Ryerson Audio-Visual Database of Emotional Speech and Song "
    "(RAVDESS). PLoS ONE 13(5): e0196391, 2018.",
    language="en",
    task="classification",
    access="download",
    classes=tuple(EMOTIONS.values()),
    utterances=1440,
    speakers=24,
    counts={emotion: 24 * n for emotion, n in _PER_ACTOR.items()},
    counts_by_speaker={f"{actor:02d}": _PER_ACTOR for actor in range(1, 25)},
    sources=(
        Source(
            "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
            "md5:bc696df654c87fed845eb13823edef8a",
            208_468_073,
        ),
    ),
    steps="Free download of 208 MB: set corpora.ravdess.source: real in params.yaml and run dvc repro, "
    "or unpack Audio_Speech_Actors_01-24.zip and run: ser link ravdess PATH (PATH holds Actor_01 to Actor_24)",
)
_NAME = re.compile(r"(0[1-3])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")


@dataclass(frozen=True)
class Config:
    """Options of the reader. papers.md 1.3: 48 kHz."""

    rates: tuple[int, ...] = (48_000,)
    assume_rate: int | None = None


def download(root: Path, config: Config = Config()) -> None:
    fetch(CARD, CARD.sources[0], root)


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance per speech file. Raises `SerError` for a missing corpus, for names that are not RAVDESS's and for
    two trees that differ."""
    root = reading.folder(root, CARD)
    for path in _one_tree(root):
        _, _, emotion, _, statement, _, actor = path.stem.split("-")
        yield Utterance(
            id=path.stem,
            file=path.relative_to(root).as_posix(),
            speaker=actor,
            emotion=EMOTIONS[emotion],
            sex="m" if int(actor) % 2 else "f",
            text=SENTENCES[statement],
            text_id=statement,
        )


def _one_tree(root: Path) -> list[Path]:
    """The speech files, sorted by name, of the only tree, or of the first of several trees with the same names."""
    trees: dict[Path, dict[str, Path]] = {}
    for actor in reading.visible([*root.glob("Actor_*"), *root.glob("*/Actor_*")]):
        for path in reading.visible(actor.glob("*.wav")):
            match = _NAME.fullmatch(path.stem)
            if not match:
                raise SerError("not a file name of RAVDESS (like 03-01-01-01-01-01-01.wav)", path, "Take the file out")
            if match.group(1, 2) == ("03", "01"):
                trees.setdefault(actor.parent, {})[path.name] = path
    if not trees:
        raise SerError("no speech of RAVDESS: no Actor_*/03-01-*.wav", root, CARD.steps)
    first, *others = sorted(trees, key=lambda tree: (len(tree.parts), tree))
    for other in others:
        if differing := sorted(trees[first].keys() ^ trees[other].keys()):
            raise SerError(
                f"two trees that differ: {differing[0]} is only in one of {first.name} and {other.name}",
                root,
                "Keep one of them: move the other out of this folder",
            )
    return [trees[first][name] for name in sorted(trees[first])]
