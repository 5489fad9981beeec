"""Normalisation of the inputs of a network, fitted on the training part of a fold and applied where they are read.

Letters: T frames, F columns of a feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ser.core.recipe import Normalise
from ser.core.store import Store
from ser.core.tasks import Inputs

NORMALISATION = "normalisation/"  # before the names of features in a file of weights
FLOOR = 1e-5  # added to every standard deviation (papers.md 4.1)
TRANSDUCTIVE = ("speaker", "corpus")  # use the audio of other test utterances
FRAMES_ONLY = ("utterance", "utterance_mean")  # a feature of utterance level has no frames to take them over

Part = TypeVar("Part", bound=Inputs)


class Normalised(Store):
    """A view of a store that returns (x - mean) / (deviation + `FLOOR`), float32.

    `by_utterance`: mean and standard deviation, (F,) each, of every utterance that may be asked for.
    """

    def __init__(self, store: Store, by_utterance: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        vars(self).update(vars(store))
        self.by_utterance = by_utterance

    def __getitem__(self, utterance: str) -> np.ndarray:
        mean, deviation = self.by_utterance[utterance]
        return ((super().__getitem__(utterance) - mean) / (deviation + FLOOR)).astype(np.float32)

    def rows(self, utterances: Sequence[str]) -> np.ndarray:  # type: ignore[override]
        return np.stack([self[u] for u in utterances])


def fitted(train: Inputs, mode: Normalise) -> dict[str, np.ndarray]:
    """What a mode takes from the training part: feature -> mean and deviation (2, F) float64."""
    stores = {n: s for n, s in train.stores.items() if mode == "train" or s.card["level"] == "frame"}
    if mode not in ("train", "utterance_mean"):
        return {}
    return {n: np.stack(statistics(s, train.utterances, mode == "utterance_mean")) for n, s in stores.items()}


def normalised(part: Part, mode: Normalise, constants: Mapping[str, np.ndarray]) -> Part:
    """`part` with normalised inputs; `constants`: what `fitted` gives. Of the part itself only its audio is used, never
    a label.

    ``utterance``: mean and deviation of each column over the frames of the utterance.
    ``utterance_mean``: the mean over the frames of the utterance, and the deviation from such means of all frames of
    the training part, which keeps how much louder one band varies than another.
    ``train``: mean and deviation of all frames of the training part.
    ``speaker``: mean and deviation of all utterances of the speaker in this part. A prediction then depends on other
    test utterances of the speaker, which is transductive.
    ``corpus``: the same with all utterances of the corpus in this part; transductive, too.
    """
    stores = {name: _view(store, mode, part, constants.get(name)) for name, store in part.stores.items()}
    return replace(part, stores=stores)


def _view(store: Store, mode: Normalise, part: Inputs, constants: np.ndarray | None) -> Store:
    if mode == "none" or (mode in FRAMES_ONLY and store.card["level"] == "utterance"):
        return store
    if mode in TRANSDUCTIVE:
        groups = part.speakers if mode == "speaker" else part.corpora
        group = np.asarray(groups)
        own = {g: statistics(store, np.asarray(part.utterances)[group == g]) for g in set(groups)}
        return Normalised(store, {u: own[g] for u, g in zip(part.utterances, groups, strict=True)})
    if mode == "train":
        assert constants is not None
        return Normalised(store, dict.fromkeys(part.utterances, (constants[0], constants[1])))
    each = {u: statistics(store, [u]) for u in part.utterances}
    if mode == "utterance_mean":
        assert constants is not None
        each = {u: (mean, constants[1]) for u, (mean, _) in each.items()}
    return Normalised(store, each)


def statistics(store: Store, utterances: Sequence[str], centred: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (F,) float64 of all rows of the utterances; `centred`: of what is left of them after
    the mean of each utterance has been subtracted.
    """
    rows, total, squares = 0, np.zeros(1), np.zeros(1)  # sums, because a whole corpus does not fit into memory
    for utterance in utterances:
        x = np.atleast_2d(store[utterance]).astype(np.float64)
        x = x - x.mean(0) if centred else x
        rows, total, squares = rows + len(x), total + x.sum(0), squares + np.square(x).sum(0)
    mean = total / rows
    return mean, np.sqrt(np.maximum(squares / rows - np.square(mean), 0))
