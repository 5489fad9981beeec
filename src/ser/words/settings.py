"""Settings of the semantic stream. Light to import: checking params.yaml needs no torch.

[P], [R], [D] are the evidence tags of papers.md 7.3: paper, public reference code, decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ser.errors import SerError

Oov = Literal["zero", "random"]
MADE = ("target", "synthetic")  # texts that the stage makes: of the target's train part, of the look-alikes' sentences
GRID = 10.0  # label rows a second (papers.md 1.5)
MODES = ("type_lookup_oracle", "token_aligned", "token_unsupervised")  # what is known at test time (7.3)
STREAMS = {"word2vec": MODES[:1], "speech2vec": MODES, "aligned": MODES, "random_vectors": MODES}  # in which modes


@dataclass(frozen=True)
class Words:
    """Where words come from when a corpus brings no alignment."""

    method: Literal["auto", "corpus", "ctc", "uniform"] = "auto"  # ours; auto: corpus if it has one, else uniform
    bundle: str = "MMS_FA"  # of torchaudio.pipelines, for ctc (ours: it knows most languages); downloaded by torch.hub
    top_db: float = 35.0  # dB below an utterance's loudest frame that count as silence (ours: read speech at 16 bit)
    bridge: float = 0.15  # seconds; shorter silences belong to the speech around them (ours: stop closures)
    chunk: float = 0.5  # seconds of a segment where no word is known (token_unsupervised, 7.3)

    def __post_init__(self) -> None:
        if self.top_db <= 0 or self.bridge < 0 or self.chunk <= 0:
            raise ValueError("top_db and chunk must be above 0, bridge not below")


@dataclass(frozen=True)
class Word2Vec:
    """Skip-gram on text (7.3: the paper gives no details, these are the public code's where gensim has them)."""

    dim: int = 100  # [R]
    window: int = 4  # [R]
    min_count: int = 7  # [R]
    negative: int = 64  # [R]
    epochs: int = 5  # ours: gensim's default; the code's 3 M steps of 128 have no counterpart
    lr: float = 0.025  # ours: gensim's default for negative sampling; the code's 0.1 is for another loss
    letters: int = 2  # shortest word, [R]: "of length > 1"
    sentence: int = 6  # shortest sentence, words, [R]: "more than 5 words"
    seed: int = 1

    def __post_init__(self) -> None:
        _at_least_one(self, "dim", "window", "min_count", "negative", "epochs", "letters", "sentence")
        if self.lr <= 0:
            raise ValueError(f"lr {self.lr} must be above 0")


@dataclass(frozen=True)
class Speech2Vec:
    """Skip-gram on word segments (Chung and Glass 2018; settings of the reality check [R])."""

    dim: int = 100  # P4's code; 50 is best in the original [L]
    coefficients: int = 13  # [R]
    rate: int = 16_000  # Hz, [R]
    n_fft: int = 512  # [R]
    hop: int = 512  # samples: 32 ms, the library's default, [R]
    frames: int = 20  # kept of a word from its start, the rest is zero, [R]
    window: int = 3  # k neighbours on either side, [R]
    min_count: int = 4  # tokens of a word, [R]
    subsample: float = 1e-3  # frequent words, [R]
    optimiser: Literal["sgd", "adam"] = "sgd"  # [R]: without momentum; adam is a choice of that code, too
    lr: float = 1e-3  # [R]
    batch: int = 4096  # pairs, [R]
    epochs: int = 500  # [R]; `SHORT` has 20
    checkpoint_every: int = 200  # batches (ours: minutes of work on a CPU); changes no number
    seed: int = 1

    def __post_init__(self) -> None:
        _at_least_one(self, "coefficients", "n_fft", "hop", "frames", "window", "min_count", "batch", "epochs")
        _at_least_one(self, "checkpoint_every")
        if self.dim < 2 or self.dim % 2:
            raise ValueError(f"dim {self.dim} must be even: half of it for each direction")
        if self.lr <= 0 or self.subsample < 0:
            raise ValueError(f"lr {self.lr} must be above 0, subsample {self.subsample} not below")


SHORT = {"epochs": 20}  # papers.md 8: the default profile there, 500 epochs take days


@dataclass(frozen=True)
class Alignment:
    """W: S -> T (Chung et al. 2018 on MUSE; its settings [R])."""

    normalise: tuple[Literal["renorm", "center"], ...] = ("renorm", "center", "renorm")
    # ours, one of MUSE's choices (its default is none): type vectors of speech have unit length and nearly one
    # direction, text vectors neither; a discriminator would tell the spaces by that alone
    hidden: int = 2048  # of the discriminator
    dropout: float = 0.1  # of its input
    slope: float = 0.2  # of its leaky ReLU
    smooth: float = 0.1  # labels 1 - smooth for speech, smooth for text
    batch: int = 32  # words of each space
    discriminator_steps: int = 5  # for each step of the map
    lr: float = 0.1  # SGD, both
    decay: float = 0.98  # of the map's rate, each epoch
    shrink: float = 0.5  # of the map's rate when the criterion falls again, from the second time on
    min_lr: float = 1e-6  # stops below
    samples: int = 1_000_000  # an epoch
    epochs: int = 5  # 0: no adversarial step
    frequent: int = 75_000  # most frequent words shown to the discriminator; at most the smaller vocabulary
    beta: float = 0.001  # of the orthogonality step; the MUSE paper writes 0.01
    criterion: int = 10_000  # most frequent words of the selection criterion
    neighbours: int = 10  # k of CSLS
    refinements: int = 5  # rounds of Procrustes
    rank: int = 15_000  # words of the dictionary
    dictionary: Literal["csls", "identical"] = "csls"  # identical: the first round's are the words both spaces have
    held_out: float = 0.3  # of the words both have: never in a dictionary, precision is measured on them (ours)
    seed: int = 1

    def __post_init__(self) -> None:
        _at_least_one(self, "hidden", "batch", "discriminator_steps", "samples", "frequent", "criterion", "neighbours")
        _at_least_one(self, "rank")
        if self.epochs < 0 or self.refinements < 0 or self.lr <= 0 or self.beta < 0:
            raise ValueError("epochs, refinements and beta must not be below 0, lr must be above")
        if not 0 <= self.dropout < 1 or not 0 <= self.smooth < 0.5 or not 0 <= self.held_out < 1:
            raise ValueError("dropout and held_out are shares below 1, smooth is below 0.5")


@dataclass(frozen=True)
class Semantics:
    """All of it."""

    words: Words = field(default_factory=Words)
    word2vec: Word2Vec = field(default_factory=Word2Vec)
    speech2vec: Speech2Vec = field(default_factory=Speech2Vec)
    alignment: Alignment = field(default_factory=Alignment)
    threads: int = 1  # of torch and BLAS (ours: a number, not all cores, so that sums are the same on every machine)

    def __post_init__(self) -> None:
        _at_least_one(self, "threads")
        if self.word2vec.dim != self.speech2vec.dim:  # W starts as the identity (7.3)
            raise ValueError(f"dim of word2vec {self.word2vec.dim} and of speech2vec {self.speech2vec.dim} must be one")


@dataclass(frozen=True)
class Block(Semantics):
    """A block of `semantics` in params.yaml: what is learnt from which corpus, for the recordings of which other."""

    corpus: str = field(kw_only=True)  # whose words are learnt, by their sound and (transcripts) their neighbours
    target: str = field(kw_only=True)  # whose recordings get streams of word vectors
    partitions: tuple[str, ...] = ()  # of corpus, learnt from; (): all. [train] where corpus is the target
    texts: tuple[str, ...] = ()  # further text: `MADE`, a text file, a folder of articles
    similarities: str = ""  # file of word similarities, for the diagnostics
    oov: Oov = "zero"  # vector of a word without one; random: the public code's
    streams: bool = True  # false: only the spaces and what can be said of them, no experiment is to read them

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.corpus == self.target and set(self.partitions) != {"train"}:  # dev too is what some folds test on
            what = "corpus is the target: its dev and test part must not be learnt from, set partitions: [train]"
            raise ValueError(what)

    @property
    def knows_target(self) -> bool:
        """Is anything learnt from the target's own train part?"""
        return self.corpus == self.target or "target" in self.texts


def hears(config: Mapping[str, Any]) -> bool:
    """Does the model `semantic` read the waveform with these values of `stream` and `fusion`?"""
    return config.get("stream") == "paralinguistic" or config.get("fusion") != "none"


def inputs(config: Mapping[str, Any], where: str = "models.semantic") -> dict[str, str]:
    """Inputs of the model `semantic` -> the stores below ``data/<study>/semantics/<name>`` that hold them, for an
    experiment's own values of `stream`, `mode`, `profile` and `turn_channels`. Raises `SerError` for a stream that has
    no such mode."""
    stream, mode = config.get("stream", "aligned"), config.get("mode", "token_aligned")
    modes = STREAMS.get(stream, MODES)
    if mode not in modes:
        raise SerError(f"stream {stream} needs to know the word", where, f"Set mode: {modes[0]}")
    found = {} if stream == "paralinguistic" else {"words": f"streams/{stream}-{mode}"}
    turns = config.get("turn_channels")
    if turns or (turns is None and config.get("profile") == "code"):
        found["turns"] = "streams/turns"
    return found


def check(config: Mapping[str, Any], extra: str, features: Mapping[str, str], where: str) -> None:
    """That an experiment of the model `semantic` gets what it reads, and waits for nothing else.

    `features`: name -> plugin of its features; `where`: its key. Raises `SerError` naming the key and the hint.
    """
    needed, made = inputs(config, f"{where}.config"), extra.startswith("semantics/")
    if needed and not made:
        what = f"it reads {' and '.join(needed)}, which the stage semantics makes"
        raise SerError(what, f"{where}.extra", "Write extra: semantics/<name>; stream: paralinguistic reads no words")
    if made and not needed:
        raise SerError("with stream paralinguistic it reads no word streams", f"{where}.extra", "Write extra: none")
    if hears(config) and "waveform" not in features.values():
        what = f"semantic hears a waveform, and there is none in {', '.join(features)}"
        raise SerError(what, f"{where}.feature", "Name a feature with feature: waveform")


def _at_least_one(settings: object, *names: str) -> None:
    for name in names:
        if getattr(settings, name) < 1:
            raise ValueError(f"{name} must be at least 1, not {getattr(settings, name)}")
