from __future__ import annotations

import itertools

import numpy as np
import pytest

from ser.evaluation import predictions
from ser.report import canvas
from ser.report.traces import traces_plot, typical


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


def test_the_middle_recording_is_drawn_with_its_own_numbers(graded, tmp_path, monkeypatch):
    assert typical(graded) == "Devel_02"
    figures = []
    monkeypatch.setattr(canvas, "save", lambda figure, path: figures.append(figure))
    traces_plot(graded, tmp_path / "x.png", "some", True)
    (figure,) = figures
    assert figure.axes[0].get_title() == "some (SYNTHETIC data), recording Devel_02 (middle CCC of 3)"
    # 2 * 0.5 / (1 + 0.25)
    assert [panel.get_ylabel() for panel in figure.axes] == ["arousal\nCCC 0.80", "valence\nCCC 0.80"]
    for panel in figure.axes:
        gold, *predicted = (line.get_ydata() for line in panel.lines)
        assert len(predicted) == 2  # a line a seed
        np.testing.assert_allclose(predicted[0], 0.5 * np.asarray(gold), atol=1e-5)
        assert [line.get_label() for line in panel.lines][1] == "predicted, 2 seeds"
        assert panel.get_ylim() == (-1, 1)


def test_labels_of_another_scale_stay_in_sight(graded, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(canvas, "save", lambda figure, path: figures.append(figure))
    table = graded.table.assign(truth_arousal=graded.table["truth_arousal"] + 5)
    wide = predictions.Predictions(table, "continuous", dimensions=graded.dimensions)
    traces_plot(wide, tmp_path / "x.png", "some", False, "Devel_01")
    own = table[table["utterance"] == "Devel_01"]
    assert [panel.get_ylim()[1] for panel in figures[0].axes] == [own["truth_arousal"].max(), 1]
    assert figures[0].axes[0].get_title() == "some, recording Devel_01"


def test_equal_bytes_and_no_labels(graded, tmp_path):
    paths = [traces_plot(graded, tmp_path / name, "some", False, "Devel_01") for name in ("a.png", "b.png")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    table = graded.table.assign(truth_arousal=np.nan, truth_valence=np.nan)
    nothing = predictions.Predictions(table, "continuous", dimensions=graded.dimensions)
    assert traces_plot(nothing, tmp_path / "c.png", "some", False) is None
    assert not (tmp_path / "c.png").exists()
