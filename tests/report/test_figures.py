"""The figures of a study: what is drawn, with which numbers, and that equal inputs give equal bytes."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import predictions
from ser.evaluation.evaluate import describe, score
from ser.evaluation.predictions import Predictions
from ser.report import figures


@pytest.fixture
def found(emotions, tmp_path):
    predictions.write(emotions, tmp_path / "p.csv")
    return predictions.read(tmp_path / "p.csv")


@pytest.fixture
def graded(make_affect, tmp_path):
    """Three recordings: Devel_00 predicted perfectly, Devel_01 upside down, Devel_02 by half its size."""
    table = make_affect(recordings=3, seeds=(1, 2))
    for factor, name in ((1.0, "Devel_00"), (-1.0, "Devel_01"), (0.5, "Devel_02")):
        for seed, d in itertools.product((1, 2), ("arousal", "valence")):
            own = (table["utterance"] == name) & (table["seed"] == seed)
            truth = table.loc[own, f"truth_{d}"] - table.loc[own, f"truth_{d}"].mean()
            table.loc[own, f"truth_{d}"], table.loc[own, f"prediction_{d}"] = truth, factor * truth
    predictions.write(table, tmp_path / "p.csv")
    return predictions.read(tmp_path / "p.csv")


def test_cells_of_the_confusion_matrix_are_counts_of_true_rows(found):
    figure = figures.confusion(found, "x")
    cells = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    anger = found.table["truth"] == "anger"
    count = int((anger & (found.table["prediction"] == "sadness")).sum())
    assert cells[3, 0] == f"{count / anger.sum():.0%}\n{count}"  # x: predicted sadness, y: true anger
    assert "mean of 2 seeds" in figure.axes[0].get_title()


def test_scores_show_every_experiment_and_mark_synthetic_ones(found):
    made = [
        score(found, describe({"experiment": name, "synthetic": synthetic}), 50)
        for name, synthetic in (("a", False), ("b", True))
    ]
    (axes,) = figures.scores("demo", made, "ua").axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b (SYNTHETIC data)"]
    assert "95% interval over test speakers" in axes.get_xlabel()
    assert "chance" in axes.get_xlabel()


def test_the_middle_recording_is_drawn_with_its_own_numbers(graded):
    assert figures.typical(graded) == "Devel_02"
    figure = figures.traces(graded, "some")
    assert figure.axes[0].get_title() == "some, recording Devel_02 (middle CCC of 3)"
    # 2 * 0.5 / (1 + 0.25)
    assert [panel.get_ylabel() for panel in figure.axes] == ["arousal\nCCC 0.80", "valence\nCCC 0.80"]
    for panel in figure.axes:
        gold, *predicted = (line.get_ydata() for line in panel.lines)
        assert len(predicted) == 2  # one line per seed
        np.testing.assert_allclose(predicted[0], 0.5 * np.asarray(gold), atol=1e-5)
        assert [line.get_label() for line in panel.lines][1] == "predicted, 2 seeds"
        assert panel.get_ylim() == (-1, 1)


def test_labels_of_another_scale_remain_visible(graded):
    table = graded.table.assign(truth_arousal=graded.table["truth_arousal"] + 5)
    wide = Predictions(table, "continuous", dimensions=graded.dimensions)
    figure = figures.traces(wide, "some", "Devel_01")
    own = table[table["utterance"] == "Devel_01"]
    assert [panel.get_ylim()[1] for panel in figure.axes] == [own["truth_arousal"].max(), 1]
    assert figure.axes[0].get_title() == "some, recording Devel_01"


def test_equal_inputs_give_equal_bytes_without_date_or_software(found, tmp_path):
    paths = [figures.save(figures.confusion(found, "x"), tmp_path / name) for name in ("a.png", "b.png")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert b"Software" not in paths[0].read_bytes()


@pytest.fixture
def spectrograms():
    """Arrays of the autoencoder (40 test utterances, 2 examples, 3 classes) and its test part."""
    g = np.random.default_rng(0)
    arrays = {
        "latents": g.normal(size=(40, 8)), "examples": np.array([0, 39]), "inputs": g.random((2, 128, 60)),
        "reconstructions": g.random((2, 3, 128, 60)), "axes": np.array([100.0, 16000.0]),
    }  # fmt: skip
    test = pd.DataFrame({"utterance": [f"u{i}" for i in range(40)], "speaker": ["a", "b"] * 20})
    return arrays, test.assign(emotion=(["anger", "fear", "joy"] * 14)[:40])


def test_reconstructions_swap_the_emotion_and_stay_below_half_a_megabyte(spectrograms, tmp_path):
    arrays, test = spectrograms
    figure = figures.reconstructions(arrays, test, ("anger", "fear", "joy"), "x")
    titles = [axes.get_title() for axes in figure.axes[:5]]
    assert titles[0] == "u0: input, anger"
    assert [titles[1], titles[3]] == ["as anger (its own)", "as fear (swapped)"]  # both examples are angry
    path = figures.save(figure, tmp_path / "r.png", 90, figures.COLOURS)
    assert path.stat().st_size < 500_000


def test_latents_are_coloured_by_emotion_and_by_speaker(spectrograms):
    arrays, test = spectrograms
    figure = figures.latents(arrays["latents"], test, ("anger", "fear", "joy"), "x")
    names = [[t.get_text() for t in panel.get_legend().get_texts()] for panel in figure.axes]
    assert names == [["anger", "fear", "joy"], ["a", "b"]]


def test_samples_of_the_pretraining_show_what_was_hidden():
    g = np.random.default_rng(0)
    x = g.normal(size=(2, 50, 8))
    hidden = np.zeros((2, 50), bool)
    hidden[:, 10:20] = True
    arrays = {
        "original": x, "masked": np.where(hidden[..., None], 0, x), "predicted": x + 1, "hidden": hidden,
        "lengths": np.array([50, 30]), "frame_rate": np.array(100.0),
    }  # fmt: skip
    figure = figures.pretraining(arrays, "x")
    images = [axes.images[0].get_array() for axes in figure.axes[:4]]
    np.testing.assert_array_equal(images[0], x[0].T)
    np.testing.assert_allclose(images[2][:, 10:20], x[0].T[:, 10:20] + 1)
    np.testing.assert_allclose(images[3][:, 10:20], 1)
    assert images[3][:, 20:].max() == 0
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == [0.1, 0.2]


def test_word_spaces_are_drawn_before_and_after_alignment():
    g = np.random.default_rng(0)
    text = g.normal(size=(5, 4))
    turn = np.linalg.qr(g.normal(size=(4, 4)))[0]
    arrays = {"words": np.array(list("abcde")), "speech": text @ turn, "mapped": text, "text": text}
    before, after = figures.spaces(arrays, "x").axes
    places = [[panel.collections[k].get_offsets() for k in (0, 1)] for panel in (before, after)]
    np.testing.assert_allclose(places[1][0], places[1][1])
    assert not np.allclose(places[0][0], places[0][1])
    assert {t.get_text() for t in after.texts} == set("abcde")


def test_the_plane_is_that_of_the_two_main_axes():
    rows = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 0.1]])
    middle, axes = figures.plane(rows)
    np.testing.assert_allclose(middle, [0, 0, 0.02])
    np.testing.assert_allclose(np.abs(axes), [[1, 0, 0], [0, 1, 0]], atol=1e-2)
    assert (axes[np.arange(2), np.abs(axes).argmax(1)] > 0).all()
