from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ser.models.parts import autoencoder_figures as figures

OUTPUTS = ("anger", "boredom", "fear")


@pytest.fixture
def artefacts():
    """Every reconstruction is its label's number a tenth, so that a panel tells which embedding it shows."""
    generator = np.random.default_rng(0)
    x = generator.random((2, 16, 9)).astype(np.float32)
    y = np.broadcast_to(np.arange(3)[:, None, None] / 10, (2, 3, 16, 9)).astype(np.float32)
    return {
        "latents": generator.normal(size=(12, 4)).astype(np.float32),
        "examples": np.array([0, 7]),
        "inputs": x,
        "reconstructions": y,
        "axes": np.array([80.0, 16000.0]),
    }


@pytest.fixture
def test_part():
    return pd.DataFrame(
        {
            "utterance": [f"u{i}" for i in range(12)],
            "speaker": ["03", "08"] * 6,
            "emotion": [OUTPUTS[i % 3] for i in range(12)],
        }
    )


def test_panels_show_the_true_and_a_swapped_embedding(artefacts, test_part):
    figure = figures.reconstructions(artefacts, test_part, OUTPUTS, "")
    shown = [[axes.images[0].get_array().T for axes in row] for row in np.reshape(figure.axes[:10], (2, 5))]
    # u0 is anger, u7 boredom: each is swapped for the other
    for (x, own, own_error, swapped, error), k, other, i in ((shown[0], 0, 1, 0), (shown[1], 1, 0, 1)):
        np.testing.assert_array_equal(x, artefacts["inputs"][i])
        np.testing.assert_allclose(own, np.full((16, 9), k / 10))
        np.testing.assert_allclose(swapped, np.full((16, 9), other / 10))
        np.testing.assert_allclose(own_error, own - x, atol=1e-6)
        np.testing.assert_allclose(error, swapped - x, atol=1e-6)
    first = figure.axes[0]
    assert first.images[0].get_extent() == [0, 0.2, 0, 8]  # 16 frames of 12.5 ms, 8 kHz
    assert first.get_title() == "u0: input, anger"


def test_examples_of_one_emotion_are_swapped_for_the_next(artefacts, test_part):
    figure = figures.reconstructions(artefacts | {"examples": np.array([2, 2])}, test_part, OUTPUTS, "")
    assert figure.axes[1].get_title() == "as fear (its own)"
    assert figure.axes[3].get_title() == "as anger (swapped)"


def test_latents_are_coloured_by_emotion_and_by_speaker(artefacts, test_part):
    figure = figures.latents(artefacts["latents"], test_part, OUTPUTS, " (SYNTHETIC data)")
    assert "mean latents of test utterances" in figure.get_suptitle()
    assert figure.get_suptitle().endswith("(SYNTHETIC data)")
    for axes, names in zip(figure.axes, (OUTPUTS, ("03", "08")), strict=True):
        assert tuple(t.get_text() for t in axes.get_legend().get_texts()) == names
        assert sum(len(c.get_offsets()) for c in axes.collections) == 12


@pytest.mark.parametrize(("n", "files"), [(2, 1), (3, 2)])
def test_few_test_utterances_are_no_fault(artefacts, test_part, tmp_path, n, files):
    few = {**artefacts, "latents": artefacts["latents"][:n], "examples": np.array([0, 1])}
    figures.draw(few, test_part[:n], OUTPUTS, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == files


def test_equal_inputs_give_equal_bytes(artefacts, test_part, tmp_path):
    for name in "ab":
        figures.draw(artefacts, test_part.assign(synthetic=1), OUTPUTS, tmp_path / name)
    for name in ("latents.png", "reconstructions.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
