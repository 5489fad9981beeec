"""The blocks of params.yaml for a corpus that the base of a new study does not have, such as a user's own CSV.

They are a baseline: openSMILE functionals, an SVM and the majority class, under the protocol that the corpus allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.core import plugins
from ser.core.errors import SerError
from ser.corpora import Card, Utterance, raw_folder, table
from ser.corpora.overview import state

MANY = 24  # speakers up to which each one gets a fold of its own (ours: 24 trainings of an SVM take a minute)
BLOCKS = """\
corpora:
  {corpus}:
    source: {source}
{reader}audio:
  {corpus}:
    rate: 16000 # Hz; files of another rate are resampled
features:
  {corpus}-is10: # 1582 numbers per utterance (openSMILE)
    corpus: {corpus}
    feature: functionals
    set: is10
folds:
  {corpus}-{folds}: # {why}
    corpus: {corpus}
    protocol: {protocol}
{options}    seed: 1
models:
  majority: {{}} # what is reached by always predicting the most frequent class
  svm:
    scaling: train
experiments:
  majority-{corpus}:
    model: majority
    corpus: {corpus}
    folds: {folds}
    feature: is10
    selection: last
  svm-{corpus}:
    model: svm
    corpus: {corpus}
    folds: {folds}
    feature: is10
    selection: last
{config}"""


@dataclass(frozen=True)
class Split:
    """The folds of a corpus: their name, the protocol, its options as lines of YAML, and the reason."""

    name: str
    protocol: str
    why: str
    options: str = ""


def blocks(corpus: str, yaml: Any, csv: str | None = None, audio: str | None = None) -> Any:
    """Blocks of params.yaml for a corpus, as `yaml` reads them, with their comments.

    `csv` and `audio` are of the corpus `table`: the CSV (default data/raw/table/table.csv), and the folder that its
    paths are relative to (default: that of the CSV). Raises `SerError` for a corpus without classes, and for a table
    that is not there, is faulty, or has one class only.
    """
    reader, source = "", "real"
    if corpus == "table":
        csv, audio = (str(Path(p).expanduser()) if p else None for p in (csv, audio))
        found: Sequence[Utterance] = _of_table(csv, audio)
        reader = f"    reader:\n      csv: {_quoted(csv or table.Config.csv)} # its paths are relative to "
        reader += f"the folder below\n      audio: {_quoted(audio)}\n" if audio else "its own folder\n"
    else:
        source, found = _of_reader(corpus)
    speakers = len({u.speaker for u in found}) or plugins.load("corpora", corpus).CARD.speakers or MANY + 1
    split = choose(speakers, {u.partition for u in found})
    text = BLOCKS.format(
        corpus=corpus,
        source=source,
        reader=reader,
        folds=split.name,
        protocol=split.protocol,
        why=split.why,
        options=split.options,
        # with one speaker left out of two, C could not be chosen on other speakers than those of training
        config="    config:\n      C:\n      - 0.01\n" if speakers < 3 else "",
    )
    return yaml.load(text)


def choose(speakers: int, partitions: set[str]) -> Split:
    """The protocol for a corpus with so many speakers, and with these partitions of its own ("": no partition)."""
    if {"train", "test"} <= partitions <= {"train", "dev", "test"}:
        return Split("partitions", "partitions", "the partitions that the corpus itself defines")
    if {"train", "dev"} == partitions:
        why = "the partitions that the corpus itself defines, without a test part"
        return Split("partitions", "partitions", why, "    test: dev\n")
    if speakers < 3:
        why = f"speaker-dependent: leaving one speaker out takes 3 speakers, here {speakers}"
        return Split("kfold", "kfold", why, "    n_folds: 2\n")
    if speakers > MANY:
        return Split("speakers", "group_kfold", "no speaker is in two folds")
    return Split("loso", "leave_one_speaker_out", "one fold per speaker")


def add(data: Any, extra: Any) -> None:
    """Adds the blocks to a base's params.yaml with their comments; the base's own models stay as they are."""
    for block, entries in extra.items():
        for name, value in entries.items():
            if block == "models" and name in data[block]:
                continue
            data[block].fa.set_block_style()
            data[block][name] = value
            if name in entries.ca.items:
                data[block].ca.items[name] = entries.ca.items[name]


def _of_reader(corpus: str) -> tuple[str, Sequence[Utterance]]:
    """The source of a corpus, and its utterances where it is here. The card says what there is to classify."""
    module = plugins.load("corpora", corpus)
    card: Card = module.CARD
    if card.task != "classification":
        what = f"{corpus} has {'continuous labels' if card.task == 'continuous' else 'no labels'}, and a study of "
        what += "classes is all that can be made of a reader alone"
        raise SerError(what, "--corpora", f"Give a --base that has {corpus}")
    if state(corpus) in ("here", "linked"):
        return "real", list(module.utterances(raw_folder() / corpus, module.Config()))
    return ("synthetic" if corpus in plugins.names("synthetic") else "real"), []


def _of_table(csv: str | None, audio: str | None) -> Sequence[Utterance]:
    found = list(table.utterances(*_place(csv, audio)))
    if not found:
        raise SerError("no utterance in the table", csv, "Write one row per utterance")
    classes = {u.emotion for u in found if u.emotion}  # rows to be predicted have none
    if len(classes) < 2:
        raise SerError(f"one class only, {classes.pop()!r}", csv, "A classifier needs two emotions or more")
    return found


def _place(csv: str | None, audio: str | None) -> tuple[Path, table.Config]:
    """Root and options of the reader, as the stage `download` will find them."""
    linked = raw_folder() / table.CARD.name
    if csv is None:
        if not (linked / table.Config.csv).is_file():
            raise SerError("no table is given", "--csv", "Give the path of your CSV: --csv PATH")
        return linked, table.Config()
    path = Path(csv)
    if not path.is_file():
        raise SerError("no such table", path, "Give the path of a CSV with columns file, speaker, emotion")
    if audio is not None and not Path(audio).is_dir():
        raise SerError("no such folder", audio, "Give the folder that holds all audio of the table: --audio PATH")
    return (Path(audio) if audio else path.parent), table.Config(csv=csv, audio=audio or "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
