from __future__ import annotations

from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchaudio

from ser.core.errors import SerError
from ser.words import forced_alignment

LABELS = ("-", "|", "E", "T", "A", "O")
HOP = 320  # samples of a frame: 20 ms


class Recogniser(torch.nn.Module):
    """Reads the label of each frame off the loudness: label i is spoken as i / 10."""

    def forward(self, waveform):
        level = waveform.unfold(1, HOP, HOP).mean(-1)  # (1, T)
        return -50 * (level[..., None] * 10 - torch.arange(len(LABELS))).abs(), None


def _spoken(text):
    """One frame a character; - is the blank."""
    return np.repeat([LABELS.index(c) / 10 for c in text], HOP).astype(np.float32)


def _align(text, words, rate=16000, labels=LABELS):
    return forced_alignment.Aligner(Recogniser(), labels, 16000)(_spoken(text), rate, words)


def test_times_of_the_words():
    spans = _align("--TTEE--||AAA-AA--O-", ["tea".replace("a", ""), "aa", "o"])
    np.testing.assert_allclose(spans, [(0.04, 0.12), (0.20, 0.32), (0.36, 0.38)], atol=1e-9)


def test_letters_the_recogniser_does_not_know():
    aligner = forced_alignment.Aligner(None, LABELS, 16000)
    assert aligner.spell("Täto!") == [3, 4, 3, 5]
    assert aligner.spell("xyz") == []
    assert forced_alignment.Aligner(None, ("-", "a", "ä", "*"), 16000).spell("AÄ*") == [1, 2]
    assert _align("-TE-", ["te", "xyz"])[1] is None
    assert _align("-TE-", ["xyz"]) == [None]


def test_a_signal_too_short_for_its_text():
    assert _align("TTT", ["tete", "t"]) == [None, None]
    assert _align("TT", ["tt"]) == [None]  # equal letters need a blank between them


def test_a_bundle_is_loaded(monkeypatch):
    asked = []

    def get_model(dl_kwargs=None):
        asked.append(dl_kwargs)
        return Recogniser()

    bundle = SimpleNamespace(get_model=get_model, get_labels=lambda: LABELS, sample_rate=16000)
    monkeypatch.setattr(torchaudio.pipelines, "TINY", bundle, raising=False)
    aligner = forced_alignment.load("TINY", folder="weights")
    assert asked == [{"model_dir": "weights"}]
    np.testing.assert_allclose(aligner(_spoken("-T-"), 16000, ["t"]), [(0.02, 0.04)], atol=1e-9)

    def offline(dl_kwargs=None):
        raise URLError("no network")

    bundle.get_model = offline
    with pytest.raises(SerError, match="the weights of TINY cannot be downloaded"):
        forced_alignment.load("TINY")


def test_public_bundles_are_known():
    with pytest.raises(SerError, match=r"unknown bundle 'MMSFA' .* Did you mean 'MMS_FA'"):
        forced_alignment.load("MMSFA")
    for name in ("MMS_FA", "VOXPOPULI_ASR_BASE_10K_DE", "WAV2VEC2_ASR_BASE_960H"):
        labels = tuple(getattr(torchaudio.pipelines, name).get_labels())
        spelt = forced_alignment.Aligner(None, labels, 16000).spell("Hund")
        assert [labels[i].lower() for i in spelt] == list("hund")
        assert labels[0] == "-"
