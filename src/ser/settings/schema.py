"""The blocks of params.yaml: their keys, defaults and bounds. Parameters of plugins are defined in the plugins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ser.corpora import JOINT

Size = Literal["paper", "reduced", "demo"]  # a label of the results: how the models compare with those of the papers
Selection = Literal["dev", "last", "test_oracle"]  # test_oracle chooses the epoch on the test part, labelled as biased


def _check_seeds(seeds: tuple[int, ...]) -> None:
    if not seeds:
        raise ValueError("an experiment needs at least one seed")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"a seed occurs twice in {list(seeds)}")


@dataclass(frozen=True)
class Slurm:
    """What `backend: submitit` asks Slurm for. A job is one fold with one seed; all jobs of an experiment are one
    array."""

    partition: str = ""  # empty: the one that the cluster chooses
    gres: str = ""  # such as gpu:1, or gpu:a100:1 where there are several kinds of GPU
    minutes: int = 60  # of one job (ours). One that needs more is queued again and continues at its checkpoint
    array: int = 16  # jobs that run at a time, at most (ours)
    cpus: int = 1  # cores of one job; a training uses run.threads of them
    memory_gb: int = 8  # of one job (ours: several times what a fold of the studies here needs)
    options: dict[str, str] = field(default_factory=dict)  # more options of sbatch, such as account, qos or constraint
    local: bool = False  # processes of this machine in place of Slurm's jobs, without a GPU, to try the settings

    def __post_init__(self) -> None:
        for name in ("minutes", "array", "cpus", "memory_gb"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Run:
    """How the study runs. `device`, `precision` and `threads` change numbers and are part of an experiment's settings;
    the other keys only change how long it takes."""

    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: CUDA when there is one
    # Of the training; predictions are computed in float32. auto: bfloat16 autocast on a GPU that computes in it; on
    # other GPUs float32, whose matrix products may be rounded to TF32; float32 on a CPU
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    jobs: int = 0  # workers of a stage; 0: one per core, or one per GPU. SER_JOBS overrides it
    threads: int = 1  # threads of one worker (ours: 1, so that sums are the same on every machine)
    backend: Literal["loky", "submitit", "dask"] = "loky"  # who trains the folds: processes of this machine, or others
    slurm: Slurm = Slurm()  # of backend: submitit
    scheduler: str = ""  # of backend: dask; its address, such as tcp://head:8786, or its file, such as scheduler.json

    def __post_init__(self) -> None:
        if self.jobs < 0:
            raise ValueError(f"jobs must not be negative, got {self.jobs}: 0 is one per core")
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")
        if self.backend == "dask" and not self.scheduler:
            raise ValueError("backend dask needs the address of its scheduler: set scheduler, such as tcp://head:8786")


@dataclass(frozen=True)
class Statistics:
    """The bootstrap behind every interval."""

    draws: int = 2000  # ours: the Monte-Carlo error of a 95 % bound is then well under one point
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.draws < 0:
            raise ValueError(f"draws must not be negative, got {self.draws}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is a share between 0 and 1, not {self.confidence}")


@dataclass(frozen=True)
class Report:
    audio: bool = False  # players of the worst errors in report.html, for corpora whose licence allows it. Off, because
    # reports are passed on and corpora are not; synthetic speech is always embedded


@dataclass(frozen=True)
class Corpus:
    source: Literal["real", "synthetic", "real_or_synthetic"]  # the last is for pretraining only: a copy that is here,
    # or else the look-alike
    synthetic: dict[str, Any] = field(default_factory=dict)  # size, seed and difficulty of the look-alike
    reader: dict[str, Any] = field(default_factory=dict)  # options of the reader
    format: str = ""  # the module of ser.corpora that reads it; empty: that called like the block. Several blocks may
    # have one format, such as table, and `joint` makes one corpus of several (ser.corpora.joint)


@dataclass(frozen=True)
class Audio:
    rate: int = 16000  # Hz

    def __post_init__(self) -> None:
        if self.rate < 8000:
            raise ValueError(f"rate is in Hz and at least 8000 (telephone speech), not {self.rate}")


@dataclass(frozen=True)
class Feature:
    corpus: str
    feature: str  # a module of ser.features
    values: dict[str, Any]  # its parameters: the other keys of the block


@dataclass(frozen=True)
class Folds:
    corpus: str
    protocol: str  # a module of ser.protocols
    seed: int
    values: dict[str, Any]  # its parameters: the other keys of the block


@dataclass(frozen=True)
class Pretraining:
    corpus: str
    feature: str
    values: dict[str, Any]  # the other fields of ser.pretraining.settings.Settings


@dataclass(frozen=True)
class Words:
    corpus: str  # its words are learned
    target: str  # whose recordings get streams of word vectors
    values: dict[str, Any]  # the other fields of ser.words.config.Config


@dataclass(frozen=True)
class Model:
    values: dict[str, Any]  # fields of its Config: all keys of the block but training
    training: dict[str, Any] = field(default_factory=dict)  # fields of ser.core.recipe.Training


@dataclass(frozen=True)
class Defaults:
    """What an experiment uses where its own block does not say otherwise."""

    size: Size = "reduced"
    seeds: tuple[int, ...] = (1,)
    selection: Selection = "last"

    def __post_init__(self) -> None:
        _check_seeds(self.seeds)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A model on a corpus under a protocol: all its folds and seeds."""

    model: str
    corpus: str
    folds: str  # names the block <corpus>-<folds> of folds
    feature: str  # names the block <corpus>-<feature> of features
    config: dict[str, Any] = field(default_factory=dict)  # values of the model that differ in this experiment
    training: dict[str, Any] = field(default_factory=dict)  # values of its training that differ in this experiment
    seeds: tuple[int, ...] | None = None
    selection: Selection | None = None
    size: Size | None = None
    control: str = "none"  # one of ser.core.recipe.CONTROLS
    paper: str = ""  # the published number that this experiment answers to
    # what an experiment of the other groups also reads
    pretrained: str = field(default="", init=False, metadata={"hint": "Move the experiment to the block finetuning"})
    functionals: str = field(default="", init=False, metadata={"hint": "Move the experiment to with_functionals"})
    words: str = field(default="", init=False, metadata={"hint": "Move the experiment to the block with_words"})

    def __post_init__(self) -> None:
        if self.seeds is not None:
            _check_seeds(self.seeds)


@dataclass(frozen=True, kw_only=True)
class Finetuning(Experiment):
    pretrained: str = field()  # a block of pretraining


@dataclass(frozen=True, kw_only=True)
class WithFunctionals(Experiment):
    functionals: str = field()  # names the block <corpus>-<functionals> of features: a second one, such as functionals,
    # or for the variant fusion_ssl the frames of an encoder


@dataclass(frozen=True, kw_only=True)
class WithWords(Experiment):
    words: str = field()  # a block of words


@dataclass(frozen=True)
class Package:
    """A trained experiment as a folder that predicts anywhere."""

    experiment: str  # or an ensemble
    on: Literal["folds", "all"] = "folds"  # folds: the models of all folds and seeds, whose scores are averaged. all:
    # one training per seed on all labelled utterances; the numbers in its card are still those of the folds
    onnx: bool = False  # also write model.onnx, the networks as one graph for onnxruntime; needs the extra onnx


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """The mean of the log scores of experiments, of all their seeds. It is not trained, but computed by `evaluate`."""

    members: tuple[str, ...]  # experiments on the same corpus and folds
    size: Size | None = None
    paper: str = ""  # as of an experiment

    def __post_init__(self) -> None:
        if len(set(self.members)) < max(2, len(self.members)):
            raise ValueError(f"an ensemble has at least two members, each once, not {list(self.members)}")


# The groups of experiments in params.yaml, and what each reads besides its feature.
GROUPS = {"experiments": "", "finetuning": "pretrained", "with_functionals": "functionals", "with_words": "words"}


@dataclass(frozen=True)
class Study:
    """The whole of params.yaml."""

    study: str
    root: str
    params: str
    data: Literal["synthetic", "real", "mixed"]  # what the corpora are: appears in the titles of plots
    corpora: dict[str, Corpus]
    audio: dict[str, Audio]
    features: dict[str, Feature]
    folds: dict[str, Folds]
    pretraining: dict[str, Pretraining] = field(metadata={"hint": "Write pretraining: {}"})
    words: dict[str, Words] = field(metadata={"hint": "Write words: {}"})
    models: dict[str, Model]
    experiments: dict[str, Experiment] = field(metadata={"hint": "Write experiments: {}"})
    finetuning: dict[str, Finetuning] = field(metadata={"hint": "Write finetuning: {}"})
    with_functionals: dict[str, WithFunctionals] = field(metadata={"hint": "Write with_functionals: {}"})
    with_words: dict[str, WithWords] = field(metadata={"hint": "Write with_words: {}"})
    packages: dict[str, Package] = field(metadata={"hint": "Write packages: {}"})

    ensembles: dict[str, Ensemble] = field(default_factory=dict)
    defaults: Defaults = Defaults()
    run: Run = Run()
    statistics: Statistics = Statistics()
    report: Report = Report()

    def trained(self, experiment: str) -> list[str]:
        """The experiments that are trained for an experiment: itself, or the members of an ensemble."""
        return list(self.ensembles[experiment].members) if experiment in self.ensembles else [experiment]

    def formats(self, corpus: str) -> list[str]:
        """The readers of a corpus: one, or those of the members of a joint corpus."""
        own = self.corpora[corpus]
        if own.format != JOINT:
            return [own.format or corpus]
        return [self.corpora[m].format or m for m in own.reader.get("of", ()) if m in self.corpora]

    @property
    def all_experiments(self) -> dict[str, Experiment]:
        """The experiments of all groups, in the order of the file."""
        return {name: e for group in GROUPS for name, e in getattr(self, group).items()}
