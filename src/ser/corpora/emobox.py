"""Any of the 32 corpora of EmoBox, by its metadata: one JSON object per line, and folds that others compare on.

Layout of a copy of https://github.com/emo-box/EmoBox with the audio in its place: ``data/<corpus>/<corpus>.jsonl``
(key, wav, emo, and start_time, end_time where a file holds several), ``data/<corpus>/label_map.json`` (its label ->
label; ``label_dict.json`` in one corpus), ``data/<corpus>/data.seg.wrd.stm`` (the speakers),
``data/<corpus>/fold_<k>/<corpus>_<train, valid or test>_fold_<k>.jsonl``, and ``downloads/<corpus>/...`` (the audio).

The folds become the column `partition`, as ``1:test 2:train`` for an utterance that fold 1 tests; the protocol `emobox`
reads it. A label that the map does not have keeps its name; the map is read without regard to case, because that of
EMO-DB writes "Neutral" for the metadata's "neutral".
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.core.errors import SerError
from ser.core.files import read_json
from ser.core.plugins import nearest
from ser.corpora import Card, Utterance, raw_folder, reading
from ser.corpora.download import refuse

COUNTS = {  # utterances, by the table of EmoBox (Ma et al. 2024)
    "aesdd": 604,
    "ased": 2474,
    "asvpesd": 13964,
    "cafe": 936,
    "casia": 1200,
    "cremad": 7442,
    "emns": 1181,
    "emodb": 535,
    "emovdb": 6887,
    "emovo": 588,
    "emozionalmente": 6902,
    "enterface": 1263,
    "esd": 35000,
    "iemocap": 5531,
    "jlcorpus": 2400,
    "m3ed": 24437,
    "mead": 31729,
    "meld": 13706,
    "mer2023": 5030,
    "mesd": 862,
    "msppodcast": 73042,
    "oreau": 434,
    "pavoque": 7334,
    "polish": 450,
    "ravdess": 1440,
    "resd": 1396,
    "savee": 480,
    "shemo": 2838,
    "subesco": 7000,
    "tess": 2800,
    "turevdb": 1735,
    "urdu": 400,
}
ROLES = {"train": "train", "valid": "dev", "test": "test"}
MARK = "data"  # is in a folder that `ser link` accepts
CARD = Card(
    name="emobox",
    title="a corpus in the metadata of EmoBox",
    licence="the metadata MIT; each corpus its own",
    homepage="https://github.com/emo-box/EmoBox",
    citation="Z. Ma, M. Chen, H. Zhang, Z. Zheng, W. Chen, X. Li, J. Ye, X. Chen, T. Hain: EmoBox: Multilingual "
    "Multi-corpus Speech Emotion Recognition Toolkit and Benchmark. Proc. Interspeech 2024.",
    language="",
    task="classification",
    access="own",
    steps="Clone https://github.com/emo-box/EmoBox, put the audio of the corpus where its metadata say "
    "(downloads/<corpus>), and run: ser link emobox PATH (PATH holds the folders data and downloads)",
)
_SPEAKER = re.compile(r"<id=(?P<key>.*?),lang=.*?,spk=(?P<speaker>.*),emotion=")


@dataclass(frozen=True)
class Config:
    """`corpus`: the name of the corpus in EmoBox (empty: the only one in the folder data); `folder`: the copy of EmoBox
    (empty: data/raw/emobox)."""

    corpus: str = ""
    folder: str = ""
    rates: tuple[int, ...] = ()
    assume_rate: int | None = None


def expected(config: Config) -> Card:
    """The card with the number of utterances that EmoBox states for the corpus."""
    count = COUNTS.get(config.corpus)
    return dataclasses.replace(CARD, utterances=count) if count else CARD


def download(root: Path, config: Config = Config()) -> None:
    refuse(CARD)


def place(config: Config, where: str) -> Path:
    """The copy of EmoBox."""
    root = Path(config.folder) if config.folder else raw_folder() / CARD.name
    if not (root / "data").is_dir():
        raise SerError("no copy of EmoBox: no folder data", root, f"Give its path: {where}.folder. {CARD.steps}")
    return root


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance per line of the metadata, sorted by id. Raises `SerError` that names file and line."""
    root = reading.folder(root, CARD)
    folder = _folder(root, config.corpus)
    speakers, labels = _speakers(folder / "data.seg.wrd.stm"), _labels(folder)
    roles = _roles(folder)
    found = []
    for where, row in _rows(folder / f"{folder.name}.jsonl"):
        key, emotion = str(row["key"]), str(row["emo"])
        if key not in speakers:
            raise SerError(f"no speaker of {key!r}", where, f"{folder / 'data.seg.wrd.stm'} must have a line of it")
        found.append(
            Utterance(
                id=reading.identifier(key),
                file=reading.inside(str(row["wav"]), where),
                speaker=speakers[key],
                emotion=labels.get(emotion.casefold(), emotion),
                start=_time(row, "start_time", where),
                end=_time(row, "end_time", where),
                partition=" ".join(roles.get(key, ())),
            )
        )
    yield from sorted(found, key=lambda u: u.id)


def _folder(root: Path, corpus: str) -> Path:
    """The folder of the corpus's metadata."""
    known = sorted(p.parent.name for p in root.glob("data/*/*.jsonl") if p.stem == p.parent.name)
    if not known:
        raise SerError("no metadata of EmoBox: no data/<corpus>/<corpus>.jsonl", root, CARD.steps)
    if not corpus and len(known) == 1:
        corpus = known[0]
    if corpus not in known:
        what = f"no corpus {corpus!r} in this copy of EmoBox" if corpus else "which of its corpora is not said"
        raise SerError(what, root / "data", f"Set the reader's key corpus. {nearest(corpus, known)}")
    return root / "data" / corpus


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place and object of every line, which has the keys key, wav and emo."""
    for number, line in reading.lines(path):
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SerError(f"not a JSON object: {error}", where, "Get this file again") from error
        if missing := [key for key in ("key", "wav", "emo") if not (isinstance(row, dict) and row.get(key))]:
            raise SerError(f"no {missing[0]!r}", where, "Get this file again")
        yield where, row


def _time(row: Mapping[str, Any], name: str, where: str) -> float | None:
    return reading.time("" if row.get(name) is None else str(row[name]), name, where)


def _speakers(path: Path) -> dict[str, str]:
    """Key of an utterance -> its speaker. Keys and speakers may hold spaces, so that the fields before are no help."""
    if not path.is_file():
        raise SerError("no speakers of the corpus", path, "Get this file of EmoBox")
    found = (_SPEAKER.search(line) for _, line in reading.lines(path))
    return {match["key"]: match["speaker"] for match in found if match}


def _labels(folder: Path) -> dict[str, str]:
    """Label of the metadata, in lower case -> label; empty without a map."""
    for name in ("label_map.json", "label_dict.json"):
        if (folder / name).is_file():
            return {str(k).casefold(): str(v) for k, v in read_json(folder / name).items()}
    return {}


def _roles(folder: Path) -> dict[str, list[str]]:
    """Key of an utterance -> its role in each fold, such as ``["1:test", "2:train"]``.

    Raises `SerError` for a fold that holds an utterance twice."""
    found: dict[str, list[str]] = {}
    numbered = {int(match[1]): p for p in folder.iterdir() if (match := re.fullmatch(r"fold_(\d{1,9})", p.name))}
    for number, fold in sorted(numbered.items()):
        seen = set[str]()
        for name, role in ROLES.items():
            path = fold / f"{folder.name}_{name}_{fold.name}.jsonl"
            for where, row in _rows(path) if path.is_file() else ():
                if row["key"] in seen:
                    raise SerError(f"{row['key']!r} is in this fold twice", where, "Get the files of this fold again")
                seen.add(row["key"])
                found.setdefault(row["key"], []).append(f"{number}:{role}")
    return found
