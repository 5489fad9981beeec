"""How a network is trained: the block `training` of a model in params.yaml. Light to import, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# what may take the place of an experiment's model or data, to show how much of a score needs no emotion in the voice
CONTROLS = ("none", "majority", "length_only", "speaker_only", "shuffled_labels", "leaky_windows")

# Statistics that the inputs are normalised by; see `ser.training.normalisation`. Those of speaker and
# corpus are transductive.
Normalise = Literal["none", "utterance", "utterance_mean", "train", "speaker", "corpus"]
Schedule = Literal["constant", "linear", "cosine", "step", "one_cycle"]


@dataclass(frozen=True)
class Training:
    """How a network is trained. Defaults are ours where no paper is named.

    ``bucket`` puts examples of similar length into a batch, so that little padding is computed. It is our choice: no
    paper asks for it. Its price is that the classes of a batch are skewed, because the length of an utterance depends
    on its emotion: on EMO-DB the Kullback-Leibler divergence of a batch's classes from the corpus's is .125 on average,
    against .043 for batches at random. Where all examples have one length it changes nothing but the order.

    ``micro_batch`` limits memory by gradient accumulation: a batch goes through the network in pieces of that many
    examples, and the optimiser makes one step with the gradient of the whole batch. For a model without dropout and
    without batch statistics the step is the same as with the whole batch at once. With batch normalisation the
    statistics are those of the micro-batch, and a loss that is a statistic of the batch, such as 1 - CCC, becomes the
    mean of its values over the micro-batches.
    """

    epochs: int | None = None  # passes over the training part; give this or steps
    steps: int | None = None  # optimiser steps; P1 4.5 counts in steps
    batch: int = 16  # examples per step; P1 gives none
    micro_batch: int | None = None  # examples that go through the network at once; None: the whole batch
    lr: float = 1e-3  # peak learning rate
    optimiser: Literal["adam", "adamw"] = "adam"  # all four papers use Adam
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.0  # share of the steps with a linearly growing rate; P1 4.5: 0.07
    schedule: Schedule = "constant"  # after the warm-up; linear, cosine: down to 0 (`ser.training.loop.learning_rate`)
    decay_start: int = 10  # schedule step: epochs at the full rate (P3, papers.md 6.5)
    gamma: float = 0.1  # schedule step: factor after them (papers.md 6.5, reading b)
    decay_every: int | None = None  # schedule step: epochs between further factors; None: one factor only
    clip: float | None = None  # largest gradient norm; P1 4.5: 1.0
    evaluate_every: int | None = None  # steps between evaluations on dev; None: once per epoch
    # Steps after which a training is stopped if its best macro recall on dev is still at chance, 1 / K, or above it by
    # `chance_margin` at most; None: it goes on. papers.md 4.5 asks that after 2000 steps. A model may then start again
    # in another way, such as P1 with `fallback: safe`.
    chance_after: int | None = None
    chance_margin: float = 0.05  # ours: guesses may exceed chance by a few hundredths
    patience: int | None = None  # evaluations without a better dev score before stopping; None: train to the end
    frames: int | None = None  # frames that every input is cut or padded to (P1 4.1: 768); None: the batch's longest
    # What one example is. whole: an utterance, cut to `frames`. crops: a crop at random in training, in prediction the
    # mean over crops every `crop_hop` frames. random_crop: a crop at random in training, one per utterance and epoch,
    # in prediction the whole utterance, padded to `frames`. blocks: each of the consecutive blocks of an utterance.
    window: Literal["whole", "crops", "random_crop", "blocks"] = "whole"
    crop_hop: int = 64  # window crops: frames between the crops of a prediction (papers.md 5.1)
    bucket: bool = True  # batches of similar length; see above
    normalise: Normalise = "none"  # of the inputs, beside what a feature does itself
    label_smoothing: float = 0.0  # share of the label that is spread evenly over the classes
    class_weights: bool = False  # weigh classes in the loss by the inverse of how often they occur in training
    mixup: float = 0.0  # parameter of the Beta distribution by which two utterances are mixed; 0: they are not
    frequency_warp: float = 0.0  # mel bands are stretched by a factor from 1 - frequency_warp to 1 + frequency_warp
    speed: float = 0.0  # frames are stretched in time by a factor from 1 - speed to 1 + speed; a waveform is resampled
    noise: tuple[float, float] | None = None  # white noise on a waveform: lowest and highest signal-to-noise ratio, dB
    average: float | None = None  # decay per step of the running mean of the weights that is used in the end
    frequency_masks: int = 0  # SpecAugment (P1 4.5, values ours: papers.md 4.5): number of frequency masks
    frequency_width: int = 27  # widest frequency mask, bins
    time_masks: int = 0  # number of time masks
    time_width: int = 70  # widest time mask, frames
    time_share: float = 0.2  # and at most this share of the utterance
    checkpoint_every: int = 500  # steps between checkpoints within a fold

    def __post_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps are both given; keep one")
        if self.window != "whole" and self.frames is None:
            raise ValueError(f"window {self.window} needs frames, the length of one")
        counts = ("epochs", "steps", "batch", "micro_batch", "evaluate_every", "patience", "frames", "checkpoint_every")
        for name in (*counts, "crop_hop", "decay_start", "decay_every", "chance_after"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if not 0 <= self.chance_margin < 1:
            raise ValueError(f"chance_margin is added to a share of right answers, not {self.chance_margin}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the steps, from 0 to below 1, not {self.warmup}")
        if not 0 <= self.time_share <= 1:
            raise ValueError(f"time_share is a share of the utterance, from 0 to 1, not {self.time_share}")
        if self.noise is not None and self.noise[0] > self.noise[1]:
            raise ValueError(f"noise is the lowest and the highest ratio in dB, not {list(self.noise)}")
        for name in ("label_smoothing", "frequency_warp", "speed", "average"):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise ValueError(f"{name} is a share, from 0 to below 1, not {getattr(self, name)}")
        if self.schedule == "one_cycle" and not self.warmup:
            raise ValueError("schedule one_cycle rises during the warm-up; set warmup, such as 0.1")
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma is a factor above 0 and at most 1, not {self.gamma}")
        if self.lr <= 0 or (self.clip is not None and self.clip <= 0):
            raise ValueError(f"lr and clip must be positive, not {self.lr} and {self.clip}")
        for name in ("weight_decay", "mixup", "frequency_masks", "frequency_width", "time_masks", "time_width"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are from 0 to below 1, not {self.betas}")
