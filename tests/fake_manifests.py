"""Hand-made manifests with known counts and without audio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from ser.corpora.manifest import COLUMNS

EMODB = {  # papers.md 1.1: utterances per speaker and class
    "03 m": (14, 5, 1, 4, 7, 7, 11),
    "08 f": (12, 10, 0, 6, 11, 9, 10),
    "09 f": (13, 4, 8, 1, 4, 4, 9),
    "10 m": (10, 8, 1, 8, 4, 3, 4),
    "11 m": (11, 8, 2, 10, 8, 7, 9),
    "12 m": (12, 5, 2, 6, 2, 4, 4),
    "13 f": (12, 10, 8, 7, 10, 5, 9),
    "14 f": (16, 8, 8, 12, 8, 10, 7),
    "15 m": (13, 9, 5, 8, 6, 4, 11),
    "16 f": (14, 14, 11, 7, 11, 9, 5),
}
EMODB_CLASSES = ("anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral")
IEMOCAP = {  # papers.md 1.2: female and male speaker of each session
    "Ses01": ((171, 132, 78, 147), (213, 146, 116, 82)),
    "Ses02": ((135, 166, 113, 67), (227, 161, 84, 70)),
    "Ses03": ((130, 128, 172, 92), (190, 158, 133, 148)),
    "Ses04": ((76, 185, 62, 205), (182, 118, 81, 122)),
    "Ses05": ((221, 159, 132, 78), (163, 283, 113, 92)),
}
IEMOCAP_CLASSES = ("neutral", "happiness", "sadness", "anger")


def manifest(rows: Iterable[Mapping[str, Any]], corpus: str = "fake") -> pd.DataFrame:
    """A manifest from partial rows; every utterance has its own audio unless a row says otherwise."""
    blank = dict.fromkeys(COLUMNS, "")
    numbers = {
        "synthetic": 0,
        "start": float("nan"),
        "end": float("nan"),
        "duration": 2.0,
        "rate": 16000,
        "channels": 1,
    }
    full = []
    for i, row in enumerate(rows):
        name = row.get("utterance", f"u{i:04d}")
        own = {"utterance": name, "corpus": corpus, "file": f"wav/{name}.wav", "pcm": f"pcm of {name}"}
        full.append({**blank, **numbers, **own, **row})
    return pd.DataFrame(full, columns=list(COLUMNS))


def emodb() -> pd.DataFrame:
    """535 utterances of 10 speakers; speaker 08 has no disgust; 10 texts."""
    texts = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
    rows = []
    for key, counts in EMODB.items():
        speaker, sex = key.split()
        for emotion, count in zip(EMODB_CLASSES, counts, strict=True):
            rows += [
                {
                    "utterance": f"{speaker}-{emotion}-{i:02d}",
                    "speaker": speaker,
                    "sex": sex,
                    "emotion": emotion,
                    "text_id": texts[i % 10],
                }
                for i in range(count)
            ]
    return manifest(rows, "emodb")


def iemocap() -> pd.DataFrame:
    """5 531 utterances of 10 speakers in 5 sessions; a dialogue has both speakers; there are two per session here."""
    rows = []
    for session, pair in IEMOCAP.items():
        for letter, counts in zip("FM", pair, strict=True):
            for emotion, count in zip(IEMOCAP_CLASSES, counts, strict=True):
                rows += [
                    {
                        "utterance": f"{session}{letter}-{emotion}-{i:03d}",
                        "speaker": session + letter,
                        "sex": letter.lower(),
                        "session": session,
                        "dialogue": f"{session}_impro{i % 2}",
                        "emotion": emotion,
                        "text": f"words {session} {letter} {emotion} {i}",
                    }
                    for i in range(count)
                ]
    return manifest(rows, "iemocap")


def ravdess() -> pd.DataFrame:
    """24 actors (odd male, even female), 60 files each; one exact duplicate pair (Actor_07), 2 texts."""
    emotions = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    rows = []
    for actor in range(1, 25):
        for e, emotion in enumerate(emotions):
            for i in range(4 if e == 0 else 8):
                rows.append(
                    {
                        "utterance": f"{e + 1:02d}-{i}-{actor:02d}",
                        "speaker": f"{actor:02d}",
                        "sex": "m" if actor % 2 else "f",
                        "emotion": emotion,
                        "text_id": ("kids", "dogs")[i % 2],
                    }
                )
    table = manifest(rows, "ravdess")
    table.loc[table["utterance"] == "04-1-07", "pcm"] = "pcm of 04-0-07"
    return table


def sewa(with_test: bool = True) -> pd.DataFrame:
    """34 train, 14 dev and 16 test recordings of 32 pairs (papers.md 1.5); test recordings carry no labels."""
    rows = []
    for partition, count in (("train", 34), ("dev", 14), ("test", 16 if with_test else 0)):
        for i in range(count):
            name = f"{partition.title()}_{i + 1:02d}"
            rows.append(
                {
                    "utterance": name,
                    "speaker": name,
                    "dialogue": f"{partition} pair {i // 2}",
                    "partition": partition,
                    "labels": "" if partition == "test" else f"labels/{name}.csv",
                    "duration": 150.0,
                }
            )
    return manifest(rows, "sewa")
