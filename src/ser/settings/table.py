"""The blocks of params.yaml for a user's own CSV: which protocol and values its speakers allow, with the reasons."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ser.core.errors import SerError
from ser.corpora import raw_folder, table

LOSO = """\
  table-loso: # one fold per speaker
    corpus: table
    protocol: leave_one_speaker_out
    seed: 1"""
KFOLD = """\
  table-kfold: # speaker-dependent: leaving one speaker out takes 3 speakers, here {speakers}
    corpus: table
    protocol: kfold
    n_folds: 2
    seed: 1"""
BLOCKS = """\
corpora:
  table:
    source: real
    reader:
      csv: {csv} # the audio paths in it are relative to its own folder
audio:
  table:
    rate: 16000 # Hz; files of another rate are resampled
features:
  table-is10: # 1582 numbers per utterance (openSMILE)
    corpus: table
    feature: functionals
    set: is10
folds:
{folds}
models:
  majority: {{}} # what is reached by always predicting the most frequent class
  svm:
    scaling: train
experiments:
  majority-table:
    model: majority
    corpus: table
    folds: {protocol}
    feature: is10
    selection: last
  svm-table:
    model: svm
    corpus: table
    folds: {protocol}
    feature: is10
    selection: last
{config}"""


def blocks(csv: str | None, yaml: Any) -> Any:
    """Blocks of params.yaml for the CSV (default data/raw/table/table.csv), as `yaml` reads them, with their comments.

    Raises `SerError` when the table is not there, is faulty, or has one class only.
    """
    csv = str(Path(csv).expanduser()) if csv else None
    utterances = list(table.utterances(*_place(csv)))
    if not utterances:
        raise SerError("no utterance in the table", csv, "Write one row per utterance")
    classes = Counter(u.emotion for u in utterances)
    if len(classes) < 2:
        raise SerError(f"one class only, {utterances[0].emotion!r}", csv, "A classifier needs two emotions or more")
    speakers = len({u.speaker for u in utterances})
    few = speakers < 3  # with one left out, C could not be chosen on other speakers than those of training
    text = BLOCKS.format(
        csv=_quoted(csv or table.Config.csv),
        folds=KFOLD.format(speakers=speakers) if few else LOSO,
        protocol="kfold" if few else "loso",
        config="    config:\n      C:\n      - 0.01\n" if few else "",
    )
    return yaml.load(text)


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


def _place(csv: str | None) -> tuple[Path, table.Config]:
    """Root and options of the reader, as the stage `download` will find them."""
    linked = raw_folder() / table.CARD.name
    if csv is None:
        if not (linked / table.Config.csv).is_file():
            raise SerError("no table is given", "--csv", "Give the path of your CSV: --csv PATH")
        return linked, table.Config()
    path = Path(csv)
    if not path.is_file():
        raise SerError("no such table", path, "Give the path of a CSV with columns file, speaker, emotion")
    return path.parent, table.Config(csv=csv)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
