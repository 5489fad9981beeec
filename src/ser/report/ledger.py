"""The ledger of a study: every number that the papers print, beside ours, with a verdict by rule.

The verdict is *reproduced* only when the published value is inside our interval, under the same protocol, on real data,
at the size of the paper, with nothing selected on test. A verdict also names what else is known to be different, such
as a single seed, whether or not it forbids the comparison. Where a number was not run, the ledger says why. What a
paper cites from others is context: nothing is compared with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ser.evaluation import results
from ser.evaluation.published import LEDGER_KINDS as KINDS
from ser.evaluation.published import numbers, published
from ser.evaluation.results import Result, Score

# our protocol, and its number of folds, that is the one of a published column (papers.md 4.7, 5.7, 6.7, 7.5)
PROTOCOLS: Mapping[str, tuple[str, int | None]] = {
    "speaker_independent": ("speaker_independent", None),
    "speaker_dependent": ("speaker_dependent_holdout", None),
    "loso10": ("leave_one_speaker_out", 10),
    "cv10": ("kfold", 10),
    "cv5": ("kfold", 5),
    "devel": ("partitions", None),
    "test": ("partitions", None),
}
PARTITIONS = {"devel": "dev", "test": "test"}  # part of the name of the fold that such a column is about
LICENCE = {  # corpora given only to those who sign for them (papers.md 1.2, 1.5)
    "iemocap": "licence: IEMOCAP is given on a signed request",
    "sewa": "licence: SEWA is given under an end-user licence",
}
GPU = {  # papers.md 8, cost guide: what a CPU cannot train at paper size in reasonable time
    "fusion_convbert": "GPU: about 4e16 floating-point operations per fold at paper size",
    "clstm": "GPU: hours per experiment at paper size",
}
NO_GPU_NEEDED = {"fusion_convbert": ("cnns",)}  # rows of such a paper that are small enough
MEANS = {"overall accuracy": "wa", "weighted recall": "wa", "unweighted recall": "ua", "unweighted F1": "f1"}
SEEDS = 3  # papers.md 8: at least
WITHOUT_SEEDS = ("svm", "statistics", "majority", "ensemble")  # no random start, or that of all its members
PRETRAINING = {"fusion_convbert": (363.6, 500_000)}  # hours of train-clean-360 and steps (papers.md 1.4, 4.3)
UNKNOWN = {  # what a network of ours had to choose because its paper does not say it, with consequences (papers.md 9)
    "autoencoder_emotion_embedding": "the paper does not say what chose its epoch, or whether it counts crops",
    "clstm": "the paper gives no layer sizes and has no dev part",
    "semantic_ser": "our word vectors know no German Wikipedia",
}
BY_FOLD = {"autoencoder_emotion_embedding": ("class", "confusion")}  # averaged over folds there, pooled here (5.7)
LOSSES = {"train_loss": "train", "test_loss": "test"}


@dataclass(frozen=True)
class Row:
    """One published number, with ours where an experiment reproduces it. Shares are fractions."""

    paper: str
    table: str
    system: str
    corpus: str
    protocol: str
    metric: str
    published: float
    flagged: bool
    verdict: str
    kind: str = "own"  # a key of KINDS
    experiment: str = ""
    ours: Score = results.UNDEFINED
    selection: str = ""
    size: str = ""
    data: str = ""

    @property
    def ran(self) -> bool:
        return bool(self.experiment)

    @property
    def difference(self) -> float | None:
        return None if self.ours.value is None else self.ours.value - self.published


def rows(experiments: Mapping[str, Result], losses: Mapping[str, Mapping[str, float]] | None = None) -> list[Row]:
    """The ledger of a study, in the order of the published results.

    Args:
        experiments: name -> result; the `paper` of its description names the published cell that it reproduces.
        losses: name -> ``train`` and ``test``, the losses at the end of a training, where they are known.

    Raises:
        SerError: an experiment names a published cell that does not exist.
    """
    answers: dict[str, list[str]] = {}
    systems: dict[tuple[str, ...], list[str]] = {}  # for numbers by class and losses, which have no key of their own
    for name, result in experiments.items():
        if cell := published(result.description.paper):
            answers.setdefault(cell.key, []).append(name)
            for corpus in (cell.corpus, ""):  # a loss is stated for no corpus in particular
                systems.setdefault((cell.paper, cell.system, corpus, cell.protocol), []).append(name)
    real = {r.description.corpus for r in experiments.values() if r.description.data == "real"}
    found = []
    for _, number in _compared(answers).iterrows():
        if number["kind"] in ("class", "confusion", "loss"):
            where = (number["paper"], number["system"], number["corpus"], number["protocol"])
            names = systems.get(where, [])
        else:
            names = [n for key in (number["key"], number["same_as"]) for n in answers.get(key, [])]
        ours = [_answer(number, name, experiments[name], (losses or {}).get(name, {})) for name in names]
        found += ours or [_row(number, verdict=_unanswered(number, real))]
    return found


def final_losses(result: Result, curve: pd.DataFrame) -> dict[str, float]:
    """``train``: the loss at the end of the mean learning curve, whatever terms it has; ``test``: the negative log
    likelihood of the test parts. What is not known is missing."""
    found = {}
    if "train_loss" in curve and curve["train_loss"].notna().any():
        found["train"] = float(curve["train_loss"].dropna().iloc[-1])
    if "before" in result.calibration:
        found["test"] = float(result.calibration["before"]["nll"])
    return found


def by_paper(found: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in found:
        groups.setdefault(row.paper, []).append(row)
    return groups


def of(found: Iterable[Row], kind: str) -> list[Row]:
    return [row for row in found if row.kind == kind]


def verdict(value: float, ours: Score, faults: Sequence[str], opened: Sequence[str] = ()) -> str:
    """The rule. `faults`: why our number is another thing than the published one, whatever their values; `opened`:
    other known differences, which are named and change no verdict."""
    return "; also ".join(filter(None, (_judged(value, ours, faults), ", ".join(opened))))


def _judged(value: float, ours: Score, faults: Sequence[str]) -> str:
    if ours.value is None:
        return "not comparable: no labels to score"
    if ours.low is None or ours.high is None:
        return "not comparable: " + ", ".join([*faults, "no interval"])
    if faults:
        return "not comparable: " + ", ".join(faults)
    if ours.low <= value <= ours.high:
        return "reproduced"
    return f"differs: published is {'above' if value > ours.high else 'below'} our interval"


def _compared(answers: Mapping[str, list[str]]) -> pd.DataFrame:
    """The published numbers of the ledger; repeated ones only where an experiment names them."""
    table = numbers().dropna(subset="value")
    named = (table["kind"] == "repeated") & table["key"].isin(list(answers))
    return table[table["kind"].isin(list(KINDS)) | named]


def _answer(number: pd.Series, name: str, result: Result, losses: Mapping[str, float]) -> Row:
    about = result.description
    ours = Score(losses.get(LOSSES[number["metric"]])) if number["kind"] == "loss" else _ours(number, result)
    text = verdict(number["value"], ours, _faults(number, result), _opened(number, result))
    if number["kind"] in ("class", "confusion", "loss") and ours.value is None:
        text = "not comparable: we keep no such number"
    return _row(
        number,
        verdict=text,
        experiment=name,
        ours=ours,
        selection=about.selection or "",
        size=about.size or "",
        data=about.data,
    )


def _ours(number: pd.Series, result: Result) -> Score:
    """Our number and its interval; all None where there is none."""
    metric = MEANS.get(number["name"], number["name"])
    if number["kind"] in ("class", "confusion") and number["name"] not in MEANS:
        return result.by_class.get(metric, Score())
    if number["protocol"] == "test" and result.partitions:  # then the headline is that of the development part
        part: Mapping[str, float | None] = next((v for f, v in result.partitions.items() if "test" in f.lower()), {})
        return Score(part.get(metric))
    return result.scores.get(metric, Score())


def _faults(number: pd.Series, result: Result) -> list[str]:
    """Why an experiment is not the published one; empty where it is."""
    about = result.description
    name, folds = PROTOCOLS.get(number["protocol"], ("", None))
    partition = PARTITIONS.get(number["protocol"])
    faults = {
        f"{'SYNTHETIC' if about.synthetic else 'unknown'} data": about.data != "real",
        f"{about.size or 'unknown'} size": about.size != "paper",
        "the paper names no corpus": not number["corpus"],
        "another corpus": number["corpus"] and about.corpus != number["corpus"],
        "another protocol": about.protocol != name or (folds is not None and about.folds != folds),
        "another partition": partition and not result.partitions and partition not in (about.fold or ""),
        "selected on test": about.is_biased,
        "transductive": about.transductive,
        "a control": about.is_control,
        **{_heard(encoder): True for encoder in result.encoders.values()},  # no paper here reads a published encoder
        "cited, not the paper's own": number["kind"] == "cited",
    }
    return [what for what, holds in faults.items() if holds]


def _heard(encoder: Mapping[str, Any]) -> str:
    """What the encoder of a feature was pretrained on."""
    return f"features of {encoder['bundle']}, pretrained on {' and '.join(encoder['pretrained_on']) or 'nothing'}"


def _opened(number: pd.Series, result: Result) -> list[str]:
    """Known differences that do not forbid the comparison."""
    about, paper, seeds = result.description, number["paper"], len(result.description.seeds)
    network = about.model not in WITHOUT_SEEDS
    silent = number["system"] == "paralinguistic"  # the waveform alone
    found = {
        f"{seeds} seed{'s' * (seeds > 1)} instead of {SEEDS}": network and 0 < seeds < SEEDS,
        _pretraining(result.pretraining, paper): bool(result.pretraining),
        UNKNOWN.get(paper, ""): network and not silent,
        "averaged over folds there, pooled here": number["kind"] in BY_FOLD.get(paper, ()),
    }
    return [what for what, holds in found.items() if what and holds]


def _pretraining(ours: Mapping[str, Any], paper: str) -> str:
    """How the pretraining falls short of the paper's; empty where it does not."""
    hours, steps = PRETRAINING.get(paper, (0.0, 0))
    own = ours.get("train_hours") or 0.0, ours.get("steps") or 0
    if own[0] >= hours - 1 and own[1] >= steps:  # the subset has an hour more or less, by how it is counted
        return ""
    return f"pretrained on {own[0]:.2g} h for {own[1]:,} steps instead of {hours:g} h for {steps:,}"


def _row(number: pd.Series, verdict: str, ours: Score = results.UNDEFINED, **more: str) -> Row:
    return Row(
        paper=number["paper"],
        table=number["table"].replace("_", " "),
        system=number["system"].replace("_", " "),
        corpus=number["corpus"],
        protocol=number["protocol"],
        metric=results.label(number["name"]) if number["kind"] in ("own", "repeated", "cited") else _words(number),
        published=number["value"],
        flagged=bool(number["flag"]),
        kind="own" if number["kind"] == "repeated" else number["kind"],
        verdict=verdict,
        ours=ours,
        **more,
    )


def _words(number: pd.Series) -> str:
    return number["name"].replace("_", " ")


def _unanswered(number: pd.Series, real: set[str | None]) -> str:
    """The verdict on a number without an experiment of ours."""
    corpus, paper = number["corpus"], number["paper"]
    if number["kind"] == "cited":
        return f"cited in {number['table'].replace('_', ' ')}, not the paper's own: context only"
    if number["kind"] == "loss":
        return "not run: no experiment of this study is this system under this protocol"
    if corpus in LICENCE and corpus not in real:
        return f"not run: {LICENCE[corpus]}"
    if corpus not in real:
        return f"not run: {corpus} is not in this study, or only its synthetic look-alike"
    if paper in GPU and number["system"] not in NO_GPU_NEEDED.get(paper, ()):
        return f"not run: {GPU[paper]}"
    return "not run: not in this study"
