"""CTC forced alignment: the times of words from a transcript and the letter probabilities of a speech recogniser.

Letters: N samples, T frames of the recogniser, C labels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torchaudio

from ser.core.errors import SerError
from ser.core.plugins import check_name
from ser.corpora import audio

_SEPARATOR, _STAR = "|", "*"  # labels that are not letters: the space between words, and "anything"
_WHERE = "occurrences.bundle"


@dataclass(frozen=True)
class Aligner:
    """A recogniser: ``model(waveform)`` takes (1, N) and returns a tuple that starts with scores (1, T, C), before or
    after the softmax. Label 0 is the blank."""

    model: Any
    labels: tuple[str, ...]
    rate: int  # Hz
    device: str = "cpu"

    def __call__(self, signal: np.ndarray, rate: int, words: Sequence[str]) -> list[tuple[float, float] | None]:
        """Start and end in seconds of each word in `signal` (N,).

        None for a word without any letter that the recogniser knows; None for all words when the signal is too short
        for the text."""
        spelt = [self.spell(w) for w in words]
        targets = [label for word in spelt for label in word]
        if not targets:
            return [None] * len(words)
        waveform = torch.from_numpy(np.ascontiguousarray(audio.resample(signal, rate, self.rate)))
        with torch.inference_mode():
            emission = self.model(waveform[None].float().to(self.device))[0].float().log_softmax(-1)
        repeats = sum(a == b for a, b in pairwise(targets))  # CTC needs a blank between equal letters
        if emission.shape[1] < len(targets) + repeats:
            return [None] * len(words)
        path, scores = torchaudio.functional.forced_align(emission, torch.tensor([targets], device=self.device))
        letters = torchaudio.functional.merge_tokens(path[0], scores[0])
        step = len(signal) / rate / emission.shape[1]  # seconds per frame
        spans: list[tuple[float, float] | None] = []
        at = 0
        for word in spelt:
            own, at = letters[at : at + len(word)], at + len(word)
            spans.append((own[0].start * step, own[-1].end * step) if own else None)
        return spans

    def spell(self, word: str) -> list[int]:
        """Labels of a word's letters. A letter that the recogniser does not know loses its accent or is left out."""
        known = {label: i for i, label in enumerate(self.labels) if i and label not in (_SEPARATOR, _STAR)}
        word = word.upper() if "A" in known else word.lower()
        letters = [
            c if c in known else "".join(p for p in unicodedata.normalize("NFKD", c) if p in known) for c in word
        ]
        return [known[c] for letter in letters for c in letter]


def load(bundle: str, device: str = "cpu", folder: str | None = None) -> Aligner:
    """The aligner of a public bundle of torchaudio.

    torch.hub downloads its weights the first time, into `folder` or into its own cache. Raises `SerError` when there is
    no such bundle or no network."""
    pipelines = torchaudio.pipelines
    names = [n for n in dir(pipelines) if hasattr(getattr(pipelines, n), "get_labels")]
    names = [n for n in names if not n.startswith("_") and not isinstance(getattr(pipelines, n), type)]
    check_name(bundle, names, "bundle", _WHERE)
    found = getattr(pipelines, bundle)
    try:
        model = found.get_model(dl_kwargs={"model_dir": folder} if folder else None)
    except OSError as error:  # URLError is a subclass
        what = f"the weights of {bundle} cannot be downloaded: {error}"
        raise SerError(what, _WHERE, "Go online once, or set method: uniform") from error
    return Aligner(model.eval().to(device), tuple(found.get_labels()), int(found.sample_rate), device)
