"""The block `words` of params.yaml: which word vectors are learned from what, and for the recordings of which corpus.

Options of gensim and MUSE keep the names they have there, so that their documentation applies. [P], [R], [L] and [D]
are the evidence tags of papers.md 7.3 (paper, reference code, literature, decision); a value without a tag is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

OutOfVocabulary = Literal["zero", "random"]
Step = Literal["renorm", "center"]
Events = Literal["words", "synonyms"]
GENERATED_TEXTS = ("target", "synthetic")  # the target's train part; sentences of the look-alike corpora
SYNTHETIC_TEXTS = "ser_synth.texts"  # the module with these sentences; no static import leads to it


@dataclass(frozen=True)
class Occurrences:
    """How the times of spoken words are found in a corpus that has no alignment."""

    method: Literal["auto", "corpus", "ctc", "uniform"] = "auto"  # auto: the corpus's alignment, otherwise uniform
    # Tags of a transcript such as <laughter>. words: the word "laughter"; synonyms: the vector of a German word for it,
    # and <filler> is left out, as in P4's code [R]
    events: Events = "words"
    bundle: str = "MMS_FA"  # ctc: name in torchaudio.pipelines; this one covers most languages
    top_db: float = 35.0  # silence: dB below the loudest frame of the utterance; suits read speech at 16 bit
    bridge: float = 0.15  # seconds; shorter silences count as speech, because stop closures are that long
    chunk: float = 0.5  # seconds of a segment in mode token_unsupervised (7.3)

    def __post_init__(self) -> None:
        if self.top_db <= 0 or self.bridge < 0 or self.chunk <= 0:
            raise ValueError("top_db and chunk must be above 0, bridge at least 0")


@dataclass(frozen=True)
class Word2Vec:
    """Skip-gram with negative sampling on text, by gensim. The paper gives no details (7.3)."""

    vectors: str = ""  # a text file of ready vectors in word2vec's format, in place of a training; their length is
    # `vector_size`. The active setting of the reference code names such a file, of the German Wikipedia [R]
    vector_size: int = 100  # [R]
    window: int = 4  # [R]
    min_count: int = 7  # [R]
    negative: int = 64  # [R]
    epochs: int = 5  # gensim's default; the reference code's 3 M steps of 128 words have no counterpart
    alpha: float = 0.025  # initial learning rate, gensim's default; the reference code's 0.1 is for another loss
    min_letters: int = 2  # letters of the shortest word [R]
    min_words: int = 6  # words of the shortest sentence [R]
    seed: int = 1

    def __post_init__(self) -> None:
        _at_least_one(self, "vector_size", "window", "min_count", "negative", "epochs", "min_letters", "min_words")
        if self.alpha <= 0:
            raise ValueError(f"alpha must be above 0, not {self.alpha}")


@dataclass(frozen=True)
class Speech2Vec:
    """Skip-gram on the sound of words (Chung and Glass 2018), with the settings of its reality check [R]."""

    dim: int = 100  # P4's code [R]; 50 is best in the original [L]
    coefficients: int = 13  # MFCC [R]
    rate: int = 16_000  # Hz [R]
    n_fft: int = 512  # samples [R]
    hop: int = 512  # samples, 32 ms: the library's default [R]
    frames: int = 20  # kept from the start of a word [R]
    window: int = 3  # neighbours on either side [R]
    min_count: int = 4  # spoken tokens of a word [R]
    subsample: float = 1e-3  # threshold of the subsampling of frequent words [R]
    optimiser: Literal["sgd", "adam"] = "sgd"  # without momentum [R]; the reference code also offers adam
    lr: float = 1e-3  # [R]
    batch: int = 4096  # pairs [R]
    epochs: int = 500  # [R]
    checkpoint_every: int = 200  # steps; does not change any number
    seed: int = 1

    def __post_init__(self) -> None:
        _at_least_one(self, "coefficients", "n_fft", "hop", "frames", "window", "min_count", "batch", "epochs")
        _at_least_one(self, "checkpoint_every")
        if self.dim < 2 or self.dim % 2:
            raise ValueError(
                f"dim must be even, because each direction of the encoder gives half of it, not {self.dim}"
            )
        if self.lr <= 0 or self.subsample < 0:
            raise ValueError(f"lr must be above 0 and subsample at least 0, not {self.lr} and {self.subsample}")


@dataclass(frozen=True)
class Alignment:
    """The map W from speech to text (Chung et al. 2018), by MUSE with its settings [R]."""

    normalize_embeddings: tuple[Step, ...] = ("renorm", "center", "renorm")  # before the map; MUSE's default is none.
    # Type vectors of speech have unit length and almost one direction, text vectors have neither: without normalisation
    # a discriminator recognises the spaces by that alone
    dis_hid_dim: int = 2048  # width of the discriminator's two hidden layers
    dis_input_dropout: float = 0.1  # of the discriminator
    dis_slope: float = 0.2  # of the leaky ReLU, a constant in MUSE
    dis_smooth: float = 0.1  # labels are 1 - dis_smooth for speech, dis_smooth for text
    dis_steps: int = 5  # steps of the discriminator per step of the map
    dis_most_frequent: int = 75_000  # words shown to the discriminator; never more than the smaller vocabulary has
    batch_size: int = 32  # words of each space
    lr: float = 0.1  # SGD, discriminator and map
    lr_decay: float = 0.98  # factor on the map's learning rate per epoch
    lr_shrink: float = 0.5  # factor on the map's learning rate when the criterion drops, from the second drop on
    min_lr: float = 1e-6  # training stops below it
    epoch_size: int = 1_000_000  # words per epoch
    n_epochs: int = 5  # 0: no adversarial training
    map_beta: float = 0.001  # of the orthogonality step; the MUSE paper prints 0.01 [L]
    n_refinement: int = 5  # rounds of Procrustes
    dico_max_rank: int = 15_000  # most frequent words that the dictionary of a refinement may hold
    neighbours: int = 10  # k of CSLS, csls_knn_10 in MUSE
    criterion: int = 10_000  # most frequent words of the selection criterion, a constant in MUSE
    dictionary: Literal["csls", "identical"] = "csls"  # identical: the first round uses the words both spaces share
    held_out: float = 0.3  # share of these words that no dictionary contains: precision is measured on them
    seed: int = 1

    def __post_init__(self) -> None:
        _at_least_one(self, "dis_hid_dim", "dis_steps", "dis_most_frequent", "batch_size", "epoch_size")
        _at_least_one(self, "dico_max_rank", "neighbours", "criterion")
        if self.n_epochs < 0 or self.n_refinement < 0 or self.map_beta < 0 or self.lr <= 0:
            raise ValueError("n_epochs, n_refinement and map_beta must be at least 0, lr above 0")
        if not 0 <= self.dis_input_dropout < 1 or not 0 <= self.dis_smooth < 0.5 or not 0 <= self.held_out < 1:
            raise ValueError("dis_input_dropout and held_out must be in [0, 1), dis_smooth in [0, 0.5)")


@dataclass(frozen=True)
class Config:
    """One entry of the block `words`."""

    corpus: str  # its spoken words and transcripts are learned from
    target: str  # its recordings get streams of word vectors
    partitions: tuple[str, ...] = ()  # of `corpus` that are learned from; (): all
    texts: tuple[str, ...] = ()  # further text: target, synthetic, a text file, or a folder of articles
    similarities: str = ""  # file of word similarities for the diagnostics
    oov: OutOfVocabulary = "zero"  # vector of a word that is not in the vocabulary; random: as in P4's code [R]
    streams: bool = (
        True  # false: only the vectors and their diagnostics, for a study without experiments that read them
    )
    occurrences: Occurrences = field(default_factory=Occurrences)  # the times of words
    word2vec: Word2Vec = field(default_factory=Word2Vec)  # the text space
    speech2vec: Speech2Vec = field(default_factory=Speech2Vec)  # the speech space
    alignment: Alignment = field(default_factory=Alignment)  # the map from speech to text
    threads: int = 1  # of torch and BLAS; fixed, because sums depend on it

    def __post_init__(self) -> None:
        _at_least_one(self, "threads")
        if self.word2vec.vector_size != self.speech2vec.dim:  # W starts as the identity (7.3)
            sizes = f"{self.word2vec.vector_size} and {self.speech2vec.dim}"
            raise ValueError(f"word2vec.vector_size and speech2vec.dim must be equal, not {sizes}")
        if self.corpus == self.target and set(self.partitions) != {"train"}:  # some folds test on dev
            raise ValueError("corpus and target are the same: set partitions: [train], the rest is for testing")

    @property
    def knows_target(self) -> bool:
        """Is anything learned from the train part of the target itself?"""
        return self.corpus == self.target or "target" in self.texts


def _at_least_one(settings: object, *names: str) -> None:
    for name in names:
        if getattr(settings, name) < 1:
            raise ValueError(f"{name} must be at least 1, not {getattr(settings, name)}")
