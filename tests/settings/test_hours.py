"""The GPU hours of a study before it runs, against the arithmetic of papers.md 8."""

from __future__ import annotations

import re

import pytest

from ser.settings import check, hours
from tests.conftest import ROOT


def _read(name):
    return check.read(ROOT / ("params.yaml" if name == "demo" else f"studies/{name}/params.yaml"))


def test_the_hours_of_p1_are_those_of_its_operations():
    """papers.md 8: 4e16 operations per fold in 20 000 steps of 16 utterances, and 3e17 for the pretraining; at 30
    TFLOP/s these are 0.36 h and 2.8 h."""
    study = _read("fusion_convbert")
    item = study.all_experiments["fusion_convbert-emodb-speaker_independent"]
    assert hours._hours(study, item) == pytest.approx(4e16 / 30e12 / 3600, rel=0.05)
    assert hours._folds(study, item) == 10
    lines = hours.lines(study)
    assert "nobody has measured" in lines[0]
    assert "  pretraining librispeech: 2.8 h" in lines
    parts = [float(re.search(r"([\d.]+) h$", line)[1]) for line in lines[1:]]
    assert sum(parts[:-1]) == pytest.approx(parts[-1], abs=1)


def test_crops_blocks_and_segments_are_counted():
    study = _read("emotion_autoencoder")
    item = study.all_experiments["ae_ee_in-emodb-cv10"]
    # 2.8 s of 80 frames per second are 224 frames: ceil((224 - 128) / 64) + 1 = 3 crops
    assert hours._hours(study, item) == pytest.approx(6 * 1.5e9 * 40 * 535 * 3 / 10e12 / 3600)
    study = _read("clstm")
    item = study.all_experiments["convlstm_skip_bigru_center-ravdess-kfold5"]
    assert hours._hours(study, item) == pytest.approx(6 * 6.3e9 * 100 * 1440 / 1e12 / 3600, rel=0.01)
    assert hours._folds(study, study.all_experiments["convlstm_skip_bigru_center-ravdess-actors"]) == 6
    unmerged = study.all_experiments["convlstm_skip_bigru_center-iemocap_unmerged-kfold5"]
    assert hours._utterances(study, unmerged.corpus) == 4490
    study = _read("semantic")
    item = study.all_experiments["disentangled-sewa-devel"]
    assert (
        hours._windows(study, item, hours.plugins.build(hours.Training, {"window": "blocks", "frames": 100}, "")) == 17
    )


def test_studies_that_are_smaller_have_no_such_lines():
    assert hours.lines(_read("demo")) == []
    assert hours.lines(_read("emodb")) == []
