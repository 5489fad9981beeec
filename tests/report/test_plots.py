from __future__ import annotations

import pytest

from ser.evaluation import predictions
from ser.evaluation.evaluate import evaluate
from ser.report import canvas, plots


@pytest.fixture
def study(emotions, affect, tmp_path):
    """Two experiments, one of them continuous: metrics and paths of the predictions."""
    paths = {"emotions": tmp_path / "emotions.csv", "affect": tmp_path / "affect.csv"}
    predictions.write(emotions, paths["emotions"])
    predictions.write(affect, paths["affect"])
    return {name: evaluate(path, {"synthetic": True}, 50) for name, path in paths.items()}, paths


def test_plots_are_made_and_are_equal_bytes(study, tmp_path):
    first = plots.draw("demo", *study, tmp_path / "a")
    second = plots.draw("demo", *study, tmp_path / "b")
    assert [p.name for p in first] == ["ua.png", "ccc.png", "confusion-emotions.png", "traces-affect.png"]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
        assert a.read_bytes().startswith(b"\x89PNG")
        assert b"Software" not in a.read_bytes()


def test_titles_carry_the_mark_of_synthetic_data(study, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(canvas, "save", lambda figure, path: figures.append(figure))
    plots.draw("demo", *study, tmp_path)
    assert all("SYNTHETIC" in figure.axes[0].get_title() for figure in figures)
    assert [t.get_text() for t in figures[0].axes[0].get_yticklabels()] == ["emotions [SYNTHETIC]"]
    real = {name: {**m, "about": [{**m["about"][0], "data": "real"}]} for name, m in study[0].items()}
    figures.clear()
    plots.draw("demo", real, study[1], tmp_path)
    assert not any("SYNTHETIC" in figure.axes[0].get_title() for figure in figures)


def test_cells_of_the_confusion_plot_are_counts_of_true_rows(study, emotions, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(canvas, "save", lambda figure, path: figures.append(figure))
    found = predictions.read(study[1]["emotions"])
    plots.confusion_plot(found, tmp_path / "x.png", "x", False)
    cells = {t.get_position(): t.get_text() for t in figures[0].axes[0].texts}
    table = found.table
    anger = table["truth"] == "anger"
    count = int((anger & (table["prediction"] == "sadness")).sum())
    assert cells[3, 0] == f"{count / anger.sum():.0%}\n{count}"  # x: predicted sadness, y: true anger
