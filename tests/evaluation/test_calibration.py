"""Temperatures: fitted to other speakers only, with the errors they remove."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser.evaluation import calibration
from ser.evaluation.predictions import Predictions

CLASSES = ("a", "b", "c")


def made(temperature: float = 2.0, speakers: int = 6, each: int = 80, shared: bool = False) -> Predictions:
    """Labels that are drawn from probabilities, which the scores overstate: the right temperature is known."""
    generator = np.random.default_rng(0)
    n = speakers * each
    p = calibration.scaled(generator.dirichlet(np.ones(3), n), 1.0)
    truth = [CLASSES[generator.choice(3, p=row)] for row in p]
    scores = calibration.scaled(p, 1 / temperature)
    fold = np.repeat(np.arange(speakers), each)
    speaker = np.tile(np.arange(speakers), each) if shared else fold
    table = pd.DataFrame({"utterance": [f"u{i}" for i in range(n)], "corpus": "toy", "fold": fold.astype(str)})
    table["seed"], table["speaker"], table["truth"] = 1, speaker.astype(str), truth
    table["prediction"] = [CLASSES[k] for k in scores.argmax(1)]
    return Predictions(
        table.assign(**{f"score_{c}": scores[:, k] for k, c in enumerate(CLASSES)}), "classification", CLASSES
    )


def test_the_temperature_of_overstated_scores_is_found():
    found = calibration.measure(made())
    assert abs(found["temperature"] - 2) < 0.25
    for name in ("ece", "nll", "brier"):
        assert found["after"][name] < found["before"][name]


def test_no_speaker_is_judged_by_a_temperature_that_knows_them():
    p = made()
    scores, truth = p.table[[f"score_{c}" for c in CLASSES]].to_numpy(), np.searchsorted(CLASSES, p.table["truth"])
    before = calibration.cross_fitted(p, scores, truth)
    own = (p.table["speaker"] == "0").to_numpy()
    truth[own] = (truth[own] + 1) % 3
    after = calibration.cross_fitted(p, scores, truth)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before[own], after[own])
    assert (before[~own] != after[~own]).any()


def test_folds_that_share_their_speakers_get_no_temperature():
    assert set(calibration.measure(made(shared=True))) == {"before"}


def test_scaling_changes_no_decision_and_stays_a_probability():
    scores = np.array([[0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])
    for t in (0.3, 1.0, 4.0):
        out = calibration.scaled(scores, t)
        np.testing.assert_allclose(out.sum(1), 1)
        assert (out.argmax(1) == [1, 2]).all()


def test_errors_of_known_scores():
    scores, truth = np.array([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.55, 0.45]]), np.array([0, 0, 0, 1])
    confidence, accuracy, counts = calibration.reliability(scores, truth)
    np.testing.assert_allclose(confidence, [0.55, 0.95])
    np.testing.assert_allclose(accuracy, [0.5, 1])
    assert counts.tolist() == [2, 2]
    assert np.isclose(calibration.errors(scores, truth)["ece"], 0.05)
    assert calibration.coverage(scores, truth)[4] == (0.5, 1.0, 0.95)


def test_scores_that_are_no_probabilities_are_left_alone():
    p = made()
    doubled = p.table.assign(score_a=p.table["score_a"] * 2)
    assert calibration.measure(Predictions(doubled, "classification", CLASSES)) == {}
