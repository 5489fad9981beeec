"""The blocks of params.yaml that are no plugin's: their keys, defaults and bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

# DVC's graph takes these three from the file itself, so they have no default
PLOT = "Write plot: confusion_normalized for classes, plot: scatter for continuous labels"
EXTRA = "Write extra: none, or what it also reads: pretrained/<name>, semantics/<name>, features/<corpus>-<name>"
FEATURE2 = "Write the second input, or the same name as feature: where there is one input"


@dataclass(frozen=True)
class Run:
    """How the study runs. `device`, `precision` and `threads` change numbers and are part of an experiment's settings;
    `jobs` and `backend` only change how long it takes."""

    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: CUDA when there is one
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 autocast on CUDA, float32 on CPU
    jobs: int = 0  # workers of a stage; 0: one a core. SER_JOBS overrides it
    backend: str = "loky"  # joblib backend; a cluster engine registers its own
    threads: int = 1  # threads of one worker (ours: 1, so that sums are the same on every machine)

    def __post_init__(self) -> None:
        if self.jobs < 0:
            raise ValueError(f"jobs must not be negative, got {self.jobs}: 0 is one a core")
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")


@dataclass(frozen=True)
class Statistics:
    """Bootstrap of the metrics."""

    draws: int = 2000  # ours: the Monte-Carlo error of a 95 % bound is then well under one point
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.draws < 0:
            raise ValueError(f"draws must not be negative, got {self.draws}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is a share between 0 and 1, not {self.confidence}")


@dataclass(frozen=True)
class Report:
    audio: bool = False  # players of the worst errors in report.html, for corpora whose licence allows it; off, because
    # reports are in git and corpora are not. Synthetic speech is always embedded


@dataclass(frozen=True)
class Corpus:
    source: Literal[
        "real", "synthetic", "real_or_synthetic"
    ]  # the last only for pretraining: a copy that is here, or else
    # the look-alike
    synthetic: dict = field(default_factory=dict)  # sizes, seed, difficulty of the look-alike
    reader: dict = field(default_factory=dict)  # options of the reader


@dataclass(frozen=True)
class Audio:
    rate: int = 16000  # Hz

    def __post_init__(self) -> None:
        if self.rate < 8000:
            raise ValueError(f"rate is in Hz and at least 8000 (telephone speech), not {self.rate}")


@dataclass(frozen=True)
class Experiment:
    """One experiment: a model on a corpus under a protocol, all its folds and seeds."""

    model: str
    corpus: str
    folds: str  # a key of folds
    feature: str  # the feature <corpus>-<feature>
    feature2: str = field(metadata={"hint": FEATURE2})  # a second input, or the same name again
    extra: str = field(metadata={"hint": EXTRA})  # none | pretrained/<name> |
    # semantics/<name>, word streams | features/<corpus>-<name>, a third input
    plot: Literal["confusion_normalized", "scatter"] = field(metadata={"hint": PLOT})
    seeds: tuple[int, ...] = (1,)
    selection: Literal["dev", "last", "test_oracle"] = (
        "last"  # test_oracle imitates selection on test; labelled as biased
    )
    control: Literal["none", "shuffled_labels", "majority", "length_only", "speaker_only", "leaky_windows"] = (
        "none"  # what the experiment is run as instead, see CONTRIBUTING.md
    )
    size: Literal["paper", "reduced", "demo"] = "reduced"
    paper: str = ""  # the published row this experiment answers to
    config: dict = field(default_factory=dict)  # values of the model that differ in this experiment
    training: dict = field(default_factory=dict)  # values of its training that differ in this experiment


@dataclass(frozen=True)
class Study:
    """The whole of params.yaml."""

    study: str
    root: str
    params: str
    data: Literal["synthetic", "real", "mixed"]  # what the corpora are: stands in the titles of plots
    corpora: dict[str, Any]
    audio: dict[str, Any]
    features: dict[str, Any]
    folds: dict[str, Any]
    pretraining: dict[str, Any]
    semantics: dict[str, Any] = field(metadata={"hint": "Write semantics: {}"})
    models: dict[str, Any]
    experiments: dict[str, Any]
    run: Run = Run()
    statistics: Statistics = Statistics()
    report: Report = Report()
