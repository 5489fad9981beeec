"""Where a study keeps its files. dvc.yaml names the same paths. All are relative to the repository root.

Every name passes `ser.core.files.file_name`, so that none leads out of its folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.core.files import file_name, read_json


@dataclass(frozen=True)
class Layout:
    study: str

    @property
    def data(self) -> Path:
        return Path("data") / file_name(self.study)

    @property
    def metrics(self) -> Path:
        return Path("metrics") / file_name(self.study)

    def settings(self, name: str) -> Any:
        """The settings of one stage, such as ``train/svm-emodb-loso``, checked by the settings stage."""
        return read_json(self.data / "settings" / f"{'/'.join(map(file_name, name.split('/')))}.json")

    def receipt(self, corpus: str) -> Path:
        """File by which later stages find a corpus again and notice that it has changed."""
        return self.data / "receipts" / f"{file_name(corpus)}.json"

    def manifest(self, corpus: str) -> Path:
        """Folder: utterances.csv and card.json; where the corpus has them also labels.csv (continuous), words.csv
        (alignments), turns.csv and sentences.csv."""
        return self.data / "corpora" / file_name(corpus)

    def audio(self, corpus: str) -> Path:
        """Folder of the packed audio, inside the manifest; absent for a corpus whose audio is read where it is."""
        return self.manifest(corpus) / "audio"

    def feature(self, corpus: str, name: str) -> Path:
        return self.data / "features" / file_name(f"{corpus}-{name}")

    def folds(self, name: str) -> Path:
        """The CSV of the folds; a JSON file of the same name holds the audit."""
        return self.data / "folds" / f"{file_name(name)}.csv"

    def predictions(self, experiment: str) -> Path:
        return self.metrics / "predictions" / f"{file_name(experiment)}.csv"

    def curves(self, experiment: str) -> Path:
        return self.metrics / "curves" / f"{file_name(experiment)}.csv"

    def card(self, experiment: str) -> Path:
        """In a folder of the experiment's own, with windows.csv and dev.csv where there are any."""
        return self.metrics / "cards" / file_name(experiment) / "card.json"

    def cost(self, experiment: str) -> Path:
        return self.metrics / "costs" / f"{file_name(experiment)}.json"

    def pretrained(self, name: str) -> Path:
        return self.data / "pretrained" / file_name(name)

    def words(self, name: str) -> Path:
        """Folder of word vectors, their alignment and the word streams of a corpus."""
        return self.data / "words" / file_name(name)

    def package(self, name: str) -> Path:
        """Folder of a trained experiment that predicts anywhere."""
        return self.data / "packages" / file_name(name)

    def about_pretraining(self, name: str) -> Path:
        """Folder of what git keeps of a pretraining: its learning curve."""
        return self.metrics / "pretraining" / file_name(name)

    def about_words(self, name: str) -> Path:
        """Folder of what git keeps of word vectors: diagnostics of their alignment."""
        return self.metrics / "words" / file_name(name)

    def scores(self, experiment: str) -> Path:
        """Headline numbers, flat, as `dvc metrics show` prints them."""
        return self.metrics / "scores" / f"{file_name(experiment)}.json"

    def details(self, experiment: str) -> Path:
        """Everything else that was computed from the predictions: intervals, classes, what the numbers are."""
        return self.metrics / "details" / f"{file_name(experiment)}.json"

    def evidence(self, experiment: str, ensemble: bool | None = None) -> tuple[Path, Path]:
        """Predictions and card that an experiment is scored on: those of its training, or of an ensemble those that
        the evaluation makes of its members. `ensemble`: whether it is one; None: whether there are such files.
        """
        made = self.metrics / "details" / "ensembles" / experiment
        if ensemble or (ensemble is None and made.exists()):
            return made / "predictions.csv", made / "card.json"
        return self.predictions(experiment), self.card(experiment)

    @property
    def report(self) -> Path:
        """Folder of the report: report.html, report.md, ledger.md and figures."""
        return Path("reports") / file_name(self.study)
