"""What each mistake is worth: pairs of experiments of ours that differ in one mistake, as a table and a figure in
``docs/mistakes.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ser.evaluation.results import Result, Score
from ser.report.tables import Table, number

RANDOM, CUT, CHOSEN = "random folds", "divided after cutting", "epoch chosen on test"


class Pair(NamedTuple):
    """Two experiments of one study: without the mistake, and with it."""

    mistake: str
    system: str
    study: str
    honest: str
    mistaken: str


PAIRS = (
    Pair(RANDOM, "SVM on IS10", "emodb", "svm-emodb-loso", "svm-emodb-kfold10"),
    Pair(RANDOM, "RBF SVM on IS10", "emodb", "svm_rbf-emodb-loso", "svm_rbf-emodb-kfold10"),
    Pair(RANDOM, "CNN", "emodb", "cnn_statistics-emodb-speaker_independent", "cnn_statistics-emodb-kfold10"),
    Pair(RANDOM, "autoencoder, AE", "emodb", "ae-emodb-loso", "ae-emodb-kfold10"),
    Pair(RANDOM, "autoencoder, AE+EE+IN", "emodb", "ae_ee_in-emodb-loso", "ae_ee_in-emodb-kfold10"),
    Pair(RANDOM, "ridge regression on log-mel", "ravdess", "statistics-ravdess-actors", "statistics-ravdess-kfold5"),
    Pair(RANDOM, "SVM on IS10", "ravdess", "svm-ravdess-actors", "svm-ravdess-kfold5"),
    Pair(
        RANDOM,
        "SVM on IS10, scaled per speaker",
        "ravdess",
        "svm_speaker_scaled-ravdess-actors",
        "svm_speaker_scaled-ravdess-kfold5",
    ),
    Pair(RANDOM, "MLP on IS10", "ravdess", "mlp-ravdess-actors", "mlp-ravdess-kfold5"),
    Pair(RANDOM, "CNN", "ravdess", "cnn_statistics-ravdess-actors", "cnn_statistics-ravdess-kfold5"),
    Pair(
        RANDOM,
        "CLSTM",
        "ravdess",
        "convlstm_skip_bigru_center-ravdess-actors",
        "convlstm_skip_bigru_center-ravdess-kfold5",
    ),
    Pair(CUT, "CNN", "emodb", "cnn_crops-emodb-kfold10", "cnn_leaky_crops-emodb-kfold10"),
    Pair(CUT, "autoencoder", "leaks", "crops-emodb-kfold", "leaky_crops-emodb-kfold"),
    Pair(CUT, "CLSTM, of single segments", "leaks", "segments-ravdess-kfold", "leaky_segments-ravdess-kfold"),
    Pair(
        CHOSEN,
        "CNN",
        "emodb",
        "cnn_statistics-emodb-speaker_independent",
        "cnn_statistics_oracle-emodb-speaker_independent",
    ),
    Pair(CHOSEN, "CNN", "ravdess", "cnn_statistics-ravdess-actors", "cnn_statistics_oracle-ravdess-actors"),
)
HEADER = ("system", "mistake", "corpus", "UA without it", "UA with it", "worth", "chance", "seeds")
LEFT, SCALE, ROW, TOP = 330, 420, 26, 46  # px of the figure: start of the axis, its length, a row, the first row


def contents(found: Mapping[str, Mapping[str, Result]]) -> dict[str, Any]:
    """What the page and the figure show of results by study and experiment; a pair needs both of its results."""
    pairs = [
        (pair, own[pair.honest], own[pair.mistaken])
        for pair in PAIRS
        if (own := found.get(pair.study, {})) and pair.honest in own and pair.mistaken in own
    ]
    body = [_row(*each) for each in pairs]
    missing = [f"{p.mistake}: {p.system} on {p.study}" for p in PAIRS if p not in [each[0] for each in pairs]]
    heads = [i for i, (pair, *_) in enumerate(pairs) if i == 0 or pairs[i - 1][0].mistake != pair.mistake]
    places = [TOP + ROW * (i + sum(head <= i for head in heads)) for i in range(len(pairs))]
    marks = [_mark(y, *each) for y, each in zip(places, pairs, strict=True)]
    grid = [(LEFT + round(SCALE * k / 5), f"{k / 5:.1f}") for k in range(6)]
    return {
        "table": Table("", HEADER, body),
        "missing": missing,
        "marks": marks,
        "grid": grid,
        "width": LEFT + SCALE + 70,
        "bottom": TOP + ROW * (len(pairs) + len(heads)),
    }


def _row(pair: Pair, honest: Result, mistaken: Result) -> list[str]:
    a, b = honest.scores["ua"], mistaken.scores["ua"]
    about = honest.description
    seeds = sorted({len(honest.description.seeds), len(mistaken.description.seeds)})
    return [
        pair.system,
        pair.mistake,
        _corpus(honest),
        _with_interval(a),
        _with_interval(b),
        "-" if a.value is None or b.value is None else f"{b.value - a.value:+.3f}",
        number(1 / len(about.labels) if about.labels else None),
        " and ".join(map(str, seeds)),
    ]


def _corpus(result: Result) -> str:
    about = result.description
    return f"{about.corpus}, SYNTHETIC" if about.synthetic else str(about.corpus)


def _with_interval(score: Score) -> str:
    return f"{number(score.value)} [{number(score.low)}, {number(score.high)}]"


def _mark(y: int, pair: Pair, honest: Result, mistaken: Result) -> dict[str, Any]:
    """A line of the figure: its place in px, and the two values."""
    values = [r.scores["ua"].value or 0.0 for r in (honest, mistaken)]
    return {
        "y": y,
        "label": f"{pair.system}, {_corpus(honest)}",
        "mistake": pair.mistake,
        "honest": LEFT + round(SCALE * values[0]),
        "mistaken": LEFT + round(SCALE * values[1]),
        "worth": f"{values[1] - values[0]:+.2f}",
    }
