"""The encoder feature, on a tiny bundle of random weights that goes through the same code as the published ones."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
import torch

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import read_json
from ser.core.store import Store, Writer
from ser.features import ssl
from ser.features.extraction import extract


@pytest.fixture
def signal() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)


def layers(signal: np.ndarray) -> np.ndarray:
    """(L, T, D) of torchaudio's own model with the tiny bundle's weights."""
    model = ssl._architecture(ssl.TINY)
    model.load_state_dict(torch.load(io.BytesIO(ssl.random_weights(ssl.TINY)), weights_only=True))
    with torch.inference_mode():
        return torch.cat(model.eval().extract_features(torch.from_numpy(signal)[None])[0]).numpy()


def test_a_layer_the_mean_and_all_layers(signal):
    expected = layers(signal)
    assert expected.shape == (2, 24, 16)
    for layer in (1, 2):
        found = ssl.Feature(layer=layer, pool="none").extract(signal, 16000)
        np.testing.assert_allclose(found, expected[layer - 1], atol=1e-5)
    np.testing.assert_allclose(ssl.Feature(pool="none").extract(signal, 16000), expected.mean(0), atol=1e-5)
    both = ssl.Feature(layer="all", pool="none").extract(signal, 16000)
    np.testing.assert_allclose(both, np.concatenate(list(expected), 1), atol=1e-5)


def test_statistics_are_mean_and_deviation_of_each_layer(signal):
    x = layers(signal)
    found = ssl.Feature(layer="all").extract(signal, 16000)
    np.testing.assert_allclose(found, np.concatenate([[a.mean(0), a.std(0)] for a in x]).reshape(-1), atol=1e-5)
    assert ssl.Feature(layer="all").dim == len(found) == 64
    assert ssl.Feature(layer=1).extract(signal, 16000).shape == (ssl.Feature(layer=1).dim,) == (32,)


def test_a_signal_shorter_than_a_frame_is_padded(signal):
    assert ssl.Feature(pool="none").extract(signal[:50], 16000).shape == (1, 16)


def test_every_bundle_is_known_with_its_sizes_and_what_it_has_heard():
    known = ssl.bundles()
    assert {"WAV2VEC2_BASE", "HUBERT_BASE", "WAVLM_BASE_PLUS", "WAVLM_LARGE", "VOXPOPULI_ASR_BASE_10K_DE"} <= set(known)
    assert ssl.Feature("WAVLM_LARGE", layer="all", pool="none").dim == 24 * 1024
    assert ssl.Feature("HUBERT_BASE").dim == 2 * 768
    assert all(ssl.pretrained_on(name) for name in known if name != ssl.TINY)
    assert ssl.pretrained_on("WAV2VEC2_BASE") == ("librispeech",)
    assert ssl.pretrained_on("WAVLM_BASE_PLUS") == ("librilight", "gigaspeech", "voxpopuli")
    assert ssl.pretrained_on(ssl.TINY) == ()


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"bundle": "WAVLM_BSE"}, r"unknown bundle 'WAVLM_BSE'\. Did you mean 'WAVLM_BASE'"),
        ({"layer": 3}, r"TINY has the layers 1 to 2, not 3"),
        ({"layer": "last"}, r"features\.x\.layer"),
    ],
)
def test_faulty_parameters(values, fault):
    with pytest.raises(SerError, match=fault):
        plugins.build(ssl.Feature, values, "features.x")


def test_missing_weights_are_one_line_that_says_what_to_fetch(tmp_path, monkeypatch, signal):
    monkeypatch.setattr("socket.socket", None)  # offline
    with pytest.raises(
        SerError, match=r"weights of HUBERT_BASE are not here \(.*hubert_fairseq_base_ls960\.pth\)"
    ) as e:
        ssl.Feature("HUBERT_BASE", weights=str(tmp_path)).extract(signal, 16000)
    assert "https://download.pytorch.org/torchaudio/models/hubert_fairseq_base_ls960.pth" in str(e.value)


def test_weights_are_read_from_a_file_hashed_and_checked(tmp_path, signal):
    (tmp_path / "ser_tiny.pth").write_bytes(ssl.random_weights(ssl.TINY, seed=2))
    digest = hashlib.sha256((tmp_path / "ser_tiny.pth").read_bytes()).hexdigest()
    given = ssl.Feature(weights=str(tmp_path), sha256=digest)
    assert not np.allclose(given.extract(signal, 16000), ssl.Feature().extract(signal, 16000))
    assert given.about()["encoder"] == {"bundle": "TINY", "sha256": digest, "pretrained_on": []}
    with pytest.raises(SerError, match=rf"have the SHA-256 {digest}, not {'0' * 64}"):
        ssl.Feature(weights=str(tmp_path), sha256="0" * 64).extract(signal, 16000)
    other = tmp_path / "other"
    other.mkdir()
    (other / "ser_tiny.pth").write_bytes(b"not weights")
    with pytest.raises(SerError, match=r"damaged file.*ser_tiny\.pth"):
        ssl.Feature(weights=str(other)).extract(signal, 16000)


def test_a_classifier_of_letters_is_not_read(tmp_path, signal):
    """As the bundles for recognition have one."""
    state = torch.load(io.BytesIO(ssl.random_weights(ssl.TINY)), weights_only=True)
    torch.save(state | {"aux.weight": torch.zeros(3, 16), "aux.bias": torch.zeros(3)}, tmp_path / "ser_tiny.pth")
    found = ssl.Feature(weights=str(tmp_path)).extract(signal, 16000)
    np.testing.assert_array_equal(found, ssl.Feature().extract(signal, 16000))


def test_extraction_records_the_encoder_and_gives_equal_bytes_with_two_workers(tmp_path):
    with Writer(tmp_path / "audio", None, "int16", {"rate": 16000, "synthetic": True}) as audio:
        for k in range(6):
            audio.append(f"u{k}", np.random.default_rng(k).integers(-3000, 3000, 20000 + 900 * k, dtype=np.int16))
    stores = [
        extract(
            ssl.Feature(pool="none"), Store(tmp_path / "audio"), tmp_path / f"{jobs}", jobs, checkpoints=tmp_path / "c"
        )
        for jobs in (1, 2)
    ]
    assert stores[0].content == stores[1].content
    card = read_json(tmp_path / "1/card.json")
    assert card["encoder"] == {"bundle": "TINY", "sha256": "random", "pretrained_on": []}
    assert (card["level"], card["frame_rate"], card["dim"]) == ("frame", 50.0, 16)
